/**
 * How much more a count varies from window to window than chance alone would have it.
 *
 * Requests that fail or stall together (one user's retries, one endpoint's pause) are not as many pieces of evidence as
 * they are requests. The variance that is left around a constant excess per request, over the one that chance has, says
 * how many of them make one: quasi-likelihood (Wedderburn 1974). Evidence is divided by it: for a capital M and φ ≥ 1,
 * M^(1/φ) is never more than M where M is above 1, so that a wrong φ makes an alarm later and never a false one likelier.
 *
 * The excess is over what stable did in the same window, so that what strikes both is none of it.
 */
import type { Chances } from "./chances.ts";

/** Sums over windows. Plain JSON. */
export interface Dispersion {
  readonly windows: number;
  /** Counts of the canary. */
  readonly counts: number;
  /** Its requests, and their squares. */
  readonly n: number;
  readonly nn: number;
  /** Excess over the mean, its squares, and it times the requests. */
  readonly d: number;
  readonly dd: number;
  readonly dn: number;
  /** Variance while canary and stable are alike, and what the excess adds to it. */
  readonly v: number;
  readonly more: number;
}

export const NO_DISPERSION: Dispersion = {
  windows: 0,
  counts: 0,
  n: 0,
  nn: 0,
  d: 0,
  dd: 0,
  dn: 0,
  v: 0,
  more: 0,
};

/** Standard errors by which it has to stand out before anything is said of it; of several, that any of them may. */
const CLEARLY = 1.5;
export const CLEARLY_OF_SEVERAL = 2.5;

export function disperse(before: Dispersion, chances: Chances, count: number): Dispersion {
  const { drawn: n, mean, variance, share } = chances;
  if (n === 0) return before;
  const d = count - mean;
  return {
    windows: before.windows + 1,
    counts: before.counts + count,
    n: before.n + n,
    nn: before.nn + n * n,
    d: before.d + d,
    dd: before.dd + d * d,
    dn: before.dn + d * n,
    v: before.v + variance,
    more: before.more + (1 - 2 * share) * d,
  };
}

/** φ: 1, or more where more stands out clearly. */
export function dispersionOf(
  { windows, counts, n, nn, d, dd, dn, v, more }: Dispersion,
  clearly = CLEARLY,
): number {
  if (v <= 0 || windows < 2) return 1;
  const excess = d / n;
  const left = ((dd - 2 * excess * dn + excess * excess * nn) * windows) / (windows - 1);
  const expected = Math.max(v, v + more);
  const error = Math.sqrt(2 / (windows - 1) + 1 / Math.max(1, counts));
  return Math.max(1, left / expected - clearly * error);
}
