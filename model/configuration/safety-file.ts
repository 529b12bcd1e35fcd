/** Reads `safety.yaml`. */
import { ALWAYS, type FreezeWindow, NO_SAFETY, type Safety, type SafetyRule, WITHIN } from "../safety.ts";
import { type Draft, type DraftFile, oneOf } from "./draft.ts";
import type { FleetContext } from "./routes-file.ts";
import type { SafetyShape } from "./safety-schema.ts";

type RuleDraft = Draft<SafetyShape["rules"][string]>;

const KINDS = ["serving", "drained", "capacity", "freeze", "versions"] as const;
/** What is only said beside an assertion. */
const BESIDE = [
  ["service", "serving"],
  ["load", "capacity"],
  ["losing", "capacity"],
  ["within", "capacity"],
] as const;
/** A freeze that nobody remembers is worse than none. */
const LONGEST_FREEZE = 92 * 24 * 3_600_000;

export function readSafety(file: DraftFile<SafetyShape>, context: FleetContext | undefined): Safety {
  const rules: SafetyRule[] = [];
  for (const [name, draft] of file.value?.rules ?? []) {
    if (name === ALWAYS.name) {
      const message = `\`${name}\` holds by itself, and cannot be written otherwise; expected another name`;
      file.problem(draft, undefined, "duplicate-name", message);
      continue;
    }
    const given = KINDS.filter((kind) => file.has(draft, kind));
    if (given.length !== 1) {
      const says = given.length === 0 ? "asserts nothing" : `asserts ${given.join(" and ")}`;
      file.problem(draft, given[1], "rule-kind", `rule \`${name}\` ${says}; expected one of ${oneOf(KINDS)}`);
      continue;
    }
    for (const [key, kind] of BESIDE) {
      if (!file.has(draft, key) || given[0] === kind) continue;
      const message = `\`${key}\` belongs to ${kind}, which this rule does not have`;
      file.problemAtKey(draft, key, "unused-field", message);
    }
    const rule = readRule(file, name, draft, context);
    if (rule !== undefined) rules.push(rule);
  }
  return rules.length === 0 ? NO_SAFETY : { rules };
}

function readRule(
  file: DraftFile<SafetyShape>,
  name: string,
  draft: RuleDraft,
  context: FleetContext | undefined,
): SafetyRule | undefined {
  const { serving, service, drained, capacity, freeze, versions } = draft;
  if (serving !== undefined) {
    if (context !== undefined) checkServing(file, draft, serving, context);
    return { name, kind: "serving", least: serving, ...(service === undefined ? {} : { service }) };
  }
  if (drained !== undefined) return { name, kind: "drained", most: drained };
  if (versions !== undefined) return { name, kind: "versions" };
  if (capacity !== undefined) {
    if (draft.within !== undefined && draft.load !== "forecast") {
      const message = "`within` says how far a forecast is looked at; expected `load: forecast` beside it";
      file.problemAtKey(draft, "within", "unused-field", message);
    }
    for (const [unit, given] of context?.file.value?.units ?? []) {
      if (context?.file.has(given, "capacity") === true) continue;
      const message = `unit \`${unit}\` has no capacity in fleet.yaml, so what remains cannot be known`;
      file.problem(draft, "capacity", "no-capacity", message);
    }
    return {
      name,
      kind: "capacity",
      factor: capacity,
      load: draft.load ?? "current",
      losingOne: draft.losing !== "none",
      ...(draft.load === "forecast" ? { within: draft.within ?? WITHIN } : {}),
    };
  }
  if (freeze === undefined) return undefined;
  return { name, kind: "freeze", windows: freeze.flatMap((window) => readWindow(file, window)) };
}

/** More units than there are could never serve. Names are those of the file, so that a broken unit does not seem missing. */
function checkServing(
  file: DraftFile<SafetyShape>,
  draft: RuleDraft,
  least: number,
  context: FleetContext,
): void {
  const { units, services } = context.file.value ?? {};
  const { service } = draft;
  if (service !== undefined && services !== undefined) {
    const names = context.file.keys(services);
    if (!names.has(service)) {
      file.unknown(draft, "service", "service", service, names);
      return;
    }
  }
  const pools = service === undefined ? undefined : services?.get(service)?.pools;
  const within = service === undefined ? units : pools;
  if (within === undefined) return;
  const known = context.file.keys(within).size;
  if (least <= known) return;
  const has = service === undefined ? "the fleet has" : `\`${service}\` has pools in`;
  const message = `${least} units must serve, and ${has} ${known}; expected at most ${known}`;
  file.problem(draft, "serving", "out-of-range", message);
}

function readWindow(
  file: DraftFile<SafetyShape>,
  window: NonNullable<RuleDraft["freeze"]>[number],
): FreezeWindow[] {
  const { from, to, except = [] } = window;
  if (from === undefined || to === undefined) return [];
  const [begins, ends] = [parseTime(from), parseTime(to)];
  for (const [key, value] of [
    ["from", begins],
    ["to", ends],
  ] as const) {
    if (Number.isNaN(value))
      file.problem(window, key, "invalid-time", `there is no such time as ${window[key]}`);
  }
  if (ends <= begins) {
    file.problem(
      window,
      "to",
      "window-order",
      `the window ends at ${to}, and that is not after it begins; expected a later time`,
    );
  } else if (ends - begins > LONGEST_FREEZE) {
    file.problem(window, "to", "out-of-range", "the window is longer than 92 days; expected at most that");
  }
  return [{ from: begins, to: ends, except }];
}

/** NaN for what is no time. `Date.parse` takes the 30th of February for the 2nd of March: a freeze on the wrong day. */
function parseTime(text: string): number {
  const day = new Date(`${text.slice(0, 10)}T00:00:00Z`);
  const isDay = !Number.isNaN(day.getTime()) && day.toISOString().startsWith(text.slice(0, 10));
  return isDay ? Date.parse(text) : Number.NaN;
}
