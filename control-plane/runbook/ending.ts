/** How an execution ends, and what its time being over leads to. Pure. */
import { type Execution, type TimelineEntry, withEntry } from "./execution.ts";
import { isFinished } from "./program.ts";

const ASKS = "its time is over: revert it, or leave it";

/** All steps are done; what it laid stays, for as long as its plan says. */
export function succeeded(execution: Execution, at: number): Execution {
  const { after } = execution.plan.expires ?? {};
  const expiry = after === undefined ? {} : { expiresAt: at + after };
  const entry = { at, by: "tidegate", what: "succeeded" };
  return withEntry({ ...execution, ...expiry, state: "succeeded", endedAt: at }, entry);
}

/** Whether time ends what it laid. */
export function isEnding({ state, expiresAt, says }: Execution): boolean {
  return state === "aborted" || (state === "succeeded" && expiresAt !== undefined && says !== ASKS);
}

/** The time that its plan gave it is over. */
export function expired(execution: Execution, at: number, figures: TimelineEntry["figures"]): Execution {
  const reverts = execution.plan.expires?.end === "revert";
  const entry = {
    at,
    by: "tidegate",
    what: reverts ? "its time is over: reverting" : ASKS,
    figures,
  };
  const reverting: Execution = { ...execution, state: "reverting", revertedBy: "tidegate" };
  return withEntry(reverts ? reverting : { ...execution, says: ASKS }, entry);
}

/** When a plan went through to its end last; undefined: none of these did. */
export function provenAt(executions: readonly Execution[], name: string): number | undefined {
  const ends = executions.flatMap(({ plan, steps, runs, rollout, endedAt }) =>
    plan.name === name && rollout === undefined && isFinished(steps, runs) && isWhole(runs)
      ? (endedAt ?? [])
      : [],
  );
  return ends.length === 0 ? undefined : Math.max(...ends);
}

/** A rehearsal on few that left something out proves little. */
function isWhole(runs: Execution["runs"]): boolean {
  return Object.values(runs).every(({ leftOut }) => leftOut === undefined);
}
