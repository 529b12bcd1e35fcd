/**
 * How long a route's answers take in a unit when nobody waits there, as one thread has seen it.
 *
 * Followed slowly while the unit is calm; while it is not, what is known stands, since the wait would be learnt as well.
 */

import type { CompiledRoute, CompiledUnit } from "../model/table.ts";

/** Samples that are averaged evenly before the slow following begins. */
const EVENLY = 100;
/** Milliseconds in which the baseline follows. */
const FOLLOWS = 30_000;

/** Under way in the unit when the request began: with so few, hardly anybody waited. */
const FEW = 4;

export class Baseline {
  /** Of stress traffic. */
  readonly isStress: boolean;
  #mean = 0;
  #samples = 0;
  /** Of those among the first samples that began with few others. */
  #early = 0;
  #earlySamples = 0;
  #at = 0;

  constructor(isStress = false) {
    this.isStress = isStress;
  }

  /**
   * @param latency milliseconds of one answer · @param now milliseconds
   * @param among requests that were under way in the unit when it began · @param calm the unit has no queue of its own
   * @returns milliseconds that an answer takes when nobody waits
   */
  sample(latency: number, now: number, among: number, calm: boolean): number {
    if (this.#samples < EVENLY) {
      this.#samples++;
      this.#mean += (latency - this.#mean) / this.#samples;
      if (among < FEW) {
        this.#earlySamples++;
        this.#early += (latency - this.#early) / this.#earlySamples;
      }
      // Who begins under a flood sees hardly anything but waiting; the very first ones did not wait.
      const flooded = this.#earlySamples > 1 && this.#mean > 2 * this.#early;
      if (flooded && this.#samples === EVENLY) this.#mean = this.#early;
      if (flooded) return this.#early;
    } else if (calm) {
      this.#mean += (latency - this.#mean) * Math.min(0.1, (now - this.#at) / FOLLOWS);
    }
    this.#at = now;
    return this.#mean;
  }
}

/** A thread's baselines, by route and unit. They outlive table swaps, by name. */
export class Baselines {
  readonly #isStress: boolean;
  readonly #all = new Map<string, Baseline>();
  #byRoute = new Map<CompiledRoute, (Baseline | undefined)[]>();

  /** @param isStress what users' answers take is not learnt from stress traffic, nor the other way round */
  constructor(isStress: boolean) {
    this.#isStress = isStress;
  }

  of(route: CompiledRoute, unit: CompiledUnit): Baseline {
    let units = this.#byRoute.get(route);
    if (units === undefined) {
      units = [];
      this.#byRoute.set(route, units);
    }
    const known = units[unit.index];
    if (known !== undefined) return known;
    const key = `${route.name} ${unit.name}`;
    const baseline = this.#all.get(key) ?? new Baseline(this.#isStress);
    this.#all.set(key, baseline);
    units[unit.index] = baseline;
    return baseline;
  }

  /** Called when a table was swapped in: routes that are gone are forgotten. */
  swap(routes: readonly CompiledRoute[]): void {
    this.#byRoute = new Map();
    const names = new Set(routes.map((r) => r.name));
    for (const key of this.#all.keys()) if (!names.has(key.slice(0, key.indexOf(" ")))) this.#all.delete(key);
  }
}
