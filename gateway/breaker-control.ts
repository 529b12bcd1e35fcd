/** What operators do with circuit breakers: see them, and force one open or closed for a while. Main thread. */
import type { Logger } from "pino";
import type { Clock } from "../model/clock.ts";
import type { ForcedBreaker } from "../model/config.ts";
import {
  BREAKER_STATES,
  type BreakerBoard,
  type BreakerState,
  FORCED,
  type Forced,
} from "./breaker-board.ts";

export interface BreakerView {
  readonly service: string;
  readonly unit: string;
  /** What it would do by itself. */
  readonly state: (typeof BREAKER_STATES)[BreakerState];
  /** Null where nobody forces it. */
  readonly forced: {
    readonly state: "open" | "closed";
    /** Until it goes by its own counts again; null while an overlay holds it. */
    readonly seconds: number | null;
    readonly reason: string;
  } | null;
}

/** Nobody remembers for longer what was forced, and why. */
export const LONGEST_FORCE = 24 * 3_600_000;

export class BreakerControl {
  readonly #board: BreakerBoard;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #reasons = new Map<string, string>();
  #rows: ReadonlyMap<string, number> = new Map();
  #held: readonly ForcedBreaker[] = [];

  constructor(board: BreakerBoard, clock: Clock, log: Logger) {
    this.#board = board;
    this.#clock = clock;
    this.#log = log;
  }

  /** A configuration was applied. @param held what its overlays hold open or closed */
  install(rows: ReadonlyMap<string, number>, held: readonly ForcedBreaker[]): void {
    this.#rows = rows;
    for (const { service, unit } of this.#held) {
      if (held.some((one) => one.service === service && one.unit === unit)) continue;
      this.force(service, unit, FORCED.not, 0, "its overlay is gone");
    }
    this.#held = held;
    for (const { service, unit, state } of held) {
      const id = `${service} ${unit}`;
      for (const [key, row] of rows) {
        if (key.startsWith(`${id} `)) this.#board.force(row, FORCED[state], Number.POSITIVE_INFINITY);
      }
      this.#reasons.set(id, "an overlay; tidegate overlay ls says whose");
    }
  }

  /** One line per service and unit: the worst of its policies. */
  list(): BreakerView[] {
    const worst = new Map<string, BreakerView & { readonly at: BreakerState }>();
    for (const [key, row] of this.#rows) {
      const [service = "", unit = ""] = key.split(" ");
      const id = `${service} ${unit}`;
      const at = this.#board.state(row);
      if ((worst.get(id)?.at ?? -1) >= at) continue;
      worst.set(id, { service, unit, state: BREAKER_STATES[at], forced: this.#forcedOf(id, row), at });
    }
    return [...worst.values()].map(({ service, unit, state, forced }) => ({ service, unit, state, forced }));
  }

  /**
   * @param milliseconds from now; then it goes by its own counts again
   * @returns false when there is no such breaker
   */
  force(service: string, unit: string, forced: Forced, milliseconds: number, reason: string): boolean {
    const id = `${service} ${unit}`;
    const rows = [...this.#rows].filter(([key]) => key.startsWith(`${id} `)).map(([, row]) => row);
    if (rows.length === 0) return false;
    for (const row of rows) this.#board.force(row, forced, this.#clock.now() + milliseconds);
    const where = { service, unit, reason };
    if (forced === FORCED.not) {
      this.#reasons.delete(id);
      this.#log.warn(where, "breaker goes by its own counts again");
      return true;
    }
    this.#reasons.set(id, reason);
    const state = forced === FORCED.open ? "open" : "closed";
    this.#log.warn({ ...where, seconds: milliseconds / 1000 }, `breaker forced ${state}`);
    return true;
  }

  #forcedOf(id: string, row: number): BreakerView["forced"] {
    const forced = this.#board.forced(row);
    const left = this.#board.forcedUntil(row) - this.#clock.now();
    if (forced === FORCED.not || left <= 0) return null;
    return {
      state: forced === FORCED.open ? "open" : "closed",
      seconds: Number.isFinite(left) ? Math.ceil(left / 1000) : null,
      reason: this.#reasons.get(id) ?? "",
    };
  }
}
