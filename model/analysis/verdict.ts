/**
 * What the evidence says so far of a canary, compared with stable of the same unit in the same windows.
 *
 * - fail: proof of harm, and the harm is more than is tolerated. Whatever the traffic, as long as chance alone decides
 *   which requests are the canary's, a canary that is like stable fails with a chance of `alpha` at most, over the whole
 *   step and looked at after every window.
 * - pass: enough samples, and the bands of the differences are within what is tolerated.
 * - hold: neither. A step whose time is over may go on when its canary is `clean`.
 *
 * Without stable traffic the canary is compared with the unit's past. What strikes both alike no longer cancels out, so
 * that `pastSlack` comes on top of what is tolerated, and the bound on false alarms holds only while the unit does what it
 * did.
 */
import { mergeLatencies } from "../latency-histogram.ts";
import { binomial, hypergeometric } from "./chances.ts";
import {
  type Comparison,
  compareErrors,
  compareLatency,
  countsOf,
  type LatencyComparison,
  NO_TALLY,
  type Tally,
} from "./comparison.ts";
import { type Harm, harmOf, SATURATION } from "./harm.ts";
import { beginMetric, stepMetric } from "./metric.ts";
import { beginPast, evidenceOfPast, GROSS_RATE, GROSS_RATIO, stepPast, toleratedRate } from "./past.ts";
import { reasonOf } from "./reason.ts";
import type { Sample } from "./sample.ts";
import { beginQuantiles, stepQuantiles } from "./sequential-quantiles.ts";
import { beginRates, stepRates } from "./sequential-rates.ts";
import { type AnalysisSettings, DEFAULTS, type MetricRule } from "./settings.ts";
import type { AnalysisState } from "./state.ts";

export type { Comparison } from "./comparison.ts";
export type { Sample } from "./sample.ts";
export type { AnalysisSettings, MetricRule } from "./settings.ts";
export { alphas, DEFAULTS } from "./settings.ts";
export type { AnalysisState } from "./state.ts";

export type Verdict = "pass" | "hold" | "fail";

export interface Assessment {
  readonly verdict: Verdict;
  /** One sentence with the figures that decide. */
  readonly reason: string;
  /** What decides, where it fails. */
  readonly by: Harm["by"] | null;
  readonly canaryRequests: number;
  readonly stableRequests: number;
  /** Whether both have `minSamples`, and figures still come. */
  readonly enough: boolean;
  /** Whether a step whose time is over may go on: enough samples, and evidence of less than half of what fails it. */
  readonly clean: boolean;
  /** Whether it is compared with the unit's past, for want of stable traffic; its figures are those of `stable` then. */
  readonly past: boolean;
  readonly errors: Comparison;
  readonly latency: Comparison;
}

/** Shares of alpha. Errors are few at first, and take what they can get; slowness shows in many requests at once. */
const OF_ERRORS = 0.92;
const OF_LATENCY = 0.06;
const OF_METRICS = 0.02;
/** Milliseconds after which what was seen counts half, where only what is recent is asked for. */
const HALF_LIFE = 30_000;
/** Windows without requests of the canary before that is strange, and so many times as many as usual. */
const MISSING = 10;
const UNUSUAL = 5;
/** Evidence with which a step does not go on. */
const SUSPICIOUS = 0.5;

/**
 * @param past stable figures of the unit's earlier windows, for when there is no stable traffic
 * @param at when the first window begins (ms)
 */
export function begin(
  wanted: Partial<AnalysisSettings> = {},
  past: Sample | null = null,
  at = 0,
): AnalysisState {
  const settings = { ...DEFAULTS, ...wanted };
  const saturation: MetricRule = { maxRatio: settings.maxSaturationRatio, worse: "higher", minWindows: 10 };
  const rules = { ...settings.metrics, [SATURATION]: saturation };
  return {
    settings,
    past: past !== null && past.requests > 0 ? past : null,
    begunAt: at,
    at,
    windows: 0,
    seen: 0,
    missing: 0,
    isPast: false,
    canary: NO_TALLY,
    stable: NO_TALLY,
    recent: { canary: NO_TALLY, stable: NO_TALLY },
    canaryLatency: [],
    stableLatency: [],
    rates: beginRates(settings.alpha * OF_ERRORS),
    quantiles: beginQuantiles(settings.alpha * OF_LATENCY),
    againstPast: beginPast(),
    rules,
    metrics: Object.fromEntries(Object.keys(rules).map((name) => [name, beginMetric()])),
    alphaOfMetrics: (settings.alpha * OF_METRICS) / Object.keys(rules).length,
    harm: null,
  };
}

/**
 * One window later.
 * @param canary null where nothing is known of it, or it had no requests
 * @param stable likewise: without it the window is compared with the past, or not at all where there is none
 */
export function step(state: AnalysisState, canary: Sample | null, stable: Sample | null): AnalysisState {
  const at = Math.max(state.at, canary?.at ?? 0, stable?.at ?? 0);
  const isSeen = canary !== null && canary.requests > 0;
  const after = {
    ...state,
    at,
    windows: state.windows + 1,
    seen: state.seen + (isSeen ? 1 : 0),
    missing: isSeen ? 0 : state.missing + 1,
  };
  const span = at - state.at;
  if (span === 0) return after;
  const [mine, theirs] = [tallyOf(canary), tallyOf(stable)];
  const past = theirs.requests === 0 ? state.past : null;
  const next: AnalysisState = {
    ...after,
    isPast: isSeen ? past !== null : state.isPast,
    canary: added(state.canary, mine),
    stable: added(state.stable, theirs),
    recent: {
      canary: added(faded(state.recent.canary, span), mine),
      stable: added(faded(state.recent.stable, span), theirs),
    },
    canaryLatency: mergeLatencies(state.canaryLatency, canary?.latency ?? []),
    stableLatency: mergeLatencies(state.stableLatency, stable?.latency ?? []),
    metrics: metricsAfter(state, canary, stable),
  };
  const tested =
    theirs.requests > 0
      ? testedAfter(next, mine, theirs, canary, stable, span)
      : isSeen && past !== null
        ? testedAgainst(next, past, mine, canary, span)
        : next;
  return { ...tested, harm: state.harm ?? harmOf(tested) ?? null };
}

function testedAfter(
  next: AnalysisState,
  mine: Tally,
  theirs: Tally,
  canary: Sample | null,
  stable: Sample | null,
  span: number,
): AnalysisState {
  const elapsed = next.at - next.begunAt;
  const marked = mine.failures + theirs.failures;
  const chances = hypergeometric(mine.requests + theirs.requests, marked, mine.requests);
  const rate = (next.stable.failures + 0.5) / next.stable.requests;
  const expected = (rate * next.canary.requests) / elapsed;
  const latencies = [canary?.latency ?? [], stable?.latency ?? []] as const;
  return {
    ...next,
    rates: stepRates(next.rates, chances, mine.failures, elapsed, span, expected),
    quantiles: stepQuantiles(next.quantiles, ...latencies, elapsed, span),
  };
}

/** @param past of the unit, where stable has no traffic */
function testedAgainst(
  next: AnalysisState,
  past: Sample,
  mine: Tally,
  canary: Sample,
  span: number,
): AnalysisState {
  const { settings, begunAt, at } = next;
  const elapsed = at - begunAt;
  const rate = Math.min(0.9, Math.max(GROSS_RATE, toleratedRate(past, settings)));
  const expected = (rate * next.canary.requests) / elapsed;
  const known = { counts: countsOf(past.latency), slack: Math.max(GROSS_RATIO, settings.pastSlack) };
  const chances = binomial(mine.requests, rate);
  return {
    ...next,
    rates: stepRates(next.rates, chances, mine.failures, elapsed, span, expected),
    quantiles: stepQuantiles(next.quantiles, canary.latency, [], elapsed, span, known),
    againstPast: stepPast(next.againstPast, past, canary, span, settings),
  };
}

function metricsAfter(
  state: AnalysisState,
  canary: Sample | null,
  stable: Sample | null,
): AnalysisState["metrics"] {
  const all = Object.entries(state.metrics).map(([name, metric]) => {
    const of = (sample: Sample | null): number | undefined =>
      name === SATURATION ? saturationOf(sample) : sample?.metrics?.[name];
    const at = canary?.at ?? state.at;
    return [name, stepMetric(metric, state.rules[name]!, at, of(canary), of(stable))] as const;
  });
  return Object.fromEntries(all);
}

export function verdict(state: AnalysisState): Assessment {
  const { settings, canary, harm, isPast } = state;
  const past = isPast ? state.past! : null;
  const stable = past ?? state.stable;
  const [errorsSincePast, slownessSincePast] = isPast
    ? evidenceOfPast(state.againstPast, settings.alpha)
    : [0, 0];
  const errors = withEvidence(compareErrors(canary, stable, state.rates, settings), errorsSincePast);
  const latency = withEvidence(
    compareLatency(state.canaryLatency, past?.latency ?? state.stableLatency, state.quantiles, settings),
    slownessSincePast,
  );
  const isSilent = state.missing > Math.max(MISSING, (UNUSUAL * state.windows) / Math.max(1, state.seen));
  const enough =
    !isSilent && canary.requests >= settings.minSamples && stable.requests >= settings.minSamples;
  const clean = enough && harm === null && Math.max(errors.evidence, latency.evidence) < SUSPICIOUS;
  const found =
    harm !== null ? "fail" : clean && isWithin(errors, latency, settings, isPast) ? "pass" : "hold";
  const assessment = {
    verdict: found,
    by: harm?.by ?? null,
    canaryRequests: canary.requests,
    stableRequests: stable.requests,
    enough,
    clean,
    past: isPast,
    errors,
    latency,
  } as const;
  return { ...assessment, reason: harm?.reason ?? reasonOf(assessment, state, isSilent) };
}

/** Whether the bands rule out more than is tolerated. */
function isWithin(
  errors: Comparison,
  latency: LatencyComparison,
  settings: AnalysisSettings,
  isPast: boolean,
): boolean {
  if (errors.high === null || latency.high === null) return false;
  const slack = isPast ? settings.pastSlack : 1;
  return (
    errors.high <= settings.maxErrorIncrease + (slack - 1) * errors.stable! &&
    (latency.high <= settings.maxLatencyRatio * slack || latency.highIncrease! <= settings.minLatencyIncrease)
  );
}

function withEvidence<T extends Comparison>(comparison: T, evidence: number): T {
  return { ...comparison, evidence: Math.max(comparison.evidence, evidence) };
}

function tallyOf(sample: Sample | null): Tally {
  if (sample === null || !(sample.requests > 0)) return NO_TALLY;
  const failures = Math.min(sample.requests, Math.max(0, sample.failures));
  return { requests: sample.requests, failures };
}

function added(a: Tally, b: Tally): Tally {
  return { requests: a.requests + b.requests, failures: a.failures + b.failures };
}

function faded({ requests, failures }: Tally, span: number): Tally {
  const keep = 0.5 ** (span / HALF_LIFE);
  return { requests: requests * keep, failures: failures * keep };
}

/** Requests under way for each that came: time, whatever the share of the canary is (Little's law). */
function saturationOf(sample: Sample | null): number | undefined {
  if (sample?.inflight === undefined || sample.requests === 0) return undefined;
  return sample.inflight / sample.requests;
}
