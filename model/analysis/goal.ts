/**
 * A bet that is to reach its goal by a deadline, if the canary is worse.
 *
 * The likeliest way to tell a higher rate from an equal one by a fixed moment, at a given risk of a false alarm, is to count
 * (Neyman and Pearson 1933), however much higher it is. So the capital always buys the chance "the canary's count comes to
 * k by the deadline", at what that chance is worth while the canary is like stable: with every count its price rises, and
 * at k it is worth the goal. It is a bet as any other (Shafer, "Testing by betting", 2021): the mean over the window's
 * possible counts, given its totals, is what it was before, so that the goal is reached with a chance of alpha at most. What
 * is expected of the time that is left only says which k to buy; a wrong guess costs power and never a false alarm.
 */
import { type Chances, logFactorial } from "./chances.ts";

/**
 * @param capital as a share of the goal, above 0
 * @param left count that is expected until the deadline, after this window
 * @param ceiling the most that the capital may come to in this window
 * @returns the capital after this count, as a share of the goal
 */
export function betOnGoal(
  capital: number,
  chances: Chances,
  count: number,
  left: number,
  ceiling: number,
): number {
  if (chances.variance === 0 || capital >= 1) return capital;
  const { from, chance } = chances.spread();
  const top = Math.min(1, ceiling);
  const worth = (missing: number): number => Math.min(top, tailOf(missing, left));
  const price = (goal: number): number => {
    let sum = 0;
    for (let i = 0; i < chance.length; i++) sum += chance[i]! * worth(goal - from - i);
    return sum;
  };
  // The highest price that can be paid, and the next below it: of both, so much that all the capital is spent.
  let low = 0;
  let lowPrice = price(low);
  if (lowPrice <= capital) return capital;
  const all = left + from + chance.length;
  let high = Math.ceil(all + 12 * Math.sqrt(all) + 40);
  let highPrice = price(high);
  if (highPrice > capital) return capital;
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    const middlePrice = price(middle);
    if (middlePrice > capital) [low, lowPrice] = [middle, middlePrice];
    else [high, highPrice] = [middle, middlePrice];
  }
  const share = (capital - highPrice) / (lowPrice - highPrice);
  return share * worth(low - count) + (1 - share) * worth(high - count);
}

/** Chance that a Poisson count with this mean comes to `least`; above a mean of 50 nearly. */
export function tailOf(least: number, mean: number): number {
  if (least <= 0) return 1;
  if (mean <= 0) return 0;
  if (mean > 50) return normalTail(2 * (Math.sqrt(least - 0.25) - Math.sqrt(mean)));
  if (least > mean) {
    let term = Math.exp(least * Math.log(mean) - mean - logFactorial(least));
    let sum = 0;
    for (let k = least; term > sum * 1e-15; k++) {
      sum += term;
      term *= mean / (k + 1);
    }
    return Math.min(1, sum);
  }
  let term = Math.exp(-mean);
  let sum = 0;
  for (let k = 0; k < least; k++) {
    sum += term;
    term *= mean / (k + 1);
  }
  return Math.max(0, 1 - sum);
}

/** Relative error 1.2e-7 (Numerical Recipes' erfc). */
function normalTail(z: number): number {
  const x = Math.abs(z) / Math.SQRT2;
  const t = 1 / (1 + 0.5 * x);
  const terms = [
    -1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807, -1.13520398, 1.48851587,
    -0.82215223, 0.17087277,
  ];
  let power = 0;
  for (let i = terms.length - 1; i >= 0; i--) power = power * t + terms[i]!;
  const upper = (t * Math.exp(-x * x + power)) / 2;
  return z >= 0 ? upper : 1 - upper;
}
