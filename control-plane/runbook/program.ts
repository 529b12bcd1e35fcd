/** Which steps of an execution are due, and what an execution touches. Pure. */
import type { Config } from "../../model/config.ts";
import { fieldsOf } from "../../model/overlay.ts";
import { type Act, changesOf, eachStep, isAct, type Leaf, type Step } from "../../model/plan-step.ts";
import { type SlotRange, slotsOf } from "../../model/slots.ts";
import { type Execution, isLive, type StepRun } from "./execution.ts";

type Runs = Execution["runs"];

export interface Due {
  /** Under way, or to be begun. */
  readonly leaves: readonly Leaf[];
  /** Conditions to be decided. */
  readonly ifs: readonly Extract<Step, { kind: "if" }>[];
}

/** What goes on, or begins, now. Nothing of both when all is done, or when only what failed is left. */
export function dueSteps(steps: readonly Step[], runs: Runs): Due {
  const leaves: Leaf[] = [];
  const ifs: Extract<Step, { kind: "if" }>[] = [];
  collect(steps, runs, leaves, ifs);
  return { leaves, ifs };
}

/** @returns whether all of them are done */
function collect(
  steps: readonly Step[],
  runs: Runs,
  leaves: Leaf[],
  ifs: Extract<Step, { kind: "if" }>[],
): boolean {
  for (const step of steps) {
    if (isOver(runs[step.path])) continue;
    if (step.kind === "parallel") {
      let isDone = true;
      for (const inner of step.steps) isDone = collect([inner], runs, leaves, ifs) && isDone;
      if (!isDone) return false;
    } else if (step.kind === "sequence") {
      if (!collect(step.steps, runs, leaves, ifs)) return false;
    } else if (step.kind === "if") {
      const branch = runs[step.path]?.branch;
      if (branch === undefined) {
        ifs.push(step);
        return false;
      }
      if (!collect(branch === "then" ? step.yes : step.no, runs, leaves, ifs)) return false;
    } else {
      if (runs[step.path]?.state !== "failed") leaves.push(step);
      return false;
    }
  }
  return true;
}

function isOver(run: StepRun | undefined): boolean {
  return run?.state === "done" || run?.state === "skipped";
}

export function isFinished(steps: readonly Step[], runs: Runs): boolean {
  return collect(steps, runs, [], []);
}

export function failedSteps({ steps, runs }: Execution): Step[] {
  return [...eachStep(steps)].filter(({ path }) => runs[path]?.state === "failed");
}

/** Between a fence and its end nobody stops. */
export function isMidTransfer(run: StepRun | undefined): boolean {
  return run?.transfers?.some(({ phase }) => phase === "fenced" || phase === "data") ?? false;
}

/** Whether it may still write: who aborts in the middle of a batch lets it come to its end. */
export function isActing(execution: Execution): boolean {
  return isLive(execution) || Object.values(execution.runs).some(isMidTransfer);
}

/** What an execution writes: fields by name, slots by number. */
export interface Touched {
  readonly fields: ReadonlySet<string>;
  readonly slots: ReadonlySet<number>;
}

export function touched(steps: readonly Step[], config: Config): Touched {
  const fields = new Set<string>();
  const slots = new Set<number>();
  const add = (ranges: readonly SlotRange[]): void => {
    for (const slot of slotsOf(ranges)) slots.add(slot);
  };
  for (const step of eachStep(steps)) {
    if (!isAct(step)) continue;
    const act: Act = step;
    if (act.kind === "undrain") for (const unit of act.units) fields.add(`units.${unit}.drain`);
    else if (act.kind === "unfence") add(act.slots);
    else {
      for (const change of changesOf(act, config)) {
        if (change.kind === "move" || change.kind === "fence") {
          add(change.slots);
          for (const key of change.keys) fields.add(`placement.pins.${key}`);
        } else for (const field of fieldsOf(change)) fields.add(field);
      }
    }
  }
  return { fields, slots };
}

/** For people: one thing that both write; undefined when there is none. */
export function overlap(a: Touched, b: Touched): string | undefined {
  for (const field of a.fields) if (b.fields.has(field)) return field;
  for (const slot of a.slots) if (b.slots.has(slot)) return `slot ${slot}`;
  return undefined;
}
