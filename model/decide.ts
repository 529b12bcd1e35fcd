/**
 * Where a request goes. Nothing else decides it: the gateway asks per request, `tidegate explain` and every preview
 * ask the same function.
 */
import type { KeySource, Version } from "./fleet.ts";
import { canaryPoint, drainPoint, slotOf } from "./hash.ts";
import { type HeaderList, headerValue } from "./header-list.ts";
import { CONTRADICTORY_KEY, keyFrom, type PathParams } from "./partition-key.ts";
import type { StressMark } from "./stress-mark.ts";
import type { CompiledRoute, Drains, EndpointPool, StagedTable, Table, UnitPools } from "./table.ts";

/** Live health, one integer per endpoint id; 0 means that it may be used. Shared memory in a gateway. */
export interface Health {
  readonly endpoints: Int32Array;
  readonly drains?: Drains;
}

/** Bits of an endpoint's health. */
export const DOWN = 1; // active checks fail
export const EJECTED = 2; // real traffic fails
export const DRAINED = 4; // an operator gives it no new requests

/** What `decide` needs to know of a request. */
export interface RouteRequest {
  readonly method: string;
  /** Lower-case, without port; empty when the request named none. */
  readonly host: string;
  /** The path exactly as it came, without the query. */
  readonly path: string;
  /** Without the leading `?`. */
  readonly query: string;
  readonly headers: HeaderList;
  /** The client's address, which stands in for the key where a version is chosen for keyless requests. */
  readonly client: string;
  /** The unit that a verified stress mark names: the request is no user's, and goes there or nowhere. */
  readonly stress?: string | undefined;
  /** That mark. */
  readonly mark?: Pick<StressMark, "run"> | undefined;
}

export type VersionCause = "stable" | "canary-header" | "canary-pin" | "canary-share";

/** A request that can be sent. */
export interface Decision {
  readonly refused: false;
  readonly route: CompiledRoute;
  readonly key: string | undefined;
  /** Where the key was found. */
  readonly keySource: KeySource | undefined;
  /** −1 when the request has no key or the route does not place by key. */
  readonly slot: number;
  /** Index of the unit that owns the request. */
  readonly home: number;
  readonly pinned: boolean;
  /** In the first unit; in another, `versionIn` says. */
  readonly version: Version;
  readonly versionCause: VersionCause;
  /** What shares are counted by; undefined where nobody sees a canary. */
  readonly versionKey: string | undefined;
  /** Units that may serve it, in failover order. Never empty. */
  readonly candidates: readonly UnitPools[];
  /** Place in `candidates` of the first unit with an endpoint that may be used; 0 in panic. */
  readonly first: number;
  /** No candidate has a usable endpoint: spread over all of them rather than refuse. */
  readonly panic: boolean;
}

export type RefusalCause =
  | "no-route"
  | "no-key"
  | "contradictory-key"
  | "no-pool"
  // Of stress traffic alone: its unit does not exist, or has no endpoint that may be used.
  | "no-such-unit"
  | "unit-down";

/** A request that cannot be sent anywhere. */
export interface Refusal {
  readonly refused: true;
  readonly cause: RefusalCause;
  readonly route: CompiledRoute | undefined;
}

const NO_ROUTE: Refusal = { refused: true, cause: "no-route", route: undefined };

/** Pure. Costs a route look-up, a hash, and one object; twice where other routes are on their way. */
export function decide(table: Table, health: Health, request: RouteRequest): Decision | Refusal {
  const decision = decideBy(table, health, request);
  return table.staged === undefined ? decision : decideStaged(table, table.staged, decision, health, request);
}

/**
 * A user sees the routes that are on their way where their unit's share says so, whichever unit serves them. Stress traffic
 * that rehearses stands in for users, and is placed as they would be.
 */
function decideStaged(
  own: Table,
  { table, shares, seed, run }: StagedTable,
  decision: Decision | Refusal,
  health: Health,
  request: RouteRequest,
): Decision | Refusal {
  if (run !== undefined) {
    if (request.mark?.run !== run) return decision;
    const next = decideBy(table, health, { ...request, stress: undefined });
    // What is rehearsed to live elsewhere is nobody's slot there: no guard and no fence is asked about it.
    return next.refused || next.slot === -1 || homeOf(own, next) === next.home
      ? next
      : { ...next, slot: -1, pinned: false };
  }
  if (request.stress !== undefined) return decision;
  const next = decideBy(table, health, request);
  // Of a route that is new nobody else says where its user lives.
  const placed = decision.refused && decision.cause === "no-route" ? next : decision;
  if (placed.refused) return decision;
  const share = shares[placed.home]!;
  return share > 0 && canaryPoint(placed.key ?? request.client, seed) < share ? next : decision;
}

/** Where everybody finds a user. */
function homeOf(table: Table, { key, slot }: Decision): number {
  return table.pins.get(key!) ?? table.slotUnits[slot]!;
}

function decideBy(table: Table, health: Health, request: RouteRequest): Decision | Refusal {
  const match = table.router.find(request);
  if (match === undefined) return NO_ROUTE;
  const { route, params } = match;
  let found: { key: string; source: KeySource } | undefined;
  if (route.scope === "sharded" || route.service.hasCanary || route.readsKey) {
    const key = findKey(route, request, params);
    if (key === CONTRADICTORY_KEY) return { refused: true, cause: "contradictory-key", route };
    found = key;
  }
  return place(table, health, route, request, found?.key, found?.source);
}

/**
 * Where a request of a route goes whose user is known. Projections, which know how much comes of whom and no single
 * request, begin here.
 */
export function place(
  table: Table,
  health: Health,
  route: CompiledRoute,
  request: Pick<RouteRequest, "method" | "headers" | "client" | "stress">,
  key: string | undefined,
  keySource: KeySource | undefined,
): Decision | Refusal {
  if (request.stress !== undefined) {
    return placeStress(table, health, route, request, request.stress, key, keySource);
  }
  const { service, scope } = route;
  let slot = -1;
  let home: number;
  let pinned = false;
  if (scope === "sharded") {
    if (key === undefined) {
      if (route.spec.missingKey === "refuse") return { refused: true, cause: "no-key", route };
      home = table.center;
    } else {
      slot = slotOf(key, table.slots);
      const pin = table.pins.size === 0 ? undefined : table.pins.get(key);
      pinned = pin !== undefined;
      home = pin ?? table.slotUnits[slot]!;
    }
  } else if (scope === "center") {
    home = table.center;
  } else {
    home = -1;
  }

  const tester = service.hasCanary ? testerBy(route, request, key) : undefined;
  const versionKey = service.hasCanary ? (key ?? request.client) : undefined;
  let candidates = candidatesOf(table, route, request.method, home);
  if (candidates.length === 0) return { refused: true, cause: "no-pool", route };
  const { drains } = health;
  if (drains !== undefined && drains.count[0] !== 0 && candidates.length > 1) {
    candidates = drainedLast(drains, candidates, key ?? request.client);
  }
  if (table.drains !== undefined && candidates.length > 1) {
    candidates = drainedLast(table.drains, candidates, key ?? request.client);
  }
  const found = nextCandidate(health, candidates, tester ?? "stable", versionKey, 0);
  const first = found === -1 ? 0 : found;
  const version =
    versionKey === undefined ? "stable" : versionIn(candidates[first]!, tester ?? "stable", versionKey);
  return {
    refused: false,
    route,
    key,
    keySource,
    slot,
    home: home === -1 ? candidates[0]!.unit.index : home,
    pinned,
    version,
    versionCause: tester ?? (version === "canary" ? "canary-share" : "stable"),
    versionKey,
    candidates,
    first,
    panic: found === -1,
  };
}

/**
 * Where stress traffic of a route goes: its unit or nowhere. No failover, no drain and no panic move it, and its key
 * chooses a version but no unit. It has a slot only where that is its unit's own, so that a fence counts its writes.
 */
function placeStress(
  table: Table,
  health: Health,
  route: CompiledRoute,
  request: Pick<RouteRequest, "headers" | "client">,
  unit: string,
  key: string | undefined,
  keySource: KeySource | undefined,
): Decision | Refusal {
  const home = table.units.findIndex(({ name }) => name === unit);
  if (home === -1) return { refused: true, cause: "no-such-unit", route };
  const { service, scope } = route;
  if (scope === "sharded" && key === undefined && route.spec.missingKey === "refuse") {
    return { refused: true, cause: "no-key", route };
  }
  const own = service.pools[home];
  if (own === undefined) return { refused: true, cause: "no-pool", route };
  service.singles[home] ??= [own];
  const candidates = service.singles[home];
  const tester = service.hasCanary ? testerBy(route, request, key) : undefined;
  const versionKey = service.hasCanary ? (key ?? request.client) : undefined;
  if (nextCandidate(health, candidates, tester ?? "stable", versionKey, 0) === -1) {
    return { refused: true, cause: "unit-down", route };
  }
  let slot = -1;
  let pinned = false;
  if (scope === "sharded" && key !== undefined) {
    const pin = table.pins.get(key);
    const keySlot = slotOf(key, table.slots);
    if ((pin ?? table.slotUnits[keySlot]) === home) {
      slot = keySlot;
      pinned = pin !== undefined;
    }
  }
  const version = versionKey === undefined ? "stable" : versionIn(own, tester ?? "stable", versionKey);
  return {
    refused: false,
    route,
    key,
    keySource,
    slot,
    home,
    pinned,
    version,
    versionCause: tester ?? (version === "canary" ? "canary-share" : "stable"),
    versionKey,
    candidates,
    first: 0,
    panic: false,
  };
}

/**
 * Units that this request has moved away from go to the end: they serve it only where nobody else can. A drain moves
 * keys, not requests, and a key that has moved stays moved while the ramp goes on.
 */
function drainedLast({ moved }: Drains, candidates: readonly UnitPools[], key: string): readonly UnitPools[] {
  let point = -1;
  let leaves: boolean[] | undefined;
  for (let i = 0; i < candidates.length; i++) {
    const share = moved[candidates[i]!.unit.id]!;
    if (share === 0) continue;
    if (point === -1) point = drainPoint(key);
    if (point >= share) continue;
    leaves ??= new Array<boolean>(candidates.length).fill(false);
    leaves[i] = true;
  }
  if (leaves === undefined) return candidates;
  return [...candidates.filter((_, i) => !leaves[i]), ...candidates.filter((_, i) => leaves[i])];
}

/** Methods that RFC 9110 §9.2.1 calls safe: they ask for no change. */
export function isSafe(method: string): boolean {
  return method === "GET" || method === "HEAD" || method === "OPTIONS" || method === "TRACE";
}

/** Place of the first candidate from `from` on that has a usable endpoint, or −1. */
export function nextCandidate(
  health: Health,
  candidates: readonly UnitPools[],
  cause: VersionCause,
  versionKey: string | undefined,
  from: number,
): number {
  for (let i = from; i < candidates.length; i++) {
    const unit = candidates[i]!;
    if (health.endpoints[unit.firstStable] === 0) return i;
    if (poolFor(health, unit, versionIn(unit, cause, versionKey)) !== undefined) return i;
  }
  return -1;
}

/**
 * What serves a request in a unit: a user who fails over sees what the other unit shows them.
 *
 * @param cause a tester's; for everybody else the unit's share decides
 */
export function versionIn(unit: UnitPools, cause: VersionCause, versionKey: string | undefined): Version {
  if (versionKey === undefined || unit.canary === undefined) return "stable";
  if (cause === "canary-header" || cause === "canary-pin") return unit.isOpen ? "canary" : "stable";
  const { canaryShare, canarySeed } = unit;
  return canaryShare > 0 && canaryPoint(versionKey, canarySeed) < canaryShare ? "canary" : "stable";
}

/**
 * The pool that serves a version in a unit: the canary where it is asked for and usable, else the stable one.
 * Undefined when neither has a usable endpoint.
 */
export function poolFor(health: Health, unit: UnitPools, version: Version): EndpointPool | undefined {
  if (version === "canary" && unit.canary !== undefined && isUsable(health, unit.canary)) return unit.canary;
  return isUsable(health, unit.stable) ? unit.stable : undefined;
}

export function isUsable(health: Health, pool: EndpointPool): boolean {
  for (const endpoint of pool.endpoints) {
    if (health.endpoints[endpoint.id] === 0) return true;
  }
  return false;
}

function findKey(
  route: CompiledRoute,
  request: RouteRequest,
  params: PathParams,
): { key: string; source: KeySource } | undefined | typeof CONTRADICTORY_KEY {
  for (const source of route.key) {
    const key = keyFrom(source, request, params);
    if (key === CONTRADICTORY_KEY) return CONTRADICTORY_KEY;
    if (key !== undefined) return { key, source };
  }
  return undefined;
}

/** Who sees the canary whatever its share. */
function testerBy(
  route: CompiledRoute,
  request: Pick<RouteRequest, "headers">,
  key: string | undefined,
): VersionCause | undefined {
  const { canary } = route.service.spec;
  if (
    canary.header !== undefined &&
    headerValue(request.headers, canary.header.name) === canary.header.value
  ) {
    return "canary-header";
  }
  return key !== undefined && route.service.canaryPins.has(key) ? "canary-pin" : undefined;
}

/** Units that may serve the request, home first. The arrays are shared and must not be changed. */
function candidatesOf(
  table: Table,
  route: CompiledRoute,
  method: string,
  home: number,
): readonly UnitPools[] {
  const { failover, scope } = route;
  // A unit never takes another unit's sharded writes by itself, whatever the route says.
  const mayLeave =
    failover === "all" ? scope !== "sharded" || isSafe(method) : failover === "reads" && isSafe(method);
  const { service } = route;
  if (home === -1) {
    // The last place of the caches belongs to `nearest`.
    const place = table.units.length;
    service.chains[place] ??= table.nearest.map((u) => service.pools[u]).filter((p) => p !== undefined);
    if (mayLeave) return service.chains[place];
    service.singles[place] ??= service.chains[place].slice(0, 1);
    return service.singles[place];
  }
  if (!mayLeave) {
    const own = service.pools[home];
    service.singles[home] ??= own === undefined ? [] : [own];
    return service.singles[home];
  }
  service.chains[home] ??= [home, ...table.units[home]!.failover]
    .map((u) => service.pools[u])
    .filter((p) => p !== undefined);
  return service.chains[home];
}
