/** What a thread keeps per route and unit to choose which requests the error ring hears of: four numbers each. */
import type { CompiledRoute } from "../../model/table.ts";

/**
 * Requests of a route and unit that one thread hands over at once. `soft` are those that the gateway refused on purpose,
 * whose client left, or that are a stress test's: they may not take the place of what is broken.
 */
const MOST = { failed: 8, soft: 2, slow: 4 } as const;
export type Mark = keyof typeof MOST;

interface Marks {
  readonly failed: Uint8Array;
  readonly soft: Uint8Array;
  readonly slow: Uint8Array;
  /** What took longer than this (ms) is among the slowest. */
  readonly floors: Float64Array;
  touched: boolean;
}

export class SeriesMarks {
  readonly #routes = new Map<CompiledRoute, Marks>();
  #units = 0;
  #floor = 0;

  /** Another table: its routes are other objects. @param floor nothing quicker is slow */
  install(units: number, floor: number): void {
    this.#routes.clear();
    this.#units = units;
    this.#floor = floor;
  }

  /** @param unit its index; −1 where none was reached */
  take(route: CompiledRoute, unit: number, mark: Mark): boolean {
    const marks = this.#of(route);
    const counts = marks[mark];
    const at = unit === -1 ? this.#units : unit;
    if (counts[at]! >= MOST[mark]) return false;
    counts[at]!++;
    marks.touched = true;
    return true;
  }

  floor(route: CompiledRoute, unit: number): number {
    return this.#of(route).floors[unit]!;
  }

  raise(route: CompiledRoute, unit: number, floor: number): void {
    this.#of(route).floors[unit] = floor;
  }

  /** As many may be handed over again. */
  handedOver(): void {
    for (const marks of this.#routes.values()) {
      if (!marks.touched) continue;
      marks.failed.fill(0);
      marks.soft.fill(0);
      marks.slow.fill(0);
      marks.touched = false;
    }
  }

  /** The slowest are looked for anew. */
  newWindow(): void {
    for (const { floors } of this.#routes.values()) floors.fill(this.#floor);
  }

  #of(route: CompiledRoute): Marks {
    let marks = this.#routes.get(route);
    if (marks === undefined) {
      const size = this.#units + 1;
      marks = {
        failed: new Uint8Array(size),
        soft: new Uint8Array(size),
        slow: new Uint8Array(size),
        floors: new Float64Array(size).fill(this.#floor),
        touched: false,
      };
      this.#routes.set(route, marks);
    }
    return marks;
  }
}
