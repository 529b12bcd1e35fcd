/** What a rollout becomes before it runs: its waves by what the units are asked now, and its steps. */
import type { Config } from "../../model/config.ts";
import type { Plan } from "../../model/plan.ts";
import { eachStep } from "../../model/plan-step.ts";
import { checkRollout } from "../../model/rollout/check.ts";
import type { Rollout } from "../../model/rollout/rollout.ts";
import { type Proposal, rolloutSteps } from "../../model/rollout/steps.ts";
import { wavesOf } from "../../model/rollout/waves.ts";
import { type Base, digestOf, encodeBase } from "../base.ts";
import type { Actor, Standing } from "../draft.ts";
import { Refused } from "../refused.ts";
import { type Execution, isLive } from "../runbook/execution.ts";
import type { Caller } from "../runbook/hooks.ts";
import type { Metrics } from "./metrics.ts";

/** Bytes of routes on their way: they lie in the overlays of every revision. */
const MOST_ROUTES_BYTES = 512 * 1024;

/** Files that a rollout of routes brings. */
export interface ProposedBase {
  readonly base: Base;
  readonly config: Config;
}

/** What may differ: routes are rolled out, and what is the control plane's own business holds when it is done. */
const MAY_DIFFER = new Set(["routes", "plans", "rollouts", "safety"]);

export interface PreparedRollout {
  readonly proposal: Proposal | undefined;
  readonly rollout: Rollout;
  readonly waves: readonly (readonly string[])[];
}

/** What a rollout asks of others that this control plane may not ask of them. */
export function outsideRefusals(
  { before, after, evidence }: Rollout,
  hooks: Pick<Caller, "refusal">,
  metrics: Pick<Metrics, "refusal">,
): string[] {
  const calls = [before, after].flatMap((call) => (call === undefined ? [] : (hooks.refusal(call) ?? [])));
  const unasked = metrics.refusal(evidence.metrics ?? []);
  return unasked === undefined ? calls : [...calls, unasked];
}

/** @param rps unit → requests per second now @throws Refused when there is no such rollout, or it does not fit */
export function prepareRollout(
  name: string,
  config: Config,
  rps: ReadonlyMap<string, number>,
  refusals: (rollout: Rollout) => readonly string[],
  standing: Pick<Standing, "baseConfig">,
  proposed: ProposedBase | undefined,
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
    ...refusals(rollout),
    ...laidAlready(rollout, config),
    ...proposalProblems(rollout, standing.baseConfig, proposed),
  ];
  if (problems.length > 0 || !Array.isArray(waves)) {
    const message = `rollout ${name} does not fit: ${problems.slice(0, 5).join("; ")}`;
    throw new Refused("invalid-configuration", message, { problems });
  }
  const proposal =
    proposed === undefined
      ? undefined
      : { routes: proposed.config.routes, base: digestOf(encodeBase(proposed.base)) };
  return { rollout, waves, proposal };
}

function proposalProblems(
  { service }: Rollout,
  baseConfig: Config,
  proposed: ProposedBase | undefined,
): string[] {
  if (service !== undefined) {
    return proposed === undefined ? [] : ["it rolls out a canary, and takes no files"];
  }
  if (proposed === undefined) return ["it rolls out routes, and needs them: --files DIR"];
  const others = Object.keys({ ...baseConfig, ...proposed.config }).filter((part) => {
    const [is, was] = [proposed.config, baseConfig].map((one) => JSON.stringify(one[part as keyof Config]));
    return is !== was && !MAY_DIFFER.has(part);
  });
  if (others.length > 0) return [`the files change ${others.join(" and ")}, too; apply that first`];
  const routes = JSON.stringify(proposed.config.routes);
  if (routes === JSON.stringify(baseConfig.routes)) return ["the files change no route"];
  if (Buffer.byteLength(routes) <= MOST_ROUTES_BYTES) return [];
  return [`its routes are more than ${MOST_ROUTES_BYTES / 1024} KiB; apply the change in parts`];
}

/** The canary's share of the whole service would be taken from those who have it. */
function laidAlready({ service: name }: Rollout, { fleet, staged }: Config): string[] {
  if (name === undefined) return staged === undefined ? [] : ["other routes are on their way already"];
  const { share, units } = fleet.services.find((one) => one.name === name)?.canary ?? { share: 0 };
  if (share === 0 || units !== undefined) return [];
  return [`${share * 100} % of all users see the canary of ${name} already; set its share to 0 first`];
}

/** @throws Refused when another one rolls the same service in one of the units */
export function checkAloneInUnits({ rollout, waves }: PreparedRollout, live: readonly Execution[]): void {
  const units = new Set(waves.flat());
  for (const other of live) {
    if (!isLive(other) || other.rollout === undefined) continue;
    // Routes are told apart from other versions by the same figures: they do not share a unit with a canary either.
    const { service } = other.rollout.written;
    if (service !== undefined && rollout.service !== undefined && service !== rollout.service) continue;
    const both = other.rollout.waves.flat().find((unit) => units.has(unit));
    if (both === undefined) continue;
    throw new Refused(
      "conflict",
      `${other.id} (rollout ${other.plan.name}, by ${other.owner.name}) is ${other.state} and rolls ${service ?? "routes"} in ${both}, too; wait, or abort it`,
      { execution: other.id },
    );
  }
}

export function rolloutExecution(
  id: string,
  { rollout, waves, proposal }: PreparedRollout,
  base: string,
  reason: string,
  actor: Actor,
  now: number,
): Execution {
  const steps = rolloutSteps(rollout, waves, `${rollout.name} ${id}`, proposal);
  const order = waves.map((wave) => wave.join(", ")).join(" → ");
  return {
    id,
    plan: planOf(rollout),
    rollout: { written: rollout, waves, base },
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
    lag: undefined,
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
