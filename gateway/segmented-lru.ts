/**
 * What is forgotten first when memory is short: a segmented LRU (Karedla, Love, Wherry 1994) counted in bytes.
 *
 * New items are on probation; one that is used again is protected, in at most four fifths of the memory. So who makes
 * up keys pushes out what was new, and never what is in use. Where the protected part is full, a newcomer must have
 * been used more often than the item that it replaces, so asking twice for each made-up key does not pay either (the
 * thought is TinyLFU's, Einziger et al. 2017). Under pressure the count of the one item that was used longest ago is
 * halved every second: what nobody asks for any more leaves within seconds, one after another and never all at once.
 */

/** An item that can be kept; the fields are the list's own, but for `bytes`. */
export abstract class Item {
  readonly bytes: number;
  uses = 1;
  segment: Segment | undefined = undefined;
  newer: Item | undefined = undefined;
  older: Item | undefined = undefined;

  constructor(bytes: number) {
    this.bytes = bytes;
  }
}

/** Share of the memory that items in use may take. */
const PROTECTED = 0.8;
/** A larger share of the memory than this no single item has: it always fits beside the protected ones. */
export const LARGEST_SHARE = 1 - PROTECTED;
const MOST_USES = 1_000;
/** How often the count of the item that was used longest ago is halved, in milliseconds. */
const FADES = 1_000;

class Segment {
  bytes = 0;
  newest: Item | undefined = undefined;
  oldest: Item | undefined = undefined;

  add(item: Item): void {
    item.segment = this;
    item.older = this.newest;
    if (this.newest === undefined) this.oldest = item;
    else this.newest.newer = item;
    this.newest = item;
    this.bytes += item.bytes;
  }

  remove(item: Item): void {
    if (item.newer === undefined) this.newest = item.older;
    else item.newer.older = item.older;
    if (item.older === undefined) this.oldest = item.newer;
    else item.older.newer = item.newer;
    item.newer = undefined;
    item.older = undefined;
    item.segment = undefined;
    this.bytes -= item.bytes;
  }
}

export class SegmentedLru<T extends Item> {
  readonly #probation = new Segment();
  readonly #protected = new Segment();
  readonly #onEvict: (item: T) => void;
  #size: number;
  #fadedAt = Number.NEGATIVE_INFINITY;

  /** @param size bytes · @param onEvict hears of an item that had to go, not of one that `remove` took out */
  constructor(size: number, onEvict: (item: T) => void) {
    this.#size = size;
    this.#onEvict = onEvict;
  }

  get bytes(): number {
    return this.#probation.bytes + this.#protected.bytes;
  }

  /** Bytes. The protected items give way as soon as the memory is smaller than before. */
  resize(size: number): void {
    this.#size = size;
    while (this.#protected.bytes > size * PROTECTED) this.#demote(this.#protected.oldest!);
    while (this.bytes > size) this.#evict(this.#probation.oldest!);
  }

  /** Puts a new item on probation; there must be room for it. */
  add(item: T): void {
    this.#probation.add(item);
  }

  remove(item: T): void {
    item.segment?.remove(item);
  }

  /**
   * Forgets what is on probation, the least recently used first, until so many bytes are free.
   *
   * @param now milliseconds · @returns whether they are
   */
  makeRoom(bytes: number, now: number): boolean {
    while (this.bytes + bytes > this.#size) {
      const { oldest } = this.#probation;
      if (oldest === undefined) return false;
      this.#evict(oldest);
      this.#fade(now);
    }
    return true;
  }

  /** Forgets the least recently used items as long as `isOver` says that they are of no use any more. */
  sweep(isOver: (item: T) => boolean): void {
    for (const segment of [this.#probation, this.#protected]) {
      while (segment.oldest !== undefined && isOver(segment.oldest as T)) this.#evict(segment.oldest);
    }
  }

  /** The item was used again. @param now milliseconds */
  touch(item: T, now: number): void {
    if (item.uses < MOST_USES) item.uses++;
    const { segment } = item;
    if (segment === undefined) return;
    segment.remove(item);
    (segment === this.#protected || this.#mayEnter(item, now) ? this.#protected : this.#probation).add(item);
  }

  #mayEnter(item: Item, now: number): boolean {
    while (this.#protected.bytes + item.bytes > this.#size * PROTECTED) {
      const { oldest } = this.#protected;
      if (oldest === undefined) return false;
      if (oldest.uses >= item.uses) {
        this.#fade(now);
        return false;
      }
      this.#demote(oldest);
    }
    return true;
  }

  #fade(now: number): void {
    const { oldest } = this.#protected;
    if (oldest === undefined || now - this.#fadedAt < FADES) return;
    this.#fadedAt = now;
    oldest.uses >>= 1;
    if (oldest.uses === 0) this.#demote(oldest);
  }

  #demote(item: Item): void {
    this.#protected.remove(item);
    this.#probation.add(item);
  }

  #evict(item: Item): void {
    item.segment!.remove(item);
    this.#onEvict(item as T);
  }
}
