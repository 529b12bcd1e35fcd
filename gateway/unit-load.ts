/**
 * How busy each unit is, in memory that all threads share: what is under way there, what waits for it in the gateway,
 * and how its answers come. Threads count; the main thread looks at the differences and says how much a unit may have.
 *
 * Sums go on and on within 32 bits; differences wrap with them.
 */
import { URGENCIES, type Urgency } from "./waiting-line.ts";

export const MAX_UNITS = 4_096;

/** One 32-bit number per unit, unless it says otherwise. */
const FIELDS = [
  "limit",
  "pending",
  "peak",
  "full",
  "answers",
  "latency",
  "baseline",
  "calm",
  "work",
  "stalled",
  "stressed",
] as const;

export class UnitLoad {
  /** Requests that a unit may have at work; 0 is no limit but the static one. */
  readonly limit: Int32Array;
  /** Requests that wait for the unit to begin its answer. */
  readonly pending: Int32Array;
  /** Most of them since the main thread looked. */
  readonly peak: Int32Array;
  /** Requests that found the limit reached. */
  readonly full: Int32Array;
  readonly answers: Int32Array;
  /** Sum of microseconds until answers began, and of those that they take when nobody waits. */
  readonly latency: Int32Array;
  readonly baseline: Int32Array;
  /** 1 while the unit has no queue of its own. */
  readonly calm: Int32Array;
  /** Microseconds that an answer takes when nobody waits. */
  readonly work: Int32Array;
  /** 1 while it has as much as it may and answers nothing. */
  readonly stalled: Int32Array;
  /** Of the answers, those to stress traffic. */
  readonly stressed: Int32Array;
  /** Requests that wait in the gateway, by unit and urgency. */
  readonly waiting: Int32Array;
  /** When the unit's bucket of requests per second is full again (ns); see token-table.ts. */
  readonly capacity: BigInt64Array;

  static readonly bytes = MAX_UNITS * (8 + 4 * (FIELDS.length + URGENCIES));

  /** @param at multiple of 8 */
  constructor(memory: SharedArrayBuffer, at: number) {
    this.capacity = new BigInt64Array(memory, at, MAX_UNITS);
    let next = at + 8 * MAX_UNITS;
    const ints = (length: number): Int32Array => {
      const view = new Int32Array(memory, next, length);
      next += length * 4;
      return view;
    };
    this.limit = ints(MAX_UNITS);
    this.pending = ints(MAX_UNITS);
    this.peak = ints(MAX_UNITS);
    this.full = ints(MAX_UNITS);
    this.answers = ints(MAX_UNITS);
    this.latency = ints(MAX_UNITS);
    this.baseline = ints(MAX_UNITS);
    this.calm = ints(MAX_UNITS);
    this.work = ints(MAX_UNITS);
    this.stalled = ints(MAX_UNITS);
    this.stressed = ints(MAX_UNITS);
    this.waiting = ints(MAX_UNITS * URGENCIES);
  }

  /** Whether somebody at least as urgent waits for this unit, in any thread. */
  isAwaited(row: number, urgency: Urgency): boolean {
    for (let u = 0; u <= urgency; u++) {
      if (Atomics.load(this.waiting, row * URGENCIES + u) > 0) return true;
    }
    return false;
  }

  /**
   * The unit began an answer, or was given up.
   *
   * @param milliseconds it took · @param baseline it takes when nobody waits · @param isStress it was stress traffic's
   */
  answered(row: number, milliseconds: number, baseline: number, isStress: boolean): void {
    Atomics.add(this.answers, row, 1);
    if (isStress) Atomics.add(this.stressed, row, 1);
    Atomics.add(this.latency, row, Math.round(milliseconds * 1000));
    Atomics.add(this.baseline, row, Math.round(baseline * 1000));
  }
}
