/** One run of a list of durable steps: what is stored of it, whole, with every step that it takes. */
import type { Audience, Overlay } from "../../model/overlay.ts";
import type { Plan } from "../../model/plan.ts";
import type { Step } from "../../model/plan-step.ts";
import type { BakeRecord } from "../rollouts/bake-record.ts";
import type { Rollout } from "../../model/rollout/rollout.ts";
import type { SlotRange } from "../../model/slots.ts";

/** Document kind. */
export const EXECUTION = "execution";

/** `held`: a step failed, and somebody has to decide. `succeeded`: all steps are done, and what they laid stays. */
export type ExecutionState =
  | "running"
  | "paused"
  | "held"
  | "succeeded"
  | "aborted"
  | "reverting"
  | "reverted";

export interface Approval {
  readonly by: string;
  readonly reason: string;
  readonly at: number;
}

/** Slots and keys on their way from one unit to another, behind a fence. */
export interface Transfer {
  readonly slots: readonly SlotRange[];
  readonly keys: readonly string[];
  /** Where they go; where a move is taken back, the unit that they leave. */
  readonly unit: string;
  /** The move that is taken back. */
  readonly back?: string;
  /** `idle`: not begun · `fenced`: laid, not everywhere yet · `data`: held everywhere · `switched`: not everywhere yet. */
  readonly phase: "idle" | "fenced" | "data" | "switched" | "done";
  /** The fence's overlay. */
  readonly fence?: string;
  /** Revision of the phase. */
  readonly revision?: number;
  /** When the phase began. */
  readonly since?: number;
}

export interface StepRun {
  readonly state: "running" | "done" | "skipped" | "failed";
  /** Milliseconds since 1970. */
  readonly since: number;
  readonly until?: number;
  /** What it waits for, saw, or failed of. */
  readonly says?: string;
  /** Acts: what gateways have to acknowledge. */
  readonly revision?: number;
  readonly transfers?: readonly Transfer[];
  /** Gates: since when the condition holds without a break. */
  readonly holdsSince?: number;
  readonly approvals?: readonly Approval[];
  /** Hooks: attempts that were begun; stored before each. */
  readonly attempts?: number;
  readonly answer?: unknown;
  readonly branch?: "then" | "else";
  /** Bakes: what was seen so far. */
  readonly bake?: BakeRecord;
  /** A rehearsal did not do it: why, `says` says. */
  readonly leftOut?: true;
  /** Its unit's users were given back to stable when it failed. */
  readonly takenBack?: true;
}

export interface TimelineEntry {
  readonly at: number;
  readonly by: string;
  readonly step?: string;
  readonly what: string;
  /** Unit → requests per second, and the share of errors, as far as they were known. */
  readonly figures?:
    | {
        readonly rps: Readonly<Record<string, number>>;
        readonly errors: number | null;
        /** Of those on whom a plan is rehearsed, and of everybody beside them. */
        readonly rehearsed?: Tried;
      }
    | undefined;
}

/** Shares of failures, 99 % quantiles in milliseconds; null where nothing is known. */
export interface Tried {
  readonly requests: number;
  readonly errors: number | null;
  readonly p99: number | null;
  readonly others: { readonly errors: number | null; readonly p99: number | null };
}

export interface Execution {
  readonly id: string;
  /** Its own copy: whoever edits the plan does not change what runs. */
  readonly plan: Plan;
  readonly values: Readonly<Record<string, string>>;
  /** Of plan, values and steps: what approvals are bound to. */
  readonly digest: string;
  readonly reason: string;
  /** Who ran it. */
  readonly owner: { readonly name: string; readonly from: string };
  readonly at: number;
  readonly endedAt?: number;
  readonly state: ExecutionState;
  readonly says?: string;
  readonly steps: readonly Step[];
  /** What it was made of, when it is a rollout; `base` is the digest of the base that it began on. */
  readonly rollout?: {
    readonly written: Rollout;
    readonly waves: readonly (readonly string[])[];
    readonly base: string;
  };
  /** By a step's path. */
  readonly runs: Readonly<Record<string, StepRun>>;
  /** Ids of what it laid and what still lies of it, oldest first. */
  readonly overlays: readonly string[];
  /** What others had laid and it took away; a revert lays it again. */
  readonly removed: readonly Overlay[];
  readonly supersedes?: string;
  /** Gateways that somebody decided to go on without. */
  readonly without: readonly string[];
  readonly expiresAt?: number;
  /** The transfer that a revert is at. */
  readonly reverting?: Transfer;
  /** It is a rehearsal: what it lays is for these alone. */
  readonly rehearsal?: Audience;
  /** Why it was aborted or reverted, and by whom. */
  readonly revertedBy?: string;
  /** Digests of what holds, and of what would hold had it never run. */
  readonly proof?: { readonly effective: string; readonly without: string };
  readonly timeline: readonly TimelineEntry[];
}

/** Longer timelines lose their middle: how it began and how it ends is what people read. */
export const MOST_ENTRIES = 1_000;

export function isLive({ state }: Pick<Execution, "state">): boolean {
  return state === "running" || state === "paused" || state === "held" || state === "reverting";
}

/** As overlays name their owner. */
export function ownerOf({ id, plan, owner }: Pick<Execution, "id" | "plan" | "owner">): string {
  return `${plan.name} ${id} (${owner.name})`;
}

export function withEntry(execution: Execution, entry: TimelineEntry): Execution {
  const timeline = [...execution.timeline, entry];
  if (timeline.length > MOST_ENTRIES) timeline.splice(MOST_ENTRIES / 2, 1);
  return { ...execution, timeline };
}

export function withRun(execution: Execution, path: string, run: StepRun): Execution {
  return { ...execution, runs: { ...execution.runs, [path]: run } };
}
