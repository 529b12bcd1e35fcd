/** A rollout's execution by unit: how far each has come, and what was seen there. Pure. */
import type { Assessment } from "../../model/analysis/verdict.ts";
import { eachStep, type Step } from "../../model/plan-step.ts";
import type { Rollout } from "../../model/rollout/rollout.ts";
import type { Execution, StepRun } from "../runbook/execution.ts";

/** A rollout as it was written, and whether it fits the fleet as it is now. */
export interface ShownRollout extends Rollout {
  readonly fits: boolean;
  readonly problems: readonly string[];
}

export interface UnitView {
  /** From 1 on. */
  readonly wave: number;
  readonly unit: string;
  readonly state: "to come" | "under way" | "done" | "failed" | "skipped" | "taken back";
  /** Share of the users who see the canary now. */
  readonly share: number;
  /** Step under way, or that failed. */
  readonly step: string | null;
  readonly says: string | null;
  /** Of the bake under way, or the last one. */
  readonly assessment: Assessment | null;
  /** Milliseconds that the bake under way takes more, at least; null where nothing bakes. */
  readonly left: number | null;
}

export function unitViews(execution: Execution): UnitView[] {
  const { rollout, steps } = execution;
  if (rollout === undefined) return [];
  const turns = new Map(
    [...eachStep(steps)].flatMap((step) => (step.kind === "sequence" ? [[step.title, step] as const] : [])),
  );
  return rollout.waves.flatMap((units, i) =>
    units.flatMap((unit): UnitView[] => {
      const turn = turns.get(unit);
      return turn === undefined ? [] : [viewOf(execution, turn, i + 1)];
    }),
  );
}

function viewOf(execution: Execution, turn: Extract<Step, { kind: "sequence" }>, wave: number): UnitView {
  const { runs, overlays } = execution;
  const begun = turn.steps.filter(({ path }) => runs[path] !== undefined);
  const last = begun.at(-1);
  const run = last === undefined ? undefined : runs[last.path];
  const failed = begun.some(({ path }) => runs[path]?.state === "failed");
  const isSkipped = runs[turn.path]?.state === "skipped";
  const isDone = begun.length === turn.steps.length && begun.every(({ path }) => isOver(runs[path]));
  const canary = begun.findLast(
    (step) => (step.kind === "canary" || step.kind === "stage") && runs[step.path]?.revision !== undefined,
  );
  // Where it is all over, in success or not, nothing of it lies any more.
  const lies = overlays.length > 0 && !failed;
  const share =
    (canary?.kind === "canary" || canary?.kind === "stage") && (lies || isDone) ? canary.share : 0;
  const assessment = begun.flatMap(({ path }) => runs[path]?.bake?.assessment ?? []).at(-1) ?? null;
  const isBaking = last?.kind === "bake" && run?.state === "running";
  const isBack = execution.state === "reverted" && begun.length > 0;
  const isUnderWay = begun.length > 0 ? "under way" : "to come";
  return {
    wave,
    unit: turn.title,
    state: isSkipped ? "skipped" : failed ? "failed" : isBack ? "taken back" : isDone ? "done" : isUnderWay,
    share: isBack ? 0 : share,
    step: last?.title ?? null,
    says: run?.says ?? null,
    assessment,
    left: isBaking ? Math.max(0, last.bake - (run.bake?.at ?? 0)) : null,
  };
}

function isOver(run: StepRun | undefined): boolean {
  return run?.state === "done" || run?.state === "skipped";
}
