/**
 * What was counted, cut into slices of time for the control plane: each is kept, and sent again as it was, until it is
 * acknowledged. While the control plane is away old slices are put together, then forgotten: the memory is bounded, and
 * what is lost is time that nobody claims to know.
 */
import type { Clock } from "../model/clock.ts";
import { mergeLatencies } from "../model/latency-histogram.ts";
import { OUTCOME, OUTCOMES } from "../model/outcome.ts";
import {
  LONGEST_SLICE,
  MOST_LIMITS,
  MOST_SERIES,
  MOST_STRESS_SERIES,
  OTHER,
  type SeriesCounts,
  type Slice,
} from "../model/report.ts";
import type { Version } from "../model/fleet.ts";
import type { MetricsDelta } from "./metrics.ts";
import { retriedOf } from "./retried.ts";

/** Slices that wait: of a second each, and longer ones of what is longer ago; a quarter of an hour at least. */
export const MOST_WAITING = 40;
/** Slices are put together up to this length (ms). */
const LONG = LONGEST_SLICE / 2;
const LIMITED = "tidegate_limited_total";

interface Series {
  readonly route: string;
  readonly unit: string;
  readonly version: Version;
  readonly outcomes: number[];
  latencies: readonly number[];
}

interface Waiting {
  readonly from: number;
  readonly to: number;
  /** Given when it is sent first: from then on it does not change. */
  number: number | undefined;
  folded: number;
  series: Map<string, Series>;
  /** Of stress traffic. */
  readonly stress: Map<string, Series>;
  readonly limited: Map<string, number>;
}

export class FigureSlices {
  readonly #clock: Clock;
  readonly #start: string;
  #waiting: Waiting[] = [];
  #series = new Map<string, Series>();
  #stress = new Map<string, Series>();
  #limited = new Map<string, number>();
  /** Undefined: nobody asks for slices yet, and nothing is kept. */
  #since: number | undefined;
  #next = 1;

  /** @param start of this gateway, unlike any other */
  constructor(clock: Clock, start: string) {
    this.#clock = clock;
    this.#start = start;
  }

  /** From now on somebody takes what is counted. */
  begin(): void {
    this.#since ??= this.#clock.now();
  }

  /** A thread handed its counts over. */
  add({ requests, durations, counters }: MetricsDelta): void {
    if (this.#since === undefined) return;
    for (const [route, unit, version, , outcome, n] of requests) {
      this.#of(this.#series, route, unit, version).outcomes[outcome]! += n;
    }
    for (const [route, unit, version, latencies] of durations) {
      const series = this.#of(this.#series, route, unit, version);
      series.latencies = mergeLatencies(series.latencies, latencies);
    }
    for (const [name, labels, n] of counters) {
      if (name === "tidegate_retried_total") {
        const [route, unit, version] = retriedOf(labels);
        this.#of(this.#series, route, unit, version).outcomes[OUTCOME.retried]! += n;
      }
      if (name !== LIMITED) continue;
      const limit = labels.slice('limit="'.length, -1);
      this.#limited.set(limit, (this.#limited.get(limit) ?? 0) + n);
    }
  }

  /** The same of stress traffic. */
  addStress({ requests, durations }: MetricsDelta): void {
    if (this.#since === undefined) return;
    for (const [route, unit, version, , outcome, n] of requests) {
      this.#ofStress(this.#stress, route, unit, version).outcomes[outcome]! += n;
    }
    for (const [route, unit, version, latencies] of durations) {
      const series = this.#ofStress(this.#stress, route, unit, version);
      series.latencies = mergeLatencies(series.latencies, latencies);
    }
  }

  /** Ends the slice under way. */
  cut(): void {
    const from = this.#since;
    if (from === undefined) return;
    const to = this.#clock.now();
    if (to <= from) return;
    const [series, stress, limited] = [this.#series, this.#stress, this.#limited];
    const slice = { from, to, number: undefined, folded: 0, series, stress, limited };
    this.#since = to;
    this.#series = new Map();
    this.#stress = new Map();
    this.#limited = new Map();
    this.#fold(slice);
    // A thread that stood still for so long stands for time that nobody can place.
    if (to - from > LONGEST_SLICE) return;
    this.#waiting.push(slice);
    if (this.#waiting.length > MOST_WAITING) this.#shorten();
  }

  /** What is to be sent now: the oldest. */
  first(): Slice | undefined {
    const slice = this.#waiting[0];
    if (slice === undefined) return undefined;
    slice.number ??= this.#next++;
    return {
      start: this.#start,
      number: slice.number,
      span: slice.to - slice.from,
      age: this.#clock.now() - slice.to,
      folded: slice.folded,
      series: countsOf(slice.series),
      ...(slice.stress.size === 0 ? {} : { stress: countsOf(slice.stress) }),
      limited: [...slice.limited].slice(0, MOST_LIMITS),
    };
  }

  /** The control plane has it, or will never take it. */
  done({ number }: Slice): void {
    if (this.#waiting[0]?.number === number) this.#waiting.shift();
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  /** One slice less: the oldest two that may be put together, else the oldest. */
  #shorten(): void {
    const all = this.#waiting;
    const at = all.findIndex((slice, i) => {
      const next = all[i + 1];
      return slice.number === undefined && next !== undefined && next.to - slice.from <= LONG;
    });
    if (at === -1) {
      all.shift();
      return;
    }
    const [a, b] = [all[at]!, all[at + 1]!];
    const slice: Waiting = { ...a, to: b.to, folded: Math.max(a.folded, b.folded) };
    for (const { route, unit, version, outcomes, latencies } of b.series.values()) {
      const series = this.#of(slice.series, route, unit, version);
      addOutcomes(series.outcomes, outcomes);
      series.latencies = mergeLatencies(series.latencies, latencies);
    }
    for (const { route, unit, version, outcomes, latencies } of b.stress.values()) {
      const series = this.#ofStress(slice.stress, route, unit, version);
      addOutcomes(series.outcomes, outcomes);
      series.latencies = mergeLatencies(series.latencies, latencies);
    }
    for (const [limit, n] of b.limited) slice.limited.set(limit, (slice.limited.get(limit) ?? 0) + n);
    this.#fold(slice);
    all.splice(at, 2, slice);
  }

  /** Canaries keep their own series, however little they serve: somebody decides by them. */
  #fold(slice: Waiting): void {
    const { size } = slice.series;
    if (size <= MOST_SERIES) return;
    const weight = ({ version, outcomes }: Series): number =>
      outcomes.reduce((sum, n) => sum + n, 0) + (version === "canary" ? Number.MAX_SAFE_INTEGER / 2 : 0);
    const ordered = [...slice.series.values()].sort((a, b) => weight(b) - weight(a));
    slice.series = new Map();
    for (const [i, series] of ordered.entries()) {
      const kept = i < MOST_SERIES - 1 && series.route !== OTHER;
      const into = kept
        ? this.#of(slice.series, series.route, series.unit, series.version)
        : this.#of(slice.series, OTHER, "", "stable");
      addOutcomes(into.outcomes, series.outcomes);
      into.latencies = mergeLatencies(into.latencies, series.latencies);
    }
    slice.folded += size - slice.series.size + 1;
  }

  /** What finds no place is counted together. */
  #ofStress(all: Map<string, Series>, route: string, unit: string, version: Version): Series {
    const isKnown = all.size < MOST_STRESS_SERIES - 1 || all.has(`${route}\n${unit}\n${version}`);
    return isKnown ? this.#of(all, route, unit, version) : this.#of(all, OTHER, "", "stable");
  }

  #of(all: Map<string, Series>, route: string, unit: string, version: Version): Series {
    const key = `${route}\n${unit}\n${version}`;
    let series = all.get(key);
    if (series === undefined) {
      series = { route, unit, version, outcomes: new Array<number>(OUTCOMES.length).fill(0), latencies: [] };
      all.set(key, series);
    }
    return series;
  }
}

function countsOf(all: ReadonlyMap<string, Series>): SeriesCounts[] {
  return [...all.values()].map(({ route, unit, version, outcomes, latencies }) => {
    const last = outcomes.findLastIndex((n) => n > 0);
    return [route, unit, version, outcomes.slice(0, last + 1), latencies];
  });
}

function addOutcomes(to: number[], from: readonly number[]): void {
  for (let i = 0; i < from.length; i++) to[i]! += from[i]!;
}
