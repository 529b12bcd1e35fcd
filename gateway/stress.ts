/**
 * What stress traffic has of its own in a thread, so that nothing of it is counted as users': marks, limits, figures, what
 * its answers take, retries. What it shares with users is the units' work, and there it gives way (room.ts).
 */
import type { Clock } from "../model/clock.ts";
import type { GatewaySettings } from "../model/gateway-settings.ts";
import { hashKey } from "../model/hash.ts";
import type { StressMark } from "../model/stress-mark.ts";
import { routesOf, type Table } from "../model/table.ts";
import { Baselines } from "./baselines.ts";
import { type LimitMemory, STRESS_KEYS } from "./limit-memory.ts";
import { ThreadMetrics } from "./metrics.ts";
import { RetryBudget } from "./retry-budget.ts";
import { StressMarks } from "./stress-marks.ts";
import { type BucketShape, bucketShape, TokenTable } from "./token-table.ts";

/** What a bucket holds, in milliseconds of its rate, and in requests at least. */
const BURST = 100;
const LEAST_BURST = 10;
/** Shapes that are kept: one per rate. */
const MOST_SHAPES = 64;

/** Where a request is counted. @param identity undefined where nobody knows whose it is */
export function metricsOf(
  { metrics, stress }: { readonly metrics: ThreadMetrics; readonly stress: Stress },
  identity: { readonly mark: StressMark | undefined } | undefined,
): ThreadMetrics {
  return identity?.mark === undefined ? metrics : stress.metrics;
}

export class Stress {
  readonly marks: StressMarks;
  /** Counted under names of its own: `tidegate_stress_…`. */
  readonly metrics = new ThreadMetrics();
  readonly baselines = new Baselines(true);
  /** Nothing of it is retried; what is under way must not allow users more retries either. */
  readonly budget: RetryBudget;
  readonly #clock: Clock;
  #seeds: LimitMemory["seeds"] = [0, 0];
  #buckets!: TokenTable;
  #limit: number | undefined;
  readonly #shapes = new Map<number, BucketShape>();

  constructor(clock: Clock, wallClock: () => number, threads: number) {
    this.#clock = clock;
    this.marks = new StressMarks(clock, wallClock);
    this.budget = new RetryBudget(clock, threads);
  }

  install(table: Table, { stress }: GatewaySettings, memory: LimitMemory): void {
    this.marks.install(table.fleet.name, stress);
    this.baselines.swap(routesOf(table));
    this.#limit = stress?.limit;
    this.#seeds = memory.seeds;
    this.#buckets = new TokenTable(memory.stress, STRESS_KEYS);
  }

  /** Takes one request from what the unit, and the run, may have here. @returns milliseconds to wait; 0: it passes */
  take({ unit, run, rate }: StressMark): number {
    const limit = this.#limit;
    if (limit === undefined && rate === undefined) return 0;
    const now = BigInt(Math.floor(this.#clock.now() * 1e6));
    if (limit !== undefined) {
      const wait = this.#takeFrom(unit, limit, now);
      if (wait > 0 || rate === undefined) return wait;
    }
    const wait = this.#takeFrom(`${unit} ${run}`, rate!, now);
    if (wait > 0 && limit !== undefined) this.#giveBack(unit, limit);
    return wait;
  }

  #takeFrom(key: string, rate: number, now: bigint): number {
    const [set, tag] = this.#hash(key);
    const wait = this.#buckets.take(set, tag, now, 1, this.#shape(rate));
    return wait === 0n ? 0 : Math.max(1, Number(wait) / 1e6);
  }

  #giveBack(key: string, rate: number): void {
    const [set, tag] = this.#hash(key);
    this.#buckets.giveBack(set, tag, 1, this.#shape(rate));
  }

  #hash(key: string): readonly [set: number, tag: number] {
    const [set, tag] = this.#seeds;
    return [hashKey(key, set), hashKey(key, tag)];
  }

  #shape(rate: number): BucketShape {
    let shape = this.#shapes.get(rate);
    if (shape === undefined) {
      if (this.#shapes.size >= MOST_SHAPES) this.#shapes.clear();
      shape = bucketShape(rate, Math.max(LEAST_BURST, (rate * BURST) / 1_000));
      this.#shapes.set(rate, shape);
    }
    return shape;
  }
}
