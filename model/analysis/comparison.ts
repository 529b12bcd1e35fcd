/** The figures of canary and stable side by side, and whether their difference is more than is tolerated. */
import { BUCKETS, type Latencies } from "../latency-histogram.ts";
import { bandOfQuantile, bandOfShare, valueBeyond } from "./bounds.ts";
import { dispersionOf } from "./dispersion.ts";
import { dispersionOfQuantiles, evidenceOfQuantiles, type QuantilesState } from "./sequential-quantiles.ts";
import { evidenceOfRates, type RatesState } from "./sequential-rates.ts";
import type { AnalysisSettings } from "./settings.ts";

/** A figure of the canary and of what it is compared with; rates as shares, latencies in seconds. */
export interface Comparison {
  readonly canary: number | null;
  readonly stable: number | null;
  /** Of rates the difference, of latencies the ratio. */
  readonly change: number | null;
  /** The change is between them, at the settings' confidence and at every moment; null where nothing is known. */
  readonly low: number | null;
  readonly high: number | null;
  /** Evidence of harm: 0 is none, 1 is proof. */
  readonly evidence: number;
}

export interface Tally {
  readonly requests: number;
  readonly failures: number;
}

export const NO_TALLY: Tally = { requests: 0, failures: 0 };

/** @param stable of the same windows, or the past */
export function compareErrors(
  canary: Tally,
  stable: Tally,
  rates: RatesState,
  { confidence }: AnalysisSettings,
): Comparison {
  const evidence = evidenceOfRates(rates);
  const [mine, theirs] = [rateOf(canary), rateOf(stable)];
  if (mine === null || theirs === null) {
    return { canary: mine, stable: theirs, change: null, low: null, high: null, evidence };
  }
  // Of the two bands each may miss the truth half as often.
  const each = (1 + confidence) / 2;
  const dispersion = dispersionOf(rates.dispersion);
  const [a, b] = [canary, stable].map(({ requests, failures }) =>
    bandOfShare(failures / dispersion, requests / dispersion, each),
  );
  return {
    canary: mine,
    stable: theirs,
    change: mine - theirs,
    low: a!.low - b!.high,
    high: a!.high - b!.low,
    evidence,
  };
}

/** What is compared, as latencies of seconds, beside the ratio. */
export interface LatencyComparison extends Comparison {
  /** Seconds more than stable, at most, at every moment. */
  readonly highIncrease: number | null;
}

export function compareLatency(
  canary: Latencies,
  stable: Latencies,
  quantiles: QuantilesState,
  { confidence, quantile }: AnalysisSettings,
): LatencyComparison {
  const evidence = evidenceOfQuantiles(quantiles);
  const [a, b] = [countsOf(canary), countsOf(stable)];
  const [mine, theirs] = [quantileOf(a, quantile), quantileOf(b, quantile)];
  if (mine === null || theirs === null) {
    const nothing = { change: null, low: null, high: null, highIncrease: null };
    return { canary: mine, stable: theirs, ...nothing, evidence };
  }
  const each = (1 + confidence) / 2;
  const dispersion = dispersionOfQuantiles(quantiles);
  const own = bandOfQuantile(a, quantile, each, dispersion)!;
  const other = bandOfQuantile(b, quantile, each, dispersion)!;
  return {
    canary: mine,
    stable: theirs,
    change: mine / theirs,
    low: own.low / other.high,
    high: own.high / other.low,
    highIncrease: own.high - other.low,
    evidence,
  };
}

export function rateOf({ requests, failures }: Tally): number | null {
  return requests > 0 ? failures / requests : null;
}

/** Whether the canary's failures are more than is tolerated. */
export function failsMore(canary: Tally, stable: Tally, { maxErrorIncrease }: AnalysisSettings): boolean {
  const [mine, theirs] = [rateOf(canary), rateOf(stable)];
  return mine !== null && theirs !== null && mine > theirs + maxErrorIncrease;
}

/**
 * The quantile that is slower than is tolerated, and both values; of several the one that is asked for. It has to be so with
 * half a standard deviation to spare: few requests say little of the slowest.
 */
export function slowerQuantile(
  canary: ArrayLike<number>,
  stable: ArrayLike<number>,
  { quantile, maxLatencyRatio, minLatencyIncrease }: AnalysisSettings,
): { quantile: number; canary: number; stable: number } | undefined {
  const [mine, theirs] = [totalOf(canary), totalOf(stable)];
  if (mine === 0 || theirs === 0) return undefined;
  for (const one of [quantile, 0.9, 0.5]) {
    const beyond = (1 - one) * mine;
    const least = valueBeyond(canary, Math.min(mine, beyond + Math.sqrt(beyond * one) / 2));
    const other = valueBeyond(stable, (1 - one) * theirs);
    if (least > other * maxLatencyRatio && least - other > minLatencyIncrease) {
      return { quantile: one, canary: valueBeyond(canary, beyond), stable: other };
    }
  }
  return undefined;
}

export function countsOf(latencies: Latencies): Float64Array {
  const counts = new Float64Array(BUCKETS);
  for (let i = 0; i + 1 < latencies.length; i += 2) counts[latencies[i]!]! += latencies[i + 1]!;
  return counts;
}

function quantileOf(counts: ArrayLike<number>, quantile: number): number | null {
  const total = totalOf(counts);
  return total > 0 ? valueBeyond(counts, (1 - quantile) * total) : null;
}

function totalOf(counts: ArrayLike<number>): number {
  let total = 0;
  for (let bucket = 0; bucket < counts.length; bucket++) total += counts[bucket]!;
  return total;
}
