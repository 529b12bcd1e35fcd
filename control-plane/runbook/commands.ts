/** What people command of an execution. Each is pure: the execution before, the execution after, or why not. */
import { eachStep } from "../../model/plan-step.ts";
import { Refused } from "../refused.ts";
import type { Role } from "../tokens.ts";
import { type Execution, isLive, type StepRun, withRun } from "./execution.ts";
import { failedSteps, isMidTransfer } from "./program.ts";

/** @throws Refused */
function inState(execution: Execution, states: readonly Execution["state"][], what: string): void {
  if (states.includes(execution.state)) return;
  throw new Refused("conflict", `${execution.id} is ${execution.state}, and cannot be ${what}`);
}

export function pause(execution: Execution): Execution {
  inState(execution, ["running"], "paused");
  return { ...execution, state: "paused" };
}

/** What failed is tried again. @param without gateways that nobody waits for any more */
export function resume(execution: Execution, without: readonly string[]): Execution {
  inState(execution, ["paused", "held"], "resumed");
  const { says: _, ...rest } = execution;
  let next: Execution = {
    ...rest,
    state: "running",
    without: [...new Set([...execution.without, ...without])],
  };
  for (const { path } of failedSteps(execution)) {
    const run = execution.runs[path]!;
    // A move goes on with the batch that failed; everything else begins again.
    if (run.transfers !== undefined) {
      const { until: _until, says: _says, ...kept } = run;
      next = withRun(next, path, { ...kept, state: "running" });
    } else {
      // A unit that was given back begins again with its first share.
      const turn = run.takenBack === true ? path.slice(0, path.lastIndexOf(".") + 1) : `${path}.`;
      const runs = Object.entries(next.runs).filter(([one]) => one !== path && !one.startsWith(turn));
      next = { ...next, runs: Object.fromEntries(runs) };
    }
  }
  // A revert that failed goes on as a revert.
  if (execution.revertedBy !== undefined) next = { ...next, state: "reverting" };
  return next;
}

/** @param path of the step; undefined: the one that failed */
export function skip(execution: Execution, path: string | undefined, reason: string, now: number): Execution {
  inState(execution, ["running", "paused", "held"], "changed");
  const failed = failedSteps(execution);
  const wanted = path ?? (failed.length === 1 ? failed[0]!.path : undefined);
  if (wanted === undefined) {
    throw new Refused("bad-request", `say which step of ${execution.id} is skipped: --step 3`);
  }
  const step = [...eachStep(execution.steps)].find((one) => one.path === wanted);
  if (step === undefined) throw new Refused("not-found", `${execution.id} has no step ${wanted}`);
  const run = execution.runs[wanted];
  if (run?.state === "done" || run?.state === "skipped") {
    throw new Refused("conflict", `step ${wanted} is ${run.state} already`);
  }
  if (isMidTransfer(run))
    throw new Refused("conflict", `step ${wanted} is in the middle of a batch; try again in a second`);
  const { says: _, ...rest } = execution;
  const skipped: StepRun = { ...run, state: "skipped", since: run?.since ?? now, until: now, says: reason };
  const next = withRun(rest, wanted, skipped);
  return execution.state === "held" && failed.length <= 1 ? { ...next, state: "running" } : next;
}

/** It stops; what it laid stays. */
export function abort(execution: Execution, now: number): Execution {
  inState(execution, ["running", "paused", "held"], "aborted");
  return { ...execution, state: "aborted", endedAt: now };
}

export function revert(execution: Execution, by: string): Execution {
  inState(execution, ["running", "paused", "held", "succeeded", "aborted"], "reverted");
  if (Object.values(execution.runs).some(isMidTransfer)) {
    throw new Refused(
      "conflict",
      `${execution.id} is in the middle of a batch; pause it, and try again in a second`,
    );
  }
  const { says: _, ...rest } = execution;
  return { ...rest, state: "reverting", revertedBy: by };
}

/** Another one takes its place, and what it laid. */
export function supersede(execution: Execution, now: number): Execution {
  if (!isLive(execution)) {
    throw new Refused("conflict", `${execution.id} does not run, and cannot be superseded`);
  }
  if (Object.values(execution.runs).some(isMidTransfer)) {
    throw new Refused("conflict", `${execution.id} is in the middle of a batch; try again in a second`);
  }
  return { ...execution, state: "aborted", endedAt: now, overlays: [], removed: [], says: "superseded" };
}

const RANKS: readonly Role[] = ["viewer", "operator", "approver", "admin"];

/** @param digest of what the approver looked at */
export function approve(
  execution: Execution,
  by: { readonly name: string; readonly role: Role },
  digest: string,
  reason: string,
  now: number,
): Execution {
  inState(execution, ["running"], "approved");
  if (digest !== execution.digest) {
    throw new Refused(
      "conflict",
      `${execution.id} is not what you looked at; look again: tidegate plan status ${execution.id}`,
    );
  }
  if (by.name === execution.owner.name) {
    throw new Refused("forbidden", `${by.name} runs ${execution.id}, and nobody agrees to their own`);
  }
  const step = [...eachStep(execution.steps)].find(
    ({ path, kind }) => kind === "approve" && execution.runs[path]?.state === "running",
  );
  if (step?.kind !== "approve") throw new Refused("conflict", `${execution.id} waits for no approval now`);
  if (RANKS.indexOf(by.role) < RANKS.indexOf(step.role as Role)) {
    throw new Refused(
      "forbidden",
      `step ${step.path} needs the role ${step.role}, and ${by.name} is ${by.role}`,
    );
  }
  const run = execution.runs[step.path]!;
  const approvals = run.approvals ?? [];
  if (approvals.some((one) => one.by === by.name)) {
    throw new Refused("conflict", `${by.name} has agreed to ${execution.id} already`);
  }
  return withRun(execution, step.path, {
    ...run,
    approvals: [...approvals, { by: by.name, reason, at: now }],
  });
}
