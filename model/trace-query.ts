/** Which failed and slow requests somebody wants to see. */
import { parseDuration } from "./configuration/quantity.ts";

export interface TraceQuery {
  readonly route?: string | undefined;
  readonly unit?: string | undefined;
  readonly kind?: string | undefined;
  readonly trace?: string | undefined;
  /** Milliseconds since 1970. */
  readonly since?: number | undefined;
}

const WORDS = ["route", "unit", "kind", "trace", "since"];

/** `?route=cart&unit=sh&kind=failed&since=10m`, or what is wrong with it. @param now milliseconds since 1970 */
export function traceQuery(
  query: Readonly<Record<string, string | readonly string[]>>,
  now: number,
): TraceQuery | string {
  for (const [name, value] of Object.entries(query)) {
    if (!WORDS.includes(name)) return `there is no ${name.slice(0, 50)}; expected ${WORDS.join(", ")}`;
    if (typeof value !== "string") return `${name} comes twice`;
  }
  const { since, ...words } = query as Record<string, string | undefined>;
  if (words.kind !== undefined && words.kind !== "failed" && words.kind !== "slow") {
    return `kind is ${words.kind.slice(0, 50)}; expected failed or slow`;
  }
  if (since === undefined) return words;
  const back = parseDuration(since);
  const at = back === undefined ? (/^\d{1,16}$/.test(since) ? Number(since) : Date.parse(since)) : now - back;
  return Number.isNaN(at)
    ? `since is ${since.slice(0, 50)}; expected a duration such as 10m, or a time`
    : { ...words, since: at };
}
