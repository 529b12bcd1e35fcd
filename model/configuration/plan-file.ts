/** Reads `plans/NAME.yaml`: one plan each, checked against the fleet that it is for. */
import type { Config } from "../config.ts";
import type { Plan, PlanParameter, WrittenStep } from "../plan.ts";
import { checkPlan, type PlanProblem, sampleValues } from "../plan-check.ts";
import type { Draft, DraftFile } from "./draft.ts";
import { NAME_PATTERN } from "./field.ts";
import type { PlanShape } from "./plan-schema.ts";

const NAME = new RegExp(`^plans/(${NAME_PATTERN.slice(1, -1)})\\.yaml$`);
/** More than this nobody finds at night. */
export const MOST_PLANS = 200;
const DAY = 24 * 3_600_000;

/** @returns undefined for a file that is no plan */
export function planName(file: string): string | undefined {
  return NAME.exec(file)?.[1];
}

type ParameterDraft =
  NonNullable<Draft<PlanShape>["parameters"]> extends ReadonlyMap<string, infer P> ? P : never;

/** What stands where in the file. */
class Places {
  readonly #drafts = new Map<object, object>();

  keep<T extends object>(made: T, draft: object): T {
    this.#drafts.set(made, draft);
    return made;
  }

  of(made: object): object | undefined {
    return this.#drafts.get(made);
  }
}

/**
 * @param config what the rest of the directory says; undefined when it is not valid, and only the form is looked at
 * @returns undefined when it cannot be run; the problems have been reported
 */
export function readPlan(
  file: DraftFile<PlanShape>,
  name: string,
  config: Config | undefined,
): Plan | undefined {
  const draft = file.value;
  if (draft === undefined) return undefined;
  const places = new Places();
  const { schedule, alerts } = draft.trigger ?? {};
  if (schedule?.zone !== undefined && !isZone(schedule.zone)) {
    const message = `there is no time zone ${schedule.zone}; expected one such as Asia/Shanghai`;
    file.problem(schedule, "zone", "unknown-zone", message);
  }
  const { expires } = draft;
  const plan: Plan = {
    name,
    summary: draft.summary ?? "",
    owner: draft.owner ?? "",
    kind: draft.kind ?? "contingency",
    lag: draft.lag?.hook === undefined ? undefined : { url: draft.lag.hook, bear: draft.lag.bear ?? 0 },
    parameters: [...(draft.parameters ?? [])].map(([key, one]) => places.keep(parameterFrom(key, one), one)),
    trigger: {
      alerts: alerts ?? [],
      schedule:
        schedule?.at === undefined || schedule.zone === undefined
          ? undefined
          : { at: schedule.at, zone: schedule.zone },
    },
    require: draft.require ?? [],
    steps: stepsFrom(draft.steps, places),
    success: draft.success ?? [],
    onFailure: draft["on-failure"] ?? "hold",
    expires: expires?.after === undefined ? undefined : { after: expires.after, end: expires.then ?? "ask" },
    rehearseEvery:
      draft["rehearse-every"] === undefined ? undefined : Number.parseInt(draft["rehearse-every"], 10) * DAY,
  };
  if (draft.lag !== undefined && plan.kind !== "failover") {
    file.problem(
      draft,
      "lag",
      "unused-field",
      "`lag` belongs to `kind: failover`; expected one with the other",
    );
  }
  places.keep(plan, draft);
  if (config === undefined) return plan;
  const { problems } = checkPlan(plan, config, sampleValues(plan, config));
  for (const problem of problems) report(file, places, problem);
  return problems.length === 0 ? plan : undefined;
}

function report(file: DraftFile<PlanShape>, places: Places, { at, field, code, message }: PlanProblem): void {
  const draft = places.of(at) ?? file.value!;
  file.problem(draft, field === "" ? undefined : field, code, message);
}

function parameterFrom(
  name: string,
  { type, summary, default: own, allowed, min, max }: ParameterDraft,
): PlanParameter {
  return { name, type: type ?? "text", summary: summary ?? "", default: own, allowed, min, max };
}

function stepsFrom(drafts: unknown, places: Places): WrittenStep[] {
  if (!Array.isArray(drafts)) return [];
  return drafts.map((draft: Readonly<Record<string, unknown>>) => {
    const fields = Object.entries(draft).map(([field, value]) => [
      field,
      Array.isArray(value) ? stepsFrom(value, places) : value,
    ]);
    return places.keep(Object.fromEntries(fields) as WrittenStep, draft);
  });
}

/** Whether the runtime knows the zone's clocks. */
function isZone(zone: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: zone });
    return true;
  } catch {
    return false;
  }
}
