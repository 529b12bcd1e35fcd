/** Fleet limits on the main thread: the store's connection, the timer that looks after the leases, and what is said of it. */
import { createHash } from "node:crypto";
import type { Redis } from "ioredis";
import type { Logger } from "pino";
import type { Clock, Random } from "../model/clock.ts";
import type { Config } from "../model/config.ts";
import type { Limit } from "../model/limit.ts";
import { connectStore, LeaseStore } from "./lease-store.ts";
import { LeaseTable } from "./lease-table.ts";
import { Leases } from "./leases.ts";
import { FleetStanding, type LimitMemory } from "./limit-memory.ts";

const LOOK_EVERY = 25;
/** A gateway that starts has so long (ms) to reach Redis before it says that it cannot. */
const CONNECTING = 1_000;

export interface FleetLimitsOptions {
  /** `redis://…`; undefined: there is none, and fleet limits are each gateway's own. */
  readonly redis: string | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export interface Bucket {
  readonly limit: string;
  readonly burst: number;
  /** Whole tokens. */
  readonly remaining: number;
  /** Milliseconds until there is one. */
  readonly wait: number;
}

/** Neither a user's name nor an API key of 8 KiB belongs in Redis. @param key as text, or the values that make it */
function digestOf(key: string | readonly string[]): string {
  const text = typeof key === "string" ? key : JSON.stringify(key);
  return createHash("sha256").update(text).digest("base64url").slice(0, 22);
}

export class FleetLimits {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #redis: Redis | undefined;
  readonly #gateway: string;
  readonly #leases: Leases;
  #tables = new Map<string, LeaseTable>();
  #specs: ReadonlyMap<string, Limit> = new Map();
  #standing: FleetStanding | undefined;
  #store: LeaseStore | undefined;
  #timer: NodeJS.Timeout | undefined;
  #used = false;
  #saidDown = false;
  #hasLeased = false;
  readonly #startedAt: number;
  #lastError = "";
  /** Commands sent, and those that failed. */
  commands = 0;
  failures = 0;

  constructor(options: FleetLimitsOptions) {
    this.#clock = options.clock;
    this.#log = options.log;
    this.#startedAt = options.clock.now();
    this.#leases = new Leases(options.clock.now());
    this.#gateway = Array.from({ length: 4 }, () =>
      Math.floor(options.random.next() * 2 ** 32).toString(36),
    ).join("");
    if (options.redis !== undefined) {
      this.#redis = connectStore(options.redis, (error) => {
        this.#lastError = error.message || (error as { code?: string }).code || error.name;
      });
    }
  }

  /** A configuration was applied. */
  install(config: Config, memory: LimitMemory): void {
    const fleet = config.limits.filter((l) => l.scope === "fleet");
    this.#standing = new FleetStanding(memory.fleet);
    const tables = new Map<string, LeaseTable>();
    for (const limit of fleet) {
      const { leases, keys } = memory.byName.get(limit.name)!;
      const known = this.#tables.get(limit.name);
      tables.set(
        limit.name,
        known !== undefined && known.memory === leases ? known : new LeaseTable(leases!, keys),
      );
    }
    this.#tables = tables;
    this.#specs = new Map(fleet.map((spec) => [spec.name, spec]));
    this.#leases.install(fleet.map((spec) => ({ spec, table: tables.get(spec.name)! })));
    this.#used = fleet.length > 0;
    if (this.#redis !== undefined) {
      this.#store = new LeaseStore(this.#redis, config.fleet.name, this.#gateway, this.#clock);
    } else if (this.#used) {
      const limits = fleet.map((l) => l.name);
      this.#log.warn({ limits }, "no --redis: fleet limits are each gateway's own, as if it were alone");
    }
  }

  start(): void {
    if (this.#redis !== undefined) this.#timer = setInterval(() => this.#look(), LOOK_EVERY);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#redis?.disconnect();
  }

  /** Traffic threads saw keys for the first time. */
  seen(keys: readonly (readonly [limit: string, row: number, key: string])[]): void {
    if (this.#store === undefined) return;
    const now = this.#clock.now();
    for (const [limit, row, key] of keys) {
      this.#leases.seen(limit, row, this.#store.nameOf(limit, digestOf(key)), now);
    }
  }

  /**
   * What is left of one bucket in the store: what gateways have leased of it is gone from there.
   *
   * @param values one for each of `by`, in its order
   * @returns undefined when the limit is no fleet limit, or there is no store
   * @throws when the store does not answer
   */
  async bucket(limit: string, values: readonly string[]): Promise<Bucket | undefined> {
    const spec = this.#specs.get(limit);
    if (spec === undefined || this.#store === undefined) return undefined;
    const found = await this.#store.buckets(spec).get(digestOf(values));
    return {
      limit,
      burst: spec.burst,
      remaining: found?.remainingPoints ?? spec.burst,
      wait: found?.msBeforeNext ?? 0,
    };
  }

  /** Fills one bucket. @returns undefined as `bucket` · @throws when the store does not answer */
  async fill(limit: string, values: readonly string[]): Promise<Bucket | undefined> {
    const spec = this.#specs.get(limit);
    if (spec === undefined || this.#store === undefined) return undefined;
    await this.#store.buckets(spec).delete(digestOf(values));
    this.#log.warn({ limit }, "an operator filled a bucket of a fleet limit");
    return this.bucket(limit, values);
  }

  threadDied(): void {
    this.#leases.threadDied();
  }

  /** Whether leases come from the store; undefined where no limit needs one. */
  get leasing(): boolean | undefined {
    return this.#used ? (this.#standing?.leasing ?? false) : undefined;
  }

  get gateways(): number {
    return this.#leases.gateways;
  }

  keysOf(limit: string): number {
    return this.#leases.keysOf(limit);
  }

  #look(): void {
    const now = this.#clock.now();
    const standing = this.#standing!;
    standing.beat = now;
    if (!this.#used) return;
    const store = this.#store!;
    const plan = this.#leases.look(now);
    if (plan === undefined) return;
    if (!store.ready) {
      this.#down(this.#lastError || "not connected");
      return;
    }
    this.commands++;
    store.lease(plan.asks, plan.present).then(
      (reply) => {
        this.#leases.granted(plan, reply, this.#clock.now());
        standing.gateways = this.#leases.gateways;
        if (standing.leasing) return;
        standing.leasing = true;
        this.#hasLeased = true;
        if (this.#saidDown)
          this.#log.info({ gateways: this.#leases.gateways }, "fleet limits: Redis answers again");
        this.#saidDown = false;
      },
      (error: Error) => {
        this.failures++;
        this.#down(error.message);
      },
    );
  }

  #down(reason: string): void {
    const standing = this.#standing!;
    this.#leases.failed(this.#clock.now());
    standing.leasing = false;
    // The first connection takes a moment; shares count until it stands, and that is nothing to report.
    const now = this.#clock.now();
    if (this.#saidDown || (!this.#hasLeased && now - this.#startedAt < CONNECTING)) return;
    this.#saidDown = true;
    const { gateways } = this.#leases;
    this.#log.warn(
      { reason, gateways },
      `fleet limits: Redis does not answer; this gateway takes its share of each, one of ${gateways}`,
    );
  }
}
