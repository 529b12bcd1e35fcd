/**
 * Whether the canary fails more of its requests than stable, window by window.
 *
 * Most harm is there from the beginning, and is to be found soon: most of the capital is bet on a goal within the first
 * half minute. The rest is bet on alternatives, for as long as it takes and whenever the harm begins.
 */
import type { Chances } from "./chances.ts";
import { type Dispersion, disperse, dispersionOf, NO_DISPERSION } from "./dispersion.ts";
import { betOnGoal } from "./goal.ts";
import { add, bet, capitalOf, goIn, mostPerWindow, tempered, type Wager, wagerOn } from "./wager.ts";

/** Plain JSON. */
export interface RatesState {
  readonly alpha: number;
  /** As a share of 1/alpha; null when the time for it is over. */
  readonly goal: number | null;
  readonly wager: Wager;
  readonly dispersion: Dispersion;
}

const SOON = 30_000;
const SHARE_OF_GOAL = 0.94;
/** Odds of a failure, over those of stable. */
const TILTS = [1.5, 2.5, 5, 12, 40].map(Math.log);
const WEIGHTS = [0.15, 0.2, 0.3, 0.2, 0.15];

export function beginRates(alpha: number): RatesState {
  const wager = wagerOn(WEIGHTS, Math.log(1 - SHARE_OF_GOAL));
  return { alpha, goal: alpha * SHARE_OF_GOAL, wager, dispersion: NO_DISPERSION };
}

/**
 * @param elapsed from the beginning to the end of the window (ms)
 * @param rate failures per millisecond that are to be expected of the canary, as stable fails
 */
export function stepRates(
  before: RatesState,
  chances: Chances,
  count: number,
  elapsed: number,
  span: number,
  rate: number,
): RatesState {
  const { alpha } = before;
  let { goal, wager } = before;
  if (goal !== null && elapsed > SOON + span / 2) {
    wager = add(wager, WEIGHTS, Math.max(-500, Math.log(goal / alpha)));
    goal = null;
  }
  if (goal !== null) {
    const left = SOON - elapsed < span / 2 ? 0 : rate * (SOON - elapsed);
    // With dispersion φ, alpha^-φ is what it takes: the bet is on that.
    const raised = alpha ** (dispersionOf(before.dispersion) - 1);
    goal =
      betOnGoal(goal * raised, chances, count, left, goal * raised * mostPerWindow(alpha, span)) / raised;
  }
  const after = bet(goIn(wager, WEIGHTS, elapsed, span), chances, count, TILTS);
  wager = tempered(wager, after, alpha, span);
  return { alpha, goal, wager, dispersion: disperse(before.dispersion, chances, count) };
}

/** 0 is none, 1 is proof. */
export function evidenceOfRates({ alpha, goal, wager, dispersion }: RatesState): number {
  const capital = capitalOf([capitalOf(wager), Math.log((goal ?? 0) / alpha)]);
  const share = capital / -Math.log(alpha) / dispersionOf(dispersion);
  return share >= 1 - 1e-9 ? 1 : Math.max(0, share);
}
