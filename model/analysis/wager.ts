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
 *
 * What goes beyond 1/alpha helps nobody: it is cut off, and the outcomes that stay below have it instead (Fischer and
 * Ramdas, "Improving Wald's (approximate) sequential probability ratio test by avoiding overshoot", 2024). The mean stays
 * what it was, and the alarm comes sooner.
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

/** Adds to what is kept back. @param capital logarithm of it */
export function keepBack([kept, ...bets]: Wager, capital: number): Wager {
  return [capitalOf([kept!, capital]), ...bets];
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

/** One window alone proves nothing: it multiplies the capital by 20, or by the root of what it takes. */
export function mostPerWindow(alpha: number): number {
  return Math.max(20, alpha ** -0.5);
}

/** Logarithm of the most that the capital may come to in a window: what proves it, and not beyond in one leap. */
export function ceilingOf(wager: Wager, alpha: number): number {
  const now = capitalOf(wager);
  const most = now + Math.log(mostPerWindow(alpha));
  return now < -Math.log(alpha) ? Math.min(most, -Math.log(alpha)) : most;
}

/**
 * @param alternatives logarithm of each one's odds over those of stable
 * @param ceiling logarithm of the most that the capital may come to by this count
 */
export function bet(
  wager: Wager,
  chances: Chances,
  count: number,
  alternatives: readonly number[],
  ceiling: number,
): Wager {
  if (chances.variance === 0) return wager;
  const tilts = [0, ...alternatives];
  const before = capitalOf(wager);
  const base = wager.map((log, at) => (tilts[at] === 0 ? log : log - chances.logMean(tilts[at]!)));
  const after = base.map((log, at) => bounded(log + count * tilts[at]!));
  const reached = capitalOf(after);
  const boost = before < ceiling ? boostOf(base, chances, tilts, before, ceiling) : 0;
  const scale = Math.min(reached + boost, ceiling) - reached;
  return after.map((log) => bounded(log + scale));
}

/** Capital of e^-500 is as lost as any less: nothing that is kept can become infinite. */
function bounded(log: number): number {
  return Math.max(-500, log);
}

/** Logarithm of b ≥ 1, by which the mean of min(b × capital, ceiling) is the capital of before. */
function boostOf(
  base: readonly number[],
  chances: Chances,
  tilts: readonly number[],
  before: number,
  ceiling: number,
): number {
  const { from, chance } = chances;
  /** By count, over the capital of before. */
  const capitals = new Float64Array(chance.length);
  for (let at = 0; at < tilts.length; at++) {
    const psi = Math.exp(tilts[at]!);
    const first = base[at]! - before + from * tilts[at]!;
    if (Math.abs(first) > 600 || Math.abs(tilts[at]!) * chance.length > 600) {
      for (let i = 0; i < chance.length; i++) capitals[i]! += Math.exp(first + i * tilts[at]!);
      continue;
    }
    let capital = Math.exp(first);
    for (let i = 0; i < chance.length; i++) {
      capitals[i]! += capital;
      capital *= psi;
    }
  }
  const most = Math.exp(ceiling - before);
  let boost = 1;
  for (let round = 0; round < 50; round++) {
    let cut = 0;
    let kept = 0;
    for (let i = 0; i < chance.length; i++) {
      if (boost * capitals[i]! >= most) cut += chance[i]!;
      else kept += chance[i]! * capitals[i]!;
    }
    const next = kept > 0 ? (1 - cut * most) / kept : 0;
    if (!(next > boost * (1 + 1e-12))) break;
    boost = next;
  }
  return Math.log(boost);
}
