/** A fleet's traffic as lanes: parts of it that go one way, by the function that places each request. */
import type { Config } from "../config.ts";
import { type Decision, DOWN, type Health, nextCandidate } from "../decide.ts";
import { classesOf, type Conditions, healthOf, type Load, type Member, type Way } from "../projection.ts";
import { compileTable, endpointsOf, type Table } from "../table.ts";
import { LEVELS } from "./by-priority.ts";

/** Where the users of `nearest` routes come in: a region's gateways, and their share of the requests. */
export interface Entry {
  readonly region: string;
  readonly share: number;
}

export interface Lane {
  /** Place in `classes`. */
  readonly class: number;
  /** Of the class's requests, 0 to 1. */
  readonly share: number;
  readonly way: Way;
}

export class Traffic {
  readonly table: Table;
  /** What routes have part in each class. */
  readonly classes: readonly (readonly Member[])[];
  readonly lanes: readonly Lane[];
  readonly degraded: readonly string[];
  readonly #health: Health;
  /** Unit → its endpoints' ids. */
  readonly #endpoints: readonly (readonly number[])[];

  constructor(config: Config, entries: readonly Entry[], conditions: Conditions) {
    const table = compileTable(config);
    const classes: (readonly Member[])[] = [];
    const lanes: Lane[] = [];
    const asks = (own: Table, isNearest: boolean) =>
      own.routes.filter(({ scope, spec }) => spec.degraded !== true && (scope === "nearest") === isNearest);
    for (const { members, ways } of classesOf(table, asks(table, false), conditions)) {
      for (const way of ways) lanes.push({ class: classes.length, share: way.share, way });
      classes.push(members);
    }
    const far = classes.length;
    for (const { region, share } of entries) {
      if (share === 0 || asks(table, true).length === 0) continue;
      const own = compileTable(config, { region });
      // The classes are the same from everywhere, and in the same order.
      for (const [i, { members, ways }] of classesOf(own, asks(own, true), conditions).entries()) {
        for (const way of ways) lanes.push({ class: far + i, share: way.share * share, way });
        classes[far + i] ??= members;
      }
    }
    this.table = table;
    this.classes = classes;
    this.lanes = lanes;
    this.degraded = table.routes.filter(({ spec }) => spec.degraded === true).map(({ name }) => name);
    this.#health = healthOf(table, conditions.unhealthy);
    const endpoints = table.units.map(() => [] as number[]);
    for (const { id, pool } of endpointsOf(table)) endpoints[pool.unit.index]!.push(id);
    this.#endpoints = endpoints;
  }

  /** @param lost a unit that is gone besides */
  healthWithout(lost: number): Health {
    const endpoints = Int32Array.from(this.#health.endpoints);
    for (const id of this.#endpoints[lost]!) endpoints[id]! |= DOWN;
    return { ...this.#health, endpoints };
  }

  get health(): Health {
    return this.#health;
  }

  /** By class and priority. */
  asked(load: Load, into: Float64Array): void {
    into.fill(0);
    for (const [i, members] of this.classes.entries()) {
      for (const { route, priority, part } of members) {
        into[i * LEVELS + priority]! += (load.get(route.name) ?? 0) * part;
      }
    }
  }
}

/** Units that are asked in turn. Whatever is served at home waits there, and is asked of nobody else. */
export function chainOf(
  { candidates, first, home, versionCause, versionKey }: Decision,
  health: Health,
): number[] {
  const chain: number[] = [];
  for (let at = first; at !== -1; at = nextCandidate(health, candidates, versionCause, versionKey, at + 1)) {
    const { index } = candidates[at]!.unit;
    chain.push(index);
    if (index === home) break;
  }
  return chain;
}

/** Users come in near where they live: by the slots of each region's units. */
export function entriesOf({ fleet }: Config): Entry[] {
  const regionOf = new Map(fleet.units.map(({ name, region }) => [name, region]));
  const slots = new Map(fleet.regions.map(({ name }) => [name, 0]));
  for (const unit of fleet.placement.map) {
    const region = regionOf.get(unit)!;
    slots.set(region, slots.get(region)! + 1);
  }
  return [...slots].map(([region, count]) => ({ region, share: count / fleet.placement.slots }));
}
