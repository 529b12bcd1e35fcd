/** Whether a unit has room for one more request: its static bounds, the limit that follows its latency, its capacity. */
import type { Clock } from "../model/clock.ts";
import type { CompiledUnit } from "../model/table.ts";
import type { LiveState } from "./live-state.ts";
import { type BucketShape, bucketShape } from "./token-table.ts";
import type { Urgency } from "./waiting-line.ts";

/** A unit's capacity may be exceeded for a moment by what it takes in this time (ms). */
const CAPACITY_BURST = 100;
/**
 * Shares of the bucket that are kept for more urgent requests (trunk reservation): near its capacity a unit first
 * refuses what is sheddable, and critical requests last.
 */
const RESERVED: readonly [number, number, number, number, number] = [0, 0.1, 0.25, 0.4, 0.5];
/** Behind all users: stress traffic. */
export const STRESS = 4;
export type Rank = Urgency | typeof STRESS;
/** Of the places in a unit, stress traffic leaves one in so many to users, and one at least. */
const LEFT = 20;

interface CapacityBucket extends BucketShape {
  /** By rank: how far from full the bucket may be. */
  readonly upTo: readonly [bigint, bigint, bigint, bigint, bigint];
}

export class Room {
  readonly #live: LiveState;
  readonly #clock: Clock;
  readonly #buckets = new WeakMap<CompiledUnit, CapacityBucket>();

  constructor(live: LiveState, clock: Clock) {
    this.#live = live;
    this.#clock = clock;
  }

  /** @param first it comes from the front of the line, so that nobody is passed by */
  isFull(unit: CompiledUnit, row: number, urgency: Urgency, first: boolean): boolean {
    const { load, unitInflight } = this.#live;
    if (unitInflight[row]! >= unit.spec.inflight) return true;
    const limit = load.limit[row]!;
    if (limit === 0) return !first && load.isAwaited(row, urgency);
    if (load.pending[row]! < limit && (first || !load.isAwaited(row, urgency))) return false;
    Atomics.add(load.full, row, 1);
    return true;
  }

  /**
   * The same for stress traffic, which never goes before a user who waits. That it found no room is known like anybody
   * else's: the limit follows what the unit does, whoever asks.
   */
  isFullForStress(unit: CompiledUnit, row: number): boolean {
    const { load, unitInflight } = this.#live;
    if (unitInflight[row]! >= forStress(unit.spec.inflight) || load.isAwaited(row, 3)) return true;
    const limit = load.limit[row]!;
    if (limit === 0 || load.pending[row]! < forStress(limit)) return false;
    Atomics.add(load.full, row, 1);
    return true;
  }

  /** Takes one request from the unit's capacity. False when it has none left for this rank. */
  takeCapacity(unit: CompiledUnit, row: number, rank: Rank): boolean {
    const { capacity } = unit.spec;
    if (capacity === undefined) return true;
    let bucket = this.#buckets.get(unit);
    if (bucket === undefined) {
      bucket = capacityBucket(capacity);
      this.#buckets.set(unit, bucket);
    }
    const now = BigInt(Math.floor(this.#clock.now() * 1e6));
    const fullAt = this.#live.load.capacity;
    for (;;) {
      const was = Atomics.load(fullAt, row);
      const next = (was < now ? now : was) + bucket.perToken;
      if (next - now > bucket.upTo[rank]) return false;
      if (Atomics.compareExchange(fullAt, row, was, next) === was) return true;
    }
  }
}

function capacityBucket(capacity: number): CapacityBucket {
  const burst = Math.max(10, (capacity * CAPACITY_BURST) / 1000);
  const shape = bucketShape(capacity, burst);
  const upTo = RESERVED.map((share) => BigInt(Math.round(Number(shape.full) * (1 - share))));
  return { ...shape, upTo: upTo as [bigint, bigint, bigint, bigint, bigint] };
}

/** What stress traffic may have of a number of places. */
export function forStress(places: number): number {
  return places - Math.max(1, Math.ceil(places / LEFT));
}
