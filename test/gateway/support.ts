/** A clock and a chance that tests turn by hand, and tables of the smallest kind. */
import type { Clock, Random } from "../../model/clock.ts";
import type { Service } from "../../model/fleet.ts";
import { compileTable, type Table } from "../../model/table.ts";
import { config, route, service } from "../support/config.ts";

export class HandClock implements Clock {
  time: number;

  constructor(time = 1_000_000) {
    this.time = time;
  }

  now(): number {
    return this.time;
  }
}

/** Gives these numbers in turn, then again from the front. */
export function chance(...numbers: readonly number[]): Random {
  let at = 0;
  return { next: () => numbers[at++ % numbers.length]! };
}

/** A table with one service whose pool in hz has these endpoints, numbered from 0. */
export function tableWith(origins: readonly string[], changes: Partial<Service> = {}): Table {
  const hall = service("hall", { ...changes, pools: { hz: { stable: origins, canary: [] } } });
  return compileTable(config([route("hall", "/*")], [hall]));
}

export function poolOf(table: Table) {
  return table.services[0]!.pools[0]!.stable;
}
