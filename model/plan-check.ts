/** Whether a plan fits a fleet: its parameters' values, what its steps name, and what they lay on each other. */
import type { Config } from "./config.ts";
import { parseDuration, parsePercentage, parseRate, parseSlotRanges } from "./configuration/quantity.ts";
import { effective } from "./effective.ts";
import { type Comparison, type Expression, parseExpression } from "./figure-expression.ts";
import { conflictOf, type Overlay, type OverlayChange } from "./overlay.ts";
import type { ParameterType, Plan, PlanParameter, WrittenStep } from "./plan.ts";
import { changesOf, eachStep, isAct, type Step } from "./plan-step.ts";
import { MOST_STEPS, readSteps } from "./plan-steps.ts";

export interface PlanProblem {
  /** The step, the parameter, or the plan itself. */
  readonly at: WrittenStep | PlanParameter | Plan;
  readonly field: string;
  readonly code: string;
  readonly message: string;
}

export interface CheckedPlan {
  /** As far as they could be read. */
  readonly steps: readonly Step[];
  readonly require: readonly Expression[];
  readonly success: readonly Expression[];
  readonly values: ReadonlyMap<string, string>;
  readonly problems: readonly PlanProblem[];
}

/** The plan with these values, on this fleet. Pure. */
export function checkPlan(plan: Plan, config: Config, given: Readonly<Record<string, string>>): CheckedPlan {
  const problems: PlanProblem[] = [];
  const values = valuesOf(plan, config, given, problems);
  const written = new Map<string, WrittenStep>();
  const steps = readSteps(plan.steps, values, (at, field, code, message) =>
    problems.push({ at, field, code, message }),
  );
  locate(plan.steps, "", written);
  const all = [...eachStep(steps)];
  if (all.length === 0)
    problems.push({ at: plan, field: "steps", code: "no-steps", message: "the plan has no step" });
  if (all.length > MOST_STEPS) {
    const message = `the plan has ${all.length} steps; expected at most ${MOST_STEPS}`;
    problems.push({ at: plan, field: "steps", code: "out-of-range", message });
  }
  if (problems.length === 0) checkSteps(all, written, config, problems);
  return {
    steps,
    require: conditionsOf(plan, "require", values, config, problems),
    success: conditionsOf(plan, "success", values, config, problems),
    values,
    problems,
  };
}

/** Values to check a plan with that nobody runs now: its defaults, or something of the fleet. */
export function sampleValues(plan: Plan, config: Config): Record<string, string> {
  const { units, services, regions } = config.fleet;
  const samples: Readonly<Record<ParameterType, string | undefined>> = {
    unit: (units.find((unit) => !unit.center) ?? units[0])?.name,
    units: (units.find((unit) => !unit.center) ?? units[0])?.name,
    region: (regions.at(-1) ?? regions[0])?.name,
    route: config.routes.find((route) => route.fallback?.hasAnswer === true)?.name ?? config.routes[0]?.name,
    service: services[0]?.name,
    limit: config.limits[0]?.name,
    slots: "0",
    percentage: "50%",
    duration: "10s",
    rate: "100/s",
    number: "1",
    text: "text",
  };
  const values: Record<string, string> = {};
  for (const { name, type, default: own, allowed } of plan.parameters) {
    if (own !== undefined) continue;
    const value = allowed?.[0] ?? samples[type];
    if (value !== undefined) values[name] = value;
  }
  return values;
}

function valuesOf(
  plan: Plan,
  config: Config,
  given: Readonly<Record<string, string>>,
  problems: PlanProblem[],
): Map<string, string> {
  const names = plan.parameters.map(({ name }) => name);
  for (const name of Object.keys(given)) {
    if (names.includes(name)) continue;
    const known = names.length === 0 ? "it has none" : `expected one of ${names.join(", ")}`;
    const message = `plan ${plan.name} has no parameter ${name}; ${known}`;
    problems.push({ at: plan, field: "parameters", code: "unknown-parameter", message });
  }
  const values = new Map<string, string>();
  for (const parameter of plan.parameters) {
    const { name, type } = parameter;
    const value = Object.hasOwn(given, name) ? given[name] : parameter.default;
    const refuse = (code: string, message: string): void => {
      const field = Object.hasOwn(given, name) ? "" : "default";
      problems.push({ at: parameter, field, code, message });
    };
    if (value === undefined)
      refuse("missing-parameter", `parameter ${name} has no value; say --set ${name}=…`);
    else {
      const wrong = wrongValue(parameter, value, config);
      if (wrong !== undefined)
        refuse("invalid-value", `parameter ${name} is \`${value}\`; expected ${wrong}`);
      // `region:` is how a step names a region's units.
      values.set(name, type === "region" ? unitsOf(value, config).join(",") : value);
    }
  }
  return values;
}

function unitsOf(region: string, { fleet }: Config): string[] {
  return fleet.units.filter((unit) => unit.region === region).map((unit) => unit.name);
}

const isNumber = (text: string): number | undefined =>
  /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : undefined;
const QUANTITIES: Partial<Record<ParameterType, readonly [(text: string) => number | undefined, string]>> = {
  percentage: [parsePercentage, "a percentage such as 10%"],
  duration: [parseDuration, "a duration such as 10s"],
  rate: [parseRate, "a rate such as 500/s"],
  number: [isNumber, "a number"],
};

/** @returns what was expected instead */
function wrongValue(
  { type, allowed, min, max }: PlanParameter,
  value: string,
  config: Config,
): string | undefined {
  if (allowed !== undefined && !allowed.includes(value)) return `one of ${allowed.join(", ")}`;
  const quantity = QUANTITIES[type];
  if (quantity !== undefined) {
    const [parse, expected] = quantity;
    const number = parse(value);
    if (number === undefined) return expected;
    if (min !== undefined && number < (parse(min) ?? Number.NEGATIVE_INFINITY)) return `at least ${min}`;
    if (max !== undefined && number > (parse(max) ?? Number.POSITIVE_INFINITY)) return `at most ${max}`;
    return undefined;
  }
  const { fleet, routes, limits } = config;
  const oneOf = (list: readonly { readonly name: string }[], noun: string): string | undefined => {
    const named = type === "units" ? value.split(",").map((name) => name.trim()) : [value];
    if (named.every((name) => list.some((item) => item.name === name))) return undefined;
    const known = list.slice(0, 20).map((item) => item.name);
    return `${noun}: ${known.join(", ")}${list.length > 20 ? ", …" : ""}`;
  };
  switch (type) {
    case "unit":
      return oneOf(fleet.units, "a unit");
    case "units":
      return oneOf(fleet.units, "units");
    case "region":
      return oneOf(fleet.regions, "a region");
    case "route":
      return oneOf(routes, "a route");
    case "service":
      return oneOf(fleet.services, "a service");
    case "limit":
      return oneOf(limits, "a limit");
    case "slots":
      return parseSlotRanges(value) === undefined ? "slots such as 0-99,120" : undefined;
    default:
      return value.length > 1000 ? "at most 1000 characters" : undefined;
  }
}

/** Steps by path, as they were written. */
function locate(steps: readonly WrittenStep[], prefix: string, found: Map<string, WrittenStep>): void {
  for (const [i, step] of steps.entries()) {
    const path = `${prefix}${i + 1}`;
    found.set(path, step);
    if (typeof step.parallel === "object") locate(step.parallel, `${path}.`, found);
    if (typeof step.then === "object") locate(step.then, `${path}.then.`, found);
    if (typeof step.else === "object") locate(step.else, `${path}.else.`, found);
  }
}

/** Each act is laid on what the ones before it left: what does not fit, or writes the same twice, is said. */
function checkSteps(
  steps: readonly Step[],
  written: ReadonlyMap<string, WrittenStep>,
  config: Config,
  problems: PlanProblem[],
): void {
  const laid: Overlay[] = [];
  const units = new Set(config.fleet.units.map((unit) => unit.name));
  for (const step of steps) {
    const at = written.get(step.path)!;
    const refuse = (code: string, message: string): number =>
      problems.push({ at, field: step.kind, code, message });
    if (step.kind === "gate" || step.kind === "if") {
      for (const comparison of step.condition.flat()) {
        const wrong = unknownLabel(comparison, config, steps);
        if (wrong !== undefined) refuse("unknown-label", wrong);
      }
    }
    if (!isAct(step)) continue;
    const named = step.kind === "drain" || step.kind === "undrain" ? step.units : "to" in step ? step.to : [];
    const stranger = (step.kind === "evacuate" ? [step.unit, ...named] : named).find(
      (name) => !units.has(name),
    );
    if (stranger !== undefined) {
      refuse(
        "unknown-unit",
        `there is no unit ${stranger}; expected one of ${[...units].slice(0, 20).join(", ")}`,
      );
      continue;
    }
    if (step.kind === "evacuate" && step.to.includes(step.unit)) {
      refuse("invalid-value", `${step.unit} cannot be evacuated to itself`);
      continue;
    }
    for (const change of changesOf(step, config)) {
      const conflict = conflictOf(change, laid);
      if (conflict !== undefined && !mayRepeat(change)) {
        refuse(
          "written-twice",
          `${conflict.field} was written by an earlier step; a plan writes a field once`,
        );
        break;
      }
      const overlay = overlayOf(change, laid.length);
      const { misfits } = effective(config, [overlay]);
      if (misfits.length > 0) {
        refuse("does-not-fit", misfits[0]!.replace(/^overlay \S+ \((.*?)\) does not fit: /, "$1: "));
        break;
      }
      laid.push(overlay);
    }
  }
}

/** A ramp is one weight after the other, and slots that moved may move on: each takes the place of the one before. */
function mayRepeat({ kind }: OverlayChange): boolean {
  return kind === "weight" || kind === "move" || kind === "limit" || kind === "fence";
}

function overlayOf(change: OverlayChange, i: number): Overlay {
  return { id: `step-${i}`, change, owner: "", reason: "", since: 0, expires: undefined };
}

function conditionsOf(
  plan: Plan,
  field: "require" | "success",
  values: ReadonlyMap<string, string>,
  config: Config,
  problems: PlanProblem[],
): Expression[] {
  return plan[field].flatMap((text) => {
    const filled = text.replace(/\$\{([^${}]*)\}/g, (all, name: string) => values.get(name.trim()) ?? all);
    const expression = parseExpression(filled);
    const wrong =
      typeof expression === "string"
        ? expression
        : expression.flat().flatMap((one) => unknownLabel(one, config, []) ?? [])[0];
    if (wrong !== undefined) problems.push({ at: plan, field, code: "invalid-condition", message: wrong });
    return typeof expression === "string" ? [] : [expression];
  });
}

/** A gate on a unit that is not there would wait for ever. */
function unknownLabel(
  { labels }: Comparison,
  { fleet, routes }: Config,
  steps: readonly Step[],
): string | undefined {
  const { unit, route, step } = labels;
  if (unit !== undefined && !fleet.units.some(({ name }) => name === unit)) return `there is no unit ${unit}`;
  if (route !== undefined && !routes.some(({ name }) => name === route)) return `there is no route ${route}`;
  if (step !== undefined && !steps.some(({ path, title }) => path === step || title === step)) {
    return `there is no step ${step}; expected its place, such as 2, or its name`;
  }
  return undefined;
}
