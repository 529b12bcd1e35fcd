/** `tidegate capacity`: what a unit bears, measured with stress traffic; and what follows for fleet.yaml. */
import type { Command } from "commander";
import { KneeSearch, type Probe } from "../model/capacity/knee.ts";
import type { KeptMeasurement, Measurement } from "../model/capacity/measurement.ts";
import { proposedFleet, withMargin } from "../model/capacity/proposal.ts";
import type { Config } from "../model/config.ts";
import { parseDuration, parsePercentage, parseRate } from "../model/configuration/quantity.ts";
import { connectionsFor, type RunFile } from "../model/load/run-file.ts";
import { ms, percent, type RunResult } from "../model/load/run-result.ts";
import { keyPlaceOf, mixText } from "../model/load/traffic.ts";
import { ApiFailure, type ApiOptions, runApi, withApi } from "./api-client.ts";
import { type LoadOptions, loadOf, targetOf, withLoad } from "./load.ts";
import { k6Command, play, type Registered, resultOf, Watch } from "./load-run.ts";
import { endAll } from "./stress-runs.ts";
import { moment, paint, table } from "./tables.ts";

interface CapacityOptions extends LoadOptions {
  readonly unit: string;
  readonly from: string;
  readonly to: string;
  readonly p99?: string;
  readonly success: string;
  readonly probe: string;
  readonly repeats: string;
  readonly build: string;
  readonly abortOn: string;
}

interface Kept extends KeptMeasurement {
  /** What fleet.yaml says. */
  readonly said: number | null;
}

/** What has to hold in a probe, and how long it takes. */
interface Bounds {
  readonly success: number;
  /** Undefined: it follows from the first probe. */
  readonly p99: number | undefined;
  readonly seconds: number;
}

/** A search takes so long at the most. */
const LASTS = "15m";
/** Answers take so many times what they take at the lowest rate, and some milliseconds of nobody's fault: then they wait. */
const [SLOWER, SLACK] = [2, 25];
/** Before a probe is counted (s): connections are made, and what the probe before it left behind is done. */
const [SETTLE, RECOVER] = [1, 3];
/** Share of requests that the generator may fail to make. */
const DROPPED = 0.005;
const TIMEOUT = 2_000;

export function registerCapacity(program: Command): void {
  const capacity = withLoad(program.command("capacity"))
    .enablePositionalOptions()
    .description("what a unit bears: the highest rate at which its answers stay good and quick")
    .option("--unit <name>", "the unit that is measured")
    .option("--from <rate>", "where the search begins", "20rps")
    .option("--to <rate>", "the most that is tried", "5000rps")
    .option(
      "--p99 <duration>",
      "answers that take longer are too slow (default: twice what they take at the beginning)",
    )
    .option("--success <percentage>", "of the requests, what has to be answered well", "99.5%")
    .option("--probe <duration>", "how long a rate has to hold", "4s")
    .option("--repeats <n>", "how often it is searched", "3")
    .option("--build <text>", "what runs there, for the record", "")
    .option(
      "--abort-on <condition>",
      "beside the guardrail, such as 'success<99.5%' of users or of the run",
      "",
    )
    .addHelpText(
      "after",
      `
Examples:
  tidegate capacity --unit sh --build hall-2.4 --reason 'before the big night'
  tidegate capacity ls --csv > capacities.csv
  tidegate capacity propose --margin 10% > fleet.yaml`,
    )
    .action((options: CapacityOptions) => measure(options));
  withApi(capacity.command("ls"))
    .description("what was measured, and what fleet.yaml says")
    .option("--csv", "unit,rps,date, as tidegate forecast check --capacities reads it")
    .action((options: ApiOptions & { csv?: boolean }) =>
      runApi(options, async (api, print) => {
        const { capacities } = await api.call<{ capacities: Kept[] }>("GET", "/v1/capacities");
        print.say({ capacities }, () => (options.csv === true ? csvOf(capacities) : listText(capacities)));
      }),
    );
  withApi(capacity.command("propose"))
    .description("fleet.yaml with what was measured last, for your repository; nothing is applied")
    .option("--margin <percentage>", "what is left free", "10%")
    .action((options: ApiOptions & { margin: string }) =>
      runApi(options, async (api, print) => {
        const margin = parsePercentage(options.margin);
        if (margin === undefined || margin >= 1)
          throw new ApiFailure(`--margin is ${options.margin}; expected a percentage below 100%`);
        const { capacities } = await api.call<{ capacities: Kept[] }>("GET", "/v1/capacities");
        const newest = newestOf(capacities);
        if (newest.size === 0)
          throw new ApiFailure("nothing was measured yet; tidegate capacity --unit NAME");
        const { files } = await api.call<{ files: Record<string, string> }>("GET", "/v1/config");
        const rates = new Map([...newest].map(([unit, { rps }]) => [unit, withMargin(rps, margin)]));
        const proposed = proposedFleet(files["fleet.yaml"] ?? "", rates);
        if ("problem" in proposed) throw new ApiFailure(proposed.problem);
        print.say({ file: "fleet.yaml", text: proposed.text }, () => proposed.text.trimEnd());
      }),
    );
}

function measure(options: CapacityOptions): Promise<void> {
  return runApi(options, async (api, print) => {
    const { unit } = options;
    if (unit === undefined) throw new ApiFailure("say which unit: --unit NAME");
    const [from, to] = [rateOf("from", options.from), rateOf("to", options.to)];
    const repeats = Number(options.repeats);
    if (!Number.isInteger(repeats) || repeats < 1 || repeats > 10)
      throw new ApiFailure(`--repeats is ${options.repeats}; expected a number from 1 to 10`);
    if (to < from)
      throw new ApiFailure(`--to is ${options.to}; expected at least ${options.from}, where it begins`);
    const bounds = boundsOf(options);
    const command = k6Command();
    const { effective: config } = await api.call<{ effective: Config }>("GET", "/v1/config");
    const load = await loadOf(api, config, [unit], options);
    const mix = mixText(load.mix);
    const registered = await api.call<Registered>("POST", "/v1/stress-runs", {
      ...{ unit, scenario: "capacity", mix, rate: Math.round(to), for: LASTS, measure: true },
      ...{ abortOn: options.abortOn, reason: options.reason ?? `capacity of ${unit}` },
    });
    const watch = new Watch(api, [registered.run.id]);
    const users = new Mean();
    watch.onState = ([state]) => users.add(state?.sample?.users[unit]?.rps);
    const target = {
      ...targetOf(config, unit, load, options),
      headers: { [registered.header]: registered.mark },
    };
    const search = new KneeSearch({ from, to, repeats });
    let p99 = bounds.p99;
    try {
      for (let probe = search.next; probe !== undefined; probe = search.next) {
        const file = {
          ...fileOf(probe, bounds, unit),
          targets: [target],
          mix: load.mix,
          key: keyPlaceOf(config),
        };
        const result = resultOf(await play(command, file, watch, undefined), print);
        if (watch.why !== undefined) throw new ApiFailure(`${watch.why}; nothing was measured`);
        checkLimited(result, unit);
        p99 ??= result.p99 * SLOWER + SLACK;
        const held = isHeld(result, bounds.success, p99);
        print.progress(probeText(probe, result, held));
        search.take(held);
      }
      print.endProgress();
      const { knee } = search;
      if (knee === undefined) {
        throw new ApiFailure(
          `not even ${options.from} held (${percent(bounds.success)} answered well, p99 ${ms(p99 ?? 0)}); begin lower with --from, or say what holds with --p99`,
        );
      }
      // The unit bore its users meanwhile, too.
      const { rate, finds, ...rest } = knee;
      const rps = rate + users.value;
      const measurement: Measurement = {
        ...{
          unit,
          rps: Math.round(rps * 10) / 10,
          finds: finds.map((one) => one + users.value),
          ...rest,
          success: bounds.success,
          p99: p99!,
          mix,
        },
        ...{ build: options.build, run: registered.run.id },
      };
      const kept = await api.call<KeptMeasurement>("POST", "/v1/capacities", measurement);
      await endAll(api, [registered], "passed", measurementText(kept), measurement);
      print.say(kept, () => measurementText(kept));
    } catch (error) {
      if (watch.why === undefined)
        await endAll(api, [registered], "failed", (error as Error).message, undefined);
      throw error;
    } finally {
      watch.close();
    }
  });
}

class Mean {
  #sum = 0;
  #n = 0;

  add(value: number | undefined): void {
    if (value === undefined) return;
    this.#sum += value;
    this.#n++;
  }

  get value(): number {
    return this.#n === 0 ? 0 : this.#sum / this.#n;
  }
}

/** At the rate of the probe, after a moment at less. */
function fileOf({ rate, phase, isAfterTooMuch }: Probe, { seconds }: Bounds, unit: string) {
  const settle = isAfterTooMuch ? RECOVER : SETTLE;
  const length = phase === "ramp" ? seconds / 2 : seconds;
  const calm = rate * (isAfterTooMuch ? 0.3 : 0.6);
  const curve = [
    { at: 0, rate: calm },
    { at: settle - 0.3, rate: calm },
    { at: settle, rate },
    { at: settle + length, rate },
  ];
  return {
    ...{ scenario: "probe", title: `${unit} at ${rate.toFixed(1)}/s`, rate, curve, settle },
    ...{ seconds: settle + length, timeout: TIMEOUT, bounds: {}, slots: 1 },
    connections: connectionsFor(rate, TIMEOUT / 2),
  } satisfies Partial<RunFile>;
}

function isHeld({ asked, success, dropped, p99 }: RunResult, least: number, most: number): boolean {
  return asked > 0 && dropped <= (asked + dropped) * DROPPED && (success ?? 0) >= least && p99 <= most;
}

/** @throws ApiFailure where something other than the unit held it back */
function checkLimited({ statuses, asked }: RunResult, unit: string): void {
  const limited = statuses["429"] ?? 0;
  if (limited > asked * DROPPED) {
    throw new ApiFailure(
      `gateways held ${limited} of ${asked} requests back, so it is not the unit that is measured: raise stress.limit of gateway.yaml for ${unit}`,
    );
  }
}

function boundsOf({ success, p99, probe }: CapacityOptions): Bounds {
  const [share, most, length] = [
    parsePercentage(success),
    p99 === undefined ? undefined : parseDuration(p99),
    parseDuration(probe),
  ];
  if (share === undefined || share > 1)
    throw new ApiFailure(`--success is ${success}; expected a percentage such as 99.5%`);
  if (p99 !== undefined && !(most! > 0))
    throw new ApiFailure(`--p99 is ${p99}; expected a duration such as 200ms`);
  if (length === undefined || length < 1_000 || length > 60_000)
    throw new ApiFailure(`--probe is ${probe}; expected a duration from 1s to 60s`);
  return { success: share, p99: most, seconds: length / 1_000 };
}

function rateOf(name: string, text: string): number {
  const rate = parseRate(text);
  if (rate !== undefined && rate >= 1) return rate;
  throw new ApiFailure(`--${name} is ${text}; expected a rate such as 100rps`);
}

function probeText({ rate, phase }: Probe, { success, p99, dropped }: RunResult, held: boolean): string {
  const lost = dropped > 0 ? `, ${dropped} not made` : "";
  return `${phase} ${rate.toFixed(0)}/s: ${percent(success)} p99 ${ms(p99)}${lost}: ${held ? "holds" : "too much"}`;
}

function measurementText({ unit, rps, error, finds, probes, isAbove, success, p99 }: Measurement): string {
  const found = finds.map((one) => one.toFixed(0)).join(", ");
  return (
    `${unit} bears ${isAbove ? "more than " : ""}${rps.toFixed(0)} rps, within ${percent(Math.round(error * 1e4) / 1e4)} ` +
    `(found ${found} in ${probes} probes; ${percent(success)} answered well, p99 below ${ms(p99)})`
  );
}

function newestOf(capacities: readonly Kept[]): Map<string, Kept> {
  const newest = new Map<string, Kept>();
  for (const one of capacities) if ((newest.get(one.unit)?.at ?? 0) < one.at) newest.set(one.unit, one);
  return newest;
}

function csvOf(capacities: readonly Kept[]): string {
  const day = (at: number): string => new Date(at).toISOString().slice(0, 10);
  // Of one day the newest counts.
  const rows = new Map<string, string>();
  for (const { unit, rps, at } of capacities.toSorted((a, b) => a.at - b.at))
    rows.set(`${unit} ${day(at)}`, `${unit},${rps},${day(at)}`);
  return ["unit,rps,date", ...rows.values()].join("\n");
}

function listText(capacities: readonly Kept[]): string {
  if (capacities.length === 0) return "nothing was measured yet; tidegate capacity --unit NAME";
  return table(
    ["unit", "bears", "within", "found", "when", "by", "revision", "build", "asked", "fleet.yaml says"],
    capacities.map(({ unit, rps, error, finds, at, by, revision, build, mix, said, isAbove }) => [
      ...[unit, `${isAbove ? "> " : ""}${rps.toFixed(0)} rps`, percent(Math.round(error * 1e4) / 1e4)],
      finds.map((one) => one.toFixed(0)).join(", "),
      ...[moment(at), by, `${revision}`, build, mix],
      said === null ? "nothing" : said > rps ? paint("red", `${said} rps`) : `${said} rps`,
    ]),
  );
}
