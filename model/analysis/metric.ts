/**
 * Whether a number that the canary has in each window (CPU, a queue, requests under way) is worse than stable's.
 *
 * Nothing is known of its distribution, so that only the sign counts: were the two alike, the canary's would be beyond the
 * tolerance in no more than half of the windows. A bet on "more than half" is a martingale or less, and Ville's inequality
 * holds as for requests (Shafer 2021; the sign test by betting). Numbers of neighbouring windows are hardly new ones:
 * windows nearer than `SPACING` to the last that counted do not count.
 */
import type { MetricRule } from "./settings.ts";
import { figure } from "./words.ts";

/** Plain JSON. */
export interface MetricState {
  /** Logarithm of the capital on each of `STAKES`. */
  readonly wager: readonly number[];
  readonly windows: number;
  readonly countedAt: number | null;
  /** Windows in a row that were beyond the limit. */
  readonly beyond: number;
  readonly canary: number | null;
  readonly stable: number | null;
}

const STAKES = [0.5, 0.9];
/** Milliseconds, a little less than windows of 10 s. */
const SPACING = 9_500;

export function beginMetric(): MetricState {
  const wager = STAKES.map(() => -Math.log(STAKES.length));
  return { wager, windows: 0, countedAt: null, beyond: 0, canary: null, stable: null };
}

export function stepMetric(
  before: MetricState,
  rule: MetricRule,
  at: number,
  canary: number | undefined,
  stable: number | undefined,
): MetricState {
  if (canary === undefined || !Number.isFinite(canary)) return before;
  const isHigh = rule.worse === "higher";
  const isBeyond = rule.limit !== undefined && (isHigh ? canary > rule.limit : canary < rule.limit);
  const beyond = isBeyond ? before.beyond + 1 : 0;
  const isNew = before.countedAt === null || at - before.countedAt >= SPACING;
  if (rule.maxRatio === undefined || stable === undefined || !Number.isFinite(stable) || !isNew) {
    return { ...before, beyond, canary };
  }
  const isWorse = isHigh ? canary > stable * rule.maxRatio : canary * rule.maxRatio < stable;
  return {
    wager: before.wager.map((log, i) => Math.max(-20, log + Math.log1p(isWorse ? STAKES[i]! : -STAKES[i]!))),
    windows: before.windows + 1,
    countedAt: at,
    beyond,
    canary,
    stable,
  };
}

/** 0 is none, 1 is proof. */
export function evidenceOfMetric(state: MetricState, rule: MetricRule, alpha: number): number {
  if (rule.limit !== undefined && state.beyond >= rule.minWindows) return 1;
  const capital = Math.log(state.wager.reduce((sum, log) => sum + Math.exp(log), 0));
  const evidence = Math.max(0, capital / -Math.log(alpha));
  return evidence < 1 ? evidence : state.windows < rule.minWindows ? 0.99 : 1;
}

/** What is wrong with it, where that is proved. */
export function harmOfMetric(name: string, state: MetricState, rule: MetricRule): string {
  const canary = figure(state.canary!);
  if (rule.limit !== undefined && state.beyond >= rule.minWindows) {
    const than = rule.worse === "higher" ? "more" : "less";
    return `${name} of the canary is ${canary}, ${than} than ${rule.limit} in ${state.beyond} windows in a row`;
  }
  return (
    `${name} of the canary is ${canary} and of stable ${figure(state.stable!)}, and was worse by more than the tolerated ` +
    `${rule.maxRatio} times in most of ${state.windows} windows`
  );
}
