/**
 * The canary against the unit's own past, for when stable has no traffic beside it.
 *
 * Nothing cancels out what strikes the unit as a whole, and a count of requests proves nothing: a burst has thousands of
 * them. So stretches are counted instead, each as one: in how many does the canary do worse than the past and what is
 * tolerated on top? With no harm that is fewer than half, bursts included, and the sign test by betting (`metric.ts`) holds.
 * It takes 14 stretches or so. What is sooner is only the gross: against a past that is so much worse than it was
 * (`GROSS_RATE`, `GROSS_RATIO`) requests are counted as ever.
 */
import { mergeLatencies } from "../latency-histogram.ts";
import { countsOf, NO_TALLY, rateOf, type Tally } from "./comparison.ts";
import { beginMetric, evidenceOfMetric, type MetricState, stepMetric } from "./metric.ts";
import { valueBeyond } from "./bounds.ts";
import type { Sample } from "./sample.ts";
import type { AnalysisSettings, MetricRule } from "./settings.ts";

/** Plain JSON. */
export interface PastState {
  /** Of the stretch under way: when it began, and what the canary did since. */
  readonly since: number | null;
  readonly canary: Tally;
  readonly latency: Sample["latency"];
  readonly errors: MetricState;
  readonly slow: MetricState;
}

/** Milliseconds. */
const STRETCH = 10_000;
/** Share of failures, and times as slow. */
export const GROSS_RATE = 0.3;
export const GROSS_RATIO = 4;
/** Requests beyond a quantile, at least, before it is compared. */
const KNOWN = 3;
const RULE: MetricRule = { maxRatio: 1, worse: "higher", minWindows: 6 };

export function beginPast(): PastState {
  return { since: null, canary: NO_TALLY, latency: [], errors: beginMetric(), slow: beginMetric() };
}

export function stepPast(
  before: PastState,
  past: Sample,
  canary: Sample,
  span: number,
  settings: AnalysisSettings,
): PastState {
  const since = before.since ?? canary.at - span;
  const tally = {
    requests: before.canary.requests + canary.requests,
    failures: before.canary.failures + canary.failures,
  };
  const latency = mergeLatencies(before.latency, canary.latency);
  if (canary.at - since < STRETCH) return { ...before, since, canary: tally, latency };
  const [rate, tolerated] = [rateOf(tally)!, toleratedRate(past, settings)];
  const [value, most] = slowness(latency, past, settings);
  return {
    since: canary.at,
    canary: NO_TALLY,
    latency: [],
    errors: stepMetric(before.errors, RULE, canary.at, rate, tolerated),
    slow: stepMetric(before.slow, RULE, canary.at, value, most),
  };
}

export function toleratedRate(past: Sample, { pastSlack, maxErrorIncrease }: AnalysisSettings): number {
  return (past.failures / past.requests) * pastSlack + maxErrorIncrease;
}

/** The highest quantile of which enough is known, and what it may be. */
function slowness(
  latency: Sample["latency"],
  past: Sample,
  { quantile, maxLatencyRatio, pastSlack, minLatencyIncrease }: AnalysisSettings,
): readonly [number | undefined, number | undefined] {
  const [mine, theirs] = [countsOf(latency), countsOf(past.latency)].map((counts) => ({
    counts,
    total: counts.reduce((sum, n) => sum + n, 0),
  }));
  for (const one of [quantile, 0.9, 0.5]) {
    const beyond = Math.min(mine!.total, theirs!.total) * (1 - one);
    if (beyond < KNOWN) continue;
    const before = valueBeyond(theirs!.counts, (1 - one) * theirs!.total);
    const most = Math.max(before * maxLatencyRatio * pastSlack, before + minLatencyIncrease);
    return [valueBeyond(mine!.counts, (1 - one) * mine!.total), most];
  }
  return [undefined, undefined];
}

/** 0 is none, 1 is proof. */
export function evidenceOfPast({ errors, slow }: PastState, alpha: number): readonly [number, number] {
  return [evidenceOfMetric(errors, RULE, alpha), evidenceOfMetric(slow, RULE, alpha)];
}
