/** A forecast on a fleet: what each unit is asked at each of its times, whether it bears that, and with one unit less. */
import type { Config } from "../config.ts";
import { admit, type Flow, shedAlone } from "./admission.ts";
import { addTo, amountOf, type ByPriority, byPriority, LEVELS, NOTHING, sum } from "./by-priority.ts";
import { endOf, type Forecast, loadAt, totalAt } from "./forecast.ts";
import { type LimitOutlook, LimitWatch } from "./limit-watch.ts";
import { type Loss, Losses, type Moment } from "./losses.ts";
import { chainOf, type Entry, Traffic } from "./traffic.ts";

export interface OutlookOptions {
  /** Of the requests of routes that take writes, 0 to 1. */
  readonly writes: number;
  readonly entries: readonly Entry[];
  /** Unit → requests per second that it bears, in place of what fleet.yaml says. */
  readonly capacities?: ReadonlyMap<string, number>;
  /** Units that cannot be used. */
  readonly unhealthy?: ReadonlySet<string>;
}

export interface UnitOutlook {
  readonly unit: string;
  readonly capacity: number | undefined;
  /** When it is asked the most. */
  readonly peak: { readonly at: number; readonly rps: number };
  /** Of its capacity, what is free then; below 0 it does not fit. */
  readonly headroom: number | undefined;
  /** Asked of it at each time, before anything is shed. */
  readonly rps: Float32Array;
}

/** Times in a row at which something does not fit. */
export interface Stretch {
  readonly from: number;
  readonly to: number;
  /** Units that have more than they bear at some time of it. */
  readonly units: readonly string[];
  /** When the most is lost. */
  readonly worst: number;
  /** Then. */
  readonly shed: ByPriority;
  /** Then: requests that no unit may serve. */
  readonly failing: number;
}

export interface Outlook {
  readonly units: readonly UnitOutlook[];
  /** When the fleet is asked the most. */
  readonly peak: { readonly at: number; readonly index: number; readonly rps: number };
  /** Of the fleet; undefined where a unit's is not known. */
  readonly capacity: number | undefined;
  /** Asked of the fleet at each time. */
  readonly rps: Float64Array;
  readonly stretches: readonly Stretch[];
  /** Answered by fallbacks at the peak, because their routes are degraded. */
  readonly degraded: number;
  /** One for each unit that serves. */
  readonly losses: readonly Loss[];
  readonly limits: readonly LimitOutlook[];
  /** The whole day fits, and no limit refuses what is expected. */
  readonly holds: boolean;
}

/** Of a class. */
interface Part {
  readonly class: number;
  readonly share: number;
}

export function outlookOf(config: Config, forecast: Forecast, options: OutlookOptions): Outlook {
  const { writes, entries, unhealthy = new Set<string>() } = options;
  const traffic = new Traffic(config, entries, { unhealthy, writes });
  const { units } = traffic.table;
  const known = units.map(({ name, spec }) => options.capacities?.get(name) ?? spec.capacity);
  const capacities = Float64Array.from(known, (capacity) => capacity ?? Number.POSITIVE_INFINITY);
  const momentAt = momentsOf(traffic, forecast, capacities);
  const { times } = forecast;
  const series = units.map(() => new Float32Array(times.length));
  const peaks = units.map(() => ({ index: 0, rps: -1 }));
  const rps = Float64Array.from(times, (_, t) => totalAt(forecast, t));
  const limits = new LimitWatch(config, traffic, forecast);
  const stretches = new Stretches(
    forecast,
    units.map(({ name }) => name),
  );
  for (let t = 0; t < times.length; t++) {
    const moment = momentAt(t);
    const asked = arrivalsOf(moment, units.length);
    for (let u = 0; u < units.length; u++) {
      series[u]![t] = asked[u]!;
      if (asked[u]! > peaks[u]!.rps) peaks[u] = { index: t, rps: asked[u]! };
    }
    stretches.add(t, moment.sheds, moment.failing);
    limits.add(t);
  }
  const busiest = [...times.keys()].sort((a, b) => rps[b]! - rps[a]!);
  const losses = new Losses(traffic, capacities);
  for (const t of busiest) losses.add(t, momentAt(t));
  const watched = limits.end();
  const found = stretches.end();
  const peak = busiest[0]!;
  const at = loadAt(forecast, peak);
  return {
    units: units.map(({ name }, u): UnitOutlook => {
      const { index, rps: most } = peaks[u]!;
      const capacity = known[u];
      const headroom = capacity === undefined ? undefined : 1 - most / capacity;
      return { unit: name, capacity, peak: { at: times[index]!, rps: most }, headroom, rps: series[u]! };
    }),
    peak: { at: times[peak]!, index: peak, rps: rps[peak]! },
    capacity: known.every((one) => one !== undefined)
      ? known.reduce<number>((all, one) => all + one!, 0)
      : undefined,
    rps,
    stretches: found,
    degraded: traffic.degraded.reduce((all, route) => all + (at.get(route) ?? 0), 0),
    losses: losses.end(times, rps, known),
    limits: watched,
    holds: found.length === 0 && watched.every(({ refuses }) => !refuses),
  };
}

/** What each time of the forecast comes to, in memory that the next one uses again. */
function momentsOf(
  traffic: Traffic,
  forecast: Forecast,
  capacities: Float64Array,
): (index: number) => Moment {
  const { units } = traffic.table;
  const fixed = units.map(() => [] as Part[]);
  const loose: (Part & { readonly chain: readonly number[] })[] = [];
  const nowhere: Part[] = [];
  for (const { class: of, share, way } of traffic.lanes) {
    const { decision } = way;
    const part = { class: of, share };
    if (decision === undefined) nowhere.push(part);
    else {
      const chain = chainOf(decision, traffic.health);
      if (chain[0] === decision.home) fixed[chain[0]!]!.push(part);
      else loose.push({ ...part, chain });
    }
  }
  const asked = new Float64Array(traffic.classes.length * LEVELS);
  const own = new Float64Array(units.length * LEVELS);
  return (index) => {
    traffic.asked(loadAt(forecast, index), asked);
    own.fill(0);
    for (let u = 0; u < units.length; u++) {
      for (const { class: of, share } of fixed[u]!) {
        for (let p = 0; p < LEVELS; p++) own[u * LEVELS + p]! += asked[of * LEVELS + p]! * share;
      }
    }
    const flows = loose.map((part): Flow => ({ asked: amountOf(asked, part), chain: part.chain }));
    const failing = nowhere.reduce((all, part) => all + sum(amountOf(asked, part)), 0);
    const touched = admit(own, capacities, flows);
    const sheds = units.map((_, u) => touched.get(u) ?? shedAlone(own, u, capacities[u]!));
    return { own, asked, flows, sheds, failing };
  };
}

/** By unit, before anything is shed: what fails over counts where it comes first. */
function arrivalsOf({ own, flows }: Moment, units: number): Float64Array {
  const arrivals = new Float64Array(units);
  for (let i = 0; i < own.length; i++) arrivals[Math.floor(i / LEVELS)]! += own[i]!;
  for (const { asked, chain } of flows) arrivals[chain[0]!]! += sum(asked);
  return arrivals;
}

/** Neighbouring times that do not fit are one stretch. */
class Stretches {
  readonly #forecast: Forecast;
  readonly #names: readonly string[];
  readonly #found: Stretch[] = [];
  #open:
    | { from: number; units: Set<string>; lost: number; worst: number; shed: Float64Array; failing: number }
    | undefined;

  constructor(forecast: Forecast, names: readonly string[]) {
    this.#forecast = forecast;
    this.#names = names;
  }

  add(index: number, sheds: readonly Float64Array[], failing: number): void {
    const whole = new Float64Array(LEVELS);
    for (const shed of sheds) addTo(whole, shed);
    const lost = sum(whole) + failing;
    if (lost <= NOTHING) {
      this.#close(this.#forecast.times[index]!);
      return;
    }
    this.#open ??= { from: index, units: new Set(), lost: 0, worst: index, shed: whole, failing };
    for (const [u, shed] of sheds.entries()) if (sum(shed) > NOTHING) this.#open.units.add(this.#names[u]!);
    if (lost > this.#open.lost) Object.assign(this.#open, { lost, worst: index, shed: whole, failing });
  }

  end(): Stretch[] {
    this.#close(endOf(this.#forecast, this.#forecast.times.length - 1));
    return this.#found;
  }

  #close(to: number): void {
    const open = this.#open;
    if (open === undefined) return;
    this.#open = undefined;
    const { times } = this.#forecast;
    const { units, shed, failing } = open;
    const [from, worst] = [times[open.from]!, times[open.worst]!];
    this.#found.push({ from, to, units: [...units], worst, shed: byPriority(shed), failing });
  }
}
