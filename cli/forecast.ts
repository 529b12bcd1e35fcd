/** `tidegate forecast check`: whether the fleet bears what is expected, with one unit less too, and what would make it. */
import { createReadStream, writeFileSync } from "node:fs";
import { basename } from "node:path";
import type { Command } from "commander";
import { readConfigDir } from "../host/config-dir.ts";
import type { Config } from "../model/config.ts";
import { ProblemList } from "../model/configuration/problem-list.ts";
import { CapacitiesFile, type Measured } from "../model/forecast/capacities-file.ts";
import type { Forecast } from "../model/forecast/forecast.ts";
import { formatTime } from "../model/forecast/forecast.ts";
import { ForecastFile } from "../model/forecast/forecast-file.ts";
import { outlookOf } from "../model/forecast/outlook.ts";
import { planText, proposalOf } from "../model/forecast/proposal.ts";
import { type Entry, entriesOf } from "../model/forecast/traffic.ts";
import { formatProblem } from "../model/problem.ts";
import { ApiFailure, type ApiOptions, runApi, withApi } from "./api-client.ts";
import { chartOf } from "./forecast-chart.ts";
import { type Check, pageOf, textOf } from "./forecast-text.ts";

interface CheckOptions extends ApiOptions {
  readonly config?: string;
  readonly capacities?: string;
  readonly margin: string;
  readonly spare: string;
  readonly writes: string;
  readonly entry?: string;
  readonly losing: string;
  readonly svg?: string;
  readonly html?: string;
  readonly plan?: string;
}

const USAGE = 2;

/** Of the command line, which is another answer than no. */
class Mistake extends Error {}

export function registerForecast(program: Command): void {
  const forecast = program
    .command("forecast")
    .description("what is expected to be asked, and whether it fits");
  withApi(forecast.command("check"))
    .description("hold a forecast against what the units bear, also with one of them lost")
    .argument("[file]", "time,route,rps (default: forecast.csv of the configuration)")
    .option("--config <dir>", "the configuration; without it the control plane is asked for what holds now")
    .option("--capacities <file>", "unit,rps,date: what was measured, in place of fleet.yaml's capacity")
    .option("--margin <percentage>", "of a measured capacity, what is left free", "10%")
    .option("--spare <percentage>", "what proposed limits allow above what is expected", "20%")
    .option("--writes <percentage>", "of the requests of routes that take writes", "50%")
    .option(
      "--entry <shares>",
      "where users come in, such as hangzhou=40%,shanghai=60% (default: where they live)",
    )
    .option("--losing <what>", "one: it has to hold with any one unit lost, too; none", "none")
    .option("--svg <file>", "draw the day")
    .option("--html <file>", "the day and the tables as a page")
    .option("--plan <file>", "write a plan that would help, for review; nothing runs it")
    .addHelpText(
      "after",
      `
Ends with 0 when it holds, 1 when it does not or a file is wrong, 2 for a wrong command line.

Examples:
  tidegate forecast check --config configs/double11
  tidegate forecast check --config configs/double11 forecast.csv --capacities capacities.csv --html day.html
  tidegate forecast check forecast.csv --control-plane https://control.example --plan plans/pre-peak.yaml`,
    )
    .action(async (file: string | undefined, options: CheckOptions) => {
      try {
        await runApi(options, async (api, print) => {
          const config =
            options.config === undefined
              ? (await api.call<{ effective: Config }>("GET", "/v1/config")).effective
              : configOf(options.config);
          const check = await checked(config, file, options);
          write(check, options);
          print.say(jsonOf(check), () => textOf(check));
          if (!check.holds) process.exitCode = 1;
        });
      } catch (error) {
        if (!(error instanceof Mistake)) throw error;
        process.stderr.write(`tidegate forecast check: ${error.message}\n`);
        process.exitCode = USAGE;
      }
    });
}

async function checked(config: Config, file: string | undefined, options: CheckOptions): Promise<Check> {
  const [margin, spare, writes] = (["margin", "spare", "writes"] as const).map((name) =>
    shareOf(name, options[name]),
  ) as [number, number, number];
  if (options.losing !== "one" && options.losing !== "none") {
    throw new Mistake(`--losing is ${options.losing}; expected one or none`);
  }
  const entries = options.entry === undefined ? entriesOf(config) : entriesFrom(options.entry, config);
  const forecast = file === undefined ? config.forecast : await readForecastFile(file, config);
  if (forecast === undefined) {
    throw new Mistake("the configuration has no forecast.csv; name a file with time,route,rps");
  }
  const measured =
    options.capacities === undefined ? new Map() : await readCapacities(options.capacities, config);
  const capacities = new Map([...measured].map(([unit, { rps }]) => [unit, rps * (1 - margin)]));
  const outlook = outlookOf(config, forecast, { writes, entries, capacities });
  const known = new Set(Object.keys(forecast.routes));
  const shedding = outlook.losses.filter(({ shed }) => Object.keys(shed).length > 0);
  return {
    holds: outlook.holds && (options.losing === "none" || shedding.length === 0),
    losing: options.losing,
    source: file === undefined ? "forecast.csv" : basename(file),
    fleet: config.fleet.name,
    forecast,
    outlook,
    proposal: proposalOf(config, forecast, outlook, spare),
    measured,
    unknown: config.routes.map(({ name }) => name).filter((name) => !known.has(name)),
    assumed: [
      "users are spread evenly over the slots, and each rate over its time",
      `${percent(writes)} of the requests of routes that take writes are writes`,
      `users come in by ${entries.map(({ region, share }) => `${region} ${percent(share)}`).join(", ")}`,
      ...(measured.size > 0 ? [`of a measured capacity ${percent(margin)} are left free`] : []),
      "a unit that is lost is seen at once, and nobody moves its slots",
    ],
  };
}

function configOf(dir: string): Config {
  const { config, problems } = readConfigDir(dir);
  if (config !== undefined) return config;
  throw new ApiFailure(`${dir} is invalid`, {
    title: "the configuration is invalid",
    problems: problems.map((problem) => ({ ...problem, text: `${dir}/${formatProblem(problem)}` })),
  });
}

export async function readForecastFile(file: string, config: Config): Promise<Forecast> {
  const known = new Set(config.routes.map(({ name }) => name));
  return await readFile(file, (problems) => new ForecastFile(file, problems, known));
}

async function readCapacities(file: string, config: Config): Promise<ReadonlyMap<string, Measured>> {
  const units = new Set(config.fleet.units.map(({ name }) => name));
  return await readFile(file, (problems) => new CapacitiesFile(file, problems, units));
}

interface Reader<T> {
  push(text: string): boolean;
  end(): T | undefined;
}

/** Piece by piece, and no further than the reader wants. @throws ApiFailure with everything that is wrong */
async function readFile<T>(file: string, open: (problems: ProblemList) => Reader<T>): Promise<T> {
  const problems = new ProblemList();
  const reader = open(problems);
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  try {
    for await (const chunk of createReadStream(file)) {
      if (!reader.push(decoder.decode(chunk as Buffer, { stream: true }))) break;
    }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (error instanceof TypeError) throw new ApiFailure(`${file} is not UTF-8; expected a text file`);
    throw new ApiFailure(`${file} cannot be read (${code ?? message})`);
  }
  const read = reader.end();
  if (read !== undefined) return read;
  throw new ApiFailure(`${file} is invalid`, {
    title: `${file} is invalid`,
    problems: problems.sorted().map((problem) => ({ ...problem, text: formatProblem(problem) })),
  });
}

function entriesFrom(text: string, { fleet }: Config): Entry[] {
  const entries = text.split(",").map((part): Entry => {
    const [, region = "", share = ""] = /^([^=]+)=(.*)$/.exec(part.trim()) ?? [];
    if (!fleet.regions.some(({ name }) => name === region)) {
      const names = fleet.regions.map(({ name }) => name).join(", ");
      throw new Mistake(
        `--entry ${part} names no region with its share; expected REGION=40% with one of ${names}`,
      );
    }
    return { region, share: shareOf("entry", share) };
  });
  const whole = entries.reduce((sum, { share }) => sum + share, 0);
  if (Math.abs(whole - 1) > 1e-6)
    throw new Mistake(`the shares of --entry add up to ${percent(whole)}; expected 100 %`);
  return entries;
}

function shareOf(name: string, text: string): number {
  const [, number] = /^(\d{1,3}(?:\.\d{1,6})?)%$/.exec(text) ?? [];
  if (number === undefined || Number(number) > 100) {
    throw new Mistake(`--${name} is ${text || "empty"}; expected a percentage such as 20%`);
  }
  return Number(number) / 100;
}

function percent(share: number): string {
  return `${Number((share * 100).toFixed(2))} %`;
}

function write(check: Check, options: CheckOptions): void {
  const save = (file: string | undefined, text: () => string | undefined): void => {
    if (file === undefined) return;
    const made = text();
    if (made === undefined) {
      process.stderr.write(`${file} was not written: there is nothing to propose\n`);
      return;
    }
    try {
      writeFileSync(file, made);
    } catch (error) {
      throw new ApiFailure(`${file} cannot be written: ${(error as Error).message}`);
    }
  };
  const { forecast, outlook, proposal, source, fleet } = check;
  save(options.svg, () => chartOf(forecast, outlook, `${fleet}: ${source}`));
  save(options.html, () => pageOf(check));
  save(options.plan, () => planText(proposal, forecast, outlook, source));
}

/** Times as a forecast writes them; the load by minute is left out, which is as long as the file. */
function jsonOf({ holds, forecast, outlook, proposal, measured, unknown, assumed }: Check): object {
  const time = (at: number): string => formatTime(at, forecast.zone);
  const { units, peak, capacity, stretches, degraded, losses, limits } = outlook;
  return {
    holds,
    peak: { at: time(peak.at), rps: peak.rps },
    capacity,
    units: units.map(({ unit, capacity: bears, peak: own, headroom }, i) => ({
      unit,
      capacity: bears,
      measured: measured.get(unit)?.date,
      peak: { at: time(own.at), rps: own.rps },
      headroom,
      slots: proposal.units[i]!.slots,
      proposedSlots: proposal.units[i]!.proposed,
    })),
    stretches: stretches.map((one) => ({
      ...one,
      from: time(one.from),
      to: time(one.to),
      worst: time(one.worst),
    })),
    losses: losses.map((one) => ({ ...one, at: time(one.at) })),
    limits: limits.map((one) => ({ ...one, at: time(one.at) })),
    proposal: { limits: proposal.limits, moves: proposal.moves },
    degraded,
    notInForecast: unknown,
    assumed,
  };
}
