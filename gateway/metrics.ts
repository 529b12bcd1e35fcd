/**
 * What a thread counts: plain numbers on the hot path, handed to the main thread as differences.
 *
 * A table swap makes new routes; the old ones' counts are handed over once more and forgotten with them.
 */
import type { CompiledRoute } from "../model/table.ts";
import type { Version } from "../model/fleet.ts";

/** Upper bounds in seconds. Fine where a gateway's answers lie, coarse where only "too slow" matters. */
export const DURATION_BUCKETS = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
] as const;

/** One thread's counts since it last handed them over. */
export interface MetricsDelta {
  /** `[route, unit, version, code]` → requests. */
  readonly requests: readonly (readonly [
    route: string,
    unit: string,
    version: string,
    code: number,
    n: number,
  ])[];
  /** Counts per bucket, the last beyond all bounds, then the sum in seconds. */
  readonly durations: readonly (readonly [route: string, unit: string, buckets: number[], sum: number])[];
  readonly counters: readonly (readonly [name: string, labels: string, n: number])[];
}

class UnitSeries {
  readonly unit: string;
  readonly codes: [Map<number, number>, Map<number, number>] = [new Map(), new Map()];
  readonly buckets = new Array<number>(DURATION_BUCKETS.length + 1).fill(0);
  sum = 0;
  /** Requests that the unit answered. */
  answered = 0;
  touched = false;

  constructor(unit: string) {
    this.unit = unit;
  }
}

export class ThreadMetrics {
  readonly #routes = new Map<CompiledRoute, UnitSeries[]>();
  readonly #counters = new Map<string, Map<string, number>>();
  readonly #attempts = new Map<string, Map<string, number>>();

  /** A request is over. `unit` is undefined where no unit was reached. */
  request(
    route: CompiledRoute,
    unit: { readonly index: number; readonly name: string } | undefined,
    version: Version,
    code: number,
    seconds: number,
    answered: boolean,
  ): void {
    let units = this.#routes.get(route);
    if (units === undefined) {
      units = [];
      this.#routes.set(route, units);
    }
    const at = unit === undefined ? 0 : unit.index + 1;
    let series = units[at];
    if (series === undefined) {
      series = new UnitSeries(unit?.name ?? "");
      units[at] = series;
    }
    const codes = series.codes[version === "stable" ? 0 : 1];
    codes.set(code, (codes.get(code) ?? 0) + 1);
    series.touched = true;
    if (answered) series.answered++;
    let bucket = 0;
    while (bucket < DURATION_BUCKETS.length && seconds > DURATION_BUCKETS[bucket]!) bucket++;
    series.buckets[bucket]!++;
    series.sum += seconds;
  }

  /** An attempt is over; `outcome` is `answered`, a failure of `retry.on`, or the problem that ended the request. */
  attempt(unit: string, outcome: string): void {
    this.#attempt(unit, outcome, 1);
  }

  #attempt(unit: string, outcome: string, n: number): void {
    let outcomes = this.#attempts.get(unit);
    if (outcomes === undefined) {
      outcomes = new Map();
      this.#attempts.set(unit, outcomes);
    }
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + n);
  }

  /** Counts something rarer than a request. `labels` is Prometheus text without braces, e.g. `unit="hz"`. */
  count(name: string, labels: string, n = 1): void {
    let byLabels = this.#counters.get(name);
    if (byLabels === undefined) {
      byLabels = new Map();
      this.#counters.set(name, byLabels);
    }
    byLabels.set(labels, (byLabels.get(labels) ?? 0) + n);
  }

  /** Hands everything over and begins at zero. */
  take(): MetricsDelta {
    const requests: [string, string, string, number, number][] = [];
    const durations: [string, string, number[], number][] = [];
    for (const [route, units] of this.#routes) {
      units.forEach((series) => {
        if (!series.touched) return;
        const { unit } = series;
        series.codes.forEach((codes, v) => {
          for (const [code, n] of codes)
            requests.push([route.name, unit, v === 0 ? "stable" : "canary", code, n]);
          codes.clear();
        });
        durations.push([route.name, unit, series.buckets.slice(), series.sum]);
        series.buckets.fill(0);
        series.sum = 0;
        if (series.answered > 0) this.#attempt(unit, "answered", series.answered);
        series.answered = 0;
        series.touched = false;
      });
    }
    const counters: [string, string, number][] = [];
    for (const [name, byLabels] of this.#counters) {
      for (const [labels, n] of byLabels) counters.push([name, labels, n]);
    }
    this.#counters.clear();
    for (const [unit, outcomes] of this.#attempts) {
      for (const [outcome, n] of outcomes) {
        counters.push(["tidegate_attempts_total", `unit="${unit}",outcome="${outcome}"`, n]);
      }
      outcomes.clear();
    }
    return { requests, durations, counters };
  }

  /** Forgets routes that no table has any more. Call after `take`. */
  keepOnly(routes: ReadonlySet<CompiledRoute>): void {
    for (const route of this.#routes.keys()) if (!routes.has(route)) this.#routes.delete(route);
  }
}
