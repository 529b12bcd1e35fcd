/**
 * What all threads of a gateway, and its operators, agree on about each circuit breaker. Each thread keeps its own counts
 * (breaker.ts); the first that has reason to open one opens it for all, and one trial at a time is let through, whichever
 * thread begins it.
 */

export const MAX_BREAKERS = 65_536;

export const BREAKER_STATES = ["closed", "half-open", "open"] as const;
/** 0 closed, 1 half-open, 2 open: the values of `tidegate_breaker_state`. */
export type BreakerState = 0 | 1 | 2;

/** What an operator asked for. */
export const FORCED = { not: 0, open: 1, closed: 2 } as const;
export type Forced = (typeof FORCED)[keyof typeof FORCED];

export class BreakerBoard {
  readonly #state: Int32Array;
  /** Raised whenever a breaker opens or closes, so that the other threads see it. */
  readonly #version: Int32Array;
  /** The thread whose trial is under way, counted from 1; 0 is none. */
  readonly #trial: Int32Array;
  readonly #forced: Int32Array;
  /** Until when it is forced (ms of the shared clock). */
  readonly #until: Float64Array;

  static readonly bytes = MAX_BREAKERS * (8 + 4 * 4);

  /** @param at multiple of 8 */
  constructor(memory: SharedArrayBuffer, at: number) {
    this.#until = new Float64Array(memory, at, MAX_BREAKERS);
    let next = at + 8 * MAX_BREAKERS;
    const ints = (): Int32Array => {
      const view = new Int32Array(memory, next, MAX_BREAKERS);
      next += 4 * MAX_BREAKERS;
      return view;
    };
    this.#state = ints();
    this.#version = ints();
    this.#trial = ints();
    this.#forced = ints();
  }

  state(row: number): BreakerState {
    return Atomics.load(this.#state, row) as BreakerState;
  }

  version(row: number): number {
    return Atomics.load(this.#version, row);
  }

  /** @returns the version that says so */
  publish(row: number, state: BreakerState): number {
    Atomics.store(this.#state, row, state);
    // Half-open is each thread's own finding, by its own timer; it changes nobody else's mind.
    return state === 1 ? this.version(row) : Atomics.add(this.#version, row, 1) + 1;
  }

  /** Whether a thread may begin the trial. */
  isTrialFree(row: number): boolean {
    return Atomics.load(this.#trial, row) === 0;
  }

  /** False when another trial is under way. */
  beginTrial(row: number, thread: number): boolean {
    return Atomics.compareExchange(this.#trial, row, 0, thread + 1) === 0;
  }

  endTrial(row: number, thread: number): void {
    Atomics.compareExchange(this.#trial, row, thread + 1, 0);
  }

  /** Takes back what a thread that died had begun. */
  forgetThread(thread: number): void {
    for (let row = 0; row < MAX_BREAKERS; row++) this.endTrial(row, thread);
  }

  forced(row: number): Forced {
    return Atomics.load(this.#forced, row) as Forced;
  }

  forcedUntil(row: number): number {
    return this.#until[row]!;
  }

  /** @param until milliseconds of the shared clock */
  force(row: number, forced: Forced, until: number): void {
    this.#until[row] = until;
    Atomics.store(this.#forced, row, forced);
  }

  /** A row is given to another breaker. */
  clear(row: number): void {
    for (const field of [this.#state, this.#version, this.#trial, this.#forced]) Atomics.store(field, row, 0);
  }
}
