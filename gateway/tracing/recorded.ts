/** One request as a traffic thread hands it to the main thread: for the error ring, for the collector, or for both. */
import type { RequestTrace } from "../../model/request-trace.ts";

export interface Recorded {
  readonly trace: Omit<RequestTrace, "kind" | "gateway">;
  /** For the error ring; undefined: for the collector alone. */
  readonly kind: RequestTrace["kind"] | undefined;
  /** For the collector. */
  readonly isExported: boolean;
  /** Of the client's span; empty where the trace begins here. */
  readonly parentSpanId: string;
  readonly tracestate: string;
  /** What the units were told: 1 sampled. */
  readonly flags: number;
  /** The route's pattern. */
  readonly pattern: string;
  readonly scheme: string;
  readonly host: string;
  readonly client: string;
  /** `1.1`, `2.0`. */
  readonly protocol: string;
}

/** What a thread has for the main thread. */
export interface TraceDelta {
  readonly recorded: readonly Recorded[];
  /** Spans of requests that should have been recorded and found no place. */
  readonly dropped: number;
}
