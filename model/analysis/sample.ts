/** What one version of a unit did in one window. */
import type { Latencies } from "../latency-histogram.ts";

export interface Sample {
  /** Its end (ms); never before the sample that came before it. */
  readonly at: number;
  /** Requests that the version was to answer (`servedOf`). */
  readonly requests: number;
  /** Of these, those that it did not answer: `error` and `fallback`. */
  readonly failures: number;
  readonly latency: Latencies;
  /** Requests under way on average, where it is known. */
  readonly inflight?: number;
  /** Name of a metric in the settings → its value in this window. What is unknown is left out. */
  readonly metrics?: Readonly<Record<string, number>>;
}
