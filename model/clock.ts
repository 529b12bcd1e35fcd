/** Time and chance are handed in, so that what decides can be tested without either. */

export interface Clock {
  /** Monotonic milliseconds from an arbitrary start; never goes back, whatever the wall clock does. */
  now(): number;
}

export interface Random {
  /** From 0 (inclusive) to 1 (exclusive). */
  next(): number;
}

/** A small seeded generator (mulberry32) for tests and simulations, and to spread load; never for secrets. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return {
    next() {
      state = (state + 0x6d2b79f5) >>> 0;
      let t = Math.imul(state ^ (state >>> 15), 1 | state);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
    },
  };
}
