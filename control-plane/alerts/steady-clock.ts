/**
 * Milliseconds since 1970 by a clock that does not jump: it goes with the monotonic clock, and nears the wall's by a tenth of
 * what passes. A wall that is set an hour ahead neither ends a silence at once nor fires what has to hold for an hour.
 */
const NEARING = 0.1;

export class SteadyClock {
  readonly #wall: () => number;
  readonly #monotonic: () => number;
  #now: number;
  #read: number;

  constructor(wall: () => number, monotonic: () => number) {
    this.#wall = wall;
    this.#monotonic = monotonic;
    this.#now = wall();
    this.#read = monotonic();
  }

  now(): number {
    const read = this.#monotonic();
    const passed = Math.max(0, read - this.#read);
    this.#read = read;
    this.#now += passed;
    const off = this.#wall() - this.#now;
    this.#now += Math.sign(off) * Math.min(Math.abs(off), passed * NEARING);
    return Math.round(this.#now);
  }
}
