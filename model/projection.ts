/**
 * Where the fleet's load goes under a configuration, by the very function that places each request. Pure.
 *
 * Figures know how much a route is asked, and of no single user: so users are taken to be spread evenly over the slots, and
 * a route that takes writes to be asked for as many writes as is said. Routes that differ in nothing that decides are one
 * class, decided once for each home unit, for a read and for a write.
 */
import { type Decision, DOWN, type Health, isSafe, place } from "./decide.ts";
import { slotOf } from "./hash.ts";
import { PRIORITIES, type Priority } from "./route.ts";
import { type CompiledRoute, endpointsOf, type Table } from "./table.ts";

/** Requests per second, by route. */
export type Load = ReadonlyMap<string, number>;

export interface Conditions {
  /** Units that cannot be used. */
  readonly unhealthy: ReadonlySet<string>;
  /** Of the requests of routes that take writes, 0 to 1. */
  readonly writes: number;
}

export interface ProjectedUnit {
  readonly unit: string;
  readonly rps: number;
  /** Requests per second that it is known to bear; undefined when nobody has said. */
  readonly capacity: number | undefined;
  /** What would be shed, least urgent first; empty when it fits. */
  readonly shed: Readonly<Partial<Record<Priority, number>>>;
}

export interface Projection {
  readonly units: readonly ProjectedUnit[];
  /** Requests per second that no healthy unit may serve: they would fail, or be answered by a fallback. */
  readonly failing: number;
  /** Requests per second that fallbacks answer, because their route is degraded. */
  readonly degraded: number;
}

/** Requests that `place` cannot tell apart but by their user. */
export interface RequestClass {
  readonly members: readonly Member[];
  readonly ways: readonly Way[];
}

/** A route's part in a class. */
export interface Member {
  readonly route: CompiledRoute;
  /** Place in `PRIORITIES`. */
  readonly priority: number;
  /** Of the route's requests, 0 to 1. */
  readonly part: number;
}

/** Where a class's requests go whose users live in one unit. */
export interface Way {
  /** Of the class's requests, 0 to 1. */
  readonly share: number;
  /** Undefined where no healthy unit may serve them. */
  readonly decision: Decision | undefined;
  /** The same with another health. */
  readonly placed: (health: Health) => Decision | undefined;
}

const NO_HEADERS: readonly string[] = [];

export function project(table: Table, load: Load, conditions: Conditions): Projection {
  const rps = table.units.map(() => new Float64Array(PRIORITIES.length));
  const [routes, degraded] = [[] as CompiledRoute[], { rps: 0 }];
  for (const route of table.routes) {
    const asked = load.get(route.name) ?? 0;
    if (asked === 0) continue;
    if (route.spec.degraded === true) degraded.rps += asked;
    else routes.push(route);
  }
  let failing = 0;
  for (const { members, ways } of classesOf(table, routes, conditions)) {
    const asked = askedOf(members, load);
    for (const { share, decision } of ways) {
      const own = decision && rps[decision.candidates[decision.first]!.unit.index]!;
      for (let priority = 0; priority < asked.length; priority++) {
        const amount = asked[priority]! * share;
        if (own === undefined) failing += amount;
        else own[priority]! += amount;
      }
    }
  }
  const units = table.units.map(({ name, spec }, i) => {
    const own = rps[i]!;
    const whole = own.reduce((sum, value) => sum + value, 0);
    return { unit: name, rps: whole, capacity: spec.capacity, shed: shedOf(own, whole, spec.capacity) };
  });
  return { units, failing, degraded: degraded.rps };
}

/** What a class is asked for, by priority. */
export function askedOf(members: readonly Member[], load: Load): Float64Array {
  const asked = new Float64Array(PRIORITIES.length);
  for (const { route, priority, part } of members) asked[priority]! += (load.get(route.name) ?? 0) * part;
  return asked;
}

/** Slots that live elsewhere afterwards, and keys that are placed by hand and do. */
export function moved(before: Table, after: Table): { readonly slots: number; readonly pins: number } {
  let slots = 0;
  for (let slot = 0; slot < before.slots; slot++) {
    if (before.units[before.slotUnits[slot]!]!.name !== after.units[after.slotUnits[slot]!]?.name) slots++;
  }
  const [was, is] = [before.fleet.placement.pins, after.fleet.placement.pins];
  const keys = new Set([...Object.keys(was), ...Object.keys(is)]);
  return { slots, pins: [...keys].filter((key) => was[key] !== is[key]).length };
}

/** As at the end of every ramp. */
export function healthOf(table: Table, unhealthy: ReadonlySet<string>): Health {
  const endpoints = new Int32Array(Math.max(1, table.endpointCount));
  for (const endpoint of endpointsOf(table)) {
    const { unit, service } = endpoint.pool;
    const drained = service.spec.pools[unit.name]?.drained?.includes(endpoint.origin) ?? false;
    if (unhealthy.has(unit.name) || drained) endpoints[endpoint.id] = DOWN;
  }
  const drains = table.units.filter(({ spec }) => spec.drain !== undefined);
  const moves = new Int32Array(table.units.length);
  for (const { id } of drains) moves[id] = 100;
  return { endpoints, drains: { count: Int32Array.of(drains.length), moved: moves } };
}

/** Unit index → its share of the slots. */
function homeShares({ slots, slotUnits, units }: Table): Float64Array {
  const shares = new Float64Array(units.length);
  for (let slot = 0; slot < slots; slot++) shares[slotUnits[slot]!]! += 1 / slots;
  return shares;
}

/** Unit index → a key that lives there. */
function keysOf({ slots, slotUnits, pins }: Table, shares: Float64Array): (string | undefined)[] {
  const keys = new Array<string | undefined>(shares.length).fill(undefined);
  let missing = shares.filter((share) => share > 0).length;
  // A unit with one slot of 65,536 is found after as many keys, on average; whoever is not found by then is very small.
  for (let i = 0; missing > 0 && i < slots * 16; i++) {
    const key = `user-${i}`;
    const unit = slotUnits[slotOf(key, slots)]!;
    if (keys[unit] !== undefined || pins.has(key)) continue;
    keys[unit] = key;
    missing--;
  }
  return keys;
}

/** What ten thousand routes ask comes down to as many classes as there are ways in which they differ to `place`. */
export function classesOf(
  table: Table,
  routes: Iterable<CompiledRoute>,
  { unhealthy, writes }: Conditions,
): RequestClass[] {
  const health = healthOf(table, unhealthy);
  const shares = homeShares(table);
  const keys = keysOf(table, shares);
  const classes = new Map<string, { members: Member[]; ways: Way[] }>();
  for (const route of routes) {
    const { spec, service, scope, failover } = route;
    for (const [method, part] of methodsOf(route, writes)) {
      if (part === 0) continue;
      const name = `${service.index} ${scope} ${failover} ${spec.missingKey} ${method}`;
      let found = classes.get(name);
      if (found === undefined) {
        found = { members: [], ways: waysOf(table, route, method, { health, shares, keys }) };
        classes.set(name, found);
      }
      found.members.push({ route, priority: PRIORITIES.indexOf(spec.priority), part });
    }
  }
  return [...classes.values()];
}

interface Homes {
  readonly health: Health;
  readonly shares: Float64Array;
  readonly keys: readonly (string | undefined)[];
}

function waysOf(table: Table, route: CompiledRoute, method: string, { health, shares, keys }: Homes): Way[] {
  const ways: Way[] = [];
  for (const { home, share } of homesOf(route, shares)) {
    const key = keys[home];
    const request = { method, headers: NO_HEADERS, client: key ?? "" };
    const placed = (seen: Health): Decision | undefined => {
      const decision = place(table, seen, route, request, key, undefined);
      return decision.refused || decision.panic ? undefined : decision;
    };
    ways.push({ share, decision: placed(health), placed });
  }
  return ways;
}

function* homesOf(
  { scope }: CompiledRoute,
  shares: Float64Array,
): Generator<{ home: number; share: number }> {
  if (scope !== "sharded") {
    yield { home: 0, share: 1 };
    return;
  }
  for (let home = 0; home < shares.length; home++)
    if (shares[home]! > 0) yield { home, share: shares[home]! };
}

function methodsOf({ spec }: CompiledRoute, writes: number): (readonly [string, number])[] {
  const { methods } = spec.match;
  const takesWrites =
    methods === undefined || methods.length === 0 || methods.some((method) => !isSafe(method));
  const takesReads = methods === undefined || methods.length === 0 || methods.some(isSafe);
  if (!takesWrites) return [["GET", 1]];
  if (!takesReads) return [["POST", 1]];
  return [
    ["GET", 1 - writes],
    ["POST", writes],
  ];
}

function shedOf(own: Float64Array, whole: number, capacity: number | undefined): ProjectedUnit["shed"] {
  const shed: Partial<Record<Priority, number>> = {};
  let left = capacity === undefined ? 0 : whole - capacity;
  for (let i = PRIORITIES.length - 1; i >= 0 && left > 1e-9; i--) {
    const part = Math.min(left, own[i]!);
    if (part <= 0) continue;
    shed[PRIORITIES[i]!] = part;
    left -= part;
  }
  return shed;
}
