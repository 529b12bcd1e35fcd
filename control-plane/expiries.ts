/**
 * Which overlays are over: by the clock of the wall, and by a clock that nobody sets.
 *
 * A wall clock that is set an hour ahead would end at once what was agreed to last for another half hour. So the time that
 * is left when an overlay is first seen has to pass on the monotonic clock as well.
 */
import type { Overlay } from "../model/overlay.ts";

export class Expiries {
  readonly #now: () => number;
  readonly #monotonic: () => number;
  /** Overlay → monotonic time before which it is not over. */
  #due = new Map<string, number>();

  /** @param now milliseconds since 1970 */
  constructor(now: () => number, monotonic: () => number) {
    this.#now = now;
    this.#monotonic = monotonic;
  }

  /** @param overlays that lie now: those that are gone are forgotten */
  over(overlays: readonly Overlay[]): Overlay[] {
    const [now, monotonic] = [this.#now(), this.#monotonic()];
    const due = new Map<string, number>();
    const over: Overlay[] = [];
    for (const overlay of overlays) {
      const { id, expires } = overlay;
      if (expires === undefined) continue;
      const at = this.#due.get(id) ?? monotonic + Math.max(0, expires - now);
      due.set(id, at);
      if (expires <= now && at <= monotonic) over.push(overlay);
    }
    this.#due = due;
    return over;
  }
}
