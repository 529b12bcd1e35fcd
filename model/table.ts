/**
 * The routing table: one configuration, compiled aside and then never changed, so that a request keeps the table it
 * began with while the next one is swapped in.
 */
import { compileFences, type Fences } from "./fences.ts";
import type { Config } from "./config.ts";
import { trialOf } from "./effective.ts";
import type { CanaryPolicy, Fleet, KeySource, Service, Unit, Version } from "./fleet.ts";
import { hashKey } from "./hash.ts";
import type { Route } from "./route.ts";
import { buildRouter, type Router } from "./router.ts";

/** One address of a pool. `id` names its row of shared live state and outlives the table. */
export interface Endpoint {
  readonly id: number;
  readonly origin: string;
  readonly pool: EndpointPool;
}

/** A service's endpoints of one version in one unit. */
export interface EndpointPool {
  readonly service: CompiledService;
  readonly unit: CompiledUnit;
  readonly version: Version;
  readonly endpoints: readonly Endpoint[];
}

/** A service's pools in one unit. */
export interface UnitPools {
  readonly unit: CompiledUnit;
  readonly stable: EndpointPool;
  /** Undefined where the unit has no canary endpoints. */
  readonly canary: EndpointPool | undefined;
  /** Id of the first stable endpoint: where it is usable, the unit is, and nothing further need be looked at. */
  readonly firstStable: number;
  /** Share of the keys that see the canary here, 0 to 1. */
  readonly canaryShare: number;
  readonly canarySeed: number;
  /** Whether testers see the canary here, whatever its share. */
  readonly isOpen: boolean;
}

export interface CompiledUnit {
  /** Place in `table.units`. */
  readonly index: number;
  /** Names its row of shared live state and outlives the table. */
  readonly id: number;
  readonly spec: Unit;
  readonly name: string;
  /** Units to try when this one cannot serve. */
  readonly failover: readonly number[];
}

export interface CompiledService {
  readonly index: number;
  readonly spec: Service;
  readonly name: string;
  /** By unit index; undefined where the service has no pool. */
  readonly pools: readonly (UnitPools | undefined)[];
  /** Whether anybody at all may see a canary. */
  readonly hasCanary: boolean;
  readonly canaryPins: ReadonlySet<string>;
  /** Candidates by home unit, filled on first use: nobody pays for pairs that never meet. */
  readonly chains: (readonly UnitPools[] | undefined)[];
  readonly singles: (readonly UnitPools[] | undefined)[];
}

export interface CompiledRoute {
  /** Place in `table.routes`. */
  readonly index: number;
  readonly spec: Route;
  readonly name: string;
  readonly match: Route["match"];
  readonly service: CompiledService;
  readonly key: readonly KeySource[];
  /** Copies of what every decision reads of the specification: one cold object less per request. */
  readonly scope: Route["scope"];
  readonly failover: Route["failover"];
  /**
   * The key is looked for even where the route does not place by it: a limit counts by it, or a stored answer must not
   * reach another user.
   */
  readonly readsKey: boolean;
  /** It belongs to routes that are on their way. */
  readonly isStaged: boolean;
}

export interface Table {
  readonly config: Config;
  readonly fleet: Fleet;
  readonly units: readonly CompiledUnit[];
  readonly services: readonly CompiledService[];
  readonly routes: readonly CompiledRoute[];
  readonly router: Router<CompiledRoute>;
  readonly slots: number;
  /** The placement's epoch as text, as every forwarded request carries it. */
  readonly epoch: string;
  /** Slot → unit index. */
  readonly slotUnits: Uint16Array;
  /** Key → unit index. */
  readonly pins: ReadonlyMap<string, number>;
  /** Undefined where nothing is fenced. */
  readonly fences: Fences | undefined;
  /** Undefined where no other routes are on their way, and nothing is rehearsed. */
  readonly staged: StagedTable | undefined;
  /** Units that a rehearsal gives no new work; undefined: none. */
  readonly drains: Drains | undefined;
  readonly center: number;
  /** Unit indexes, nearest first, for `nearest` routes. */
  readonly nearest: readonly number[];
  readonly endpointCount: number;
}

/** Units that are given no new work, as far as their ramps have come. */
export interface Drains {
  /** One number: how many units are drained, in part or whole. */
  readonly count: Int32Array;
  /** By unit id: hundredths of its requests that have moved, 0 to 100. */
  readonly moved: Int32Array;
}

/** Another table on the same fleet for few: other routes on their way, or what is rehearsed. */
export interface StagedTable {
  readonly table: Table;
  /** Of the users who live in a unit, by its index: 0 to 1. */
  readonly shares: Float64Array;
  readonly seed: number;
  /** It is for the stress traffic of this run, which is placed as users are, and for nobody else. */
  readonly run: string | undefined;
}

export interface CompileOptions {
  /** These are routes on their way, or a rehearsal's. */
  readonly isStaged?: boolean;
  /** Units that are given no new work from the beginning. */
  readonly drained?: ReadonlySet<string>;
  /** Region the gateway stands in; `nearest` begins there. Undefined: the order of the file. */
  readonly region?: string | undefined;
  /** Row of live state for an endpoint. By default endpoints are numbered in order. */
  readonly endpointId?: (service: string, unit: string, version: Version, origin: string) => number;
  /** Row of live state for a unit. By default units are numbered in order. */
  readonly unitId?: (unit: string) => number;
}

/** @throws never on a Config that `readConfig` returned. */
export function compileTable(config: Config, options: CompileOptions = {}): Table {
  const { fleet } = config;
  const unitIndex = new Map(fleet.units.map((u, i) => [u.name, i]));
  const units = fleet.units.map(
    (spec, index): CompiledUnit => ({
      index,
      id: options.unitId?.(spec.name) ?? index,
      spec,
      name: spec.name,
      failover: spec.failover.map((name) => unitIndex.get(name)!),
    }),
  );
  let endpointCount = 0;
  const endpointId = options.endpointId ?? (() => endpointCount);

  const services = fleet.services.map((spec, index): CompiledService => {
    const pools: (UnitPools | undefined)[] = new Array(units.length).fill(undefined);
    const service: CompiledService = {
      index,
      spec,
      name: spec.name,
      pools,
      hasCanary: hasCanary(spec.canary),
      canaryPins: new Set(spec.canary.pins),
      chains: new Array(units.length).fill(undefined),
      singles: new Array(units.length).fill(undefined),
    };
    const pool = (unit: CompiledUnit, version: Version, origins: readonly string[]): EndpointPool => {
      const endpoints: Endpoint[] = [];
      const made: EndpointPool = { service, unit, version, endpoints };
      for (const origin of origins) {
        endpoints.push({ id: endpointId(spec.name, unit.name, version, origin), origin, pool: made });
        endpointCount++;
      }
      return made;
    };
    for (const unit of units) {
      const origins = spec.pools[unit.name];
      if (origins === undefined) continue;
      const stable = pool(unit, "stable", origins.stable);
      pools[unit.index] = {
        unit,
        stable,
        canary: origins.canary.length > 0 ? pool(unit, "canary", origins.canary) : undefined,
        firstStable: stable.endpoints[0]?.id ?? -1,
        ...canaryIn(spec.canary, unit.name),
      };
    }
    return service;
  });

  const serviceByName = new Map(services.map((s) => [s.name, s]));
  const routes = config.routes.map(
    (spec, index): CompiledRoute => ({
      index,
      spec,
      name: spec.name,
      match: spec.match,
      service: serviceByName.get(spec.service)!,
      key: spec.key ?? fleet.placement.key,
      scope: spec.scope,
      failover: spec.failover,
      readsKey:
        spec.fallback?.stale !== undefined ||
        config.limits.some((l) => l.by.includes("user") && spec.limits.includes(l.name)) ||
        config.staged !== undefined ||
        config.trial !== undefined ||
        options.isStaged === true,
      isStaged: options.isStaged === true,
    }),
  );

  return {
    config,
    fleet,
    units,
    services,
    routes,
    router: buildRouter(routes),
    slots: fleet.placement.slots,
    epoch: `${fleet.placement.epoch}`,
    slotUnits: Uint16Array.from(fleet.placement.map, (name) => unitIndex.get(name)!),
    pins: new Map(Object.entries(fleet.placement.pins).map(([key, name]) => [key, unitIndex.get(name)!])),
    fences: compileFences(fleet.placement),
    center: units.findIndex((u) => u.spec.center),
    nearest: nearestUnits(fleet, options.region),
    endpointCount,
    staged: config.trial === undefined ? stagedTable(config, options) : trialTable(config, options),
    drains: drainsOf(units, options.drained ?? new Set()),
  };
}

function drainsOf(units: readonly CompiledUnit[], drained: ReadonlySet<string>): Drains | undefined {
  if (drained.size === 0) return undefined;
  const moved = new Int32Array(Math.max(...units.map(({ id }) => id)) + 1);
  for (const { id, name } of units) if (drained.has(name)) moved[id] = 100;
  return { count: Int32Array.of(drained.size), moved };
}

function trialTable(config: Config, options: CompileOptions): StagedTable {
  const { audience } = config.trial!;
  const { config: tried, drained } = trialOf(config);
  const table = compileTable(tried, { ...options, isStaged: true, drained });
  if (audience.kind === "stress") return { table, shares: new Float64Array(0), seed: 0, run: audience.run };
  const shares = new Float64Array(table.units.length).fill(audience.share);
  return { table, shares, seed: hashKey(audience.salt), run: undefined };
}

function stagedTable(config: Config, options: CompileOptions): StagedTable | undefined {
  const { staged, ...rest } = config;
  if (staged === undefined || Object.values(staged.units).every((share) => share === 0)) return undefined;
  const table = compileTable({ ...rest, routes: staged.routes }, { ...options, isStaged: true });
  const shares = Float64Array.from(table.units, ({ name }) => staged.units[name] ?? 0);
  return { table, shares, seed: hashKey(staged.salt), run: undefined };
}

/** Those on their way among them. */
export function routesOf({ routes, staged }: Table): readonly CompiledRoute[] {
  return staged === undefined ? routes : [...routes, ...staged.table.routes];
}

/** Whether anybody at all may see it. */
function hasCanary({ share, header, pins, units }: CanaryPolicy): boolean {
  if (header !== undefined || pins.length > 0) return true;
  return units === undefined ? share > 0 : Object.values(units).some((unit) => unit.share > 0);
}

function canaryIn(
  { share, salt, units }: CanaryPolicy,
  unit: string,
): Pick<UnitPools, "canaryShare" | "canarySeed" | "isOpen"> {
  if (units === undefined) return { canaryShare: share, canarySeed: hashKey(salt), isOpen: true };
  const own = units[unit];
  return {
    canaryShare: own?.share ?? 0,
    canarySeed: hashKey(own?.salt ?? salt),
    isOpen: own !== undefined,
  };
}

/** Every endpoint of a table. */
export function* endpointsOf(table: Table): Iterable<Endpoint> {
  for (const service of table.services) {
    for (const pools of service.pools) {
      if (pools === undefined) continue;
      yield* pools.stable.endpoints;
      if (pools.canary !== undefined) yield* pools.canary.endpoints;
    }
  }
}

/** Units of the gateway's region first, then of its `near` regions in order, then the rest in file order. */
function nearestUnits(fleet: Fleet, region: string | undefined): number[] {
  const rank = new Map<string, number>();
  if (region !== undefined) rank.set(region, 0);
  for (const name of fleet.regions.find((r) => r.name === region)?.near ?? []) {
    if (!rank.has(name)) rank.set(name, rank.size);
  }
  const place = (index: number): number => rank.get(fleet.units[index]!.region) ?? Number.MAX_SAFE_INTEGER;
  return fleet.units.map((_, i) => i).sort((a, b) => place(a) - place(b));
}
