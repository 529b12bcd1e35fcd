/** What a canary is taken back for: harm that is proved, and is more than is tolerated. */
import { countsOf, failsMore, rateOf, slowerQuantile } from "./comparison.ts";
import { evidenceOfMetric, harmOfMetric } from "./metric.ts";
import { evidenceOfPast, GROSS_RATE, GROSS_RATIO } from "./past.ts";
import { evidenceOfQuantiles } from "./sequential-quantiles.ts";
import { evidenceOfRates } from "./sequential-rates.ts";
import type { AnalysisState } from "./state.ts";
import { figure, inSeconds, percent, points } from "./words.ts";

export interface Harm {
  readonly by: "errors" | "latency" | "saturation" | "metric";
  readonly reason: string;
}

/** Name of the metric that every sample with `inflight` has. */
export const SATURATION = "time under way per request";

/**
 * Rates and latencies are looked at over the whole step and over its last half minute: what begins late is more than is
 * tolerated now, though not yet of the whole.
 */
export function harmOf(state: AnalysisState): Harm | undefined {
  if (state.isPast) return gross(state) ?? sincePast(state) ?? metrics(state);
  return errors(state) ?? latency(state) ?? metrics(state);
}

function errors({ settings, rates, canary, stable, recent }: AnalysisState): Harm | undefined {
  if (evidenceOfRates(rates) < 1 || canary.failures < settings.minFailures) return undefined;
  for (const [mine, theirs] of [
    [canary, stable],
    [recent.canary, recent.stable],
  ] as const) {
    if (!failsMore(mine, theirs, settings)) continue;
    const [rate, other] = [rateOf(mine)!, rateOf(theirs)!];
    return {
      by: "errors",
      reason:
        `the canary fails ${percent(rate)} of its requests${mine === canary ? "" : " of late"} ` +
        `(${figure(canary.failures)} of ${figure(canary.requests)} so far) and stable ${percent(other)}: ` +
        `${points(rate - other)} more, where ${points(settings.maxErrorIncrease)} are tolerated`,
    };
  }
  return undefined;
}

function latency({ settings, quantiles, canaryLatency, stableLatency }: AnalysisState): Harm | undefined {
  if (evidenceOfQuantiles(quantiles) < 1) return undefined;
  const whole = [countsOf(canaryLatency), countsOf(stableLatency)] as const;
  for (const [mine, theirs] of [whole, [quantiles.canary, quantiles.stable]] as const) {
    const found = slowerQuantile(mine, theirs, settings);
    if (found === undefined) continue;
    return {
      by: "latency",
      reason:
        `p${figure(found.quantile * 100)} of the canary is ${inSeconds(found.canary)}${mine === whole[0] ? "" : " of late"} ` +
        `and of stable ${inSeconds(found.stable)}: ${figure(found.canary / found.stable)} times, where ` +
        `${figure(settings.maxLatencyRatio)} times are tolerated`,
    };
  }
  return undefined;
}

/** Without stable traffic: so bad that no burst would explain it. */
function gross({ settings, rates, quantiles, canary, past }: AnalysisState): Harm | undefined {
  if (evidenceOfRates(rates) === 1 && canary.failures >= settings.minFailures) {
    return {
      by: "errors",
      reason:
        `the canary fails far more than ${percent(GROSS_RATE)} of its requests (${figure(canary.failures)} of ` +
        `${figure(canary.requests)} so far), and the unit's past ${percent(rateOf(past!)!)}`,
    };
  }
  if (evidenceOfQuantiles(quantiles) < 1) return undefined;
  const found = slowerQuantile(quantiles.canary, countsOf(past!.latency), settings);
  if (found === undefined) return undefined;
  return {
    by: "latency",
    reason:
      `the canary is more than ${GROSS_RATIO} times as slow as the unit's past: p${figure(found.quantile * 100)} is ` +
      `${inSeconds(found.canary)}, and was ${inSeconds(found.stable)}`,
  };
}

function sincePast({ againstPast, settings }: AnalysisState): Harm | undefined {
  const [byErrors, bySlowness] = evidenceOfPast(againstPast, settings.alpha);
  if (byErrors === 1) {
    const { canary, stable, windows } = againstPast.errors;
    return {
      by: "errors",
      reason:
        `the canary fails ${percent(canary!)} of its requests, where ${percent(stable!)} are tolerated after the unit's ` +
        `past, and more than that in most of ${windows} stretches`,
    };
  }
  if (bySlowness < 1) return undefined;
  const { canary, stable, windows } = againstPast.slow;
  return {
    by: "latency",
    reason:
      `the slowest of the canary take ${inSeconds(canary!)}, where ${inSeconds(stable!)} are tolerated after the unit's ` +
      `past, and longer than that in most of ${windows} stretches`,
  };
}

function metrics({ metrics: all, rules, alphaOfMetrics }: AnalysisState): Harm | undefined {
  for (const [name, metric] of Object.entries(all)) {
    if (evidenceOfMetric(metric, rules[name]!, alphaOfMetrics) < 1) continue;
    const by = name === SATURATION ? "saturation" : "metric";
    return { by, reason: harmOfMetric(name, metric, rules[name]!) };
  }
  return undefined;
}
