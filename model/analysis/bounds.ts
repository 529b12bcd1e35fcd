/**
 * Bands that hold the truth at every moment at once, for whoever watches a figure settle.
 *
 * A share p is within the band while the mixture of all shares (by a beta distribution) explains the counts less than
 * 1/(1 − confidence) times as well as p does: a confidence sequence (Robbins 1970; Howard, Ramdas, McAuliffe and Sekhon,
 * Annals of Statistics 49, 2021). A quantile is where the share beyond it is within the band (Howard and Ramdas,
 * "Sequential estimation of quantiles", Bernoulli 28, 2022).
 */
import { BOUNDS, BUCKETS } from "../latency-histogram.ts";

/** Of the beta distribution: few, and most likely few or all. */
const PRIOR = 0.5;

export interface Band {
  readonly low: number;
  readonly high: number;
}

/** Of a share, having seen `count` of `total`. */
export function bandOfShare(count: number, total: number, confidence: number): Band {
  const within = (p: number): boolean => surprise(count, total, p) < -Math.log(1 - confidence);
  const best = total > 0 ? count / total : 0.5;
  return {
    low: count <= 0 ? 0 : edge(best, 0, within),
    high: count >= total ? 1 : edge(best, 1, within),
  };
}

/** Of a quantile (seconds), by counts for each bucket. @param dispersion requests that make one piece of evidence */
export function bandOfQuantile(
  counts: ArrayLike<number>,
  quantile: number,
  confidence: number,
  dispersion: number,
): Band | undefined {
  let total = 0;
  for (let bucket = 0; bucket < BUCKETS; bucket++) total += counts[bucket]!;
  if (total === 0) return undefined;
  const worth = total / dispersion;
  const beyond = 1 - quantile;
  const within = (count: number): boolean => surprise(count, worth, beyond) < -Math.log(1 - confidence);
  const few = within(0) ? 0 : edge(beyond * worth, 0, within);
  const many = within(worth) ? worth : edge(beyond * worth, worth, within);
  return { low: valueBeyond(counts, many * dispersion), high: valueBeyond(counts, few * dispersion) };
}

/** Seconds beyond which `count` of the requests were, evenly (by logarithm) within a bucket. */
export function valueBeyond(counts: ArrayLike<number>, count: number): number {
  let beyond = 0;
  for (let bucket = BUCKETS - 1; bucket >= 0; bucket--) {
    const here = counts[bucket]!;
    if (here > 0 && beyond + here >= count) {
      const upper = BOUNDS[Math.min(bucket, BOUNDS.length - 1)]!;
      const lower = bucket === 0 ? upper : BOUNDS[bucket - 1]!;
      return upper * (lower / upper) ** ((count - beyond) / here);
    }
    beyond += here;
  }
  return BOUNDS[0]!;
}

/** Logarithm of how much better the mixture explains the counts than p. */
function surprise(count: number, total: number, p: number): number {
  const mixture = logBeta(PRIOR + count, PRIOR + total - count) - logBeta(PRIOR, PRIOR);
  const yes = count > 0 ? count * Math.log(p) : 0;
  const no = total > count ? (total - count) * Math.log1p(-p) : 0;
  return mixture - yes - no;
}

/** Last that is within, from one that is to one that is not. */
function edge(inside: number, outside: number, within: (x: number) => boolean): number {
  let [good, bad] = [inside, outside];
  for (let i = 0; i < 30; i++) {
    const middle = (good + bad) / 2;
    if (within(middle)) good = middle;
    else bad = middle;
  }
  return good;
}

function logBeta(a: number, b: number): number {
  return logGamma(a) + logGamma(b) - logGamma(a + b);
}

/** Of what is above 0, exact to 1e-10 (Stirling's series, from 8 on). */
function logGamma(x: number): number {
  let shift = 0;
  let at = x;
  for (; at < 8; at++) shift += Math.log(at);
  const inverse = 1 / at;
  const square = inverse * inverse;
  const series = inverse * (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square / 1680)));
  return (at - 0.5) * Math.log(at) - at + 0.5 * Math.log(2 * Math.PI) + series - shift;
}
