/**
 * A plan rehearsed for real, on few: the very engine runs it, and everything that it lays is for the rehearsal's audience
 * alone. What cannot be done to few is left out, and said to be. Pure.
 */
import type { Config } from "../../model/config.ts";
import { type Audience, describeAudience } from "../../model/overlay.ts";
import { checkPlan } from "../../model/plan-check.ts";
import { trialOf } from "../../model/effective.ts";
import { type Act, eachStep, type Leaf } from "../../model/plan-step.ts";
import type { OverlaySet, Standing } from "../draft.ts";
import { Refused } from "../refused.ts";
import { setOf } from "../runbook/act-set.ts";
import { type Execution, isLive, type TimelineEntry } from "../runbook/execution.ts";
import { isFinished } from "../runbook/program.ts";
import type { PutDocument } from "../store/store.ts";
import { digestOfTouched, REHEARSAL, type Rehearsal } from "./rehearsal.ts";

/** What a rehearsal lays does not outlive it by more than this (ms), whatever becomes of the control plane. */
const LONGEST = 2 * 3_600_000;

/** Step → why it is left out. */
const LEFT_OUT: Readonly<Partial<Record<Leaf["kind"], string>>> = {
  fence: "writes of everybody would be held",
  unfence: "nothing was fenced",
  undrain: "it would give everybody's units their work back",
  limit: "a limit counts everybody; lay it with mode: dry-run to see what it would refuse",
  hook: "a system of yours could not tell that it is a rehearsal",
};
/** Stress traffic has data of its own, in shadow tables; users do not. */
const MOVES: readonly Leaf["kind"][] = ["move", "evacuate", "pin"];
const DATA = "users' data would have to move with them; rehearse it on stress traffic, or in simulation";

/** @returns why a rehearsal leaves a step out; undefined: it does not */
export function leftOut({ rehearsal }: Execution, { kind }: Leaf): string | undefined {
  if (rehearsal === undefined) return undefined;
  const why = rehearsal.kind === "users" && MOVES.includes(kind) ? DATA : LEFT_OUT[kind];
  return why === undefined ? undefined : `left out: ${why}`;
}

/** What a step lays: of a rehearsal for its audience alone, on what it laid before, and without fences. */
export function setFor(act: Act, execution: Execution, standing: Standing): OverlaySet {
  const { rehearsal } = execution;
  if (rehearsal === undefined) return setOf(act, execution, standing);
  const set = setOf(act, execution, { ...standing, config: trialOf(standing.config).config });
  return { ...set, lay: set.lay.map((one) => ({ ...one, for: rehearsal, expiresIn: LONGEST })) };
}

/** What it laid lies, or may yet. */
function isRehearsing(execution: Execution): boolean {
  return execution.rehearsal !== undefined && (isLive(execution) || execution.overlays.length > 0);
}

/**
 * A rehearsal's users are counted as a canary's, so that neither would be told from the other.
 *
 * @throws Refused where it cannot begin beside these
 */
export function checkRehearsable(audience: Audience, executions: readonly Execution[]): void {
  const other = executions.find(isRehearsing);
  if (other !== undefined) {
    const message = `${other.id} (plan ${other.plan.name}) is rehearsed on traffic; wait, or revert it`;
    throw new Refused("conflict", message, { execution: other.id });
  }
  const rollout = executions.find((one) => one.rollout !== undefined && isLive(one));
  if (audience.kind === "stress" || rollout === undefined) return;
  const message = `${rollout.id} (rollout ${rollout.plan.name}) is judged by its users' figures, among which these would be`;
  throw new Refused("conflict", `${message}; wait, or rehearse on stress traffic`, { execution: rollout.id });
}

/** @throws Refused where a rollout cannot begin beside a rehearsal */
export function checkNobodyRehearses(executions: readonly Execution[]): void {
  const other = executions.find((one) => one.rehearsal?.kind === "users" && isRehearsing(one));
  if (other === undefined) return;
  const message = `plan ${other.plan.name} (${other.id}) is rehearsed on users, whose figures the rollout would be judged by`;
  throw new Refused("conflict", `${message}; wait, or revert it`, { execution: other.id });
}

/** As it begins: it takes itself back on failure, and so long (ms) after it went through. */
export function asRehearsal(execution: Execution, audience: Audience, lasts: number): Execution {
  const { plan, timeline } = execution;
  const [first, ...rest] = timeline;
  const what = `${first!.what}; a rehearsal on ${describeAudience(audience)}`;
  return {
    ...execution,
    rehearsal: audience,
    plan: { ...plan, expires: { after: lasts, end: "revert" }, onFailure: "revert" },
    timeline: [{ ...first!, what }, ...rest],
  };
}

/** What came of it. @param config that holds now */
function rehearsalOf(execution: Execution, config: Config): Rehearsal {
  const { plan, values, at, owner, reason, steps, runs, timeline, state, says, endedAt = at } = execution;
  const failed = [...eachStep(steps)].find(({ path }) => runs[path]?.state === "failed");
  const whole = failed === undefined && isFinished(steps, runs);
  const why = failed === undefined ? says : `${failed.title}: ${runs[failed.path]!.says}`;
  const written = config.plans?.find(({ name }) => name === plan.name);
  const told = timeline.filter(({ figures }) => figures !== undefined);
  const tried = told.findLast(({ figures }) => figures?.rehearsed !== undefined)?.figures?.rehearsed;
  const ended = Math.max(at, ...Object.values(runs).map(({ until = at }) => until));
  return {
    plan: plan.name,
    manner: "traffic",
    on: describeAudience(execution.rehearsal!),
    values,
    at,
    by: owner.name,
    reason,
    outcome: whole ? "succeeded" : "failed",
    reverted: state,
    says: whole ? undefined : (why ?? "it did not come to its end"),
    took: (whole ? ended : endedAt) - at,
    steps: [...eachStep(steps)].map(({ path, title }) => {
      const run = runs[path];
      const took = run?.until === undefined ? undefined : run.until - run.since;
      return { path, title, state: run?.state ?? "not begun", took, says: run?.says };
    }),
    before: unitsOf(told[0]),
    after: unitsOf(told.findLast(({ figures }) => figures?.rehearsed !== undefined) ?? told.at(-1)),
    ...(tried === undefined ? {} : { tried }),
    assumed: [...eachStep(steps)].flatMap(({ path, title }) =>
      runs[path]?.leftOut === true ? [`${title}: ${runs[path].says}`] : [],
    ),
    digest:
      written === undefined ? "" : digestOfTouched(written, checkPlan(written, config, values).steps, config),
  };
}

/** The report, which is written in the commit that ends a rehearsal. */
export function filed(
  before: Execution | undefined,
  next: Execution,
  standing: Standing | undefined,
): PutDocument[] {
  const { rehearsal, state, plan } = next;
  if (standing === undefined || rehearsal === undefined) return [];
  if (state !== "reverted" || before?.state === "reverted") return [];
  return [{ kind: REHEARSAL, id: plan.name, body: JSON.stringify(rehearsalOf(next, standing.config)) }];
}

function unitsOf(entry: TimelineEntry | undefined): Rehearsal["before"] {
  return Object.entries(entry?.figures?.rps ?? {}).map(([unit, rps]) => ({ unit, rps }));
}
