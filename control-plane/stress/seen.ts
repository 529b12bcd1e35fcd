/** What those who asked one unit were answered in a while: how many, how many ill, how fast. Pure. */
import { BUCKETS, bucketOf, quantileOf } from "../../model/latency-histogram.ts";
import { OUTCOME, OUTCOMES } from "../../model/outcome.ts";
import type { WindowSum } from "../fleet-figures.ts";

export interface Seen {
  readonly asked: number;
  /** Failed, or shed for want of room: what a unit that is stressed does to its users. */
  readonly ill: number;
  /** One count for each bucket of the histogram. */
  readonly latencies: Float64Array;
}

const ASKED = ["success", "clientError", "error", "fallback", "shed", "gone"] as const;
const ILL = ["error", "fallback", "shed"] as const;

/** By unit; empty: of requests that reached none. */
export function seenByUnit({ series }: Pick<WindowSum, "series">): Map<string, Seen> {
  const all = new Map<string, { asked: number; ill: number; latencies: Float64Array }>();
  for (const { name, row } of series) {
    let seen = all.get(name.unit);
    if (seen === undefined) {
      seen = { asked: 0, ill: 0, latencies: new Float64Array(BUCKETS) };
      all.set(name.unit, seen);
    }
    for (const outcome of ASKED) seen.asked += row[OUTCOME[outcome]]!;
    for (const outcome of ILL) seen.ill += row[OUTCOME[outcome]]!;
    for (let i = 0; i < BUCKETS; i++) seen.latencies[i]! += row[OUTCOMES.length + i]!;
  }
  return all;
}

/** Requests that took longer than so many milliseconds. */
export function slowerThan({ latencies }: Seen, milliseconds: number): number {
  let slower = 0;
  for (let i = bucketOf(milliseconds / 1_000) + 1; i < BUCKETS; i++) slower += latencies[i]!;
  return slower;
}

/** Milliseconds; null where nobody was answered. */
export function p99Of({ latencies }: Seen): number | null {
  const seconds = quantileOf(latencies, 0.99);
  return seconds === undefined ? null : seconds * 1_000;
}

/** Share that was not ill; null where nobody asked. */
export function successOf({ asked, ill }: Seen): number | null {
  return asked === 0 ? null : 1 - ill / asked;
}
