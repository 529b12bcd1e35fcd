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
import { bandOfShare } from "./bounds.ts";
import { binomial, type Chances, hypergeometric } from "./chances.ts";
import {
  type Comparison,
  compareErrors,
  compareLatency,
  countsOf,
  NO_TALLY,
  rateOf,
  type Tally,
} from "./comparison.ts";
import { type Harm, harmOf, SATURATION } from "./harm.ts";
import { beginMetric, stepMetric } from "./metric.ts";
import type { Sample } from "./sample.ts";
import { beginQuantiles, stepQuantiles } from "./sequential-quantiles.ts";
import { beginRates, stepRates } from "./sequential-rates.ts";
import { type AnalysisSettings, DEFAULTS, type MetricRule } from "./settings.ts";
import type { AnalysisState } from "./state.ts";
import { figure, inSeconds, percent } from "./words.ts";

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
const HALF_LIFE = 60_000;
/** Windows without requests of the canary before that is strange, and so many times as many as usual. */
const MISSING = 10;
const UNUSUAL = 5;

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
  const isPast = theirs.requests === 0 && state.past !== null && mine.requests > 0;
  const next: AnalysisState = {
    ...after,
    isPast: mine.requests === 0 ? state.isPast : isPast,
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
  const tested = theirs.requests > 0 || isPast ? testedAfter(next, mine, theirs, canary, stable, span) : next;
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
  const { settings, past, isPast, begunAt, at } = next;
  const elapsed = at - begunAt;
  let chances: Chances;
  let rate: number;
  if (isPast) {
    const { high } = bandOfShare(past!.failures, past!.requests, settings.confidence);
    rate = Math.min(0.99, high * settings.pastSlack + settings.maxErrorIncrease);
    chances = binomial(mine.requests, rate);
  } else {
    rate = Math.min(1, (next.stable.failures + 0.5) / next.stable.requests);
    const marked = mine.failures + theirs.failures;
    chances = hypergeometric(mine.requests + theirs.requests, marked, mine.requests);
  }
  const expected = (rate * next.canary.requests) / elapsed;
  const counts = isPast ? countsOf(past!.latency) : undefined;
  const latencies = [canary?.latency ?? [], stable?.latency ?? []] as const;
  return {
    ...next,
    rates: stepRates(next.rates, chances, mine.failures, elapsed, span, expected),
    quantiles: stepQuantiles(next.quantiles, ...latencies, elapsed, span, counts, settings.pastSlack),
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
  const errors = compareErrors(canary, stable, state.rates, settings);
  const latency = compareLatency(
    state.canaryLatency,
    past?.latency ?? state.stableLatency,
    state.quantiles,
    settings,
  );
  const isSilent = state.missing > Math.max(MISSING, (UNUSUAL * state.windows) / Math.max(1, state.seen));
  const enough =
    !isSilent && canary.requests >= settings.minSamples && stable.requests >= settings.minSamples;
  const evidence = Math.max(errors.evidence, latency.evidence);
  const slack = isPast ? settings.pastSlack : 1;
  const isWithin =
    errors.high !== null &&
    errors.high <= settings.maxErrorIncrease + (slack - 1) * errors.stable! &&
    latency.high !== null &&
    (latency.high <= settings.maxLatencyRatio * slack ||
      latency.highIncrease! <= settings.minLatencyIncrease);
  const isClean = enough && harm === null && evidence < 0.5;
  const found = harm !== null ? "fail" : isClean && isWithin ? "pass" : "hold";
  return {
    verdict: found,
    reason: harm?.reason ?? reasonOf(state, found, isSilent, enough, evidence),
    by: harm?.by ?? null,
    canaryRequests: canary.requests,
    stableRequests: stable.requests,
    enough,
    clean: isClean,
    past: isPast,
    errors,
    latency,
  };

  function reasonOf(
    { windows, missing }: AnalysisState,
    what: Verdict,
    silent: boolean,
    isEnough: boolean,
    proof: number,
  ): string {
    const against = isPast ? "the unit's past" : "stable";
    if (silent) return `no requests of the canary in the last ${missing} of ${windows} windows`;
    if (!isEnough) {
      if (stable.requests === 0)
        return "nothing to compare the canary with: no stable traffic and no known past";
      const isCanary = canary.requests < settings.minSamples;
      const few = isCanary ? canary.requests : stable.requests;
      return `${figure(few)} requests of ${isCanary ? "the canary" : against}, expected ${figure(settings.minSamples)}`;
    }
    const rates = `fails ${percent(rateOf(canary)!)} of ${figure(canary.requests)} requests (${against} ${percent(rateOf(stable)!)})`;
    const slow =
      latency.canary === null || latency.stable === null
        ? ""
        : `, p${figure(settings.quantile * 100)} ${inSeconds(latency.canary)} (${inSeconds(latency.stable)})`;
    if (what === "pass") return `no worse than is tolerated: it ${rates}${slow}`;
    if (proof >= 0.5)
      return `it looks worse, with ${percent(proof)} of the evidence that fails it: it ${rates}${slow}`;
    return `no sign of harm so far, and too few requests to rule it out: it ${rates}${slow}`;
  }
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
