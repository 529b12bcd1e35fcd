/** What an analysis is asked to find, and how rarely it may cry wolf. */

export interface AnalysisSettings {
  /**
   * Chance of a fail, at most, over the whole of one step however long and however often it is looked at, when canary
   * and stable are alike. `alphas` shares a rollout's among its steps.
   */
  readonly alpha: number;
  /** Requests of the canary, and of what it is compared with, before anything can pass. */
  readonly minSamples: number;
  /** Failed requests of the canary before errors can fail it. */
  readonly minFailures: number;
  /** Tolerated: so much higher a share of requests may fail. 0.002 is 0.2 percentage points. */
  readonly maxErrorIncrease: number;
  /** Tolerated: so many times the latency of stable. */
  readonly maxLatencyRatio: number;
  /** An increase of the latency below it (seconds) is no harm, whatever the ratio. */
  readonly minLatencyIncrease: number;
  /** Of the latency that is compared, with the medians and the 90 % quantiles beside it. */
  readonly quantile: number;
  /** Tolerated: so many times the requests under way per request per second. */
  readonly maxSaturationRatio: number;
  /** Compared with its own past, the canary may fail so many times as often, and be so many times as slow, on top. */
  readonly pastSlack: number;
  /** Of the bands that are shown and of what passes: 0.95 holds the truth at every moment in 95 % of steps. */
  readonly confidence: number;
  /** Metrics of the samples, by name. */
  readonly metrics: Readonly<Record<string, MetricRule>>;
}

/** What a number of each window may be; without `maxRatio`, stable is not looked at. */
export interface MetricRule {
  /** Tolerated: so many times stable's (or, where lower is worse, at least stable's divided by it). */
  readonly maxRatio?: number;
  /** Tolerated, whatever stable does: at most; where lower is worse, at least. */
  readonly limit?: number;
  readonly worse: "higher" | "lower";
  /** Windows that say so before anything is said. */
  readonly minWindows: number;
}

export const DEFAULTS: AnalysisSettings = {
  alpha: 0.004,
  minSamples: 100,
  minFailures: 5,
  maxErrorIncrease: 0.002,
  maxLatencyRatio: 1.3,
  minLatencyIncrease: 0.005,
  quantile: 0.99,
  maxSaturationRatio: 2,
  pastSlack: 1.5,
  confidence: 0.95,
  metrics: {},
};

/** One step of a rollout. */
export interface Step {
  readonly unit: string;
  /** Of the canary, 0 to 1. */
  readonly share: number;
}

/**
 * A rollout's alpha, shared among its steps: as many numbers, which come to `total`.
 *
 * It goes where it counts. Below 2 % there are too few requests for a small harm whatever alpha is; above 10 % there are so
 * many that they need little; and most harm that a version has, the first unit shows: half of it all is that one's.
 * @param total chance of a false alarm in the whole rollout, at most
 * @param steps in their order
 */
export function alphas(total: number, steps: readonly Step[]): number[] {
  const weights = new Map<string, number>();
  for (const { unit, share } of steps) weights.set(unit, (weights.get(unit) ?? 0) + weightOf(share));
  return steps.map(({ unit, share }) => {
    const isFirst = unit === steps[0]!.unit;
    const others = weights.size - 1;
    const ofUnit = others === 0 ? total : isFirst ? total / 2 : total / 2 / others;
    return (ofUnit * weightOf(share)) / weights.get(unit)!;
  });
}

function weightOf(share: number): number {
  if (share <= 0.02) return 0.05;
  if (share <= 0.1) return 1;
  if (share <= 0.3) return 0.03;
  return share < 1 ? 0.02 : 0.06;
}
