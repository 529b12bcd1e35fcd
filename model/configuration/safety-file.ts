/** Reads `safety.yaml`. */
import type { Fleet } from "../fleet.ts";
import { ALWAYS, type FreezeWindow, NO_SAFETY, type Safety, type SafetyRule } from "../safety.ts";
import { type Draft, type DraftFile, oneOf } from "./draft.ts";
import type { SafetyShape } from "./safety-schema.ts";

type RuleDraft = Draft<SafetyShape["rules"][string]>;

const KINDS = ["serving", "drained", "capacity", "freeze", "versions"] as const;
/** A freeze that nobody remembers is worse than none. */
const LONGEST_FREEZE = 92 * 24 * 3_600_000;

/** @param fleet undefined where it could not be read */
export function readSafety(file: DraftFile<SafetyShape>, fleet: Fleet | undefined): Safety {
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
    for (const key of ["load", "losing"] as const) {
      if (!file.has(draft, key) || given[0] === "capacity") continue;
      file.problemAtKey(
        draft,
        key,
        "unused-field",
        `\`${key}\` belongs to capacity, which this rule does not have`,
      );
    }
    const rule = readRule(file, name, draft, fleet);
    if (rule !== undefined) rules.push(rule);
  }
  return rules.length === 0 ? NO_SAFETY : { rules };
}

function readRule(
  file: DraftFile<SafetyShape>,
  name: string,
  draft: RuleDraft,
  fleet: Fleet | undefined,
): SafetyRule | undefined {
  const { serving, drained, capacity, freeze, versions } = draft;
  const known = fleet?.units.length ?? Number.POSITIVE_INFINITY;
  if (serving !== undefined) {
    if (serving > known) {
      const message = `${serving} units must serve, and the fleet has ${known}; expected at most ${known}`;
      file.problem(draft, "serving", "out-of-range", message);
    }
    return { name, kind: "serving", least: serving };
  }
  if (drained !== undefined) return { name, kind: "drained", most: drained };
  if (versions !== undefined) return { name, kind: "versions" };
  if (capacity !== undefined) {
    for (const unit of fleet?.units ?? []) {
      if (unit.capacity !== undefined) continue;
      const message = `unit \`${unit.name}\` has no capacity in fleet.yaml, so what remains cannot be known`;
      file.problem(draft, "capacity", "no-capacity", message);
    }
    return {
      name,
      kind: "capacity",
      factor: capacity,
      load: draft.load ?? "current",
      losingOne: draft.losing !== "none",
    };
  }
  if (freeze === undefined) return undefined;
  return { name, kind: "freeze", windows: freeze.flatMap((window) => readWindow(file, window)) };
}

function readWindow(
  file: DraftFile<SafetyShape>,
  window: NonNullable<RuleDraft["freeze"]>[number],
): FreezeWindow[] {
  const { from, to, except = [] } = window;
  if (from === undefined || to === undefined) return [];
  const [begins, ends] = [Date.parse(from), Date.parse(to)];
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
      `the window ends at ${to}, before it begins; expected a later time`,
    );
  } else if (ends - begins > LONGEST_FREEZE) {
    file.problem(window, "to", "out-of-range", "the window is longer than 92 days; expected at most that");
  }
  return [{ from: begins, to: ends, except }];
}
