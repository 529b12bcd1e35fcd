/**
 * Failed and slow requests, the newest of each route and unit, bounded: noisy ones take no other's place. A gateway keeps
 * its own in one, and a control plane those of all gateways in another.
 */
import type { RequestTrace } from "./request-trace.ts";
import type { TraceQuery } from "./trace-query.ts";

/** Of one answer. */
export const MOST_LISTED = 500;

export interface TraceRoom {
  /** Of one route and unit. */
  readonly failed: number;
  readonly slow: number;
  /** Of all. */
  readonly all: number;
}

interface Series {
  readonly failed: RequestTrace[];
  readonly slow: RequestTrace[];
}

export class TraceRing {
  readonly #room: TraceRoom;
  /** The one that heard of something last comes last. */
  readonly #series = new Map<string, Series>();
  #size = 0;

  constructor(room: TraceRoom) {
    this.#room = room;
  }

  add(trace: RequestTrace): void {
    const key = `${trace.route}\n${trace.unit}`;
    const series = this.#series.get(key) ?? { failed: [], slow: [] };
    this.#series.delete(key);
    this.#series.set(key, series);
    const ring = series[trace.kind];
    ring.push(trace);
    if (ring.length > this.#room[trace.kind]) ring.shift();
    else this.#size++;
    if (this.#size > this.#room.all) this.#forgetOne();
  }

  /** Whether the same request is in it, of the same gateway's making. */
  has({ route, unit, kind, traceId, spanId }: RequestTrace): boolean {
    const ring = this.#series.get(`${route}\n${unit}`)?.[kind] ?? [];
    return ring.some((one) => one.spanId === spanId && one.traceId === traceId);
  }

  /** The newest first. */
  list(query: TraceQuery): RequestTrace[] {
    const found: RequestTrace[] = [];
    for (const { failed, slow } of this.#series.values()) {
      for (const one of failed) if (fits(one, query)) found.push(one);
      for (const one of slow) if (fits(one, query)) found.push(one);
    }
    return found.sort((a, b) => b.at - a.at).slice(0, MOST_LISTED);
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
}

function fits(one: RequestTrace, { route, unit, kind, trace, since = 0 }: TraceQuery): boolean {
  return (
    one.at >= since &&
    (route === undefined || one.route === route) &&
    (unit === undefined || one.unit === unit) &&
    (kind === undefined || one.kind === kind) &&
    (trace === undefined || one.traceId === trace)
  );
}
