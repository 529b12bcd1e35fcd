/**
 * What of late went wrong, and what took longest, per route and unit: bounded, for the admin port and for the control
 * plane. All threads' together; nothing of it is on a disk.
 */
import { MOST_TRACE_BYTES, MOST_TRACES, type RequestTrace } from "../model/request-trace.ts";

/** Of one route and unit. */
const MOST_FAILED = 32;
const MOST_SLOW = 16;
/** Of all. */
const MOST = 2_000;
/** Those that wait to be told to the control plane. */
const MOST_WAITING = 200;
const MOST_ANSWERED = 500;

export interface ErrorQuery {
  readonly route?: string | undefined;
  readonly unit?: string | undefined;
  readonly kind?: string | undefined;
  readonly trace?: string | undefined;
  /** Milliseconds since 1970. */
  readonly since?: number | undefined;
}

interface Series {
  readonly failed: RequestTrace[];
  readonly slow: RequestTrace[];
}

export class ErrorRing {
  /** The one that heard of something last comes last. */
  readonly #series = new Map<string, Series>();
  #size = 0;
  #waiting: RequestTrace[] = [];
  #isReported = false;
  /** Traces that the control plane will not hear of. */
  dropped = 0;

  add(trace: RequestTrace): void {
    const key = `${trace.route}\n${trace.unit}`;
    const series = this.#series.get(key) ?? { failed: [], slow: [] };
    this.#series.delete(key);
    this.#series.set(key, series);
    const [ring, most] = trace.kind === "failed" ? [series.failed, MOST_FAILED] : [series.slow, MOST_SLOW];
    ring.push(trace);
    if (ring.length > most) ring.shift();
    else this.#size++;
    if (this.#size > MOST) this.#forgetOne();
    if (!this.#isReported) return;
    if (this.#waiting.length < MOST_WAITING) this.#waiting.push(trace);
    else this.dropped++;
  }

  /** Of the route and unit where nothing happened for longest. */
  #forgetOne(): void {
    const [key, { failed, slow }] = this.#series.entries().next().value!;
    const older =
      slow.length === 0 || (failed[0]?.at ?? Number.POSITIVE_INFINITY) < slow[0]!.at ? failed : slow;
    older.shift();
    this.#size--;
    if (failed.length + slow.length === 0) this.#series.delete(key);
  }

  /** The newest first. */
  list({ route, unit, kind, trace, since = 0 }: ErrorQuery): RequestTrace[] {
    const found: RequestTrace[] = [];
    for (const { failed, slow } of this.#series.values()) {
      for (const one of [...failed, ...slow]) {
        if (one.at < since) continue;
        if (route !== undefined && one.route !== route) continue;
        if (unit !== undefined && one.unit !== unit) continue;
        if (kind !== undefined && one.kind !== kind) continue;
        if (trace !== undefined && one.traceId !== trace) continue;
        found.push(one);
      }
    }
    return found.sort((a, b) => b.at - a.at).slice(0, MOST_ANSWERED);
  }

  /** From now on a control plane is told; what it was not told yet, as much as fits into one report. */
  take(): readonly RequestTrace[] {
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
