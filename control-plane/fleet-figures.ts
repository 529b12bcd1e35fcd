/**
 * What the gateways counted, put together over 10 s, 1 m, 10 m and 1 h, in memory: who restarts a control plane restarts
 * its figures, and it says so rather than guess.
 *
 * Bounds: `MOST_SERIES` series of about 70 KiB each when all of them are busy all the time (180 cells of 88 numbers), so
 * 140 MiB at the very most; a fleet of 20 routes and 3 units takes 4.
 */
import type { Version } from "../model/fleet.ts";
import { MOST_SERIES as MOST_OF_SLICE, OTHER, type SeriesCounts, type Slice } from "../model/report.ts";
import { FigureRing, type Placed, type Sum } from "./figure-ring.ts";

export const WINDOWS = { "10s": 10_000, "1m": 60_000, "10m": 600_000, "1h": 3_600_000 } as const;
export type Window = keyof typeof WINDOWS;

export const MOST_SERIES = MOST_OF_SLICE;
/** The last places are for canaries: somebody decides by them. */
export const MOST_STABLE = MOST_SERIES * 0.9;
const MOST_GATEWAYS = 10_000;
/** A gateway that restarts, or two that hand over under one name. */
const MOST_STARTS = 4;
/** Slices come in their order, but for a few that were sent twice. */
const REMEMBERED = 64;
/** A slice is here a second after its end, at most, when all is well. */
const BEHIND = 1_000;
/** Seconds after which nothing more is said of a second: a slice lies where its middle is, and then comes its way. */
const CLOSED = 3;

export interface SeriesName {
  readonly route: string;
  /** Empty where no unit was reached. */
  readonly unit: string;
  readonly version: Version;
  /** Missing: users'. */
  readonly traffic?: "stress";
}

export interface FigureFilter {
  /** Missing: users' alone. What is decided by figures is decided by those. */
  readonly traffic?: "stress";
  readonly route?: string;
  readonly unit?: string;
  readonly version?: Version;
}

/** One window of what was counted. */
export interface WindowSum extends Omit<Sum, "rows" | "covered"> {
  readonly series: readonly { readonly name: SeriesName; readonly row: Float64Array }[];
  /** Gateway → the share of the window that it reported, 0 to 1. */
  readonly covered: ReadonlyMap<string, number>;
}

interface Start {
  highest: number;
  readonly seen: Set<number>;
}

interface Known {
  readonly name: SeriesName;
  heardAt: number;
}

export class FleetFigures {
  readonly #clock: () => number;
  readonly #closed: number;
  readonly #seconds = new FigureRing(1_000, 60);
  readonly #tens = new FigureRing(10_000, 60);
  readonly #minutes = new FigureRing(60_000, 60);
  readonly #ids = new Map<string, number>();
  readonly #known = new Map<number, Known>();
  readonly #gateways = new Map<string, Map<string, Start>>();
  #free = 0;
  #sweptAt = Number.NEGATIVE_INFINITY;
  #read = Number.NEGATIVE_INFINITY;
  #ahead = 0;

  /**
   * @param clock milliseconds, best of a clock that never goes back
   * @param later seconds that slices of other control planes take longer
   */
  constructor(clock: () => number, later = 0) {
    this.#clock = clock;
    this.#closed = CLOSED + later;
  }

  /** @returns whether it was counted: not when it had been before */
  add(gateway: string, slice: Slice): boolean {
    if (!this.#isFirst(gateway, slice)) return false;
    const now = this.#now();
    const to = now - slice.age;
    const series: [number, readonly number[], readonly number[]][] = [];
    let { folded } = slice;
    const take = (counts: readonly SeriesCounts[], traffic: Pick<SeriesName, "traffic">): void => {
      for (const [route, unit, version, outcomes, latencies] of counts) {
        const id = this.#idOf({ route, unit, version, ...traffic }, now);
        if (this.#known.get(id)!.name.route !== route) folded++;
        series.push([id, outcomes, latencies]);
      }
    };
    take(slice.series, {});
    take(slice.stress ?? [], { traffic: "stress" });
    const { limited } = slice;
    const placed: Placed = { gateway, from: to - slice.span, to, folded, series, limited };
    for (const ring of [this.#seconds, this.#tens, this.#minutes]) ring.add(placed, now);
    return true;
  }

  sum(window: Window, filter: FigureFilter = {}): WindowSum {
    const now = this.#now();
    const length = WINDOWS[window];
    const ring = length <= 60_000 ? this.#seconds : length <= 600_000 ? this.#tens : this.#minutes;
    const wanted = (id: number): boolean => matches(this.#known.get(id)!.name, filter);
    const { rows, covered, ...rest } = ring.sum(length / ring.length, now, wanted);
    // The cell under way has hardly begun, and the last slice may still be on its way.
    const whole = length - ring.length - BEHIND;
    return {
      ...rest,
      series: [...rows].map(([id, row]) => ({ name: this.#known.get(id)!.name, row })),
      covered: new Map([...covered].map(([gateway, span]) => [gateway, Math.min(1, span / whole)])),
    };
  }

  /**
   * Whole seconds, each told once: those after `after`, as soon as every gateway has had the time to report them.
   *
   * @param after the last that was told; undefined: none, and nothing of before now is
   */
  seconds(after: number | undefined, filter: FigureFilter): WindowSum & { readonly last: number } {
    const last = Math.floor(this.#now() / this.#seconds.length) - this.#closed;
    const wanted = (id: number): boolean => matches(this.#known.get(id)!.name, filter);
    const { rows, covered, ...rest } = this.#seconds.between((after ?? last) + 1, last, wanted);
    return {
      ...rest,
      series: [...rows].map(([id, row]) => ({ name: this.#known.get(id)!.name, row })),
      covered: new Map(covered),
      last: Math.max(last, after ?? last),
    };
  }

  /** The last whole seconds and the one under way: the newest that is known, which may not be all of it. */
  recent(seconds: number, filter: FigureFilter = {}): WindowSum {
    const last = Math.floor(this.#now() / this.#seconds.length);
    const wanted = (id: number): boolean => matches(this.#known.get(id)!.name, filter);
    const { rows, covered, ...rest } = this.#seconds.between(last - seconds, last, wanted);
    return {
      ...rest,
      series: [...rows].map(([id, row]) => ({ name: this.#known.get(id)!.name, row })),
      covered: new Map(covered),
    };
  }

  /** Whether a series of the last hour is of it. */
  knows(filter: FigureFilter): boolean {
    return [...this.#known.values()].some(({ name }) => matches(name, filter));
  }

  /** Never goes back: a clock that does goes on from where it was. */
  #now(): number {
    const read = this.#clock();
    if (read < this.#read) this.#ahead += this.#read - read;
    this.#read = read;
    return read + this.#ahead;
  }

  #isFirst(gateway: string, { start: name, number }: Slice): boolean {
    let starts = this.#gateways.get(gateway);
    if (starts === undefined) starts = new Map();
    const start = starts.get(name) ?? { highest: 0, seen: new Set<number>() };
    if (number <= start.highest - REMEMBERED || start.seen.has(number)) return false;
    start.seen.add(number);
    start.highest = Math.max(start.highest, number);
    for (const old of start.seen) if (old <= start.highest - REMEMBERED) start.seen.delete(old);
    // Whoever was heard of last is at the end.
    starts.delete(name);
    starts.set(name, start);
    shortenTo(starts, MOST_STARTS);
    this.#gateways.delete(gateway);
    this.#gateways.set(gateway, starts);
    shortenTo(this.#gateways, MOST_GATEWAYS);
    return true;
  }

  #idOf(name: SeriesName, now: number): number {
    const key = `${name.route}\n${name.unit}\n${name.version}\n${name.traffic ?? ""}`;
    const id = this.#ids.get(key) ?? this.#newId(key, name, now);
    this.#known.get(id)!.heardAt = now;
    return id;
  }

  #newId(key: string, name: SeriesName, now: number): number {
    // One place is kept for what finds none, and one for stress traffic that does not.
    const most = (name.version === "stable" ? MOST_STABLE : MOST_SERIES) - 1;
    if (this.#ids.size >= most && name.route !== OTHER) {
      this.#sweep(now);
      if (this.#ids.size >= most) {
        return this.#idOf({ ...name, route: OTHER, unit: "", version: "stable" }, now);
      }
    }
    const id = this.#free++;
    this.#ids.set(key, id);
    this.#known.set(id, { name, heardAt: now });
    return id;
  }

  /** Forgets series that no window holds any more. */
  #sweep(now: number): void {
    if (now - this.#sweptAt < 60_000) return;
    this.#sweptAt = now;
    for (const [key, id] of this.#ids) {
      if (now - this.#known.get(id)!.heardAt <= WINDOWS["1h"] + 2 * this.#minutes.length) continue;
      this.#ids.delete(key);
      this.#known.delete(id);
    }
  }
}

function matches(name: SeriesName, { route, unit, version, traffic }: FigureFilter): boolean {
  return (
    name.traffic === traffic &&
    (route === undefined || name.route === route) &&
    (unit === undefined || name.unit === unit) &&
    (version === undefined || name.version === version)
  );
}

/** The first are forgotten. */
function shortenTo<K>(map: Map<K, unknown>, size: number): void {
  for (const key of map.keys()) {
    if (map.size <= size) return;
    map.delete(key);
  }
}
