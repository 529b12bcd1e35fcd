/**
 * A bet against "canary and stable are alike", count by count: the evidence of a sequential test.
 *
 * Capital 1 is spread over alternatives ("the canary is twice as slow"). Each count multiplies the part on an alternative
 * by how likely it makes the count over how likely chance makes it: Fisher's noncentral hypergeometric distribution over
 * the central one, given the window's totals. While the two are alike the capital is a martingale, whatever the totals are
 * and however they change, so that (Ville 1939) it ever reaches 1/alpha with a chance of alpha at most: at whatever moment
 * one looks, and however often. This is Robbins' test by mixtures (1970), "always valid" in Johari, Koomen, Pekelis and
 * Walsh (Operations Research 70, 2022), and the stratified 2×2 test by e-values of Turner and Grünwald (AISTATS 2023) with
 * a conditional likelihood, which needs no guess at what strikes both.
 */
import type { Chances } from "./chances.ts";

/** Logarithm of what is kept back, and of the capital on each alternative. */
export type Wager = readonly number[];

/** Nobody knows when a harm begins: so much is kept back for later, and goes into the bets little by little. */
const KEPT_BACK = 0.15;
/** What is kept back halves about whenever the time since the beginning, and this (ms), has quadrupled. */
const EARLY = 30_000;

/** @param capital logarithm of all of it */
export function wagerOn(weights: readonly number[], capital = 0): Wager {
  return [
    capital + Math.log(KEPT_BACK),
    ...weights.map((weight) => capital + Math.log((1 - KEPT_BACK) * weight)),
  ];
}

/** Adds to the bets. @param capital logarithm of it */
export function add([kept, ...bets]: Wager, weights: readonly number[], capital: number): Wager {
  return [kept!, ...bets.map((log, at) => capitalOf([log, capital + Math.log(weights[at]!)]))];
}

/** @param elapsed from the beginning to the end of the window (ms) */
export function goIn(wager: Wager, weights: readonly number[], elapsed: number, span: number): Wager {
  const share = Math.min(0.5, (0.5 * span) / (elapsed + EARLY));
  const [kept, ...bets] = wager;
  return [
    bounded(kept! + Math.log1p(-share)),
    ...bets.map((log, at) => capitalOf([log, kept! + Math.log(share * weights[at]!)])),
  ];
}

/** Logarithm of the capital. */
export function capitalOf(wager: Wager): number {
  let most = -Infinity;
  for (const log of wager) if (log > most) most = log;
  let sum = 0;
  for (const log of wager) sum += Math.exp(log - most);
  return most + Math.log(sum);
}

/** Milliseconds: of longer windows there are few, and two have to do. */
const LONG_WINDOW = 5_000;
/** Where alpha is small, requests are many and there is time. */
const SMALL = 0.0002;

/** One window alone proves nothing: it multiplies the capital by so much at most. */
export function mostPerWindow(alpha: number, span: number): number {
  return span >= LONG_WINDOW ? Math.max(20, alpha ** -0.75) : alpha < SMALL ? 10 : 20;
}

/** What one window made of it, as far as one window may. */
export function tempered(before: Wager, after: Wager, alpha: number, span: number): Wager {
  const beyond = capitalOf(after) - capitalOf(before) - Math.log(mostPerWindow(alpha, span));
  return beyond > 0 ? after.map((log) => bounded(log - beyond)) : after;
}

/** @param tilts logarithm of each alternative's odds over those of stable */
export function bet(wager: Wager, chances: Chances, count: number, tilts: readonly number[]): Wager {
  if (chances.variance === 0) return wager;
  const [kept, ...bets] = wager;
  return [kept!, ...bets.map((log, at) => bounded(log + count * tilts[at]! - chances.logMean(tilts[at]!)))];
}

/** Capital of e^-500 is as lost as any less: nothing that is kept can become infinite. */
function bounded(log: number): number {
  return Math.max(-500, log);
}
