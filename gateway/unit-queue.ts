/** The lines of requests that wait in this thread for a place in a unit, and who is called when one may be free. */
import type { Clock } from "../model/clock.ts";
import type { CompiledUnit } from "../model/table.ts";
import type { LiveState } from "./live-state.ts";
import { URGENCIES, type Urgency, type Waiter, WaitingLine } from "./waiting-line.ts";

export interface Queued extends Waiter {
  /** A place may be free. @returns false when it was not, and the turn is kept */
  onPlace(): boolean;
  /** Waiting longer is not worth it, or the place in the line is somebody else's now. */
  onShed(): void;
}

/** Lines are looked at every millisecond or two; later than this (ms) the thread was held up. */
const LATE = 8;

interface Line {
  readonly waiters: WaitingLine<Queued>;
  unit: CompiledUnit;
}

export class UnitQueues {
  readonly #live: LiveState;
  readonly #own: Int32Array;
  readonly #clock: Clock;
  readonly #lines = new Map<number, Line>();
  #lookedAt = 0;
  #graceUntil = 0;
  /** Called when the first one begins to wait: somebody must call `look` every few milliseconds. */
  onWaiting: () => void = () => {};

  /** @param own this thread's part of what waits, for when it dies */
  constructor(live: LiveState, own: Int32Array, clock: Clock) {
    this.#live = live;
    this.#own = own;
    this.#clock = clock;
  }

  get isEmpty(): boolean {
    return this.#lines.size === 0;
  }

  /** False when there is no place in the line either. */
  join(row: number, unit: CompiledUnit, waiter: Queued): boolean {
    let line = this.#lines.get(row);
    if (line === undefined) {
      if (unit.spec.queue.size === 0) return false;
      line = { waiters: new WaitingLine(), unit };
      if (this.#lines.size === 0) {
        this.onWaiting();
        this.#lookedAt = this.#clock.now();
      }
      this.#lines.set(row, line);
    }
    line.unit = unit;
    const gone = line.waiters.join(waiter, unit.spec.queue.size);
    if (gone === waiter) return false;
    this.#count(row, waiter, 1);
    if (gone !== undefined) this.#shed(row, gone);
    return true;
  }

  leave(row: number, waiter: Queued): void {
    const line = this.#lines.get(row);
    if (line === undefined || !line.waiters.leave(waiter)) return;
    this.#count(row, waiter, -1);
    this.#forget(row, line);
  }

  /** A request to the unit has ended in this thread. */
  wake(row: number): void {
    if (this.#lines.size === 0) return;
    const line = this.#lines.get(row);
    if (line !== undefined) this.#serve(row, line);
  }

  /** Lets every line try, and sheds those who waited too long. Places that another thread freed are seen here. */
  look(): void {
    for (const [row, line] of [...this.#lines]) this.#serve(row, line);
  }

  #serve(row: number, line: Line): void {
    const now = this.#clock.now();
    const work = this.#live.load.work[row]! / 1000;
    const { wait } = line.unit.spec.queue;
    const late = now - this.#lookedAt;
    this.#lookedAt = now;
    if (late > LATE) this.#graceUntil = now + late;
    // Nothing is known of the unit's work yet, or it was this thread that kept them waiting: only the bound counts.
    const patient = work === 0 || now < this.#graceUntil;
    line.waiters.expire(now, patient ? wait * 2 : work, wait, (waiter) => this.#shed(row, waiter));
    while (line.waiters.length > 0) {
      // A place is for the most urgent of all threads; theirs looks for it within a millisecond.
      const { mostUrgent } = line.waiters;
      if (mostUrgent > 0 && this.#live.load.isAwaited(row, (mostUrgent - 1) as Urgency)) break;
      const waiter = line.waiters.next(now)!;
      this.#count(row, waiter, -1);
      if (waiter.onPlace()) continue;
      line.waiters.rejoin(waiter);
      this.#count(row, waiter, 1);
      break;
    }
    this.#forget(row, line);
  }

  #shed(row: number, waiter: Queued): void {
    this.#count(row, waiter, -1);
    waiter.onShed();
  }

  #count(row: number, waiter: Queued, n: number): void {
    const at = row * URGENCIES + waiter.urgency;
    Atomics.add(this.#live.load.waiting, at, n);
    this.#own[at]! += n;
  }

  #forget(row: number, line: Line): void {
    if (line.waiters.length === 0 && this.#lines.get(row) === line) this.#lines.delete(row);
  }
}
