/** What a plan would do, step by step, from how the fleet is now: nothing is written. */
import type { Config } from "../../model/config.ts";
import type { Overlay } from "../../model/overlay.ts";
import { type Act, changesOf, eachStep, isAct, type Step } from "../../model/plan-step.ts";
import { type Load, moved, type Projection, project } from "../../model/projection.ts";
import type { Violation } from "../../model/safety-check.ts";
import { compileTable, type Table } from "../../model/table.ts";
import { countSlots } from "../../model/slots.ts";
import { type Difference, differences } from "../difference.ts";
import { type Actor, type Draft, draftOverlays, type Standing } from "../draft.ts";
import { Refused } from "../refused.ts";
import type { Deed } from "../safety-gate.ts";
import { setOf } from "./act-set.ts";
import { type Execution, ownerOf } from "./execution.ts";
import { transfersOf, request } from "./transfers.ts";

export interface DryStep {
  readonly path: string;
  readonly title: string;
  readonly kind: Step["kind"];
  /** Field by field; at most so many are shown. */
  readonly changes: readonly Difference[];
  readonly violations: readonly Violation[];
  /** Why it could not be done. */
  readonly problem?: string;
  /** After the step, when all ramps have ended. */
  readonly load?: Projection;
  readonly slots: number;
  readonly pins: number;
  /** Milliseconds it takes when all goes well; for what waits, at most. */
  readonly takes: number;
}

export interface DryRun {
  readonly before: Projection;
  /** What would hold after the last step. */
  readonly config: Config;
  readonly steps: readonly DryStep[];
  readonly takes: number;
  /** What was taken for granted. */
  readonly assumed: readonly string[];
}

export interface DryRunOptions {
  readonly violations: (draft: Draft, deed: Deed) => readonly Violation[];
  readonly load: Load;
  readonly unhealthy: ReadonlySet<string>;
  readonly writes: number;
  /** Milliseconds since 1970. */
  readonly now: number;
}

const MOST_CHANGES = 50;
/** Milliseconds of a revision that every gateway takes: measured, p99 of 500. */
const PUBLISH = 260;

/** @param execution as it would begin */
export function dryRun(
  execution: Execution,
  first: Standing,
  actor: Actor,
  { violations, load, unhealthy, writes, now }: DryRunOptions,
): DryRun {
  const conditions = { unhealthy, writes };
  let [standing, table, current] = [first, compileTable(first.config), execution];
  const before = project(table, load, conditions);
  const steps: DryStep[] = [];
  for (const step of eachStep(execution.steps)) {
    const { path, title, kind } = step;
    const bare = {
      path,
      title,
      kind,
      changes: [],
      violations: [],
      slots: 0,
      pins: 0,
      takes: takesOf(step, standing.config),
    };
    if (!isAct(step)) {
      steps.push(bare);
      continue;
    }
    try {
      const draft = draftOf(step, current, standing, now);
      const deed = { actions: draft.actions, target: title, actor };
      const after: Table = compileTable(draft.config);
      steps.push({
        ...bare,
        changes: differences(withoutEpoch(standing.config), withoutEpoch(draft.config)).slice(
          0,
          MOST_CHANGES,
        ),
        violations: violations(draft, deed),
        load: project(after, load, conditions),
        ...moved(table, after),
      });
      const laid = draft.laid.map(({ id }) => id);
      current = { ...current, overlays: [...current.overlays, ...laid] };
      const { base, baseConfig, overlays, config } = draft;
      const revision = { ...standing.revision, number: standing.revision.number + 1 };
      standing = { revision, base, baseConfig, overlays, config };
      table = after;
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      steps.push({ ...bare, problem: error.message });
    }
  }
  return {
    before,
    config: standing.config,
    steps,
    takes: steps.reduce((sum, { takes }) => sum + takes, 0),
    assumed: [
      "users are spread evenly over the slots",
      `${Math.round(writes * 100)} % of the requests of routes that take writes are writes`,
      "ramps have ended, and both branches of an `if` are shown",
    ],
  };
}

function draftOf(act: Step & Act, execution: Execution, standing: Standing, now: number) {
  const owner = ownerOf(execution);
  if (act.kind !== "evacuate" && act.kind !== "move") {
    return draftOverlays(standing, setOf(act, execution, standing), owner, now);
  }
  const own = standing.overlays.filter(
    (o: Overlay) => execution.overlays.includes(o.id) && o.change.kind === "move",
  );
  const lay = changesOf(act, standing.config).map((change) => request(change, execution.reason));
  return draftOverlays(standing, { lay, remove: own.map(({ id }) => id) }, owner, now);
}

function withoutEpoch(config: Config): object {
  const { fleet } = config;
  const { map, ...placement } = fleet.placement;
  // Slots by the thousand are told as a number, and by unit.
  const owned = Object.fromEntries(
    [...Map.groupBy(map, (unit) => unit)].map(([unit, slots]) => [unit, slots.length]),
  );
  return { ...config, plans: [], fleet: { ...fleet, placement: { ...placement, epoch: 0, slots: owned } } };
}

function takesOf(step: Step, config: Config): number {
  switch (step.kind) {
    case "drain":
      return PUBLISH + step.ramp;
    case "evacuate":
    case "move": {
      const transfers = transfersOf(step, config).filter(
        ({ slots, keys }) => countSlots(slots) + keys.length > 0,
      );
      return (
        transfers.length * (2 * PUBLISH + step.pause) +
        (step.catchUp === undefined ? 0 : transfers.length * 1_000)
      );
    }
    case "wait":
      return step.milliseconds;
    case "gate":
    case "approve":
      return step.timeout;
    case "hook":
      return step.call.timeout * (step.call.retries + 1);
    case "parallel":
    case "if":
    case "notify":
      return 0;
    default:
      return PUBLISH;
  }
}
