/** What becomes of an execution by what a commit laid, took away, or failed of. Pure. */
import type { Overlay } from "../../model/overlay.ts";
import type { Execution } from "./execution.ts";

/** A step failed. */
export function failing(execution: Execution, says: string): Execution {
  if (execution.state !== "running" && execution.state !== "paused") return execution;
  if (execution.plan.onFailure === "hold") return { ...execution, state: "held", says };
  return { ...execution, state: "reverting", revertedBy: "tidegate", says };
}

/** The execution with what it owns after a change: its own overlays, and others' that it took away. */
export function owning(
  execution: Execution,
  laid: readonly Overlay[],
  removed: readonly Overlay[],
  before: readonly Overlay[],
): Execution {
  const gone = new Set(removed.map(({ id }) => id));
  const lying = new Set(before.map(({ id }) => id));
  const foreign = removed.filter(({ id }) => !execution.overlays.includes(id));
  return {
    ...execution,
    overlays: [
      ...execution.overlays.filter((id) => !gone.has(id) && lying.has(id)),
      ...laid.map(({ id }) => id),
    ],
    removed: [...execution.removed, ...foreign],
  };
}
