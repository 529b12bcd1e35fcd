/** What a plan becomes before it runs: its parameters filled in, held against the fleet and against what runs already. */
import type { Config } from "../../model/config.ts";
import { describeEvaluation, type Expression } from "../../model/figure-expression.ts";
import type { Plan } from "../../model/plan.ts";
import { checkPlan, type CheckedPlan } from "../../model/plan-check.ts";
import { eachStep, type HookCall, type Step } from "../../model/plan-step.ts";
import { digestOf } from "../base.ts";
import type { Actor } from "../draft.ts";
import { Refused } from "../refused.ts";
import type { Execution } from "./execution.ts";
import type { Caller } from "./hooks.ts";
import { isActing, overlap, touched } from "./program.ts";
import type { Sight } from "./sight.ts";

/** How long (ms) success may take to show after the last step. */
const SUCCESS_TIMEOUT = 60_000;
const PRACTICE_TIMEOUT = 3_600_000;
const DAY = 24 * 3_600_000;

export interface PlanRequest {
  readonly plan: string;
  readonly values: Readonly<Record<string, string>>;
  readonly reason: string;
  /** The execution whose place it takes. */
  readonly supersedes: string | undefined;
}

/** How fresh a plan is; both in milliseconds since 1970. */
export interface Practice {
  /** When it went through last, for real. */
  readonly provenAt: number | undefined;
  readonly now: number;
}

export interface Prepared {
  readonly plan: Plan;
  readonly checked: CheckedPlan;
  readonly steps: readonly Step[];
  readonly digest: string;
}

/** @throws Refused when there is no such plan, or it does not fit the fleet as it is now */
export function prepare(
  request: Pick<PlanRequest, "plan" | "values">,
  config: Config,
  hooks: Caller,
  practice: Practice = { provenAt: undefined, now: 0 },
): Prepared {
  const plans = config.plans ?? [];
  const plan = plans.find(({ name }) => name === request.plan);
  if (plan === undefined) {
    const names =
      plans.length === 0 ? "there is none" : `there are ${plans.map(({ name }) => name).join(", ")}`;
    throw new Refused("not-found", `there is no plan ${request.plan}; ${names}`);
  }
  const checked = checkPlan(plan, config, request.values);
  const problems = [
    ...checked.problems.map(({ message, field }) => (field === "" ? message : `${field}: ${message}`)),
    ...[...eachStep([...lossSteps(plan, checked), ...checked.steps])].flatMap((step) => {
      const refusal = callsOf(step).map((call) => hooks.refusal(call));
      return refusal.flatMap((one) => (one === undefined ? [] : [`step ${step.path}: ${one}`]));
    }),
  ];
  if (problems.length > 0) {
    const message = `plan ${plan.name} does not fit: ${problems.slice(0, 5).join("; ")}`;
    throw new Refused("invalid-configuration", message, { problems });
  }
  const steps = [
    ...practiceStep(plan, practice),
    ...lossSteps(plan, checked),
    ...checked.steps,
    ...successStep(checked),
  ];
  const digest = digestOf(JSON.stringify([plan, Object.fromEntries(checked.values), steps]));
  return { plan, checked, steps, digest };
}

/** Calls that a step makes. */
export function callsOf(step: Step): readonly HookCall[] {
  if (step.kind === "hook") return [step.call];
  if ((step.kind === "move" || step.kind === "evacuate") && step.catchUp !== undefined) return [step.catchUp];
  return [];
}

/** Whoever runs what nobody has run for too long is not alone. */
export function practiceStep({ rehearseEvery }: Plan, { provenAt, now }: Practice): Step[] {
  if (rehearseEvery === undefined || now === 0) return [];
  if (provenAt !== undefined && now - provenAt <= rehearseEvery) return [];
  const since =
    provenAt === undefined
      ? "it never went through"
      : `it went through ${Math.round((now - provenAt) / DAY)} days ago`;
  const title = `somebody agrees: ${since}`;
  return [{ path: "0", title, kind: "approve", role: "approver", count: 1, timeout: PRACTICE_TIMEOUT }];
}

const LAG = "lag";

/** What may be lost with a unit that is dead is known, or somebody else agrees. */
export function lossSteps({ kind, lag }: Plan, { values }: Pick<CheckedPlan, "values">): Step[] {
  if (kind !== "failover") return [];
  const agree = (path: string, title: string): Step => ({
    path,
    title,
    kind: "approve",
    role: "approver",
    count: 1,
    timeout: PRACTICE_TIMEOUT,
  });
  if (lag === undefined)
    return [agree("loss", "somebody else knows that nobody says how far the data is behind")];
  const url = lag.url.replace(/\$\{([^${}]*)\}/g, (all, name: string) => values.get(name.trim()) ?? all);
  const bear = lag.bear / 1000;
  const text = `answer{step=${LAG},field=seconds} <= ${bear}`;
  const condition: Expression = [
    [{ metric: "answer", labels: { step: LAG, field: "seconds" }, operator: "<=", value: bear, text }],
  ];
  return [
    {
      path: LAG,
      title: "how far the data is behind",
      kind: "hook",
      call: { url, body: undefined, timeout: 5_000, retries: 1 },
      mayFail: true,
    },
    {
      path: "loss",
      title: `at most ${bear} s of writes may be lost`,
      kind: "if",
      condition,
      window: "10s",
      yes: [],
      no: [agree("loss.else.1", "somebody else knows what may be lost")],
    },
  ];
}

function successStep({ success, steps }: CheckedPlan): Step[] {
  if (success.length === 0) return [];
  // All of them together: each may be an `or` of its own.
  const condition = success.reduce<Expression>(
    (all, one) => all.flatMap((a) => one.map((b) => [...a, ...b])),
    [[]],
  );
  const rest = { window: "10s", samples: 0, holds: 0, timeout: SUCCESS_TIMEOUT };
  return [{ path: `${steps.length + 1}`, title: "it did what it is for", kind: "gate", condition, ...rest }];
}

/** @throws Refused when a precondition does not hold, or nobody knows */
export function checkRequired({ plan, checked }: Prepared, config: Config, sight: Sight): void {
  for (const condition of checked.require) {
    const seen = sight.evaluate(condition, "10s", 0, config, undefined);
    if (seen.holds === true) continue;
    throw new Refused(
      "conflict",
      `plan ${plan.name} requires what does not hold: ${describeEvaluation(seen)}`,
    );
  }
}

/** @throws Refused when another one writes the same, and is not superseded */
export function checkAlone(
  { steps }: Prepared,
  config: Config,
  live: readonly Execution[],
  supersedes: string | undefined,
): void {
  const own = touched(steps, config);
  for (const other of live) {
    if (other.id === supersedes || !isActing(other) || other.rehearsal !== undefined) continue;
    const both = overlap(own, touched(other.steps, config));
    if (both === undefined) continue;
    throw new Refused(
      "conflict",
      `${other.id} (plan ${other.plan.name}, by ${other.owner.name}) is ${other.state} and writes ${both}, too; ` +
        `wait, abort it, or say --supersede ${other.id}`,
      { execution: other.id },
    );
  }
}

export function executionOf(
  id: string,
  prepared: Prepared,
  request: PlanRequest,
  actor: Actor,
  now: number,
  superseded: Execution | undefined,
): Execution {
  const { plan, steps, digest, checked } = prepared;
  return {
    id,
    plan,
    values: Object.fromEntries(checked.values),
    digest,
    reason: request.reason,
    owner: { name: actor.name, from: actor.from },
    at: now,
    state: "running",
    steps,
    runs: {},
    // What the other laid is taken over, to be replaced or reverted with the rest.
    overlays: superseded?.overlays ?? [],
    removed: superseded?.removed ?? [],
    ...(superseded === undefined ? {} : { supersedes: superseded.id }),
    without: [],
    timeline: [{ at: now, by: actor.name, what: `started: ${request.reason}` }],
  };
}
