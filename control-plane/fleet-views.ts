/** What gateways see of pools, breakers and limits, put together: the worst that any of them sees, and how many see it. */
import type { BreakerStanding, PoolView, Report } from "../model/report.ts";

export interface FleetViews {
  /** Gateways that say how things stand; of the rest nobody knows. */
  readonly gateways: number;
  /** Pools with an endpoint that some gateway may not use. */
  readonly pools: readonly (PoolView & { readonly seenBy: number })[];
  /** Breakers that are not closed, or forced, somewhere. */
  readonly breakers: readonly (BreakerStanding & { readonly seenBy: number })[];
  /** Gateways that lease fleet limits, and those that should and take their share. */
  readonly limits: { readonly leasing: number; readonly sharing: number };
}

const WORSE: readonly BreakerStanding["state"][] = ["closed", "half-open", "open"];

/** @param reports of gateways that live · @returns null where none says anything: no data */
export function fleetViews(reports: readonly Report[]): FleetViews | null {
  if (reports.length === 0) return null;
  const pools = new Map<string, PoolView & { seenBy: number }>();
  const breakers = new Map<string, BreakerStanding & { seenBy: number }>();
  for (const report of reports) {
    for (const pool of report.pools ?? []) {
      const key = `${pool.service}\n${pool.unit}\n${pool.version}`;
      const known = pools.get(key);
      const worst = known !== undefined && known.usable <= pool.usable ? known : pool;
      pools.set(key, { ...worst, seenBy: (known?.seenBy ?? 0) + 1 });
    }
    for (const breaker of report.breakers ?? []) {
      const key = `${breaker.service}\n${breaker.unit}`;
      const known = breakers.get(key);
      const isWorse = known === undefined || WORSE.indexOf(breaker.state) > WORSE.indexOf(known.state);
      const { state } = isWorse ? breaker : known;
      const forced = known?.forced ?? breaker.forced;
      breakers.set(key, { ...breaker, state, forced, seenBy: (known?.seenBy ?? 0) + 1 });
    }
  }
  const leasing = reports.flatMap(({ limits }) => limits?.leasing ?? []);
  return {
    gateways: reports.length,
    pools: [...pools.values()],
    breakers: [...breakers.values()],
    limits: { leasing: leasing.filter(Boolean).length, sharing: leasing.filter((is) => !is).length },
  };
}
