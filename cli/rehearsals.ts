/** `tidegate plan rehearse`: a plan run wholly in simulation, or for real on few, and what came of it. */
import { type Command, Option } from "commander";
import { type ApiClient, ApiFailure, type ApiOptions, type Printer, runApi, withApi } from "./api-client.ts";
import { scaleOf, shareOf } from "./dry-run.ts";
import { coloured, type Execution, watched } from "./executions.ts";
import { withValues } from "./plans.ts";
import { moment, paint, table } from "./tables.ts";

interface ProjectedUnit {
  readonly unit: string;
  readonly rps: number;
}

interface Tried {
  readonly requests: number;
  readonly errors: number | null;
  readonly p99: number | null;
  readonly others: { readonly errors: number | null; readonly p99: number | null };
}

interface Rehearsal {
  readonly plan: string;
  readonly at: number;
  readonly by: string;
  readonly manner: "simulation" | "traffic";
  readonly on?: string;
  readonly tried?: Tried;
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
  readonly on?: string;
  readonly for: string;
};

const MOST_UNITS = 20;

export function registerRehearsals(plan: Command): void {
  withValues(withApi(plan.command("rehearse")))
    .description("run a plan in simulation, or for real on few, and file what came of it")
    .argument("<name>", "the plan")
    .option("--reason <text>", "why; the audit log keeps it", "a rehearsal")
    .option("--at <load>", "another load: x3 is three times what it is now")
    .option("--writes <percentage>", "of the requests of routes that take writes", "50%")
    .option("--on <whom>", "for real, on a share of the users, such as 1%, or on a run of stress traffic")
    .option("--for <duration>", "with --on: how long it holds before it is taken back", "30s")
    .addOption(new Option("--last", "what came of the last rehearsal; nothing is run"))
    .addHelpText(
      "after",
      `
Without --on, the very engine runs it, and takes it back, on a copy of what holds: nothing of the fleet is touched. With --on it
runs on the fleet, and what it lays is for these alone; what cannot be done to few (moves, limits, hooks) is left out, and said.
Ends with 1 when it did not go through, or left something.

Examples:
  tidegate plan rehearse evacuate-unit --set unit=sh --at x3
  tidegate plan rehearse drain-region --set region=shanghai --on 1% --for 2m
  tidegate plan rehearse drain-region --set region=shanghai --on sr-7`,
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
        if (options.last !== true && options.on !== undefined) {
          const { values, reason } = body;
          const asked = { values, reason, on: options.on, for: options.for };
          await untilBack(api, print, await api.call<Execution>("POST", `${path}/rehearse`, asked));
        }
        const answer =
          options.last === true || options.on !== undefined
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

/** Of a rehearsal on traffic: it is over, or somebody has to take it back. */
const OVER = new Set(["reverted", "held", "aborted"]);
/** Milliseconds: what a rehearsal lays lies no longer either. */
const LONGEST = 2 * 3_600_000;

/** @throws ApiFailure when it waits for somebody, was aborted, or is not over after two hours */
async function untilBack(api: ApiClient, print: Printer, begun: Execution): Promise<void> {
  const { id, state, says = "" } = await watched(api, print, begun, OVER, LONGEST);
  print.endProgress();
  if (state === "reverted") return;
  throw new ApiFailure(`${id} is ${state}: ${says}; tidegate plan revert ${id} takes it back`);
}

function triedText({ requests, errors, p99, others }: Tried): string {
  const share = (of: number | null): string => (of === null ? "no data" : `${(of * 100).toFixed(2)} %`);
  const ms = (of: number | null): string => (of === null ? "no data" : `${of.toFixed(0)} ms`);
  return (
    `${requests} of their requests in the last 10 s: ${share(errors)} failed, p99 ${ms(p99)}; ` +
    `of the others' ${share(others.errors)}, ${ms(others.p99)}`
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
  manner,
  on,
  tried,
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
    ...(tried === undefined ? [] : [triedText(tried)]),
    manner === "traffic"
      ? [`took ${seconds(took)}, on ${on}`, ...assumed].join("; ")
      : `took ${seconds(took)} of the fleet's time; ${assumed.join("; ")}`,
  ].join("\n");
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`;
}
