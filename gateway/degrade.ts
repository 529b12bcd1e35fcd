/** What a route answers in a unit's place when the way to the unit failed: its last good answer, else what it was given. */
import type { CompiledRoute } from "../model/table.ts";
import type { Core } from "./core.ts";
import type { RefusalType } from "./refusal.ts";
import type { StaleQuestion } from "./stale-entry.ts";

/** Failures of the way to a unit. The client's own mistakes are not among them, nor its limits. */
const RESCUED: ReadonlySet<RefusalType> = new Set([
  "no-pool",
  "no-healthy-unit",
  "degraded",
  "breaker",
  "shed",
  "upstream-refused",
  "upstream-reset",
  "upstream-malformed",
  "upstream-timeout",
]);

/** An answer that stands in. */
export interface Degraded {
  readonly status: number;
  /** Flat; a name may come more than once. */
  readonly fields: readonly string[];
  readonly body: Buffer | string;
}

/**
 * @param question undefined where nobody knows yet whose request it is, so that nothing stored may be given
 * @returns undefined when the problem itself is the answer
 */
export function degrade(
  core: Core,
  route: CompiledRoute | undefined,
  type: RefusalType,
  question: StaleQuestion | undefined,
): Degraded | undefined {
  const fallback = route?.spec.fallback;
  if (route === undefined || fallback === undefined || !RESCUED.has(type)) return undefined;
  const count = (kind: string): void =>
    core.metrics.count("tidegate_fallbacks_total", `route="${route.name}",kind="${kind}"`);
  const stale = question === undefined ? undefined : core.stale.of(route)?.find(question);
  if (stale !== undefined) {
    count("stale");
    return {
      status: stale.status,
      fields: [...stale.headers, "x-tidegate-fallback", "stale"],
      body: stale.body,
    };
  }
  if (!fallback.hasAnswer) return undefined;
  const { status, contentType, body, location } = fallback;
  count(location === undefined ? "static" : "redirect");
  const fields = ["cache-control", "no-store"];
  // A 204 has no length (RFC 9110 §8.6).
  if (status !== 204) fields.push("content-length", `${Buffer.byteLength(body)}`);
  if (body !== "") fields.push("content-type", contentType);
  if (location !== undefined) fields.push("location", location);
  fields.push("x-tidegate-fallback", type);
  return { status, fields, body };
}
