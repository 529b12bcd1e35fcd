/**
 * Requests that wait in one thread for a place in one unit, in four priorities.
 *
 * The most urgent go first; within a priority, those of the user who was served least of late, so that nobody gains by
 * asking more often. Nobody waits for long: while the line has not been empty for a while, waiting longer than the
 * unit's own work takes is not worth it, and who does is shed (CoDel's idea, in the form that Facebook uses for servers:
 * "Fail at Scale", ACM Queue 2015). Critical requests wait as long as the line allows at all.
 *
 * A full line gives the place of its least urgent to a more urgent one, and in one priority the place of the user who
 * holds most of it.
 *
 * Pure: time is handed in.
 */

/** 0 is the most urgent. */
export type Urgency = 0 | 1 | 2 | 3;
export const URGENCIES = 4;

export interface Waiter {
  readonly urgency: Urgency;
  /** Who asks: a user, or a client where there is none. */
  readonly user: string;
  /** When it joined (ms). */
  readonly joinedAt: number;
}

/** The line has not been empty for so long, in times of the unit's work and in bounds (ms): it is a standing queue. */
const INTERVAL = 2;
const SHORTEST_INTERVAL = 50;
const LONGEST_INTERVAL = 100;
/** Nobody is shed for waiting less than this (ms). */
const LEAST_PATIENCE = 6;
/** For how many times the unit's own work waiting is worth it, by urgency, once the line stands. */
const WORTH: readonly [number, number, number, number] = [Number.POSITIVE_INFINITY, 1, 0.5, 0.5];
/** Users whose turns are remembered, and for how long (ms). */
const MOST_USERS = 4_096;
const MEMORY = 1_000;

export class WaitingLine<W extends Waiter> {
  readonly #byUrgency: W[][] = [[], [], [], []];
  #length = 0;
  #filledAt = 0;
  #served = new Map<string, number>();
  #servedSince = 0;

  get length(): number {
    return this.#length;
  }

  /** Of those who wait; the least urgent of all where nobody does. */
  get mostUrgent(): Urgency {
    const first = this.#byUrgency.findIndex((line) => line.length > 0);
    return (first === -1 ? URGENCIES - 1 : first) as Urgency;
  }

  /** @returns who has to go for it: somebody else, itself, or nobody (undefined) */
  join(waiter: W, size: number): W | undefined {
    let gone: W | undefined;
    if (this.#length >= size) {
      gone = this.#leastDeserving(waiter);
      if (gone === waiter) return waiter;
      this.leave(gone);
    }
    if (this.#length === 0) this.#filledAt = waiter.joinedAt;
    this.#byUrgency[waiter.urgency]!.push(waiter);
    this.#length++;
    return gone;
  }

  /** It looked for a place in vain: the same turn again. */
  rejoin(waiter: W): void {
    this.#byUrgency[waiter.urgency]!.unshift(waiter);
    this.#length++;
  }

  /** @returns false when it was not in the line */
  leave(waiter: W): boolean {
    const line = this.#byUrgency[waiter.urgency]!;
    const at = line.indexOf(waiter);
    if (at === -1) return false;
    line.splice(at, 1);
    this.#length--;
    return true;
  }

  /** Who has the next place. It leaves the line. */
  next(now: number): W | undefined {
    for (const line of this.#byUrgency) {
      if (line.length === 0) continue;
      const waiter = this.#leastServed(line);
      this.leave(waiter);
      this.#countTurn(waiter.user, now);
      return waiter;
    }
    return undefined;
  }

  /**
   * Takes out whom it is no longer worth to let wait.
   *
   * @param work milliseconds that the unit's answers take when nobody waits · @param longest the most that anybody waits
   */
  expire(now: number, work: number, longest: number, shed: (waiter: W) => void): void {
    const standing = this.#isStanding(now, work);
    for (let urgency = URGENCIES - 1; urgency >= 0; urgency--) {
      const line = this.#byUrgency[urgency]!;
      const patience = Math.max(LEAST_PATIENCE, work * WORTH[urgency as Urgency]);
      const most = standing ? Math.min(longest, patience) : longest;
      while (line.length > 0 && now - line[0]!.joinedAt > most) {
        this.#length--;
        shed(line.shift()!);
      }
    }
  }

  #isStanding(now: number, work: number): boolean {
    const interval = Math.min(LONGEST_INTERVAL, Math.max(SHORTEST_INTERVAL, INTERVAL * work));
    return this.#length > 0 && now - this.#filledAt > interval;
  }

  #leastServed(line: readonly W[]): W {
    let least = line[0]!;
    let turns = this.#served.get(least.user) ?? 0;
    for (let i = 1; i < line.length && turns > 0; i++) {
      const other = this.#served.get(line[i]!.user) ?? 0;
      if (other < turns) {
        least = line[i]!;
        turns = other;
      }
    }
    return least;
  }

  #countTurn(user: string, now: number): void {
    if (now - this.#servedSince > MEMORY || this.#served.size >= MOST_USERS) {
      this.#served = new Map();
      this.#servedSince = now;
    }
    this.#served.set(user, (this.#served.get(user) ?? 0) + 1);
  }

  /** The newest of the user with most in the least urgent line that is not more urgent than the newcomer. */
  #leastDeserving(newcomer: W): W {
    for (let urgency = URGENCIES - 1; urgency > newcomer.urgency; urgency--) {
      const line = this.#byUrgency[urgency]!;
      if (line.length > 0) return this.#newestOfGreediest(line, undefined);
    }
    return this.#newestOfGreediest(this.#byUrgency[newcomer.urgency]!, newcomer);
  }

  #newestOfGreediest(line: readonly W[], newcomer: W | undefined): W {
    const counts = new Map<string, number>();
    if (newcomer !== undefined) counts.set(newcomer.user, 1);
    for (const { user } of line) counts.set(user, (counts.get(user) ?? 0) + 1);
    let newest = newcomer ?? line[line.length - 1]!;
    let most = counts.get(newest.user)!;
    for (let i = line.length - 1; i >= 0; i--) {
      const count = counts.get(line[i]!.user)!;
      if (count > most) {
        newest = line[i]!;
        most = count;
      }
    }
    return newest;
  }
}
