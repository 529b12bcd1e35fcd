/** The real clock and real chance. Only a process's entry point makes them. */
import { randomBytes } from "node:crypto";
import type { Clock, Random } from "../model/clock.ts";
import { seededRandom } from "../model/clock.ts";

/** Monotonic milliseconds that mean the same moment in every thread: Node's `performance.now()` starts per thread. */
export function systemClock(): Clock {
  const offset = Number(process.hrtime.bigint() / 1000n) / 1000 - performance.now();
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
