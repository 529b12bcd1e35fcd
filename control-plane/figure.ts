/** What people, gates and alerts are told of a series: a rate, shares, latencies. Where nothing was counted, null. */
import { BUCKETS, quantileOf } from "../model/latency-histogram.ts";
import { type Outcome, OUTCOME, OUTCOMES, requestsOf, servedOf } from "../model/outcome.ts";
import type { WindowSum } from "./fleet-figures.ts";
import { WIDTH } from "./figure-ring.ts";

export interface Figure {
  readonly requests: number;
  /** Requests a second, over the time that is known. */
  readonly rps: number;
  readonly outcomes: Readonly<Record<Outcome, number>>;
  /** Of the requests that units were to answer; null where there were none. */
  readonly successShare: number | null;
  readonly errorShare: number | null;
  /** Milliseconds; null where there were no requests. */
  readonly p50: number | null;
  readonly p95: number | null;
  readonly p99: number | null;
}

/** @param row outcomes, then latencies · @param known milliseconds */
export function figureOf(row: Float64Array, known: number): Figure {
  const counts = row.subarray(0, OUTCOMES.length);
  const latencies = row.subarray(OUTCOMES.length, OUTCOMES.length + BUCKETS);
  const requests = requestsOf(counts);
  const served = servedOf(counts);
  const share = (n: number): number | null => (served === 0 ? null : n / served);
  const quantile = (of: number): number | null => {
    const seconds = quantileOf(latencies, of);
    return seconds === undefined ? null : seconds * 1000;
  };
  return {
    requests,
    rps: known === 0 ? 0 : requests / (known / 1000),
    outcomes: Object.fromEntries(OUTCOMES.map((outcome, i) => [outcome, counts[i]!])) as Figure["outcomes"],
    successShare: share(counts[OUTCOME.success]!),
    errorShare: share(counts[OUTCOME.error]!),
    p50: quantile(0.5),
    p95: quantile(0.95),
    p99: quantile(0.99),
  };
}

/**
 * All series of a window together.
 *
 * @param isWhole no filter was asked for
 * @returns null where nobody knows: no gateway reported, or what was asked for may be among what was folded together
 */
export function totalOf({ series, known, folded }: WindowSum, isWhole: boolean): Figure | null {
  if (known === 0 || (series.length === 0 && folded > 0 && !isWhole)) return null;
  const total = new Float64Array(WIDTH);
  for (const { row } of series) for (let i = 0; i < WIDTH; i++) total[i]! += row[i]!;
  return figureOf(total, known);
}
