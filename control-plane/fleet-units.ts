/** How each unit stands: what its gateways see of it, put together. Pure. */
import type { Config } from "../model/config.ts";
import type { Drain, Unit } from "../model/fleet.ts";
import type { UnitReport } from "../model/report.ts";
import { slotsOf } from "../model/slots.ts";
import type { KnownGateway } from "./publish/gateways.ts";

export interface UnitStanding {
  readonly unit: string;
  readonly region: string;
  readonly capacity: number | null;
  readonly drain: Drain | null;
  /** As most gateways see it; null: no data, which is neither. */
  readonly healthy: boolean | null;
  /** The least that any gateway has moved, 0 to 1. */
  readonly drained: number | null;
  readonly inflight: number | null;
  /** Requests per second. */
  readonly rate: number | null;
}

/** @param known gateways; those that are not connected say nothing */
export function unitStandings(units: readonly Unit[], known: readonly KnownGateway[]): UnitStanding[] {
  const reports = known.flatMap(({ connected, report }) => (connected && report ? [report] : []));
  return units.map(({ name, region, capacity, drain }) => {
    const views = reports.flatMap(({ units: seen }) => seen[name] ?? []);
    const some = views.length > 0;
    const sum = (of: (view: UnitReport) => number): number =>
      views.reduce((total, view) => total + of(view), 0);
    return {
      ...{ unit: name, region, capacity: capacity ?? null, drain: drain ?? null },
      healthy: some ? sum(({ healthy }) => (healthy ? 1 : 0)) * 2 > views.length : null,
      drained: some ? Math.min(...views.map(({ drained }) => drained)) : null,
      inflight: some ? sum(({ inflight }) => inflight) : null,
      rate: some ? sum(({ rate }) => rate) : null,
    };
  });
}

/** Requests that go elsewhere because their unit cannot take them. */
export interface Flow {
  readonly from: string;
  readonly to: string;
  /** Of what `from` would be asked, 0 to 1. */
  readonly share: number;
  readonly cause: "unhealthy" | "drain";
}

/** By the units' own order of failover, as requests are placed: the first that is well and not drained. */
export function flowsOf(units: readonly Unit[], standings: readonly UnitStanding[]): Flow[] {
  const well = new Set(
    standings.filter(({ healthy, drain }) => healthy !== false && drain === null).map(({ unit }) => unit),
  );
  return standings.flatMap(({ unit, healthy, drained, drain }, i) => {
    const isDown = healthy === false;
    const share = isDown ? 1 : drain === null ? 0 : (drained ?? 0);
    const to = share === 0 ? undefined : units[i]!.failover.find((name) => well.has(name));
    return to === undefined ? [] : [{ from: unit, to, share, cause: isDown ? "unhealthy" : "drain" }];
  });
}

/** Unit → slots that live there; unit → slots of them whose writes are fenced. */
export function slotsByUnit({ fleet }: Config): {
  readonly owned: ReadonlyMap<string, number>;
  readonly fenced: ReadonlyMap<string, number>;
} {
  const { map, fences = [] } = fleet.placement;
  const owned = new Map<string, number>();
  for (const unit of map) owned.set(unit, (owned.get(unit) ?? 0) + 1);
  const fenced = new Map<string, number>();
  for (const { slots } of fences) {
    for (const slot of slotsOf(slots)) fenced.set(map[slot]!, (fenced.get(map[slot]!) ?? 0) + 1);
  }
  return { owned, fenced };
}
