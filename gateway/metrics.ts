/**
 * What a thread counts: plain numbers on the hot path, handed to the main thread as differences.
 *
 * A table swap makes new routes; the old ones' counts are handed over once more and forgotten with them.
 */
import { BUCKETS, bucketOf, type Latencies, latenciesOf } from "../model/latency-histogram.ts";
import type { CompiledRoute } from "../model/table.ts";
import type { Version } from "../model/fleet.ts";

/** One thread's counts since it last handed them over. */
export interface MetricsDelta {
  /** `[route, unit, version, code, outcome]` → requests; the outcome is its place in `OUTCOMES`. */
  readonly requests: readonly (readonly [
    route: string,
    unit: string,
    version: Version,
    code: number,
    outcome: number,
    n: number,
  ])[];
  /** Then the sum in seconds. */
  readonly durations: readonly (readonly [
    route: string,
    unit: string,
    version: Version,
    latencies: Latencies,
    sum: number,
  ])[];
  readonly counters: readonly (readonly [name: string, labels: string, n: number])[];
}

const VERSIONS: readonly Version[] = ["stable", "canary"];
/** Statuses have three digits: status and outcome are one number. */
const OUTCOME_FACTOR = 1_000;

class VersionSeries {
  /** Outcome × 1000 + status → requests. */
  readonly codes = new Map<number, number>();
  readonly buckets = new Uint32Array(BUCKETS);
  sum = 0;
}

class UnitSeries {
  readonly unit: string;
  readonly versions: (VersionSeries | undefined)[] = [new VersionSeries(), undefined];
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

  /**
   * A request is over. `unit` is undefined where no unit was reached.
   *
   * @param outcome its place in `OUTCOMES`
   */
  request(
    route: CompiledRoute,
    unit: { readonly index: number; readonly name: string } | undefined,
    version: Version,
    code: number,
    outcome: number,
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
    series.touched = true;
    if (answered) series.answered++;
    let counts = series.versions[version === "stable" ? 0 : 1];
    if (counts === undefined) {
      counts = new VersionSeries();
      series.versions[1] = counts;
    }
    const { codes, buckets } = counts;
    const key = outcome * OUTCOME_FACTOR + code;
    codes.set(key, (codes.get(key) ?? 0) + 1);
    buckets[bucketOf(seconds)]!++;
    counts.sum += seconds;
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
    const requests: [string, string, Version, number, number, number][] = [];
    const durations: [string, string, Version, number[], number][] = [];
    for (const [route, units] of this.#routes) {
      units.forEach((series) => {
        if (!series.touched) return;
        const { unit } = series;
        series.versions.forEach((counts, v) => {
          if (counts === undefined || counts.codes.size === 0) return;
          const { codes, buckets, sum } = counts;
          const version = VERSIONS[v]!;
          for (const [key, n] of codes) {
            const outcome = Math.floor(key / OUTCOME_FACTOR);
            requests.push([route.name, unit, version, key % OUTCOME_FACTOR, outcome, n]);
          }
          codes.clear();
          durations.push([route.name, unit, version, latenciesOf(buckets), sum]);
          buckets.fill(0);
          counts.sum = 0;
        });
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
