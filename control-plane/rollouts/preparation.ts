/** What a rollout becomes before it runs: its waves by what the units are asked now, and its steps. */
import type { Config } from "../../model/config.ts";
import type { Plan } from "../../model/plan.ts";
import { eachStep } from "../../model/plan-step.ts";
import { checkRollout } from "../../model/rollout/check.ts";
import type { Rollout } from "../../model/rollout/rollout.ts";
import { rolloutSteps } from "../../model/rollout/steps.ts";
import { wavesOf } from "../../model/rollout/waves.ts";
import { digestOf } from "../base.ts";
import type { Actor } from "../draft.ts";
import { Refused } from "../refused.ts";
import { type Execution, isLive } from "../runbook/execution.ts";
import type { Caller } from "../runbook/hooks.ts";

export interface PreparedRollout {
  readonly rollout: Rollout;
  readonly waves: readonly (readonly string[])[];
}

/** @param rps unit → requests per second now @throws Refused when there is no such rollout, or it does not fit */
export function prepareRollout(
  name: string,
  config: Config,
  rps: ReadonlyMap<string, number>,
  hooks: Caller,
): PreparedRollout {
  const rollouts = config.rollouts ?? [];
  const rollout = rollouts.find((one) => one.name === name);
  if (rollout === undefined) {
    const names = rollouts.map((one) => one.name).join(", ");
    throw new Refused(
      "not-found",
      `there is no rollout ${name}; ${names === "" ? "there is none" : `there are ${names}`}`,
    );
  }
  const waves = wavesOf(rollout, config, rps);
  const problems = [
    ...checkRollout(rollout, config).map(({ message }) => message),
    ...[rollout.before, rollout.after].flatMap((call) =>
      call === undefined ? [] : (hooks.refusal(call) ?? []),
    ),
    ...laidAlready(rollout, config),
  ];
  if (problems.length > 0 || !Array.isArray(waves)) {
    const message = `rollout ${name} does not fit: ${problems.slice(0, 5).join("; ")}`;
    throw new Refused("invalid-configuration", message, { problems });
  }
  return { rollout, waves };
}

/** The canary's share of the whole service would be taken from those who have it. */
function laidAlready({ service: name }: Rollout, { fleet }: Config): string[] {
  const { share, units } = fleet.services.find((one) => one.name === name)?.canary ?? { share: 0 };
  if (share === 0 || units !== undefined) return [];
  return [`${share * 100} % of all users see the canary of ${name} already; set its share to 0 first`];
}

/** @throws Refused when another one rolls the same service in one of the units */
export function checkAloneInUnits({ rollout, waves }: PreparedRollout, live: readonly Execution[]): void {
  const units = new Set(waves.flat());
  for (const other of live) {
    if (!isLive(other) || other.rollout?.written.service !== rollout.service) continue;
    const both = other.rollout.waves.flat().find((unit) => units.has(unit));
    if (both === undefined) continue;
    throw new Refused(
      "conflict",
      `${other.id} (rollout ${other.plan.name}, by ${other.owner.name}) is ${other.state} and rolls ${rollout.service} in ${both}, too; wait, or abort it`,
      { execution: other.id },
    );
  }
}

export function rolloutExecution(
  id: string,
  { rollout, waves }: PreparedRollout,
  reason: string,
  actor: Actor,
  now: number,
): Execution {
  const steps = rolloutSteps(rollout, waves, `${rollout.name} ${id}`);
  const order = waves.map((wave) => wave.join(", ")).join(" → ");
  return {
    id,
    plan: planOf(rollout),
    rollout: { written: rollout, waves },
    values: {},
    digest: digestOf(JSON.stringify([rollout, waves, [...eachStep(steps)].length])),
    reason,
    owner: { name: actor.name, from: actor.from },
    at: now,
    state: "running",
    steps,
    runs: {},
    overlays: [],
    removed: [],
    without: [],
    timeline: [{ at: now, by: actor.name, what: `started: ${reason}; ${order}` }],
  };
}

/** As far as the engine asks. */
function planOf({ name, summary, owner, onFailure }: Rollout): Plan {
  return {
    name,
    summary,
    owner,
    kind: "rollout",
    parameters: [],
    trigger: { alerts: [], schedule: undefined },
    require: [],
    steps: [],
    success: [],
    onFailure: onFailure === "all" ? "revert" : "hold",
    expires: undefined,
    rehearseEvery: undefined,
  };
}
