/** The real clock and real chance. Only a process's entry point makes them. */
import { randomBytes } from "node:crypto";
import type { Clock, Random } from "../model/clock.ts";
import { seededRandom } from "../model/clock.ts";

/** Readings of which the quickest counts: a thread that is put aside between two clocks is off by that time for ever. */
const READINGS = 16;

/** Monotonic milliseconds that mean the same moment in every thread: Node's `performance.now()` starts per thread. */
export function systemClock(): Clock {
  let [offset, quickest] = [0, Number.POSITIVE_INFINITY];
  for (let i = 0; i < READINGS; i++) {
    const before = performance.now();
    const shared = Number(process.hrtime.bigint() / 1000n) / 1000;
    const took = performance.now() - before;
    if (took >= quickest) continue;
    quickest = took;
    offset = shared - before - took / 2;
  }
  return { now: () => performance.now() + offset };
}

/** A fast generator with a seed that nobody can guess; good for spreading load, not for secrets. */
export function systemRandom(): Random {
  return seededRandom(randomBytes(4).readUInt32LE());
}

/** Milliseconds since 1970, as the machine says. */
export function wallClock(): number {
  return Date.now();
}
