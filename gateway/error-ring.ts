/**
 * What of late went wrong, and what took longest, per route and unit: bounded, for the admin port and for the control
 * plane. All threads' together; nothing of it is on a disk.
 */
import { MOST_TRACE_BYTES, MOST_TRACES, type RequestTrace } from "../model/request-trace.ts";
import type { TraceQuery } from "../model/trace-query.ts";
import { TraceRing } from "../model/trace-ring.ts";

const ROOM = { failed: 32, slow: 16, all: 2_000 };
/** Those that wait to be told to the control plane. */
const MOST_WAITING = 200;

export class ErrorRing {
  readonly #kept = new TraceRing(ROOM);
  #waiting: RequestTrace[] = [];
  #isReported = false;
  /** Traces that the control plane will not hear of. */
  dropped = 0;

  add(trace: RequestTrace): void {
    this.#kept.add(trace);
    if (!this.#isReported) return;
    if (this.#waiting.length < MOST_WAITING) this.#waiting.push(trace);
    else this.dropped++;
  }

  /** The newest first. */
  list(query: TraceQuery): RequestTrace[] {
    return this.#kept.list(query);
  }

  /**
   * What the control plane was not told yet, as much as fits into one report. The first call is of a gateway that
   * follows one: the newest of what happened before count, too.
   */
  take(): readonly RequestTrace[] {
    if (!this.#isReported) this.#waiting = this.#kept.list({}).slice(0, MOST_WAITING).reverse();
    this.#isReported = true;
    let bytes = 2;
    let n = 0;
    while (n < this.#waiting.length && n < MOST_TRACES) {
      bytes += Buffer.byteLength(JSON.stringify(this.#waiting[n])) + 1;
      if (bytes > MOST_TRACE_BYTES) break;
      n++;
    }
    // One alone that is larger than a report would be in everybody's way for ever.
    if (n === 0 && this.#waiting.length > 0) {
      this.#waiting.shift();
      this.dropped++;
    }
    return this.#waiting.splice(0, n);
  }

  /** What the control plane said to them. @param status undefined where it did not answer: they are told again */
  told(traces: readonly RequestTrace[], status: number | undefined): void {
    if (status !== undefined && status < 300) return;
    const again = status === undefined || status >= 500 || status === 429;
    if (!again) this.dropped += traces.length;
    else {
      this.#waiting.unshift(...traces);
      const beyond = this.#waiting.splice(MOST_WAITING);
      this.dropped += beyond.length;
    }
  }
}
