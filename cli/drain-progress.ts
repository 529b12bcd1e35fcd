/** How far a drain has come, by what the gateways report; and the wait until its unit is empty. */
import { type ApiClient, ApiFailure, type Printer } from "./api-client.ts";
import { paint } from "./tables.ts";

export interface Drain {
  readonly unit: string;
  /** When it was laid. */
  readonly since: number;
  readonly moved: number | null;
  readonly rate: number | null;
  readonly inflight: number | null;
  readonly empty: boolean;
  readonly unknown: readonly string[];
  readonly gone: readonly string[];
}

/** How often (ms) a wait looks. */
const POLL = 250;

export function drainText(drain: Drain): string {
  const gone =
    drain.gone.length === 0
      ? ""
      : paint("yellow", `; not connected, so that nobody knows: ${drain.gone.join(", ")}`);
  return `${drain.empty ? paint("green", `${drain.unit} is empty`) : progressOf(drain)}${gone}`;
}

function progressOf({ unit, moved, rate, inflight, unknown }: Drain): string {
  const silent = unknown.length === 0 ? "" : `; no report of ${unknown.join(", ")}`;
  if (moved === null) return `${unit}: no gateway reports it${silent}`;
  const requests = `${inflight} under way, ${Math.round(rate ?? 0)} a second`;
  return `${unit}: ${Math.floor(moved * 100)} % moved, ${requests}${silent}`;
}

/**
 * @param since which drain: when it was laid
 * @returns the drain, and when (ms since 1970) its unit was seen to be empty
 * @throws ApiFailure after `timeout` (ms), or when somebody took the drain away
 */
export async function untilEmpty(
  api: ApiClient,
  print: Printer,
  unit: string,
  since: number,
  timeout: number,
): Promise<Drain & { readonly at: number }> {
  const until = performance.now() + timeout;
  let said = "";
  try {
    for (;;) {
      const { drains, now } = await api.call<{ drains: Drain[]; now: number }>("GET", "/v1/status");
      const drain = drains.find((one) => one.unit === unit);
      if (drain === undefined || drain.since !== since) {
        throw new ApiFailure(`${unit} is not drained any more: somebody took the drain away`);
      }
      if (drain.empty) return { ...drain, at: now };
      const text = drainText(drain);
      if (text !== said) print.progress(text);
      said = text;
      if (performance.now() > until) {
        throw new ApiFailure(
          `${unit} is not empty after ${timeout / 1000} s (${progressOf(drain)}); ` +
            "writes of sharded routes stay in their unit until they are evacuated",
        );
      }
      await new Promise((resolve) => setTimeout(resolve, POLL));
    }
  } finally {
    if (said !== "") print.endProgress();
  }
}
