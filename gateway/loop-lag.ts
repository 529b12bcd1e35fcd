/**
 * How late this thread is: its own delays must not be taken for a unit's. A gateway that has just started compiles
 * while it serves, and a busy machine stops a thread now and then; what was on its way meanwhile seems slow.
 */

/** Call `tick` so often (ms). */
export const LAG_TICK = 10;
/** What remains of an older delay after each tick. */
const FORGETS = 0.8;

export class LoopLag {
  #due: number;
  #late = 0;

  constructor(now: number) {
    this.#due = now + LAG_TICK;
  }

  /** Milliseconds that something may have waited for this thread, lately. */
  get milliseconds(): number {
    return this.#late;
  }

  tick(now: number): void {
    this.#late = Math.max(now - this.#due, this.#late * FORGETS);
    // Timers are a millisecond or so late by nature.
    if (this.#late < 2) this.#late = 0;
    this.#due = now + LAG_TICK;
  }
}
