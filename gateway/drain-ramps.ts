/** How far each drain has come: the main thread says it, the traffic threads read it. */
import type { Drain, Unit } from "../model/fleet.ts";
import type { LiveState } from "./live-state.ts";

interface Ramp {
  /** Monotonic milliseconds at which nothing had moved, or everything. */
  readonly from: number;
  readonly length: number;
  /** Milliseconds from `from` until tunnels are closed. */
  readonly deadline: number;
  /** False while the unit's requests come back to it. */
  readonly leaving: boolean;
}

export class DrainRamps {
  readonly #drains: LiveState["drains"];
  #ramps = new Map<number, Ramp>();

  constructor(drains: LiveState["drains"]) {
    this.#drains = drains;
  }

  /**
   * A configuration was applied.
   *
   * @param rows unit name → row · @param age how long ago (ms) a drain began, as far as this gateway knows
   */
  install(
    units: readonly Unit[],
    rows: ReadonlyMap<string, number>,
    now: number,
    age: (drain: Drain) => number,
  ): void {
    const ramps = new Map<number, Ramp>();
    for (const { name, drain } of units) {
      const row = rows.get(name)!;
      const before = this.#ramps.get(row);
      if (drain !== undefined) {
        ramps.set(row, {
          from: now - Math.max(0, age(drain)),
          length: drain.ramp,
          deadline: drain.deadline,
          leaving: true,
        });
      } else if (before !== undefined) {
        // As slowly as they went: a unit that was idle must not be hit by everybody at once.
        const left = this.#drains.moved[row]! / 100;
        ramps.set(
          row,
          before.leaving ? { ...before, from: now - (1 - left) * before.length, leaving: false } : before,
        );
      }
    }
    for (const row of this.#ramps.keys()) {
      if (ramps.has(row)) continue;
      this.#drains.moved[row] = 0;
      this.#drains.closed[row] = 0;
    }
    this.#ramps = ramps;
    this.look(now);
  }

  /** Call it every 25 ms or so. */
  look(now: number): void {
    if (this.#ramps.size === 0 && this.#drains.count[0] === 0) return;
    let count = 0;
    for (const [row, { from, length, deadline, leaving }] of this.#ramps) {
      const share = length === 0 ? 1 : Math.min(1, Math.max(0, (now - from) / length));
      const moved = Math.floor((leaving ? share : 1 - share) * 100);
      this.#drains.moved[row] = moved;
      this.#drains.closed[row] = leaving && now - from >= deadline ? 1 : 0;
      if (moved > 0) count++;
      if (!leaving && share === 1) this.#ramps.delete(row);
    }
    this.#drains.count[0] = count;
  }
}
