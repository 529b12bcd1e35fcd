/** Says how much each unit may have at work, on the main thread: one limit per unit, from what the threads counted. */
import type { CompiledUnit } from "../model/table.ts";
import { ConcurrencyLimit } from "./concurrency-limit.ts";
import type { UnitLoad } from "./unit-load.ts";

/** A window has so many answers, and lasts from the first to the second number of milliseconds. */
const ENOUGH = 20;
const SHORTEST = 50;
const LONGEST = 1_000;
/** A unit that has as much as it may and answered nothing for so many times its work, in bounds (ms), hangs. */
const STALLED = 10;
const SOONEST_STALLED = 50;
const LATEST_STALLED = 1_000;

interface Watched {
  readonly limit: ConcurrencyLimit;
  unit: CompiledUnit;
  at: number;
  answeredAt: number;
  /** Answers at the last look; the other counts are those at the window's beginning. */
  seen: number;
  answers: number;
  latency: number;
  baseline: number;
  full: number;
}

export class Concurrency {
  readonly #load: UnitLoad;
  #watched = new Map<number, Watched>();

  constructor(load: UnitLoad) {
    this.#load = load;
  }

  /** @param rows each unit's row of live state */
  install(units: readonly CompiledUnit[], rows: ReadonlyMap<string, number>, now: number): void {
    const load = this.#load;
    const before = this.#watched;
    this.#watched = new Map();
    for (const unit of units) {
      const row = rows.get(unit.name)!;
      if (unit.spec.concurrency === "fixed") {
        Atomics.store(load.limit, row, 0);
        Atomics.store(load.stalled, row, 0);
        continue;
      }
      const known = before.get(row);
      if (known !== undefined && known.unit.name === unit.name) {
        known.unit = unit;
        this.#watched.set(row, known);
        continue;
      }
      const limit = new ConcurrencyLimit();
      this.#watched.set(row, {
        limit,
        unit,
        at: now,
        answeredAt: now,
        seen: load.answers[row]!,
        answers: load.answers[row]!,
        latency: load.latency[row]!,
        baseline: load.baseline[row]!,
        full: load.full[row]!,
      });
      this.#publish(row, limit);
    }
  }

  /** Call it every 25 ms or so. */
  look(now: number): void {
    for (const [row, watched] of this.#watched) this.#lookAt(row, watched, now);
  }

  #lookAt(row: number, watched: Watched, now: number): void {
    const load = this.#load;
    const answers = (load.answers[row]! - watched.answers) | 0;
    const elapsed = now - watched.at;
    if (load.answers[row] !== watched.seen || load.pending[row]! < watched.limit.limit)
      watched.answeredAt = now;
    watched.seen = load.answers[row]!;
    const silence = Math.min(LATEST_STALLED, Math.max(SOONEST_STALLED, (STALLED * load.work[row]!) / 1000));
    Atomics.store(load.stalled, row, now - watched.answeredAt >= silence ? 1 : 0);
    if (elapsed < SHORTEST || (answers < ENOUGH && elapsed < LONGEST)) return;
    const latency = (load.latency[row]! - watched.latency) >>> 0;
    const baseline = (load.baseline[row]! - watched.baseline) >>> 0;
    const { full } = watched;
    watched.at = now;
    watched.answers = load.answers[row]!;
    watched.latency = load.latency[row]!;
    watched.baseline = load.baseline[row]!;
    watched.full = load.full[row]!;
    const peak = Atomics.exchange(load.peak, row, load.pending[row]!);
    watched.limit.update({
      elapsed,
      answers,
      latency: latency / 1000,
      baseline: baseline / 1000,
      peak,
      full: (watched.full - full) | 0,
    });
    if (answers > 0) Atomics.store(load.work, row, Math.max(1, Math.round(baseline / answers)));
    this.#publish(row, watched.limit);
  }

  #publish(row: number, limit: ConcurrencyLimit): void {
    Atomics.store(this.#load.limit, row, limit.limit);
    Atomics.store(this.#load.calm, row, limit.calm ? 1 : 0);
  }
}
