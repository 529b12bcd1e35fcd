/** What the main thread publishes to the traffic threads: one whole configuration and the rows of its live state. */
import type { Config } from "../model/config.ts";
import { compileTable, type Table } from "../model/table.ts";
import type { LimitMemory } from "./limit-memory.ts";
import { endpointKey, type Rows } from "./rows.ts";

export interface Snapshot {
  /** Raised by one for every configuration that was applied. */
  readonly revision: number;
  readonly config: Config;
  readonly rows: Rows;
  readonly region: string | undefined;
  readonly limits: LimitMemory;
}

export function tableOf(snapshot: Snapshot): Table {
  const { endpoints, units } = snapshot.rows;
  return compileTable(snapshot.config, {
    region: snapshot.region,
    endpointId: (service, unit, version, origin) =>
      endpoints.get(endpointKey(service, unit, version, origin))!,
    unitId: (unit) => units.get(unit)!,
  });
}
