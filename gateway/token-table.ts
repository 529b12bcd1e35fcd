/**
 * The token buckets of one limit, one per key, in memory that all threads share.
 *
 * A bucket is a single number, the virtual time of GCRA (ITU-T I.371; Turner's leaky bucket as a meter): the moment at
 * which it will be full again. Each token moves it on by `perToken`; a request passes while the bucket would be full
 * within `full` of now. That is exactly a token bucket with continuous refill, and one compare-and-swap makes it exact
 * across threads.
 *
 * A bucket that is full again remembers nothing, so its place is free without being emptied. Places are found in sets of
 * eight by a hash that only this process knows the seed of. Where all eight owe tokens, a newcomer takes the place of
 * the one that owes least: who makes up keys pushes out his own, and must spend more tokens under each made-up key than
 * the bucket that he wants forgotten owes.
 */

const WAYS = 8;
/** Sets are filled to three quarters of their places on average, so that few overflow by chance. */
const FILL = 6;
/** About a century, within what 64 bits hold. */
const LONGEST = 4_000_000_000_000_000_000n;

/** How fast buckets refill: nanoseconds. */
export interface BucketShape {
  /** Time in which one token comes back. */
  readonly perToken: bigint;
  /** Time in which an empty bucket fills. */
  readonly full: bigint;
}

/** @param rate tokens per second · @param burst tokens that a bucket holds */
export function bucketShape(rate: number, burst: number): BucketShape {
  const perToken = 1e9 / rate;
  return { perToken: nanoseconds(perToken), full: nanoseconds(perToken * burst) };
}

function nanoseconds(value: number): bigint {
  return value >= Number(LONGEST) ? LONGEST : BigInt(Math.max(1, Math.round(value)));
}

/** Bytes of a table that remembers this many keys. */
export function tokenTableBytes(keys: number): number {
  return setsOf(keys) * WAYS * 12;
}

function setsOf(keys: number): number {
  return Math.ceil(keys / FILL);
}

export class TokenTable {
  readonly #fullAt: BigInt64Array;
  readonly #tags: Int32Array;
  readonly #sets: number;

  /** Lays the table over shared memory of `tokenTableBytes(keys)`, all zero at first. */
  constructor(memory: SharedArrayBuffer, keys: number) {
    this.#sets = setsOf(keys);
    this.#fullAt = new BigInt64Array(memory, 0, this.#sets * WAYS);
    this.#tags = new Int32Array(memory, this.#sets * WAYS * 8, this.#sets * WAYS);
  }

  /**
   * Takes tokens for a key, which is two independent 32-bit hashes of its text.
   *
   * @param now nanoseconds of a clock that all threads share
   * @returns 0 when the request passes; else the nanoseconds until it would
   */
  take(set: number, tag: number, now: bigint, cost: number, shape: BucketShape): bigint {
    const row = this.#rowOf(set, tag, now);
    const price = shape.perToken * BigInt(cost);
    const latest = now + shape.full;
    for (;;) {
      const was = Atomics.load(this.#fullAt, row);
      // After a reload made it smaller, a bucket may owe more than it holds: it owes all it holds.
      if (was > latest) {
        Atomics.compareExchange(this.#fullAt, row, was, latest);
        continue;
      }
      const next = (was < now ? now : was) + price;
      if (next > latest) return next - latest;
      if (Atomics.compareExchange(this.#fullAt, row, was, next) === was) return 0n;
    }
  }

  /** Gives tokens back that `take` took: another limit refused the request. */
  giveBack(set: number, tag: number, cost: number, shape: BucketShape): void {
    const row = this.#find(set, tag);
    if (row !== -1) Atomics.sub(this.#fullAt, row, shape.perToken * BigInt(cost));
  }

  #find(set: number, tag: number): number {
    const first = ((set >>> 0) % this.#sets) * WAYS;
    const named = tag | 0 || 1; // 0 is a place that nobody ever took
    for (let row = first; row < first + WAYS; row++) {
      if (Atomics.load(this.#tags, row) === named) return row;
    }
    return -1;
  }

  #rowOf(set: number, tag: number, now: bigint): number {
    const named = tag | 0 || 1;
    for (;;) {
      const known = this.#find(set, tag);
      if (known !== -1) return known;
      const row = this.#leastOwing(set);
      const before = Atomics.load(this.#tags, row);
      const owed = Atomics.load(this.#fullAt, row);
      // Another thread may have taken it, perhaps for the same key: look again.
      if (Atomics.compareExchange(this.#tags, row, before, named) !== before) continue;
      if (owed > now) Atomics.compareExchange(this.#fullAt, row, owed, now);
      return row;
    }
  }

  #leastOwing(set: number): number {
    const first = ((set >>> 0) % this.#sets) * WAYS;
    let least = first;
    for (let row = first; row < first + WAYS; row++) {
      if (Atomics.load(this.#tags, row) === 0) return row;
      if (Atomics.load(this.#fullAt, row) < Atomics.load(this.#fullAt, least)) least = row;
    }
    return least;
  }
}
