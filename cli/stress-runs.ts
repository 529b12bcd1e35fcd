/** `tidegate stress run|stop|ls|show`: load on one unit, run where it is typed, watched by the control plane. */
import type { Command } from "commander";
import type { Config } from "../model/config.ts";
import { parseDuration } from "../model/configuration/quantity.ts";
import { connectionsFor } from "../model/load/run-file.ts";
import { resultText, type RunResult } from "../model/load/run-result.ts";
import { keyPlaceOf, mixText } from "../model/load/traffic.ts";
import { type ApiClient, ApiFailure, type ApiOptions, runApi, withApi } from "./api-client.ts";
import { boundsOf, loadOf, type RunOptions, shapeOf, targetOf, unitsOf, withRun } from "./load.ts";
import {
  k6Command,
  play,
  progressText,
  type Registered,
  resultOf,
  type RunState,
  share,
  time,
  Watch,
} from "./load-run.ts";
import { allPages } from "./pages.ts";
import { moment, paint, span, table } from "./tables.ts";

interface StoredRun extends Omit<RunState, "sample"> {
  readonly scenario: string;
  readonly mix: string;
  readonly rate: number;
  readonly lasts: number;
  readonly reason: string;
  readonly abortOn: string;
  readonly owner: { readonly name: string };
  readonly at: number;
  readonly endedAt?: number;
  readonly before: readonly { unit: string; requests: number; ill: number; p99: number | null }[];
  readonly samples: readonly NonNullable<RunState["sample"]>[];
  readonly result?: RunResult;
}

/** Stretches of time that a report tells apart. */
const SLOTS = 40;

export function registerRuns(stress: Command): void {
  const examples = `
Examples:
  tidegate stress run --unit sh --to 2000rps --abort-on 'success<99.5%'
  tidegate stress run --unit sh --to 500rps --for 30s --ask 'GET /hall/{n} 80%' --ask 'POST /cart/{n} 20%'
  tidegate stress run --scenario fleet-peak --unit hz --unit sh --to 3000rps`;
  withRun(stress.command("run"))
    .description(
      "stress units with k6 from here; the control plane watches users, and ends it when they suffer",
    )
    .addHelpText("after", examples)
    .action((options: RunOptions) => runStress(options));
  withApi(stress.command("stop"))
    .description("stop a run: gateways refuse its marks at once, whatever its runner does")
    .argument("<run>", "such as sr-7; or the --run of marks that were minted by hand")
    .requiredOption("--reason <text>", "why; the audit log keeps it")
    .action((id: string, options: ApiOptions & { reason: string }) =>
      runApi(options, async (api, print) => {
        const { reason } = options;
        if (!/^sr-\d+$/.test(id)) {
          const answer = await api.call("POST", `/v1/stress-marks/${encodeURIComponent(id)}/stop`, {
            reason,
          });
          return print.say(answer, () => `marks of run ${id} count no longer, for an hour`);
        }
        const run = await api.call<StoredRun>("POST", `/v1/stress-runs/${encodeURIComponent(id)}/stop`, {
          reason,
        });
        print.say(run, () => `${run.id} is ${run.state}: ${run.says ?? ""}`);
      }),
    );
  withApi(stress.command("ls"))
    .description("runs, the newest first")
    .action((options: ApiOptions) =>
      runApi(options, async (api, print) => {
        const { items } = await allPages<StoredRun>(api, "/v1/stress-runs", "runs");
        items.sort((a, b) => b.at - a.at);
        print.say({ runs: items }, () => listText(items));
      }),
    );
  withApi(stress.command("show"))
    .description("one run: what its unit and the users beside it were answered, and how it ended")
    .argument("<id>", "such as sr-7")
    .action((id: string, options: ApiOptions) =>
      runApi(options, async (api, print) => {
        const run = await api.call<StoredRun>("GET", `/v1/stress-runs/${encodeURIComponent(id)}`);
        print.say(run, () => runText(run));
      }),
    );
}

export function runStress(options: RunOptions): Promise<void> {
  return runApi(options, async (api, print) => {
    const timeout = parseDuration(options.timeout);
    if (timeout === undefined || timeout < 10)
      throw new ApiFailure(`--timeout is ${options.timeout}; expected a duration such as 5s`);
    const command = k6Command();
    const { effective: config } = await api.call<{ effective: Config }>("GET", "/v1/config");
    const units = unitsOf(options, config);
    const load = await loadOf(api, config, units, options);
    const { rate, seconds, curve, mix } = shapeOf(options, config, load);
    const total = units.reduce((sum, unit) => sum + load.rateOf(unit), 0);
    const runs: Registered[] = [];
    try {
      for (const unit of units) {
        const own = Math.max(1, Math.round((rate * load.rateOf(unit)) / total));
        runs.push(
          await api.call<Registered>("POST", "/v1/stress-runs", {
            ...{
              unit,
              scenario: options.scenario,
              mix: mixText(mix),
              rate: own,
              for: `${Math.ceil(seconds)}s`,
            },
            ...{ abortOn: options.abortOn, reason: options.reason ?? `${options.scenario} of ${unit}` },
          }),
        );
      }
    } catch (error) {
      await endAll(api, runs, "failed", "another unit's run was refused", undefined);
      throw error;
    }
    const names = runs.map(({ run }) => run.id).join("-");
    const watch = new Watch(
      api,
      runs.map(({ run }) => run.id),
    );
    let said = "";
    watch.onState = (states) => {
      const text = progressText(states);
      if (text !== said) print.progress(text);
      said = text;
    };
    try {
      const played = await play(
        command,
        {
          scenario: options.scenario,
          title: `${units.join(", ")} up to ${rate}/s`,
          targets: runs.map(({ run, mark, header }) => ({
            ...targetOf(config, run.unit, load, options),
            share: load.rateOf(run.unit),
            headers: { [header]: mark },
          })),
          ...{
            ...(curve === undefined ? {} : { curve }),
            mix,
            key: keyPlaceOf(config),
            rate,
            seconds,
            timeout,
          },
          bounds: boundsOf(options.abortOn),
          slots: Math.min(SLOTS, Math.max(1, Math.floor(seconds))),
          connections: connectionsFor(rate, timeout),
        },
        watch,
        { dir: options.out, name: names },
      );
      print.endProgress();
      const result = played.result;
      const passed = result?.passed === true && watch.why === undefined;
      const says = watch.why ?? (passed ? "everything held" : "a threshold was crossed");
      await endAll(api, runs, passed ? "passed" : "failed", says, result);
      const told = resultOf(played, print);
      const report = `${options.out}/${names}.html`;
      print.say({ runs: runs.map(({ run }) => run.id), passed, says, report, result: told }, () =>
        [
          resultText(told),
          `${passed ? paint("green", "passed") : paint("red", "ended")}: ${says}`,
          `report: ${report}`,
        ].join("\n"),
      );
      if (!passed) process.exitCode = 1;
    } finally {
      watch.close();
    }
  });
}

/** Runs that somebody else ended keep their end, and take the results. */
export async function endAll(
  api: ApiClient,
  runs: readonly Registered[],
  outcome: "passed" | "failed",
  says: string,
  result: unknown,
): Promise<void> {
  for (const { run } of runs) {
    const body = { outcome, says: says.slice(0, 500).replaceAll(/[\x00-\x1f\x7f-\x9f]/g, " ") };
    await api
      .call("POST", `/v1/stress-runs/${run.id}/end`, { ...body, ...(result === undefined ? {} : { result }) })
      .catch((error: Error) => process.stderr.write(`${run.id} could not be ended: ${error.message}\n`));
  }
}

function listText(runs: readonly StoredRun[]): string {
  if (runs.length === 0) return "nothing was stressed yet; tidegate stress run --unit NAME --to 100rps";
  return table(
    ["run", "unit", "scenario", "to", "state", "by", "began", "took", "says"],
    runs.map(({ id, unit, scenario, rate, state, owner, at, endedAt, says }) => [
      ...[id, unit, scenario, `${rate}/s`, coloured(state), owner.name, moment(at)],
      endedAt === undefined ? "" : span(endedAt - at),
      says ?? "",
    ]),
  );
}

function coloured(state: string): string {
  return paint(state === "passed" ? "green" : state === "running" ? "yellow" : "red", state);
}

const MOST_ROWS = 30;

function runText(run: StoredRun): string {
  const { id, unit, state, says, owner, at, mix, rate, before, samples, result } = run;
  const step = Math.max(1, Math.ceil(samples.length / MOST_ROWS));
  const watched = before.map(({ unit: name }) => name).filter((name) => name !== "");
  const rows = samples
    .filter((_, i) => i % step === 0)
    .map((sample) => [
      `${(sample.at / 1_000).toFixed(0)} s`,
      `${sample.rps}/s ${share(sample.success)} ${time(sample.p99)}`,
      ...watched.map((name) => {
        const seen = sample.users[name];
        return seen === undefined ? "" : `${seen.rps}/s ${share(seen.success)} ${time(seen.p99)}`;
      }),
    ]);
  const usual = watched.map((name) => {
    const one = before.find((b) => b.unit === name)!;
    return one.requests === 0 ? "no users" : `${share(1 - one.ill)} ${time(one.p99)}`;
  });
  return [
    `${paint("bold", id)} ${unit} up to ${rate}/s: ${coloured(state)}${says === undefined ? "" : `: ${says}`}`,
    `by ${owner.name} at ${moment(at)}: ${run.reason}; asked ${mix}`,
    table(
      ["after", "the run", ...watched.map((name) => `users of ${name}`)],
      [["before", "", ...usual], ...rows],
    ),
    ...(result === undefined ? [] : [resultText(result)]),
  ].join("\n");
}
