/** One alert: a rule that holds for one set of labels, from when it is first seen until it is over. */
import { createHash } from "node:crypto";
import type { Severity } from "./alerts.ts";
import type { Phase } from "./phase.ts";

export type Labels = Readonly<Record<string, string>>;

export interface Acknowledgement {
  readonly by: string;
  readonly at: number;
  readonly reason: string;
}

/** What came of a plan that was to be run by itself. */
export interface PlanRun {
  /** `wanted`: not tried yet. */
  readonly state: "wanted" | "started" | "refused";
  readonly at: number;
  readonly execution?: string;
  readonly says?: string;
}

export interface SuggestedPlan {
  readonly name: string;
  readonly values: Labels;
}

export interface Alert {
  readonly id: string;
  readonly rule: string;
  /** Without `rule` and `severity`. */
  readonly labels: Labels;
  readonly severity: Severity;
  /** `rule`: one of ours. `alertmanager`: one that was sent to us. */
  readonly source: "rule" | "alertmanager";
  readonly phase: Phase;
  readonly summary: string;
  /** What was seen when its state changed last. */
  readonly seen: string;
  readonly plan?: SuggestedPlan;
  readonly run?: PlanRun;
  /** The run of an earlier firing. */
  readonly ran?: PlanRun;
  readonly ack?: Acknowledgement;
  /** Of another system: when it said so last, and until when it says it fires. */
  readonly heardAt?: number;
  readonly endsAt?: number;
}

/** The same for the same rule and labels, whenever it fires. */
export function alertId(rule: string, labels: Labels): string {
  const sorted = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
  return `al-${shortHash(JSON.stringify([rule, sorted]))}`;
}

export function shortHash(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}

/** What matches and groups go by. */
export function allLabels({ rule, severity, labels }: Pick<Alert, "rule" | "severity" | "labels">): Labels {
  return { ...labels, rule, severity };
}

export function isFiring({ phase }: Pick<Alert, "phase">): boolean {
  return phase.state === "firing";
}
