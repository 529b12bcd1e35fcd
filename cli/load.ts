/** What load is made: whom it asks, for what, how fast and for how long, as options, logs, forecasts and figures say. */
import { readFileSync } from "node:fs";
import { type Command, Option } from "commander";
import type { Config } from "../model/config.ts";
import { parseDuration, parseRate } from "../model/configuration/quantity.ts";
import { parseExpression } from "../model/figure-expression.ts";
import type { Ask, Moment, RunFile, Target } from "../model/load/run-file.ts";
import { keysOf, mixOf, parseAsk, peakTraffic } from "../model/load/traffic.ts";
import { type ApiClient, ApiFailure, type ApiOptions, withApi } from "./api-client.ts";

export interface LoadOptions extends ApiOptions {
  readonly gateway?: readonly string[];
  readonly ask?: readonly string[];
  readonly traffic?: string;
}

export interface RunOptions extends LoadOptions {
  readonly unit?: readonly string[];
  readonly to?: string;
  readonly for?: string;
  readonly abortOn: string;
  readonly scenario: string;
  readonly out: string;
  readonly timeout: string;
}

/** Marked traffic: what fails over cannot be marked. */
const SCENARIOS = ["unit-stress", "fleet-peak", "soak", "replay"] as const;
const DEFAULT_GATEWAY = "http://127.0.0.1:8080";
const TO = "100rps";
const FOR = "2m";
/** Seconds of the longest run. */
const LONGEST = 3_500;
const LEAST_SUCCESS = 0.99;

const repeated = (text: string, before: readonly string[] | undefined): readonly string[] => [
  ...(before ?? []),
  text,
];

/** The options of every command that makes load. */
export function withLoad(command: Command): Command {
  return withApi(command)
    .addOption(
      new Option(
        "--gateway <url>",
        `a gateway to ask; repeat it. Or TIDEGATE_GATEWAY (default: ${DEFAULT_GATEWAY})`,
      ).argParser(repeated),
    )
    .addOption(
      new Option(
        "--ask <request>",
        "such as 'GET /hall/{n} 70%'; repeat it (default: the unit's routes, as its users ask for them)",
      ).argParser(repeated),
    )
    .option("--traffic <file>", "ask as an access log did: tidegate replay writes it")
    .option("--reason <text>", "why; the audit log keeps it");
}

export function withRun(command: Command): Command {
  return withLoad(command)
    .addOption(
      new Option("--unit <name>", "the unit that is stressed; fleet-peak takes several").argParser(repeated),
    )
    .option("--to <rate>", `requests a second at the most (default: ${TO}; of a replay, what the log had)`)
    .option(
      "--for <duration>",
      `how long, an hour at most (default: ${FOR}; of a replay, as long as the log)`,
    )
    .option(
      "--abort-on <condition>",
      "beside the guardrail, such as 'success<99.5% or p99>300ms', of users or of the run itself",
      "",
    )
    .addOption(new Option("--scenario <name>", "what is done").choices(SCENARIOS).default("unit-stress"))
    .option("--timeout <duration>", "an answer that takes longer is none", "5s")
    .option("--out <dir>", "where results are written as JSON and as a page", "stress-results");
}

interface Traffic {
  readonly mix: readonly Ask[];
  readonly keys?: readonly string[];
  readonly weights?: readonly number[];
  /** Of a log. */
  readonly curve?: readonly Moment[];
}

export interface Shape {
  readonly rate: number;
  readonly seconds: number;
  /** Undefined: the scenario's own. */
  readonly curve?: readonly Moment[];
  readonly mix: readonly Ask[];
}

/** How fast, for how long and in which shape: as was said, as a log has it, or as the forecast's peak. @throws ApiFailure */
export function shapeOf(options: RunOptions, config: Config, load: Load): Shape {
  const { scenario } = options;
  const given = options.for === undefined ? undefined : parseDuration(options.for);
  const to = options.to === undefined ? undefined : parseRate(options.to);
  if (options.for !== undefined && (given === undefined || given < 1_000))
    throw new ApiFailure(`--for is ${options.for}; expected a duration such as 2m`);
  if (options.to !== undefined && (to === undefined || to < 1))
    throw new ApiFailure(`--to is ${options.to}; expected a rate such as 2000rps`);
  if (scenario === "replay") {
    const { curve = [] } = load;
    const had = curve.reduce((most, moment) => Math.max(most, moment.rate), 0);
    if (had === 0)
      throw new ApiFailure("a replay needs --traffic FILE; tidegate replay LOG --out FILE writes one");
    const length = curve.at(-1)!.at;
    const seconds = Math.min(LONGEST, given === undefined ? length : given / 1_000);
    const rate = to ?? Math.max(1, Math.ceil(had));
    // Faster where less time is given, higher where more is asked for; else as it was.
    const [time, height] = [seconds / length, rate / Math.max(1, Math.ceil(had))];
    const scaled = curve.map((moment) => ({ at: moment.at * time, rate: moment.rate * height }));
    return { rate, seconds, mix: load.mix, curve: scaled };
  }
  const seconds = (given ?? parseDuration(FOR)!) / 1_000;
  const rate = to ?? parseRate(TO)!;
  const peak =
    scenario === "fleet-peak" && options.ask === undefined ? peakTraffic(config, rate, seconds) : undefined;
  return { rate, seconds, mix: load.mix, ...peak };
}

export interface Load extends Traffic {
  /** A unit's part of what is asked. */
  rateOf(unit: string): number;
}

/** What is asked: as was said, as a log says, or as users ask now. @throws ApiFailure */
export async function loadOf(
  api: ApiClient,
  config: Config,
  units: readonly string[],
  options: LoadOptions,
): Promise<Load> {
  const rates = new Map<string, number>();
  const byUnit = new Map<string, number>();
  interface Series {
    readonly series: readonly { readonly route: string; readonly unit: string; readonly rps: number }[];
  }
  const { series } = await api.call<Series>("GET", "/v1/figures?window=10m");
  for (const { route, unit, rps } of series) {
    if (!units.includes(unit)) continue;
    rates.set(route, (rates.get(route) ?? 0) + rps);
    byUnit.set(unit, (byUnit.get(unit) ?? 0) + rps);
  }
  const isKnown = units.every((unit) => (byUnit.get(unit) ?? 0) > 0);
  const rateOf = (unit: string): number => (isKnown ? byUnit.get(unit)! : 1);
  if (options.traffic !== undefined) return { ...trafficOf(options.traffic), rateOf };
  const mix =
    options.ask === undefined
      ? mixOf(config, units[0]!, rates)
      : options.ask.map((text) => {
          const ask = parseAsk(text);
          if (typeof ask === "string") throw new ApiFailure(`--ask ${ask}`);
          return ask;
        });
  if (mix.length > 0) return { mix, rateOf };
  throw new ApiFailure(
    `no route that ${units[0]} serves can be read; say what is asked: --ask 'POST /cart/{n}'`,
  );
}

/** @throws ApiFailure */
function trafficOf(file: string): Traffic {
  try {
    const { mix, keys, weights, curve = [] } = JSON.parse(readFileSync(file, "utf8")) as Traffic;
    if (Array.isArray(mix) && mix.length > 0)
      return { mix, curve, ...(keys === undefined ? {} : { keys, weights: weights! }) };
  } catch {
    // Said below.
  }
  throw new ApiFailure(`--traffic ${file} cannot be read; tidegate replay LOG --out ${file} writes one`);
}

export function targetOf(config: Config, unit: string, load: Traffic, options: LoadOptions): Target {
  return {
    ...{ unit, share: 1, headers: {}, skew: 0, urls: gatewaysOf(options) },
    keys: load.keys ?? keysOf(config, unit),
    ...(load.weights === undefined ? {} : { weights: load.weights }),
  };
}

function gatewaysOf({ gateway }: LoadOptions): readonly string[] {
  const given = gateway ?? (process.env.TIDEGATE_GATEWAY ?? DEFAULT_GATEWAY).split(",");
  return given.map((text) => {
    const url = URL.parse(text.trim());
    if (url !== null && /^https?:$/.test(url.protocol)) return text.trim().replace(/\/$/, "");
    throw new ApiFailure(`--gateway is ${text}; expected a URL such as ${DEFAULT_GATEWAY}`);
  });
}

export function unitsOf({ unit = [], scenario }: RunOptions, { fleet }: Config): readonly string[] {
  const known = fleet.units.map(({ name }) => name);
  if (scenario === "fleet-peak") return unit.length === 0 ? known : unit;
  if (unit.length === 1) return unit;
  throw new ApiFailure(`say which unit: --unit ${known.join(" or --unit ")}`);
}

/** What k6 holds the run against: the bounds of the condition that it is aborted on. */
export function boundsOf(abortOn: string): RunFile["bounds"] {
  const parsed = parseExpression(abortOn);
  const all = typeof parsed === "string" ? [] : parsed.flat();
  const success = all.find(({ metric }) => metric === "success")?.value;
  const p99 = all.find(({ metric }) => metric === "p99")?.value;
  return { success: success ?? LEAST_SUCCESS, ...(p99 === undefined ? {} : { p99 }) };
}
