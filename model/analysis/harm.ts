/** What a canary is taken back for: harm that is proved, and is more than is tolerated. */
import { countsOf, failsMore, rateOf, slowerQuantile } from "./comparison.ts";
import { harmOfMetric } from "./metric.ts";
import { evidenceOfQuantiles } from "./sequential-quantiles.ts";
import { evidenceOfRates } from "./sequential-rates.ts";
import type { AnalysisState } from "./state.ts";
import { figure, inSeconds, percent, points } from "./words.ts";

export interface Harm {
  readonly by: "errors" | "latency" | "saturation" | "metric";
  readonly reason: string;
}

/**
 * A rate is looked at over the whole step and over its last minute: what begins late is more than is tolerated now, though
 * not yet of the whole.
 */
export function harmOf(state: AnalysisState): Harm | undefined {
  return errors(state) ?? latency(state) ?? metrics(state);
}

function errors(state: AnalysisState): Harm | undefined {
  const { settings, rates, canary, recent } = state;
  if (evidenceOfRates(rates) < 1 || canary.failures < settings.minFailures) return undefined;
  const slack = state.isPast ? settings.pastSlack : 1;
  const past = state.past ?? { requests: 0, failures: 0 };
  const whole = [canary, state.isPast ? past : state.stable] as const;
  const lately = [recent.canary, state.isPast ? past : recent.stable] as const;
  const found = [whole, lately].find(([mine, theirs]) => failsMore(mine, theirs, settings, slack));
  if (found === undefined) return undefined;
  const [mine, theirs] = [rateOf(found[0])!, rateOf(found[1])!];
  const when = found === whole ? "" : " of late";
  return {
    by: "errors",
    reason:
      `the canary fails ${percent(mine)} of its requests${when} (${figure(canary.failures)} of ` +
      `${figure(canary.requests)} so far) and ${other(state)} ${percent(theirs)}: ${points(mine - theirs)} more, where ` +
      `${points(theirs * (slack - 1) + settings.maxErrorIncrease)} are tolerated`,
  };
}

function latency(state: AnalysisState): Harm | undefined {
  const { settings, quantiles } = state;
  if (evidenceOfQuantiles(quantiles) < 1) return undefined;
  const slack = state.isPast ? settings.pastSlack : 1;
  const past = countsOf(state.past?.latency ?? []);
  const whole = [countsOf(state.canaryLatency), state.isPast ? past : countsOf(state.stableLatency)] as const;
  const lately = [quantiles.canary, state.isPast ? past : quantiles.stable] as const;
  for (const [mine, theirs] of [whole, lately]) {
    const found = slowerQuantile(mine, theirs, settings, slack);
    if (found === undefined) continue;
    const ratio = found.canary / found.stable;
    return {
      by: "latency",
      reason:
        `of the canary p${figure(found.quantile * 100)} is ${inSeconds(found.canary)}${mine === whole[0] ? "" : " of late"} and ` +
        `of ${other(state)} ${inSeconds(found.stable)}: ${figure(ratio)} times, where ` +
        `${figure(settings.maxLatencyRatio * slack)} times are tolerated`,
    };
  }
  return undefined;
}

function metrics(state: AnalysisState): Harm | undefined {
  for (const [name, metric] of Object.entries(state.metrics)) {
    const rule = state.rules[name]!;
    const reason = harmOfMetric(name, metric, rule, state.alphaOfMetrics);
    if (reason !== undefined) return { by: name === SATURATION ? "saturation" : "metric", reason };
  }
  return undefined;
}

/** Name of the metric that every sample with `inflight` has. */
export const SATURATION = "time under way per request";

function other(state: AnalysisState): string {
  return state.isPast ? "the unit's past" : "stable";
}
