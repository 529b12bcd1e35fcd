/** How likely a count is. Pure. */
import { logFactorial } from "../../model/analysis/chances.ts";

/** Below it nothing matters. */
const NEGLIGIBLE = 1e-12;

/**
 * The chance that of `n` requests at least `k` are of a kind, where a share of `rate` is.
 *
 * 1 where no more are than were to be expected: nobody needs to know how likely that is.
 */
export function chanceOfMore(n: number, k: number, rate: number): number {
  if (k <= n * rate || k === 0) return 1;
  if (rate <= 0) return 0;
  const log = logFactorial(n) - logFactorial(k) - logFactorial(n - k);
  let term = Math.exp(log + k * Math.log(rate) + (n - k) * Math.log1p(-rate));
  let sum = term;
  for (let i = k; i < n && term > sum * NEGLIGIBLE; i++) {
    term *= ((n - i) / (i + 1)) * (rate / (1 - rate));
    sum += term;
  }
  return Math.min(1, sum);
}
