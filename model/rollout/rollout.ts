/** A gray rollout as it was written: a service's canary, or other routes, through the units, a little at a time. */
import type { Testers } from "../overlay.ts";
import type { HookCall } from "../plan-step.ts";

/** Waves by rule: the unit with the fewest requests; all that are left two by two, one by one, or at once. */
export const WAVE_RULES = ["quietest", "pairs", "each", "rest"] as const;
export type WaveRule = (typeof WAVE_RULES)[number];

export interface RolloutStep {
  /** Of the users whose requests the unit serves, 0 to 1. */
  readonly share: number;
  /** Milliseconds of evidence, at least. */
  readonly bake: number;
  /** Role of somebody who agrees first; undefined: nobody is asked. */
  readonly approve: string | undefined;
}

/** What the canary may be worse by (`model/analysis`) before it is taken back, and how much has to be seen. */
export interface EvidencePolicy {
  /** Requests of the canary, and of what it is held against, before a step may pass. */
  readonly samples: number;
  /** More errors that are borne, as a share of the requests. */
  readonly errors: number;
  /** Slower by such a share that is borne. */
  readonly latency: number;
  /** Numbers of the user's own beside them. */
  readonly metrics?: readonly MetricQuery[];
}

/** A number of a Prometheus server's that is held against stable's, or against a bound. */
export interface MetricQuery {
  readonly name: string;
  /** PromQL that has one number; `$unit`, `$version` and `$service` stand for what is looked at. */
  readonly query: string;
  readonly worse: "higher" | "lower";
  /** So many times stable's that is borne; undefined: stable is not asked for. */
  readonly ratio: number | undefined;
  /** Borne, whatever stable has: at most; where lower is worse, at least. */
  readonly limit: number | undefined;
  /** Answers before anything is said of it, and before a step passes. */
  readonly windows: number;
}

export interface Rollout {
  readonly name: string;
  readonly summary: string;
  readonly owner: string;
  /** Whose canary it is; undefined: it brings other routes, which are given when it is begun. */
  readonly service: string | undefined;
  readonly waves: readonly (WaveRule | readonly string[])[];
  /** Units of a wave at once. */
  readonly parallel: number;
  readonly steps: readonly RolloutStep[];
  readonly testers: Testers & {
    /** Milliseconds in which only they see the canary of a unit. */
    readonly bake: number;
  };
  /** Called before a unit begins, and after it is done. */
  readonly before: HookCall | undefined;
  readonly after: HookCall | undefined;
  /** Role of somebody who agrees before each wave; undefined: nobody is asked. */
  readonly approve: string | undefined;
  readonly evidence: EvidencePolicy;
  /** What is taken back on bad evidence: the `unit`, `all` units, or nothing (`hold`). */
  readonly onFailure: "unit" | "all" | "hold";
  /** Milliseconds from the start; later than that, what has not passed has failed. */
  readonly deadline: number;
  /** The canary becomes stable in the base when all units are done. */
  readonly promote: boolean;
}
