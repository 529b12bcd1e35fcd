/** `tidegate plan rehearse`: a plan run wholly in simulation, and what came of it. */
import { type Command, Option } from "commander";
import { ApiFailure, type ApiOptions, runApi, withApi } from "./api-client.ts";
import { scaleOf, shareOf } from "./dry-run.ts";
import { coloured } from "./executions.ts";
import { withValues } from "./plans.ts";
import { moment, paint, table } from "./tables.ts";

interface ProjectedUnit {
  readonly unit: string;
  readonly rps: number;
}

interface Rehearsal {
  readonly plan: string;
  readonly at: number;
  readonly by: string;
  readonly outcome: string;
  readonly reverted: string;
  readonly says?: string;
  readonly took: number;
  readonly steps: readonly {
    readonly path: string;
    readonly title: string;
    readonly state: string;
    readonly took?: number;
    readonly says?: string;
  }[];
  readonly before: readonly ProjectedUnit[];
  readonly after: readonly ProjectedUnit[];
  readonly assumed: readonly string[];
}

type Given = ApiOptions & {
  readonly set?: Readonly<Record<string, string>>;
  readonly at?: string;
  readonly writes?: string;
  readonly reason?: string;
  readonly last?: boolean;
};

const MOST_UNITS = 20;

export function registerRehearsals(plan: Command): void {
  withValues(withApi(plan.command("rehearse")))
    .description("run a plan wholly in simulation, from how the fleet is now, and file what came of it")
    .argument("<name>", "the plan")
    .option("--reason <text>", "why; the audit log keeps it", "a rehearsal")
    .option("--at <load>", "another load: x3 is three times what it is now")
    .option("--writes <percentage>", "of the requests of routes that take writes", "50%")
    .addOption(new Option("--last", "what came of the last rehearsal; nothing is run"))
    .addHelpText(
      "after",
      `
The very engine runs it, and takes it back, on a copy of what holds: nothing of the fleet is touched. Ends with 1 when it did
not go through, or left something.

Example:
  tidegate plan rehearse evacuate-unit --set unit=sh --at x3`,
    )
    .action((name: string, options: Given) =>
      runApi(options, async (api, print) => {
        const path = `/v1/plans/${encodeURIComponent(name)}`;
        const body = {
          values: options.set ?? {},
          scale: scaleOf(options.at),
          writes: shareOf(options.writes),
          reason: options.reason,
        };
        const answer =
          options.last === true
            ? await api.call<Rehearsal>("GET", `${path}/rehearsal`)
            : await api.call<Rehearsal>("POST", `${path}/rehearse`, body);
        print.say(answer, () => textOf(answer));
        if (answer.outcome !== "succeeded") {
          throw new ApiFailure(`${name} did not go through: ${answer.says ?? answer.outcome}`);
        }
        if (answer.reverted !== "reverted") throw new ApiFailure(`${name} could not be taken back exactly`);
      }),
    );
}

function textOf({
  plan,
  at,
  by,
  outcome,
  reverted,
  says,
  took,
  steps,
  before,
  after,
  assumed,
}: Rehearsal): string {
  const why = says === undefined ? "" : `: ${says}`;
  const rows = steps.map((step) => [
    step.path,
    step.title,
    coloured(step.state),
    step.took === undefined ? "" : seconds(step.took),
    step.says ?? "",
  ]);
  const units = after
    .map(({ unit, rps }, i) => [unit, (before[i]?.rps ?? 0).toFixed(1), rps.toFixed(1)])
    .filter(([, was, is]) => was !== "0.0" || is !== "0.0")
    .slice(0, MOST_UNITS);
  return [
    `${paint("bold", plan)}, rehearsed by ${by} at ${moment(at)}: ${coloured(outcome)}${why}, then ${coloured(reverted)}`,
    table(["step", "what", "state", "took", "says"], rows),
    ...(units.length === 0 ? [] : [table(["unit", "rps before", "after"], units)]),
    `took ${seconds(took)} of the fleet's time; ${assumed.join("; ")}`,
  ].join("\n");
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`;
}
