/**
 * For figures that make people ask "which one?": the newest request of each that was recorded, by its trace. Shown
 * where a scraper asks for OpenMetrics.
 */
import { DURATION_BUCKETS } from "./exposition.ts";
import type { Recorded } from "./tracing/recorded.ts";

/** Series that have any; others go without. */
const MOST_SERIES = 2_000;

export interface Exemplar {
  readonly trace: string;
  readonly value: number;
  /** Milliseconds since 1970. */
  readonly at: number;
}

export class Exemplars {
  /** Labels → by bucket. */
  readonly #durations = new Map<string, (Exemplar | undefined)[]>();
  /** Name and labels of a counter. */
  readonly #counts = new Map<string, Exemplar>();

  see({ trace, kind }: Recorded): void {
    // Stress traffic is counted apart.
    if (trace.stress !== "" || trace.route === "") return;
    const seconds = trace.duration / 1_000;
    const at = trace.at + trace.duration;
    const labels = `route="${trace.route}",unit="${trace.unit}"`;
    let buckets = this.#durations.get(labels);
    if (buckets === undefined && this.#durations.size < MOST_SERIES) {
      buckets = [];
      this.#durations.set(labels, buckets);
    }
    const place = DURATION_BUCKETS.findIndex((le) => seconds <= le);
    if (buckets !== undefined) {
      buckets[place === -1 ? DURATION_BUCKETS.length : place] = { trace: trace.traceId, value: seconds, at };
    }
    if (kind !== "failed") return;
    const one = { trace: trace.traceId, value: 1, at };
    const version = trace.version === "" ? "stable" : trace.version;
    this.#count(`tidegate_requests_total{${labels},version="${version}",code="${trace.status}"}`, one);
    for (const { unit, error, status } of trace.attempts) {
      const outcome = error === "" ? `${status}` : error;
      this.#count(`tidegate_attempts_total{unit="${unit}",outcome="${outcome}"}`, one);
    }
  }

  #count(series: string, exemplar: Exemplar): void {
    if (this.#counts.has(series) || this.#counts.size < MOST_SERIES) this.#counts.set(series, exemplar);
  }

  /** @param bucket its place in `DURATION_BUCKETS`, or behind them */
  ofBucket(name: string, labels: string, bucket: number): string {
    if (name !== "tidegate_request_duration_seconds") return "";
    return written(this.#durations.get(labels)?.[bucket]);
  }

  ofCounter(name: string, labels: string): string {
    return written(this.#counts.get(`${name}{${labels}}`));
  }
}

function written(exemplar: Exemplar | undefined): string {
  if (exemplar === undefined) return "";
  return ` # {trace_id="${exemplar.trace}"} ${exemplar.value} ${(exemplar.at / 1_000).toFixed(3)}`;
}
