/** How an execution is written: its document, what watchers are told, and the line of the audit log. Pure. */
import type { AuditLine, PutDocument, StoredEvent } from "../store/store.ts";
import { EXECUTION, type Execution } from "./execution.ts";

export function put(execution: Execution, version: number): PutDocument {
  return { kind: EXECUTION, id: execution.id, body: JSON.stringify(execution), expect: version };
}

/** Nothing where nothing was noted. @param before undefined: it begins */
export function newsOf(
  before: Execution | undefined,
  next: Execution,
  at: number,
): Omit<StoredEvent, "number">[] {
  const { id, state, plan, timeline } = next;
  const last = timeline.at(-1);
  if (before !== undefined && last === before.timeline.at(-1)) return [];
  const body = JSON.stringify({
    execution: id,
    plan: plan.name,
    state,
    step: last?.step,
    what: last?.what,
  });
  return [{ at, type: "execution", body }];
}

export interface Commanded {
  readonly action: string;
  readonly reason: string;
  readonly by: { readonly name: string; readonly from: string };
}

export function auditOf(
  before: Execution | undefined,
  next: Execution,
  at: number,
  { action, reason, by }: Commanded,
): AuditLine {
  const { id, state, plan, values, digest } = next;
  return {
    at,
    actor: by.name,
    from: by.from,
    action,
    target: `${plan.name} ${id}`,
    reason: action === "execution.start" ? next.reason : reason,
    before: before === undefined ? "null" : JSON.stringify({ state: before.state }),
    after: JSON.stringify({ state, values, digest }),
  };
}
