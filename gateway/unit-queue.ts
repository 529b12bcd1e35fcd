/**
 * Requests that wait for a place in a unit that has as many under way as it may: a bounded line per unit and thread,
 * first come first served. Whoever finds it full, or waits too long, is refused.
 */

export interface Queued {
  /** A place may be free: try again. */
  onPlace(): void;
}

export class UnitQueues {
  readonly #lines = new Map<number, Queued[]>();

  /** False when the line is full. */
  join(unitRow: number, size: number, waiter: Queued, again = false): boolean {
    const line = this.#lines.get(unitRow) ?? [];
    if (line.length >= size) return false;
    if (again) line.unshift(waiter);
    else line.push(waiter);
    this.#lines.set(unitRow, line);
    return true;
  }

  leave(unitRow: number, waiter: Queued): void {
    const line = this.#lines.get(unitRow);
    const at = line?.indexOf(waiter) ?? -1;
    if (at !== -1) line!.splice(at, 1);
    if (line?.length === 0) this.#lines.delete(unitRow);
  }

  /** A request to the unit has ended in this thread: the first in line tries. */
  wake(unitRow: number): void {
    if (this.#lines.size === 0) return;
    const line = this.#lines.get(unitRow);
    const first = line?.shift();
    if (line?.length === 0) this.#lines.delete(unitRow);
    first?.onPlace();
  }

  /** Lets one of every line try: places that another thread freed are seen here. Called every tick. */
  wakeAll(): void {
    for (const row of [...this.#lines.keys()]) this.wake(row);
  }
}
