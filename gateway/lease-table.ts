/**
 * The tokens that this gateway has leased of a fleet limit, one row per key, in memory that all threads share.
 *
 * Traffic threads only take; the main thread adds what the store granted, and frees rows. A row may go below zero by
 * the credit: a key that is new, or whose use grew between two leases, is not refused for want of a lease, and what it
 * took so is charged with the next one. A key that the store granted less than was asked for has no credit.
 */

const WAYS = 8;
const FILL = 6;
const FIELDS = 6;
/** A balance below this belongs to a row that is being freed. */
const CLOSED = -(2 ** 29);

export function leaseTableBytes(keys: number): number {
  return setsOf(keys) * WAYS * FIELDS * 4;
}

function setsOf(keys: number): number {
  return Math.ceil(keys / FILL);
}

/** What `take` found. */
export const LEASE = {
  /** The tokens were there. */
  taken: 0,
  /** The lease is used up and the limit is too. */
  empty: 1,
  /** No row could be had: the table is full of keys in use. */
  none: 2,
} as const;

export class LeaseTable {
  readonly memory: SharedArrayBuffer;
  readonly #tags: Int32Array;
  readonly #balances: Int32Array;
  /** Tokens taken and tokens refused, counted on and on; the main thread looks at the differences. */
  readonly #used: Int32Array;
  readonly #refused: Int32Array;
  /** 0: has credit. Otherwise milliseconds until the store will have a token again, at least 1. */
  readonly #starved: Int32Array;
  /** How far below zero the row may go, and one more; 0 where the store was not asked yet. */
  readonly #credits: Int32Array;
  readonly #sets: number;
  /** The last `row` was made by it: the main thread must hear of the key. */
  fresh = false;

  constructor(memory: SharedArrayBuffer, keys: number) {
    this.memory = memory;
    this.#sets = setsOf(keys);
    const rows = this.#sets * WAYS;
    const field = (n: number): Int32Array => new Int32Array(memory, n * rows * 4, rows);
    this.#tags = field(0);
    this.#balances = field(1);
    this.#used = field(2);
    this.#refused = field(3);
    this.#starved = field(4);
    this.#credits = field(5);
  }

  /**
   * Finds a key's row, or takes a free one. Called by traffic threads.
   *
   * @returns −1 when there is no place; `fresh` says whether the key had none before
   */
  row(set: number, tag: number): number {
    this.fresh = false;
    const named = tag | 0 || 1;
    const first = ((set >>> 0) % this.#sets) * WAYS;
    for (;;) {
      let free = -1;
      for (let row = first; row < first + WAYS; row++) {
        const there = Atomics.load(this.#tags, row);
        if (there === named) return row;
        if (there === 0 && free === -1) free = row;
      }
      if (free === -1) return -1;
      if (Atomics.compareExchange(this.#tags, free, 0, named) !== 0) continue;
      this.fresh = true;
      return free;
    }
  }

  /** @param credit how far below zero a row may go of which the store has not been asked yet */
  take(row: number, cost: number, credit: number): (typeof LEASE)[keyof typeof LEASE] {
    const given = Atomics.load(this.#credits, row);
    const may = Math.max(given === 0 ? credit : given - 1, cost);
    const least = Atomics.load(this.#starved, row) === 0 ? -may : 0;
    for (;;) {
      const was = Atomics.load(this.#balances, row);
      if (was <= CLOSED) return LEASE.none;
      if (was - cost < least) {
        Atomics.add(this.#refused, row, cost);
        return LEASE.empty;
      }
      if (Atomics.compareExchange(this.#balances, row, was, was - cost) !== was) continue;
      Atomics.add(this.#used, row, cost);
      return LEASE.taken;
    }
  }

  /** Another limit refused the request: what was taken for it comes back. */
  giveBack(row: number, cost: number): void {
    if (Atomics.load(this.#balances, row) <= CLOSED) return;
    Atomics.add(this.#balances, row, cost);
    Atomics.sub(this.#used, row, cost);
  }

  /** Milliseconds until the store will have a token for this key again, as of the last lease. */
  wait(row: number): number {
    return Atomics.load(this.#starved, row);
  }

  // --- the main thread's ---

  balance(row: number): number {
    return Atomics.load(this.#balances, row);
  }
  /** How far below zero it may go; 0 where the store was not asked yet, or has no more. */
  credit(row: number): number {
    return Atomics.load(this.#starved, row) === 0 ? Math.max(0, Atomics.load(this.#credits, row) - 1) : 0;
  }
  used(row: number): number {
    return Atomics.load(this.#used, row);
  }
  refused(row: number): number {
    return Atomics.load(this.#refused, row);
  }

  /** Rows that a key has. */
  *rows(): Iterable<number> {
    for (let row = 0; row < this.#tags.length; row++) if (Atomics.load(this.#tags, row) !== 0) yield row;
  }

  /**
   * @param wait 0 when all was granted that was asked for, else milliseconds until there is more
   * @param credit how far below zero the row may go until the next lease
   */
  add(row: number, tokens: number, wait: number, credit: number): void {
    Atomics.store(this.#credits, row, credit + 1);
    Atomics.add(this.#balances, row, tokens);
    Atomics.store(this.#starved, row, wait);
  }

  /** Below zero: takes back what is to be given back to the store. */
  move(row: number, tokens: number): void {
    Atomics.add(this.#balances, row, tokens);
  }

  /** Frees a row. @returns its balance, which is nobody's now */
  free(row: number): number {
    const left = Atomics.exchange(this.#balances, row, 2 * CLOSED);
    Atomics.store(this.#used, row, 0);
    Atomics.store(this.#refused, row, 0);
    Atomics.store(this.#starved, row, 0);
    Atomics.store(this.#credits, row, 0);
    Atomics.store(this.#tags, row, 0);
    Atomics.store(this.#balances, row, 0);
    return left;
  }
}
