/** Steps and whole rollouts over seeded traffic, and how many of them fail. */
import { type AnalysisSettings, alphas, begin, step, verdict } from "../../model/analysis/verdict.ts";
import type { Random } from "../../model/clock.ts";
import { Source, type Traffic } from "./traffic.ts";

export interface Rollout {
  readonly units: number;
  readonly shares: readonly number[];
  /** Seconds. */
  readonly bake: number;
}

export const ROLLOUT: Rollout = { units: 3, shares: [0.01, 0.05, 0.2, 0.5, 1], bake: 60 };
/** Chance of a false alarm in a whole rollout, at most. */
export const ALPHA = 0.01;
/** Of the step of 5 % in the first unit of a rollout. */
export const ALPHA_OF_STEP = alphasOf(ROLLOUT)[1]!;
export const ALPHA_OF_LATER_STEP = alphasOf(ROLLOUT)[1 + ROLLOUT.shares.length]!;

/** Seconds until it fails, or undefined. What it says is looked at after every window. */
export function failsAfter(
  traffic: Traffic,
  seconds: number,
  random: Random,
  settings: Partial<AnalysisSettings> = {},
): { seconds: number; reason: string } | undefined {
  const source = new Source(traffic, random);
  let state = begin({ alpha: ALPHA_OF_STEP, ...settings });
  const window = (traffic.window ?? 1000) / 1000;
  for (let at = window; at <= seconds; at += window) {
    state = step(state, ...source.next());
    if (state.harm !== null) return { seconds: at, reason: verdict(state).reason };
  }
  return undefined;
}

/** Why a whole rollout is taken back, or undefined. At the last step stable has no traffic: its past stands for it. */
export function isTakenBack(
  traffic: Traffic,
  rollout: Rollout,
  random: Random,
): { unit: number; share: number; reason: string } | undefined {
  const window = traffic.window ?? 1000;
  const each = alphasOf(rollout);
  for (let unit = 0; unit < rollout.units; unit++) {
    const source = new Source(traffic, random);
    let past = begin();
    for (const [at, share] of rollout.shares.entries()) {
      const before = past;
      let state = begin(
        { alpha: each[unit * rollout.shares.length + at]! },
        { at: before.at, ...before.stable, latency: before.stableLatency },
        before.at,
      );
      for (let second = 0; second < rollout.bake * 1000; second += window) {
        const [canary, stable] = source.next(share);
        state = step(state, canary, stable.requests > 0 ? stable : null);
        if (state.harm !== null) return { unit, share, reason: state.harm.reason };
      }
      if (share < 1) past = state;
    }
  }
  return undefined;
}

function alphasOf({ units, shares }: Rollout): number[] {
  const steps = Array.from({ length: units }, (_, unit) =>
    shares.map((share) => ({ unit: `${unit}`, share })),
  );
  return alphas(ALPHA, steps.flat());
}

/** Chance by so many of `runs`, with 95 % confidence (Wilson 1927). */
export function interval(count: number, runs: number): readonly [low: number, high: number] {
  const z = 1.96;
  const p = count / runs;
  const middle = (p + (z * z) / (2 * runs)) / (1 + (z * z) / runs);
  const half = (z * Math.sqrt((p * (1 - p)) / runs + (z * z) / (4 * runs * runs))) / (1 + (z * z) / runs);
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}
