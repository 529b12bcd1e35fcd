/** base ⊕ overlays: the configuration that gateways serve. */
import type { Config } from "./config.ts";
import type { Placement, Service, Unit } from "./fleet.ts";
import type { Limit } from "./limit.ts";
import { describeOverlay, type Overlay, type OverlayChange } from "./overlay.ts";
import type { Route } from "./route.ts";
import { formatSlotRanges, type SlotRange, slotsOf } from "./slots.ts";

export interface Effective {
  /** The base with every overlay that fits it. */
  readonly config: Config;
  /** Why an overlay does not fit, each with its overlay's name; where there is one, `config` must not be served. */
  readonly misfits: readonly string[];
}

/** A change that names what is not there. */
class Misfit extends Error {}

/** Pure. The overlays write different fields each (see `conflictOf`), so their order means nothing. */
export function effective(base: Config, overlays: Iterable<Overlay>): Effective {
  let config = base;
  const misfits: string[] = [];
  const trial: Overlay[] = [];
  const fit = (overlay: Overlay, change: () => Config): void => {
    try {
      config = change();
    } catch (error) {
      if (!(error instanceof Misfit)) throw error;
      misfits.push(`overlay ${overlay.id} (${describeOverlay(overlay)}) does not fit: ${error.message}`);
    }
  };
  for (const overlay of overlays) {
    if (overlay.for === undefined) fit(overlay, () => lay(config, overlay));
    else trial.push(overlay);
  }
  if (config.staged !== undefined) config = withStaged(config, overlays);
  let tried = config;
  for (const overlay of trial) {
    fit(overlay, () => {
      const next = withTrial(config, overlay);
      tried = layTrial(tried, overlay);
      return next;
    });
  }
  return { config, misfits };
}

type Laid = Pick<Overlay, "change" | "since">;

/** What one overlay of a rehearsal adds to what is published. */
function withTrial(config: Config, { change, since, for: audience }: Overlay): Config {
  const { trial, staged } = config;
  if (staged !== undefined) {
    throw new Misfit("other routes are on their way; rehearse when their rollout is over");
  }
  if (trial !== undefined && JSON.stringify(trial.audience) !== JSON.stringify(audience)) {
    throw new Misfit("another rehearsal is under way");
  }
  const overlays = [...(trial?.overlays ?? []), { change, since }];
  return { ...config, trial: { audience: audience!, overlays } };
}

/**
 * What the audience of a trial is served, and the units that are drained for it: whole at once, as a ramp moves users by
 * degrees, and they are few.
 *
 * @throws never on what `effective` returned
 */
export function trialOf({ trial, ...rest }: Config): { config: Config; drained: ReadonlySet<string> } {
  const overlays = trial?.overlays ?? [];
  const drained = overlays.flatMap(({ change }) => (change.kind === "drain" ? [change.unit] : []));
  return { config: overlays.reduce(layTrial, rest as Config), drained: new Set(drained) };
}

/** A drain writes nothing that a table reads, and a breaker that is held open is a service without a pool there. */
function layTrial(config: Config, overlay: Laid): Config {
  const laid = lay(config, overlay);
  const { change } = overlay;
  if (change.kind === "drain") return config;
  if (change.kind !== "breaker") return laid;
  if (change.state === "closed") return config;
  return withService(config, change.service, (service) => {
    const { [change.unit]: _, ...pools } = service.pools;
    return { ...service, pools };
  });
}

/** What operators do to a route they do to it in either form. */
function withStaged(config: Config, overlays: Iterable<Overlay>): Config {
  const { staged, ...rest } = config;
  let next: Config = { ...rest, routes: staged!.routes };
  for (const overlay of overlays) {
    const { change } = overlay;
    if (overlay.for !== undefined || (change.kind !== "degrade" && change.kind !== "mirror")) continue;
    if (next.routes.some(({ name }) => name === change.route)) next = lay(next, overlay);
  }
  return { ...config, staged: { ...staged!, routes: next.routes } };
}

function checkRoutes(routes: readonly Route[], { fleet, limits }: Config): void {
  for (const route of routes) {
    named(fleet.services, "service", route.service);
    for (const limit of route.limits) named(limits, "limit", limit);
  }
}

function lay(config: Config, { change, since }: Laid): Config {
  const { fleet } = config;
  switch (change.kind) {
    case "drain": {
      const { ramp, deadline } = change;
      const units = replaced(fleet.units, "unit", change.unit, (unit: Unit) => ({
        ...unit,
        drain: { since, ramp, deadline },
      }));
      return { ...config, fleet: { ...fleet, units } };
    }
    case "drain-endpoint":
      return withService(config, change.service, (service) => ({
        ...service,
        pools: { ...service.pools, [change.unit]: withoutEndpoint(service, change) },
      }));
    case "weight":
      return withService(config, change.service, (service) => {
        if (Object.values(service.pools).every((pool) => pool.canary.length === 0)) {
          throw new Misfit(`service ${service.name} has no canary endpoints`);
        }
        return { ...service, canary: { ...service.canary, share: change.share } };
      });
    case "canary":
      return withService(config, change.service, (service) => withCanary(service, change));
    case "routes": {
      checkRoutes(change.routes, config);
      const { routes, salt } = change;
      return { ...config, staged: { routes, salt, units: config.staged?.units ?? {} } };
    }
    case "stage": {
      named(fleet.units, "unit", change.unit);
      const { routes = [], salt = "", units = {} } = config.staged ?? {};
      return { ...config, staged: { routes, salt, units: { ...units, [change.unit]: change.share } } };
    }
    case "pin": {
      named(fleet.units, "unit", change.unit);
      const { placement } = fleet;
      const pins = { ...placement.pins, [change.key]: change.unit };
      return { ...config, fleet: { ...fleet, placement: { ...placement, pins } } };
    }
    case "limit": {
      const { rate, burst, mode } = change;
      const limits = replaced(config.limits, "limit", change.limit, (limit: Limit) => ({
        ...limit,
        rate: rate ?? limit.rate,
        burst: burst ?? limit.burst,
        mode: mode ?? limit.mode,
      }));
      return { ...config, limits };
    }
    case "degrade": {
      const routes = replaced(config.routes, "route", change.route, (route) => {
        if (route.fallback?.hasAnswer !== true) {
          throw new Misfit(`route ${route.name} has no fallback to answer from; give it one in routes.yaml`);
        }
        return { ...route, degraded: true as const };
      });
      return { ...config, routes };
    }
    case "mirror": {
      const { service, version, share, writes } = change;
      const { pools } = named(fleet.services, "service", service);
      if (Object.values(pools).every((pool) => pool[version].length === 0)) {
        throw new Misfit(`service ${service} has no ${version} endpoints`);
      }
      const mirror = { service, version, share, writes };
      const routes = replaced(config.routes, "route", change.route, (route) => {
        if (route.service === service && version === "stable") {
          throw new Misfit(
            `route ${route.name} is served by ${service}; its copies would be its own requests twice`,
          );
        }
        return { ...route, mirror };
      });
      return { ...config, routes };
    }
    case "breaker": {
      const { service, unit, state } = change;
      if (named(fleet.services, "service", service).pools[unit] === undefined) {
        throw new Misfit(`service ${service} has no pool in unit ${unit}`);
      }
      if (!config.routes.some((route) => route.service === service && route.breaker !== undefined)) {
        throw new Misfit(`no route to service ${service} has a breaker`);
      }
      return { ...config, breakers: [...(config.breakers ?? []), { service, unit, state }] };
    }
    case "fence": {
      const { slots, keys, hold } = change;
      const { placement } = fleet;
      checkSlots(placement.slots, slots);
      const fences = [...(placement.fences ?? []), { slots, keys, hold }];
      return { ...config, fleet: { ...fleet, placement: { ...placement, fences } } };
    }
    case "move": {
      const { slots, keys, unit } = change;
      named(fleet.units, "unit", unit);
      const { placement } = fleet;
      checkSlots(placement.slots, slots);
      const map = [...placement.map];
      for (const slot of slotsOf(slots)) map[slot] = unit;
      const pins = { ...placement.pins, ...Object.fromEntries(keys.map((key) => [key, unit])) };
      return { ...config, fleet: { ...fleet, placement: { ...placement, map, pins } } };
    }
    case "stress-stop": {
      const { keys = [], limit, stopped = [] } = config.gateway.stress ?? {};
      const stress = { keys, limit, stopped: [...stopped, change.run] };
      return { ...config, gateway: { ...config.gateway, stress } };
    }
  }
}

function checkSlots(slots: number, ranges: readonly SlotRange[]): void {
  const odd = ranges.find(({ first, last }) => first < 0 || last < first || last >= slots);
  if (odd === undefined) return;
  throw new Misfit(
    `slots ${formatSlotRanges([odd])} are not below ${slots}, which is what the placement has`,
  );
}

/**
 * The placement's epoch after a change: raised by one where a slot or a key lives elsewhere than before, and never lower.
 * It is carried from one revision to the next, because what an overlay wrote and gave back has moved twice.
 */
export function placementEpoch(before: Placement | undefined, after: Placement): number {
  if (before === undefined) return after.epoch;
  return Math.max(after.epoch, isSamePlacement(before, after) ? before.epoch : before.epoch + 1);
}

function isSamePlacement(a: Placement, b: Placement): boolean {
  if (a.slots !== b.slots || a.map.some((unit, slot) => unit !== b.map[slot])) return false;
  const [pins, others] = [Object.entries(a.pins), b.pins];
  return pins.length === Object.keys(others).length && pins.every(([key, unit]) => others[key] === unit);
}

function withService(config: Config, name: string, change: (service: Service) => Service): Config {
  const services = replaced(config.fleet.services, "service", name, change);
  return { ...config, fleet: { ...config.fleet, services } };
}

function withCanary(
  service: Service,
  { unit, share, salt, testers }: Extract<OverlayChange, { kind: "canary" }>,
): Service {
  if ((service.pools[unit]?.canary ?? []).length === 0) {
    throw new Misfit(`service ${service.name} has no canary endpoints in unit ${unit}`);
  }
  const { canary } = service;
  const units = { ...canary.units, [unit]: { share, salt } };
  const pins = [...new Set([...canary.pins, ...testers.pins])];
  return { ...service, canary: { ...canary, header: testers.header ?? canary.header, pins, units } };
}

function withoutEndpoint(
  service: Service,
  { unit, endpoint }: Extract<OverlayChange, { kind: "drain-endpoint" }>,
): Service["pools"][string] {
  const pool = service.pools[unit];
  if (pool === undefined) throw new Misfit(`service ${service.name} has no pool in unit ${unit}`);
  const version = pool.stable.includes(endpoint) ? pool.stable : pool.canary;
  if (!version.includes(endpoint)) {
    throw new Misfit(`${endpoint} is no endpoint of ${service.name} in ${unit}`);
  }
  const drained = [...(pool.drained ?? []), endpoint];
  if (version.every((one) => drained.includes(one))) {
    throw new Misfit(
      `${endpoint} is the last of its version of ${service.name} in ${unit}; drain the unit instead`,
    );
  }
  return { ...pool, drained };
}

function named<T extends { readonly name: string }>(list: readonly T[], noun: string, name: string): T {
  const found = list.find((item) => item.name === name);
  if (found === undefined) throw new Misfit(`there is no ${noun} ${name}`);
  return found;
}

function replaced<T extends { readonly name: string }>(
  list: readonly T[],
  noun: string,
  name: string,
  change: (item: T) => T,
): T[] {
  named(list, noun, name);
  return list.map((item) => (item.name === name ? change(item) : item));
}
