/** The lines of requests that wait in this thread for a place in a unit, and who is called when one may be free. */
import type { Clock } from "../model/clock.ts";
import type { CompiledUnit } from "../model/table.ts";
import type { LiveState } from "./live-state.ts";
import type { LoopLag } from "./loop-lag.ts";
import { URGENCIES, type Urgency, type Waiter, WaitingLine } from "./waiting-line.ts";

export interface Queued extends Waiter {
  /** A place may be free. @returns false when it was not, and the turn is kept */
  onPlace(): boolean;
  /** Waiting longer is not worth it, or the place in the line is somebody else's now. */
  onShed(): void;
}

/** This thread is so late (ms) itself that it does not know who waited for a unit. */
const LATE = 8;

interface Line {
  readonly waiters: WaitingLine<Queued>;
  unit: CompiledUnit;
  /** The unit's answers when they last changed, and when that was. */
  answers: number;
  answeredAt: number;
  /** When all were last asked whether they may go elsewhere. */
  triedAt: number;
}

/** A unit that answered nothing for so long (ms) may hang: that is no reason to shed those who wait for it. */
const SILENT = 30;
/** How often (ms) those who wait for a unit that hangs are asked whether they may go elsewhere. */
const TRY_EVERY = 20;

export class UnitQueues {
  readonly #live: LiveState;
  readonly #own: Int32Array;
  readonly #clock: Clock;
  readonly #lag: LoopLag;
  readonly #lines = new Map<number, Line>();
  /** Called when the first one begins to wait: somebody must call `look` every few milliseconds. */
  onWaiting: () => void = () => {};

  /** @param own this thread's part of what waits, for when it dies */
  constructor(live: LiveState, own: Int32Array, clock: Clock, lag: LoopLag) {
    this.#live = live;
    this.#own = own;
    this.#clock = clock;
    this.#lag = lag;
  }

  get isEmpty(): boolean {
    return this.#lines.size === 0;
  }

  /** False when there is no place in the line either. */
  join(row: number, unit: CompiledUnit, waiter: Queued): boolean {
    let line = this.#lines.get(row);
    if (line === undefined) {
      if (unit.spec.queue.size === 0) return false;
      const answers = this.#live.load.answers[row]!;
      line = { waiters: new WaitingLine(), unit, answers, answeredAt: this.#clock.now(), triedAt: 0 };
      if (this.#lines.size === 0) this.onWaiting();
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
    // Nothing is known of the unit's work yet, or it was this thread that kept them waiting: only the bound counts.
    const patient = work === 0 || this.#lag.milliseconds > LATE || this.#isSilent(row, line, now);
    line.waiters.expire(now, patient ? wait * 2 : work, wait, (waiter) => this.#shed(row, waiter));
    if (this.#live.load.stalled[row] === 1 && now - line.triedAt >= TRY_EVERY) {
      line.triedAt = now;
      this.#tryAll(row, line, now);
    }
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

  /** The unit hangs: whoever may go elsewhere does, not only the first in the line. */
  #tryAll(row: number, line: Line, now: number): void {
    const stay: Queued[] = [];
    for (let waiter = line.waiters.next(now); waiter !== undefined; waiter = line.waiters.next(now)) {
      this.#count(row, waiter, -1);
      if (!waiter.onPlace()) stay.push(waiter);
    }
    for (const waiter of stay.reverse()) {
      line.waiters.rejoin(waiter);
      this.#count(row, waiter, 1);
    }
  }

  #isSilent(row: number, line: Line, now: number): boolean {
    const answers = this.#live.load.answers[row]!;
    if (answers !== line.answers) {
      line.answers = answers;
      line.answeredAt = now;
    }
    return now - line.answeredAt > SILENT;
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
