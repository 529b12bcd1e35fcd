/**
 * What all threads of a gateway must agree on, in shared memory: endpoint health, failures in a row, requests under
 * way. It belongs to endpoints and units, not to a table, so it outlives every swap.
 *
 * Rows are handed out by `rows.ts` on the main thread. Health is written by the main thread alone; the rest with
 * Atomics, because it must be exact across threads.
 */

import type { Drains } from "../model/table.ts";
import { BreakerBoard } from "./breaker-board.ts";
import { MAX_UNITS, UnitLoad } from "./unit-load.ts";
import { URGENCIES } from "./waiting-line.ts";

export const MAX_ENDPOINTS = 65_536;

export interface LiveState {
  readonly buffer: SharedArrayBuffer;
  /** Bits DOWN, EJECTED per endpoint; 0 is usable. */
  readonly endpoints: Int32Array;
  /** Failures in a row per endpoint, as real traffic sees them. */
  readonly failures: Int32Array;
  /** Requests under way per endpoint, over all threads. */
  readonly inflight: Int32Array;
  /** Requests under way per unit, over all threads. */
  readonly unitInflight: Int32Array;
  /** `Date`-free start of an endpoint's slow start, in the main thread's monotonic milliseconds; 0 is none. */
  readonly warmingSince: Float64Array;
  readonly breakers: BreakerBoard;
  /** With which units' tunnels are closed: by unit row, 1 where a drain does not wait for them any longer. */
  readonly drains: Drains & { readonly closed: Int32Array };
  /** How busy each unit is. */
  readonly load: UnitLoad;
  /** Client connections open, over all threads (one number). */
  readonly connections: Int32Array;
  /** Two numbers per thread: writes that it holds, and writes under way though they are fenced. */
  readonly fenced: Int32Array;
  /**
   * One row per thread: its own part of `inflight`, `unitInflight`, `load.pending` and `load.waiting`, one after the
   * other, so that a dead thread's can be taken back.
   */
  readonly perThread: readonly Int32Array[];
}

const OWN_PENDING = MAX_ENDPOINTS + MAX_UNITS;
const OWN_WAITING = OWN_PENDING + MAX_UNITS;
const PER_THREAD = OWN_WAITING + MAX_UNITS * URGENCIES;

/** Lays the arrays over a buffer; without one, makes it. Pages that nobody touches cost nothing. */
export function liveState(threads: number, buffer?: SharedArrayBuffer): LiveState {
  const bytes =
    8 * MAX_ENDPOINTS +
    UnitLoad.bytes +
    BreakerBoard.bytes +
    4 * (3 * MAX_ENDPOINTS + 3 * MAX_UNITS + 2 + threads + 2 * threads + threads * PER_THREAD);
  const memory = buffer ?? new SharedArrayBuffer(bytes);
  let at = 0;
  const ints = (length: number): Int32Array => {
    const view = new Int32Array(memory, at, length);
    at += length * 4;
    return view;
  };
  const warmingSince = new Float64Array(memory, 0, MAX_ENDPOINTS);
  const load = new UnitLoad(memory, 8 * MAX_ENDPOINTS);
  const breakers = new BreakerBoard(memory, 8 * MAX_ENDPOINTS + UnitLoad.bytes);
  at = 8 * MAX_ENDPOINTS + UnitLoad.bytes + BreakerBoard.bytes;
  return {
    buffer: memory,
    warmingSince,
    load,
    breakers,
    endpoints: ints(MAX_ENDPOINTS),
    failures: ints(MAX_ENDPOINTS),
    inflight: ints(MAX_ENDPOINTS),
    unitInflight: ints(MAX_UNITS),
    drains: { count: ints(1), moved: ints(MAX_UNITS), closed: ints(MAX_UNITS) },
    fenced: ints(2 * threads),
    // The first number is the total, the others each thread's part.
    connections: ints(1 + threads),
    perThread: Array.from({ length: threads }, () => ints(PER_THREAD)),
  };
}

/** One thread's hand on the counters. */
export class InflightCounter {
  readonly #live: LiveState;
  readonly #own: Int32Array;
  readonly #thread: number;

  constructor(live: LiveState, thread: number) {
    this.#live = live;
    this.#own = live.perThread[thread]!;
    this.#thread = thread;
  }

  begin(endpoint: number, unitRow: number): void {
    Atomics.add(this.#live.inflight, endpoint, 1);
    Atomics.add(this.#live.unitInflight, unitRow, 1);
    this.#own[endpoint]!++;
    this.#own[MAX_ENDPOINTS + unitRow]!++;
  }

  end(endpoint: number, unitRow: number): void {
    Atomics.sub(this.#live.inflight, endpoint, 1);
    Atomics.sub(this.#live.unitInflight, unitRow, 1);
    this.#own[endpoint]!--;
    this.#own[MAX_ENDPOINTS + unitRow]!--;
  }

  /** The unit has the whole request and is at work. @returns how many others it was at work for */
  beginWork(unitRow: number): number {
    const { load } = this.#live;
    const among = Atomics.add(load.pending, unitRow, 1);
    this.#own[OWN_PENDING + unitRow]!++;
    if (among >= load.peak[unitRow]!) load.peak[unitRow] = among + 1;
    return among;
  }

  endWork(unitRow: number): void {
    Atomics.sub(this.#live.load.pending, unitRow, 1);
    this.#own[OWN_PENDING + unitRow]!--;
  }

  /** This thread's part of what waits for units. */
  get ownWaiting(): Int32Array {
    return this.#own.subarray(OWN_WAITING);
  }

  /** @returns connections open over all threads, this one included. */
  connectionOpened(): number {
    Atomics.add(this.#live.connections, 1 + this.#thread, 1);
    return Atomics.add(this.#live.connections, 0, 1) + 1;
  }

  connectionClosed(): void {
    Atomics.sub(this.#live.connections, 1 + this.#thread, 1);
    Atomics.sub(this.#live.connections, 0, 1);
  }
}

/** Takes back what a thread that died had under way. Called on the main thread, before its successor starts. */
export function forgetThread(live: LiveState, thread: number): void {
  const own = live.perThread[thread]!;
  for (let i = 0; i < own.length; i++) {
    const count = own[i]!;
    if (count === 0) continue;
    own[i] = 0;
    if (i < MAX_ENDPOINTS) Atomics.sub(live.inflight, i, count);
    else if (i < OWN_PENDING) Atomics.sub(live.unitInflight, i - MAX_ENDPOINTS, count);
    else if (i < OWN_WAITING) Atomics.sub(live.load.pending, i - OWN_PENDING, count);
    else Atomics.sub(live.load.waiting, i - OWN_WAITING, count);
  }
  live.breakers.forgetThread(thread);
  live.fenced.fill(0, 2 * thread, 2 * thread + 2);
  Atomics.sub(live.connections, 0, Atomics.exchange(live.connections, 1 + thread, 0));
}
