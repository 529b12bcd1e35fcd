/** What of a gateway's pools and breakers is not as it should be: what is not said is well. */
import { type BreakerStanding, type CanaryLoad, MOST_VIEWS, type PoolView } from "../model/report.ts";
import type { EndpointPool, Table } from "../model/table.ts";
import type { BreakerView } from "./breaker-control.ts";

/** @param health by endpoint; 0 may be used */
export function poolViews(table: Table, health: Int32Array): PoolView[] {
  const views: PoolView[] = [];
  for (const { name: service, pools } of table.services) {
    for (const pool of pools) {
      for (const version of pool === undefined ? [] : [pool.stable, pool.canary]) {
        if (version === undefined) continue;
        const total = version.endpoints.length;
        const usable = version.endpoints.filter((e) => health[e.id] === 0).length;
        if (usable === total) continue;
        views.push({ service, unit: version.unit.name, version: version.version, usable, total });
        if (views.length === MOST_VIEWS) return views;
      }
    }
  }
  return views;
}

/** @param inflight requests under way, by endpoint */
export function canaryLoads(table: Table, inflight: Int32Array): CanaryLoad[] {
  const sum = ({ endpoints }: EndpointPool): number =>
    endpoints.reduce((total, { id }) => total + Math.max(0, inflight[id]!), 0);
  return table.services
    .flatMap(({ name: service, pools, hasCanary }) =>
      (hasCanary ? pools : []).flatMap((pool) => {
        if (pool?.canary === undefined || pool.canaryShare === 0) return [];
        return [{ service, unit: pool.unit.name, stable: sum(pool.stable), canary: sum(pool.canary) }];
      }),
    )
    .slice(0, MOST_VIEWS);
}

export function breakerViews(breakers: readonly BreakerView[]): BreakerStanding[] {
  return breakers
    .filter(({ state, forced }) => state !== "closed" || forced !== null)
    .slice(0, MOST_VIEWS)
    .map(({ service, unit, state, forced }) => ({ service, unit, state, forced: forced?.state ?? null }));
}
