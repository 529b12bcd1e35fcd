/**
 * Hands out rows of live state to endpoints and units, by name, and keeps them while anything names them.
 *
 * A row that is no longer named is given out again only after a pause, because requests that began with an older
 * table may still count on it.
 */
import type { Config } from "../model/config.ts";
import type { BreakerPolicy } from "../model/route.ts";
import { MAX_BREAKERS } from "./breaker-board.ts";
import { VERSIONS, type Version } from "../model/fleet.ts";
import { MAX_ENDPOINTS } from "./live-state.ts";
import { MAX_UNITS } from "./unit-load.ts";

/** The rows of one configuration: plain data, posted to the threads with it. */
export interface Rows {
  readonly endpoints: ReadonlyMap<string, number>;
  readonly units: ReadonlyMap<string, number>;
  readonly breakers: ReadonlyMap<string, number>;
}

export function endpointKey(service: string, unit: string, version: Version, origin: string): string {
  return `${service} ${unit} ${version} ${origin}`;
}

/** A breaker belongs to a service in a unit; routes with another policy have another one. */
export function breakerKey(service: string, unit: string, policy: BreakerPolicy): string {
  return `${service} ${unit} ${JSON.stringify(policy)}`;
}

class RowAllocator {
  readonly #limit: number;
  readonly #what: string;
  readonly #isIdle: (row: number) => boolean;
  #rows = new Map<string, number>();
  #next = 0;
  #free: number[] = [];
  /** Rows that were given up; free at the swap after next, if a tunnel or a long answer does not still count on them. */
  #resting: number[] = [];

  /** @param isIdle whether nothing counts on a row any more */
  constructor(limit: number, what: string, isIdle: (row: number) => boolean) {
    this.#limit = limit;
    this.#what = what;
    this.#isIdle = isIdle;
  }

  /** @returns the rows of exactly these names, and those that are new and must be cleared. */
  assign(names: Iterable<string>): { rows: Map<string, number>; fresh: number[] } {
    const rows = new Map<string, number>();
    const fresh: number[] = [];
    const free = [...this.#free];
    let next = this.#next;
    for (const name of names) {
      const known = this.#rows.get(name);
      if (known !== undefined) {
        rows.set(name, known);
        continue;
      }
      const row = free.pop() ?? next++;
      if (row >= this.#limit) {
        throw new RangeError(`more than ${this.#limit} ${this.#what}: split the fleet over several gateways`);
      }
      rows.set(name, row);
      fresh.push(row);
    }
    // Nothing is kept of an assignment that threw.
    this.#free = [...free, ...this.#resting.filter(this.#isIdle)];
    this.#next = next;
    this.#resting = this.#resting.filter((row) => !this.#isIdle(row));
    for (const [name, row] of this.#rows) if (!rows.has(name)) this.#resting.push(row);
    this.#rows = rows;
    return { rows, fresh };
  }
}

export class RowRegistry {
  readonly #endpoints: RowAllocator;
  readonly #units = new RowAllocator(MAX_UNITS, "units", () => true);

  readonly #breakers = new RowAllocator(MAX_BREAKERS, "circuit breakers", () => true);

  /** @param isIdle whether an endpoint's row has no request under way */
  constructor(isIdle: (row: number) => boolean = () => true) {
    this.#endpoints = new RowAllocator(MAX_ENDPOINTS, "endpoints", isIdle);
  }

  /** @throws RangeError when the configuration is larger than shared memory has rows. */
  assign(config: Config): { rows: Rows; freshEndpoints: number[]; freshBreakers: number[] } {
    const names: string[] = [];
    for (const service of config.fleet.services) {
      for (const [unit, pool] of Object.entries(service.pools)) {
        for (const version of VERSIONS) {
          for (const origin of pool[version]) names.push(endpointKey(service.name, unit, version, origin));
        }
      }
    }
    const endpoints = this.#endpoints.assign(names);
    const units = this.#units.assign(config.fleet.units.map((u) => u.name));
    const breakers = this.#breakers.assign(breakersOf(config));
    return {
      rows: { endpoints: endpoints.rows, units: units.rows, breakers: breakers.rows },
      freshEndpoints: endpoints.fresh,
      freshBreakers: breakers.fresh,
    };
  }
}

function breakersOf({ routes, staged, fleet }: Config): Set<string> {
  const units = new Map(fleet.services.map((s) => [s.name, Object.keys(s.pools)]));
  const keys = new Set<string>();
  const seen = new Set<string>();
  for (const { service, breaker } of [...routes, ...(staged?.routes ?? [])]) {
    if (breaker === undefined) continue;
    // Thousands of routes share a few policies.
    const policy = `${service} ${JSON.stringify(breaker)}`;
    if (seen.has(policy)) continue;
    seen.add(policy);
    for (const unit of units.get(service) ?? []) keys.add(breakerKey(service, unit, breaker));
  }
  return keys;
}
