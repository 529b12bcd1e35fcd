/** A contingency plan as it was written: parameters, conditions, and steps whose fields may name parameters. */

export const PARAMETER_TYPES = [
  "unit",
  "units",
  "region",
  "route",
  "service",
  "limit",
  "slots",
  "percentage",
  "duration",
  "rate",
  "number",
  "text",
] as const;
export type ParameterType = (typeof PARAMETER_TYPES)[number];

export interface PlanParameter {
  readonly name: string;
  readonly type: ParameterType;
  readonly summary: string;
  /** Undefined: whoever runs the plan has to say. */
  readonly default: string | undefined;
  /** The only values that are taken; undefined: any of its type. */
  readonly allowed: readonly string[] | undefined;
  /** Bounds of what is a quantity, as they were written. */
  readonly min: string | undefined;
  readonly max: string | undefined;
}

/** A step as it was written: its kind is the one field of `STEP_KINDS` that it has. Texts may hold `${parameter}`. */
export interface WrittenStep {
  readonly [field: string]: string | readonly WrittenStep[] | undefined;
}

export const STEP_KINDS = [
  "drain",
  "undrain",
  "evacuate",
  "move",
  "fence",
  "unfence",
  "limit",
  "degrade",
  "breaker",
  "weight",
  "pin",
  "mirror",
  "gate",
  "wait",
  "approve",
  "notify",
  "hook",
  "parallel",
  "if",
] as const;
export type StepKind = (typeof STEP_KINDS)[number];

export interface PlanSchedule {
  /** Wall-clock time of its zone, such as `2026-11-11T00:00`. */
  readonly at: string;
  /** IANA name, such as `Asia/Shanghai`. */
  readonly zone: string;
}

export interface Plan {
  readonly name: string;
  readonly summary: string;
  readonly owner: string;
  /** `failover`: the unit may be dead and its data behind, so writes may be lost. `rollout`: made of one, by no file. */
  readonly kind: "contingency" | "failover" | "rollout";
  /** Failover: who knows how far the data is behind, and how much of it (ms) may be lost without another's word. */
  readonly lag: { readonly url: string; readonly bear: number } | undefined;
  readonly parameters: readonly PlanParameter[];
  readonly trigger: {
    /** Alerts that suggest it. */
    readonly alerts: readonly string[];
    readonly schedule: PlanSchedule | undefined;
  };
  /** Conditions that hold before the first step. */
  readonly require: readonly string[];
  readonly steps: readonly WrittenStep[];
  /** Conditions that say it did what it was for. */
  readonly success: readonly string[];
  /** What a failure leads to: it stands and asks, or takes back what it did. */
  readonly onFailure: "hold" | "revert";
  /** An activation ends by itself, or asks. Milliseconds after it succeeded. */
  readonly expires: { readonly after: number; readonly end: "revert" | "ask" } | undefined;
  /** Milliseconds; a real rehearsal that is older asks for one approval more. */
  readonly rehearseEvery: number | undefined;
}
