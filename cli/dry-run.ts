/** `tidegate plan dry-run`: what a plan would do, and whether the fleet would bear it. */
import type { Command } from "commander";
import type { Config } from "../model/config.ts";
import { loadAt, parseTime, peakOf, rowAt } from "../model/forecast/forecast.ts";
import { type ApiClient, ApiFailure, type ApiOptions, runApi, withApi } from "./api-client.ts";
import { readForecastFile } from "./forecast.ts";
import { withValues } from "./plans.ts";
import { replayLog, replayText, type Routing } from "./replay.ts";
import { brief, paint, table } from "./tables.ts";

interface ProjectedUnit {
  readonly unit: string;
  readonly rps: number;
  readonly capacity?: number;
  readonly shed: Readonly<Record<string, number>>;
}

interface Projection {
  readonly units: readonly ProjectedUnit[];
  readonly failing: number;
  readonly degraded: number;
}

interface DryStep {
  readonly path: string;
  readonly title: string;
  readonly changes: readonly { field: string; before?: unknown; after?: unknown }[];
  readonly violations: readonly { rule: string; message: string; satisfy: string }[];
  readonly problem?: string;
  readonly load?: Projection;
  readonly slots: number;
  readonly pins: number;
  readonly takes: number;
}

interface DryRun {
  readonly plan: string;
  readonly loadKnown: boolean;
  readonly scale: number;
  readonly required: readonly { holds: boolean | null; says: string }[];
  readonly before: Projection;
  readonly steps: readonly DryStep[];
  readonly takes: number;
  readonly assumed: readonly string[];
  readonly routing?: Routing;
}

type Given = ApiOptions & {
  readonly set?: Readonly<Record<string, string>>;
  readonly at?: string;
  readonly writes?: string;
  readonly replay?: string;
};

const MOST_UNITS = 20;

export function registerDryRun(plan: Command): void {
  withValues(withApi(plan.command("dry-run")))
    .description(
      "what a plan would do from how the fleet is now: fields, rules, load by unit; nothing is done",
    )
    .argument("<name>", "the plan")
    .option(
      "--at <load>",
      "another load: x3 is three times what it is now; or a forecast's peak, or one of its minutes, FILE@TIME",
    )
    .option("--writes <percentage>", "of the requests of routes that take writes", "50%")
    .option(
      "--replay <log>",
      "an access log, ours or nginx's: which of its users would move, and what units would carry",
    )
    .addHelpText(
      "after",
      `
Ends with 1 when a step could not be done, breaks a rule, or leaves a unit with more than it bears.

Example:
  tidegate plan dry-run evacuate-unit --set unit=sh --at x3
  tidegate plan dry-run evacuate-unit --set unit=sh --at configs/double11/forecast.csv --replay access.log`,
    )
    .action((name: string, options: Given) =>
      runApi(options, async (api, print) => {
        const body = {
          values: options.set ?? {},
          writes: shareOf(options.writes),
          ...(await loadOf(api, options.at)),
          ...(options.replay === undefined ? {} : { routing: true }),
        };
        const path = `/v1/plans/${encodeURIComponent(name)}/dry-run`;
        const { routing, ...answer } = await api.call<DryRun>("POST", path, body);
        const replayed =
          options.replay === undefined || routing === undefined
            ? undefined
            : await replayLog(options.replay, routing, print);
        print.say(replayed === undefined ? answer : { ...answer, replayed }, () =>
          replayed === undefined ? textOf(answer) : `${textOf(answer)}\n\n${replayText(replayed)}`,
        );
        const wrong = problemsOf(answer);
        if (wrong.length > 0) throw new ApiFailure(`${name} would not go through: ${wrong.join("; ")}`);
      }),
    );
}

/** Times what is asked now, or what a forecast says of its peak or of a minute. */
async function loadOf(api: ApiClient, at: string | undefined): Promise<object> {
  if (at === undefined || /^x\d/.test(at)) return { scale: scaleOf(at) };
  const [, file = at, time] = /^(.*)@(\d{4}-[^@]*)$/.exec(at) ?? [];
  const { effective } = await api.call<{ effective: Config }>("GET", "/v1/config");
  const forecast = await readForecastFile(file, effective);
  const asked = time === undefined ? undefined : parseTime(time);
  if (time !== undefined && asked === undefined) {
    throw new ApiFailure(`--at …@${time} is no time; expected one such as 2026-11-11T00:00+08:00`);
  }
  const index = asked === undefined ? peakOf(forecast) : rowAt(forecast, asked.at);
  if (index === -1) throw new ApiFailure(`${file} says nothing of ${time}`);
  return { load: Object.fromEntries(loadAt(forecast, index)) };
}

export function scaleOf(at: string | undefined): number {
  if (at === undefined) return 1;
  const [, number] = /^x(\d{1,3}(?:\.\d{1,3})?)$/.exec(at) ?? [];
  if (number === undefined) throw new ApiFailure(`--at ${at} is no load; expected one such as x3`);
  return Number(number);
}

export function shareOf(text = "50%"): number {
  const [, number] = /^(\d{1,3}(?:\.\d+)?)%$/.exec(text) ?? [];
  if (number === undefined || Number(number) > 100) {
    throw new ApiFailure(`--writes ${text} is no share; expected one such as 20%`);
  }
  return Number(number) / 100;
}

function problemsOf({ steps, required }: DryRun): string[] {
  const last = steps.findLast(({ load }) => load !== undefined)?.load;
  return [
    ...required.filter(({ holds }) => holds !== true).map(({ says }) => `requires ${says}`),
    ...steps.flatMap(({ path, problem }) => (problem === undefined ? [] : [`step ${path}: ${problem}`])),
    ...steps.flatMap(({ path, violations }) => violations.map(({ rule }) => `step ${path} breaks ${rule}`)),
    ...(last?.units ?? []).filter((unit) => !fits(unit)).map(({ unit }) => `${unit} does not bear its load`),
  ];
}

function fits({ rps, capacity }: ProjectedUnit): boolean {
  return capacity === undefined || rps <= capacity;
}

function textOf(run: DryRun): string {
  const { before, steps, required, takes, assumed, loadKnown, scale } = run;
  const lines = required.map(({ holds, says }) =>
    holds === true ? paint("green", `holds: ${says}`) : paint("red", `does not hold: ${says}`),
  );
  const rows = steps.map((step) => [step.path, step.title, seconds(step.takes), doesOf(step)]);
  lines.push(table(["step", "what", "takes", "does"], rows));
  const last = steps.findLast(({ load }) => load !== undefined)?.load ?? before;
  const units = last.units
    .map((unit, i) => ({ unit, was: before.units[i]?.rps ?? 0 }))
    .filter(({ unit, was }) => unit.rps > 0 || was > 0)
    .slice(0, MOST_UNITS)
    .map(({ unit, was }) => [unit.unit, was.toFixed(1), unit.rps.toFixed(1), bears(unit)]);
  if (!loadKnown) lines.push(paint("yellow", "no figures: nobody knows how much is asked now"));
  else if (units.length > 0) {
    lines.push(table(["unit", `rps now${scale === 1 ? "" : ` × ${scale}`}`, "after", "bears"], units));
  }
  if (last.failing > 0) lines.push(paint("red", `${last.failing.toFixed(1)} requests a second find no unit`));
  if (last.degraded > 0)
    lines.push(`${last.degraded.toFixed(1)} requests a second are answered by fallbacks`);
  lines.push(`takes ${seconds(takes)} at most; ${assumed.join("; ")}`);
  return lines.join("\n");
}

function bears(unit: ProjectedUnit): string {
  if (unit.capacity === undefined) return "not said";
  const share = `${((unit.rps / unit.capacity) * 100).toFixed(0)} % of ${unit.capacity}`;
  if (fits(unit)) return paint("green", share);
  const shed = Object.entries(unit.shed).map(([priority, rps]) => `${rps.toFixed(0)}/s ${priority}`);
  return paint("red", `${share}; sheds ${shed.join(", ")}`);
}

function doesOf({ changes, violations, problem, slots, pins }: DryStep): string {
  if (problem !== undefined) return paint("red", problem);
  const lines = changes
    .slice(0, 6)
    .map(({ field, before, after }) => `${field}: ${brief(before)} → ${brief(after)}`);
  if (changes.length > 6) lines.push(`and ${changes.length - 6} fields more`);
  if (slots + pins > 0) lines.push(`${slots} slots and ${pins} keys move`);
  for (const { rule, message } of violations) lines.push(paint("red", `breaks ${rule}: ${message}`));
  return lines.join("\n");
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`;
}
