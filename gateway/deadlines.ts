/**
 * The one timer behind every wait of a thread.
 *
 * A timer per request and per phase would cost more than forwarding's own bookkeeping. Instead everything that waits
 * stands in one intrusive list with the moment at which it is overdue, and one tick looks them all over. Deadlines are
 * therefore late by up to one tick, never early.
 */
import type { Clock } from "../model/clock.ts";

/** Milliseconds between two looks. */
export const TICK = 50;

export abstract class Waiting {
  /** Moment in `clock.now()` milliseconds; Infinity waits for nothing. */
  deadline = Number.POSITIVE_INFINITY;
  /** @internal */ previous: Waiting | undefined = undefined;
  /** @internal */ next: Waiting | undefined = undefined;
  /** @internal */ listed = false;
  /** Called once the deadline has passed; sets the next deadline or leaves the list. */
  abstract onOverdue(now: number): void;
}

export class Deadlines {
  readonly #clock: Clock;
  #head: Waiting | undefined;
  /** Number of things that wait. */
  size = 0;
  /** `clock.now()` at the last look: late by up to a tick, and free to read. */
  coarseNow: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.coarseNow = clock.now();
  }

  add(waiting: Waiting): void {
    if (waiting.listed) return;
    waiting.listed = true;
    waiting.next = this.#head;
    if (this.#head !== undefined) this.#head.previous = waiting;
    this.#head = waiting;
    this.size++;
  }

  remove(waiting: Waiting): void {
    if (!waiting.listed) return;
    waiting.listed = false;
    if (waiting.previous === undefined) this.#head = waiting.next;
    else waiting.previous.next = waiting.next;
    if (waiting.next !== undefined) waiting.next.previous = waiting.previous;
    waiting.previous = undefined;
    waiting.next = undefined;
    this.size--;
  }

  /** Everything that waits. Nothing may be added or removed meanwhile. */
  *all(): Generator<Waiting> {
    for (let waiting = this.#head; waiting !== undefined; waiting = waiting.next) yield waiting;
  }

  /** Calls everything that is overdue. Entries may remove themselves, and add others, meanwhile. */
  look(onError: (error: Error) => void = rethrow): void {
    const now = this.#clock.now();
    this.coarseNow = now;
    let overdue: Waiting[] | undefined;
    for (let waiting = this.#head; waiting !== undefined; waiting = waiting.next) {
      if (waiting.deadline > now) continue;
      overdue ??= [];
      overdue.push(waiting);
    }
    if (overdue === undefined) return;
    for (const waiting of overdue) {
      if (!waiting.listed || waiting.deadline > now) continue;
      // Cleared first, so that a callback that forgets to move on is not called for ever.
      waiting.deadline = Number.POSITIVE_INFINITY;
      try {
        waiting.onOverdue(now);
      } catch (error) {
        this.remove(waiting);
        onError(error as Error);
      }
    }
  }
}

function rethrow(error: Error): never {
  throw error;
}
