/**
 * Times that must pass, by a clock that nobody sets.
 *
 * What is stored is when something began, by the wall. A wall clock that is set an hour ahead must not end a wait, and one
 * that is set back must not make it last an hour: so what is left when a time is first seen passes on the monotonic clock.
 */
export class Timers {
  readonly #now: () => number;
  readonly #monotonic: () => number;
  readonly #due = new Map<string, number>();

  /** @param now milliseconds since 1970 */
  constructor(now: () => number, monotonic: () => number) {
    this.#now = now;
    this.#monotonic = monotonic;
  }

  /** @param key one time of one step; @param since milliseconds since 1970 */
  isOver(key: string, since: number, milliseconds: number): boolean {
    const name = `${key} ${since} ${milliseconds}`;
    let due = this.#due.get(name);
    if (due === undefined) {
      const left = Math.min(milliseconds, Math.max(0, since + milliseconds - this.#now()));
      due = this.#monotonic() + left;
      this.#due.set(name, due);
    }
    return this.#monotonic() >= due;
  }

  /** Forgets the times of an execution. */
  forget(id: string): void {
    for (const name of this.#due.keys()) if (name.startsWith(`${id} `)) this.#due.delete(name);
  }
}
