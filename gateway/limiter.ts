/** A thread's hand on the limits: which buckets a request takes from, and whether they have the tokens. */
import type { Clock } from "../model/clock.ts";
import type { Decision } from "../model/decide.ts";
import type { GatewaySettings } from "../model/gateway-settings.ts";
import { hashKey } from "../model/hash.ts";
import { soleValue } from "../model/header-list.ts";
import type { Limit, LimitDimension } from "../model/limit.ts";
import { keyFrom, CONTRADICTORY_KEY } from "../model/partition-key.ts";
import { type CompiledRoute, routesOf, type Table } from "../model/table.ts";
import { clientPrefix } from "./client-prefix.ts";
import type { Identity } from "./identify.ts";
import { LEASE, LeaseTable } from "./lease-table.ts";
import { FleetStanding, type LimitMemory } from "./limit-memory.ts";
import { type BucketShape, bucketShape, TokenTable } from "./token-table.ts";

/** The main thread did not look after the leases for so long: its gateway's share counts until it does. */
const BEAT_LOST = 1_500;
/** Tells what stands in for a missing value from the same text given as that value. */
const STAND_IN = 0x5bd1e995;
const NO_PARAMS = Object.freeze(Object.create(null)) as Record<string, string>;

/** A request that a limit refuses. */
export interface Limited {
  readonly limit: LiveLimit;
  /** Milliseconds until a request like this would pass, if nobody else came. */
  readonly wait: number;
}

/** Told when a key of a fleet limit is seen for the first time: its row of leases, and the text that names it. */
export type OnNewKey = (limit: string, row: number, key: string) => void;

export class LiveLimit {
  readonly spec: Limit;
  /** For the problem document. */
  readonly detail: string;
  /** Value of RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers): the quota of the time in which a bucket fills. */
  readonly policy: string;
  readonly #buckets: TokenTable;
  readonly #leases: LeaseTable | undefined;
  readonly #standing: FleetStanding;
  readonly #seeds: readonly [number, number];
  readonly #identity: GatewaySettings["identity"];
  readonly #shape: BucketShape;
  readonly #onNewKey: OnNewKey;
  readonly #mostCost: number;
  readonly #credit: number;
  /** The share's shape and the number of gateways that it was worked out for. */
  #share: BucketShape;
  #sharers = 1;
  // The last key that was worked out, so that taking and giving back need not carry it.
  #set = 0;
  #tag = 0;
  #row = -1;
  #taken = false;

  /** @param mostCost of the routes that name the limit */
  constructor(
    spec: Limit,
    mostCost: number,
    memory: LimitMemory,
    identity: GatewaySettings["identity"],
    onNewKey: OnNewKey,
  ) {
    this.spec = spec;
    const per = spec.by.length === 0 ? "" : ` for each ${spec.by.join(" and ")}`;
    this.detail = `limit ${spec.name}: ${rateText(spec.rate)}${per}, at most ${spec.burst} at once`;
    const window = Math.max(1, Math.round(spec.burst / spec.rate));
    this.policy = `"${spec.name}";q=${Math.max(spec.burst, Math.round(spec.rate * window))};w=${window}`;
    const buffers = memory.byName.get(spec.name)!;
    this.#buckets = new TokenTable(buffers.buckets, buffers.keys);
    this.#leases = buffers.leases === undefined ? undefined : new LeaseTable(buffers.leases, buffers.keys);
    this.#standing = new FleetStanding(memory.fleet);
    this.#seeds = memory.seeds;
    this.#identity = identity;
    this.#shape = bucketShape(spec.rate, spec.burst);
    this.#share = this.#shape;
    this.#onNewKey = onNewKey;
    this.#mostCost = mostCost;
    this.#credit = leaseCredit(spec);
  }

  /** @returns 0 when the request passes; else milliseconds until it would */
  take(decision: Decision, request: Identity, cost: number, now: number): number {
    this.#hash(decision, request);
    this.#row = -1;
    this.#taken = false;
    if (this.#leases !== undefined && this.#standing.leasing && now - this.#standing.beat < BEAT_LOST) {
      const row = this.#leases.row(this.#set, this.#tag);
      if (row !== -1) {
        if (this.#leases.fresh) this.#onNewKey(this.spec.name, row, this.#text(decision, request));
        const share = Math.floor(this.spec.burst / this.#standing.gateways);
        const taken = this.#leases.take(row, cost, Math.max(this.#credit, share));
        if (taken === LEASE.taken) {
          this.#row = row;
          this.#taken = true;
          return 0;
        }
        if (taken === LEASE.empty) return Math.max(1, this.#leases.wait(row), (cost / this.spec.rate) * 1000);
      }
    }
    const wait = this.#buckets.take(
      this.#set,
      this.#tag,
      BigInt(Math.floor(now * 1e6)),
      cost,
      this.#bucket(),
    );
    this.#taken = wait === 0n;
    return wait === 0n ? 0 : Math.max(1, Number(wait) / 1e6);
  }

  /** Undoes the `take` that came last. */
  giveBack(cost: number): void {
    if (!this.#taken) return; // a dry run took nothing
    if (this.#row !== -1) this.#leases!.giveBack(this.#row, cost);
    else this.#buckets.giveBack(this.#set, this.#tag, cost, this.#bucket());
  }

  #bucket(): BucketShape {
    if (this.#leases === undefined) return this.#shape;
    const { gateways } = this.#standing;
    if (gateways !== this.#sharers) {
      const { rate, burst } = this.spec;
      this.#share = bucketShape(rate / gateways, Math.max(this.#mostCost, burst / gateways));
      this.#sharers = gateways;
    }
    return this.#share;
  }

  #hash(decision: Decision, request: Identity): void {
    let set = this.#seeds[0];
    let tag = this.#seeds[1];
    for (const dimension of this.spec.by) {
      let value = this.#valueOf(dimension, decision, request);
      if (value === undefined) {
        value = this.#address(request);
        set = (set ^ STAND_IN) >>> 0;
        tag = (tag ^ STAND_IN) >>> 0;
      }
      set = hashKey(value, set);
      tag = hashKey(value, tag);
    }
    this.#set = set;
    this.#tag = tag;
  }

  /** The key as text, that means one thing only. */
  #text(decision: Decision, request: Identity): string {
    return JSON.stringify(
      this.spec.by.map((d) => {
        const value = this.#valueOf(d, decision, request);
        return value === undefined ? { address: this.#address(request) } : value;
      }),
    );
  }

  /** Undefined where the request names none, or two: the unit might read the other one. */
  #valueOf(dimension: LimitDimension, decision: Decision, request: Identity): string | undefined {
    switch (dimension) {
      case "client": {
        const { apiKey } = this.#identity;
        return apiKey === undefined
          ? this.#address(request)
          : soleValue(request.headers, apiKey) || undefined;
      }
      case "address":
        return this.#address(request);
      case "user":
        return decision.key;
      case "route":
        return decision.route.name;
      case "unit":
        return decision.candidates[decision.first]!.unit.name;
      case "tenant":
        return this.#tenant(request);
      default:
        return soleValue(request.headers, dimension.slice(7)) || undefined;
    }
  }

  #tenant(request: Identity): string | undefined {
    for (const source of this.#identity.tenant) {
      const key = keyFrom(source, request, NO_PARAMS);
      // Two different tenants are none: who says both is counted by address.
      if (key !== undefined && key !== CONTRADICTORY_KEY) return key;
    }
    return undefined;
  }

  #address(request: Identity): string {
    return clientPrefix(request.client, this.#identity.ipv4, this.#identity.ipv6);
  }
}

/** A tenth of a second of the rate: what a key may take beyond its lease. A new one may take its share of a bucket. */
export function leaseCredit(limit: Limit): number {
  return Math.max(1, Math.min(limit.burst, Math.ceil(limit.rate * 0.1)));
}

function rateText(rate: number): string {
  const whole = (n: number): boolean => Math.abs(n - Math.round(n)) < 1e-6;
  if (whole(rate)) return `${Math.round(rate)} a second`;
  if (whole(rate * 60)) return `${Math.round(rate * 60)} a minute`;
  return `${Number((rate * 3600).toPrecision(6))} an hour`;
}

export class Limiter {
  readonly #byRoute = new Map<CompiledRoute, readonly LiveLimit[]>();
  readonly #clock: Clock;
  readonly #onDryRun: (limit: string) => void;

  constructor(
    table: Table,
    memory: LimitMemory,
    clock: Clock,
    onNewKey: OnNewKey,
    onDryRun: (limit: string) => void,
  ) {
    this.#clock = clock;
    this.#onDryRun = onDryRun;
    const { config } = table;
    const routes = routesOf(table);
    const live = new Map<string, LiveLimit>();
    for (const spec of config.limits) {
      const costs = routes.filter((r) => r.spec.limits.includes(spec.name)).map((r) => r.spec.cost);
      const mostCost = Math.max(1, ...costs);
      live.set(spec.name, new LiveLimit(spec, mostCost, memory, config.gateway.identity, onNewKey));
    }
    for (const route of routes) {
      if (route.spec.limits.length === 0) continue;
      this.#byRoute.set(
        route,
        route.spec.limits.map((name) => live.get(name)!),
      );
    }
  }

  /** Takes the route's cost from every limit, or from none. @returns undefined when the request passes */
  take(decision: Decision, request: Identity): Limited | undefined {
    const limits = this.#byRoute.get(decision.route);
    if (limits === undefined) return undefined;
    const { cost } = decision.route.spec;
    const now = this.#clock.now();
    for (let i = 0; i < limits.length; i++) {
      const limit = limits[i]!;
      const wait = limit.take(decision, request, cost, now);
      if (wait === 0) continue;
      if (limit.spec.mode === "dry-run") {
        this.#onDryRun(limit.spec.name);
        continue;
      }
      for (let j = 0; j < i; j++) limits[j]!.giveBack(cost);
      return { limit, wait };
    }
    return undefined;
  }
}
