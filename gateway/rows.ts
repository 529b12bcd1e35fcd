/**
 * Hands out rows of live state to endpoints and units, by name, and keeps them while anything names them.
 *
 * A row that is no longer named is given out again only after a pause, because requests that began with an older
 * table may still count on it.
 */
import type { Config } from "../model/config.ts";
import { VERSIONS, type Version } from "../model/fleet.ts";
import { MAX_ENDPOINTS, MAX_UNITS } from "./live-state.ts";

/** The rows of one configuration: plain data, posted to the threads with it. */
export interface Rows {
  readonly endpoints: ReadonlyMap<string, number>;
  readonly units: ReadonlyMap<string, number>;
}

export function endpointKey(service: string, unit: string, version: Version, origin: string): string {
  return `${service} ${unit} ${version} ${origin}`;
}

class RowAllocator {
  readonly #limit: number;
  readonly #what: string;
  #rows = new Map<string, number>();
  #next = 0;
  #free: number[] = [];
  /** Rows given up by the last swap; free at the swap after next. */
  #resting: number[] = [];

  constructor(limit: number, what: string) {
    this.#limit = limit;
    this.#what = what;
  }

  /** @returns the rows of exactly these names, and those that are new and must be cleared. */
  assign(names: Iterable<string>): { rows: Map<string, number>; fresh: number[] } {
    const rows = new Map<string, number>();
    const fresh: number[] = [];
    for (const name of names) {
      const known = this.#rows.get(name);
      if (known !== undefined) {
        rows.set(name, known);
        continue;
      }
      const row = this.#free.pop() ?? this.#next++;
      if (row >= this.#limit) {
        throw new RangeError(`more than ${this.#limit} ${this.#what}: split the fleet over several gateways`);
      }
      rows.set(name, row);
      fresh.push(row);
    }
    this.#free.push(...this.#resting);
    this.#resting = [];
    for (const [name, row] of this.#rows) if (!rows.has(name)) this.#resting.push(row);
    this.#rows = rows;
    return { rows, fresh };
  }
}

export class RowRegistry {
  readonly #endpoints = new RowAllocator(MAX_ENDPOINTS, "endpoints");
  readonly #units = new RowAllocator(MAX_UNITS, "units");

  /** @throws RangeError when the configuration is larger than shared memory has rows. */
  assign(config: Config): { rows: Rows; freshEndpoints: number[] } {
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
    return { rows: { endpoints: endpoints.rows, units: units.rows }, freshEndpoints: endpoints.fresh };
  }
}
