/** What is taken back at once when a rollout fails: the unit that failed. The others follow, if its policy says so. */
import type { Overlay } from "../../model/overlay.ts";
import type { Leaf } from "../../model/plan-step.ts";
import type { Standing } from "../draft.ts";
import type { Execution } from "../runbook/execution.ts";
import type { Rollouts } from "./rolling.ts";

export interface TakenBack {
  /** Ids of overlays. */
  readonly remove: readonly string[];
  /** A unit whose users nobody else could serve. */
  readonly dead: string | undefined;
}

const NOTHING: TakenBack = { remove: [], dead: undefined };

export function backOf(
  { rollout, overlays, steps }: Execution,
  leaf: Leaf,
  standing: Standing,
  rollouts: Rollouts,
): TakenBack {
  if (rollout === undefined || rollout.written.onFailure === "hold") return NOTHING;
  const { service } = rollout.written;
  const unit = unitOf(steps, leaf.path);
  const own = standing.overlays.filter(
    ({ id, change }) =>
      overlays.includes(id) && (change.kind === "canary" || change.kind === "stage") && change.unit === unit,
  );
  if (unit === undefined || own.length === 0) return NOTHING;
  const isDead = service !== undefined && !rollouts.mayTakeBack(service, unit, standing.config);
  if (isDead) return { remove: [], dead: unit };
  return { remove: own.map(({ id }) => id), dead: undefined };
}

/** The unit whose turn a step belongs to. */
export function unitOf(steps: Execution["steps"], path: string): string | undefined {
  for (const step of steps) {
    if (step.kind === "parallel") {
      const found = unitOf(step.steps, path);
      if (found !== undefined) return found;
    } else if (step.kind === "sequence" && path.startsWith(`${step.path}.`)) return step.title;
  }
  return undefined;
}

/** A unit of these canaries whose users stable could not serve. */
export function deadUnit(
  overlays: readonly Overlay[],
  { config }: Standing,
  rollouts: Rollouts,
): string | undefined {
  for (const { change } of overlays) {
    if (change.kind !== "canary" || change.share === 0) continue;
    if (!rollouts.mayTakeBack(change.service, change.unit, config)) return change.unit;
  }
  return undefined;
}
