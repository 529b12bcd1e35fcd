/** What all threads of a gateway share of its limits. Made by the main thread, kept over reloads, sent with snapshots. */
import type { Random } from "../model/clock.ts";
import type { Limit } from "../model/limit.ts";
import { leaseTableBytes } from "./lease-table.ts";
import { tokenTableBytes } from "./token-table.ts";

/** Units and runs of stress traffic whose buckets are remembered. */
export const STRESS_KEYS = 4_096;

export interface LimitBuffers {
  readonly keys: number;
  /** Token buckets: the limit itself, or this gateway's share of a fleet limit while there are no leases. */
  readonly buckets: SharedArrayBuffer;
  /** Leases of a fleet limit. */
  readonly leases: SharedArrayBuffer | undefined;
}

export interface LimitMemory {
  /** Two seeds that nobody outside can guess, so that nobody can aim at another's place in a table. */
  readonly seeds: readonly [number, number];
  readonly fleet: SharedArrayBuffer;
  readonly byName: ReadonlyMap<string, LimitBuffers>;
  /** Token buckets of stress traffic, by unit and by run. */
  readonly stress: SharedArrayBuffer;
}

/** The state of the fleet's store, as all threads see it. */
export class FleetStanding {
  readonly #ints: Int32Array;
  readonly #beat: Float64Array;

  constructor(memory: SharedArrayBuffer) {
    this.#beat = new Float64Array(memory, 0, 1);
    this.#ints = new Int32Array(memory, 8, 2);
  }

  static bytes = 16;

  /** Gateways that live, as last known; at least 1. */
  get gateways(): number {
    return Math.max(1, Atomics.load(this.#ints, 0));
  }
  set gateways(count: number) {
    Atomics.store(this.#ints, 0, count);
  }

  /** The store answers, and leases count. */
  get leasing(): boolean {
    return Atomics.load(this.#ints, 1) === 1;
  }
  set leasing(yes: boolean) {
    Atomics.store(this.#ints, 1, yes ? 1 : 0);
  }

  /** When the main thread last looked after the leases, in milliseconds of the shared clock. */
  get beat(): number {
    return this.#beat[0]!;
  }
  set beat(now: number) {
    this.#beat[0] = now;
  }
}

/** Keeps buffers by name as long as a limit names them with the same number of keys. */
export class LimitMemoryKeeper {
  readonly #seeds: readonly [number, number];
  readonly #fleet = new SharedArrayBuffer(FleetStanding.bytes);
  readonly #stress = new SharedArrayBuffer(tokenTableBytes(STRESS_KEYS));
  #byName = new Map<string, LimitBuffers>();

  constructor(random: Random) {
    const seed = (): number => Math.floor(random.next() * 2 ** 32);
    this.#seeds = [seed(), seed()];
  }

  assign(limits: readonly Limit[]): LimitMemory {
    const byName = new Map<string, LimitBuffers>();
    for (const { name, keys, scope, by } of limits) {
      const known = this.#byName.get(`${scope} ${name} ${by}`);
      const needed = by.every((d) => d === "route" || d === "unit") ? Math.min(keys, 8_192) : keys;
      const buffers =
        known?.keys === needed
          ? known
          : {
              keys: needed,
              buckets: new SharedArrayBuffer(tokenTableBytes(needed)),
              leases: scope === "fleet" ? new SharedArrayBuffer(leaseTableBytes(needed)) : undefined,
            };
      byName.set(`${scope} ${name} ${by}`, buffers);
    }
    this.#byName = byName;
    return {
      seeds: this.#seeds,
      fleet: this.#fleet,
      stress: this.#stress,
      byName: new Map(limits.map((l) => [l.name, byName.get(`${l.scope} ${l.name} ${l.by}`)!])),
    };
  }
}
