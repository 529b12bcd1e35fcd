/** What the admin port shows of a gateway. */
import { DRAINED } from "../model/decide.ts";
import { healthWord } from "../model/explain.ts";
import type { RequestTrace } from "../model/request-trace.ts";
import type { TraceQuery } from "../model/trace-query.ts";
import { endpointsOf, type Table } from "../model/table.ts";
import type { AdminView } from "./admin.ts";
import { BREAKER_STATES } from "./breaker-board.ts";
import type { BreakerControl } from "./breaker-control.ts";
import type { ErrorRing } from "./error-ring.ts";
import type { Exemplars } from "./exemplars.ts";
import type { Gauges, MetricsRegistry } from "./exposition.ts";
import type { FleetLimits } from "./fleet-limits.ts";
import type { LiveState } from "./live-state.ts";
import { breakerViews, canaryLoads, poolViews } from "./report-views.ts";
import type { Snapshot } from "./snapshot.ts";
import type { Standpoint } from "./source.ts";
import type { Threads } from "./threads.ts";
import type { UnitReports } from "./unit-reports.ts";

/** What changes while a gateway runs. */
export interface Standing {
  readonly snapshot: Snapshot;
  readonly table: Table;
  readonly configError: string | undefined;
  readonly stopping: boolean;
}

export interface ViewParts {
  readonly live: LiveState;
  readonly registry: MetricsRegistry;
  readonly exemplars: Exemplars;
  readonly errors: ErrorRing;
  readonly threads: Threads;
  readonly fleetLimits: FleetLimits;
  readonly breakers: BreakerControl;
  readonly unitReports: UnitReports;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
  readonly standing: () => Standing;
}

export class GatewayView implements AdminView {
  readonly #parts: ViewParts;
  readonly breakers: BreakerControl;

  constructor(parts: ViewParts) {
    this.#parts = parts;
    this.breakers = parts.breakers;
  }

  get table(): Table {
    return this.#parts.standing().table;
  }
  get health(): LiveState {
    return this.#parts.live;
  }
  get alive(): number {
    return this.#parts.threads.readyCount;
  }
  get notReady(): string | undefined {
    if (this.#parts.standing().stopping) return "stopping";
    return this.alive === 0 ? "no thread serves yet" : undefined;
  }

  get wallNow(): number {
    return this.#parts.wallClock();
  }

  replaceThread(thread: number): boolean {
    return this.#parts.threads.replace(thread);
  }

  status(): object {
    const { live, threads } = this.#parts;
    const { snapshot, table, configError } = this.#parts.standing();
    return {
      fleet: table.fleet.name,
      revision: snapshot.revision,
      servedRevision: threads.revision,
      configError: configError ?? null,
      ready: this.notReady === undefined,
      threads: this.alive,
      // Why `servedRevision` is behind, if it is.
      fence: { held: this.#fenced(0), awaited: this.#fenced(1) },
      units: table.units.map((unit) => {
        const row = snapshot.rows.units.get(unit.name)!;
        return {
          unit: unit.name,
          region: unit.spec.region,
          healthy: this.#isUnitHealthy(unit.index),
          drained: live.drains.moved[row]! / 100,
          inflight: live.unitInflight[row],
          pending: live.load.pending[row],
          limit: live.load.limit[row],
        };
      }),
      endpoints: [...endpointsOf(table)].map((e) => ({
        service: e.pool.service.name,
        unit: e.pool.unit.name,
        version: e.pool.version,
        endpoint: e.origin,
        health: healthWord(live.endpoints[e.id]!),
        inflight: live.inflight[e.id],
      })),
    };
  }

  /** What the control plane is told. */
  report(): Standpoint {
    const units = this.#parts.unitReports.take(this.table, (unit) => this.#isUnitHealthy(unit));
    const { live, breakers, fleetLimits } = this.#parts;
    return {
      units,
      versions: this.#versions(),
      pools: poolViews(this.table, live.endpoints),
      breakers: breakerViews(breakers.list()),
      canaries: canaryLoads(this.table, live.inflight),
      limits: { leasing: fleetLimits.leasing ?? null, gateways: fleetLimits.gateways },
    };
  }

  /** Of services that have a canary somewhere: whether a version has an endpoint in a unit that can be used. */
  #versions(): Record<string, boolean> {
    const { endpoints } = this.#parts.live;
    const found: Record<string, boolean> = {};
    for (const { name, pools } of this.table.services) {
      for (const pool of pools) {
        if (pool?.canary === undefined) continue;
        for (const version of [pool.stable, pool.canary]) {
          // One that an operator drained is no sick one.
          const isUp = version.endpoints.some((e) => (endpoints[e.id]! & ~DRAINED) === 0);
          found[`${name} ${pool.unit.name} ${version.version}`] = isUp;
        }
      }
    }
    return found;
  }

  limits(): object[] {
    const { fleetLimits } = this.#parts;
    return this.#parts.standing().snapshot.config.limits.map(({ name, rate, burst, by, scope, mode }) => ({
      limit: name,
      rate,
      burst,
      by,
      scope,
      mode,
      ...(scope === "fleet"
        ? {
            leasing: fleetLimits.leasing ?? false,
            gateways: fleetLimits.gateways,
            keys: fleetLimits.keysOf(name),
          }
        : {}),
    }));
  }

  bucket(limit: string, values: readonly string[], fill: boolean): Promise<object | undefined> {
    const { fleetLimits } = this.#parts;
    return fill ? fleetLimits.fill(limit, values) : fleetLimits.bucket(limit, values);
  }

  async metricsText(open: boolean): Promise<string> {
    const { threads, registry, exemplars } = this.#parts;
    await threads.collect(500);
    return registry.text(this.#gauges(), open ? exemplars : undefined);
  }

  async errors(query: TraceQuery): Promise<readonly RequestTrace[]> {
    await this.#parts.threads.collect(500);
    return this.#parts.errors.list(query);
  }

  #gauges(): Gauges {
    const { live, threads, fleetLimits, breakers } = this.#parts;
    const { table } = this.#parts.standing();
    return new Map<string, [string, number][]>([
      [
        "tidegate_unit_healthy",
        table.units.map((u) => [`unit="${u.name}"`, this.#isUnitHealthy(u.index) ? 1 : 0]),
      ],
      [
        "tidegate_endpoint_healthy",
        [...endpointsOf(table)].map((e) => [
          `service="${e.pool.service.name}",unit="${e.pool.unit.name}",version="${e.pool.version}",endpoint="${e.origin}"`,
          live.endpoints[e.id] === 0 ? 1 : 0,
        ]),
      ],
      [
        "tidegate_breaker_state",
        breakers
          .list()
          .map(({ unit, service, state }) => [
            `unit="${unit}",service="${service}"`,
            BREAKER_STATES.indexOf(state),
          ]),
      ],
      [
        "tidegate_breaker_forced",
        breakers
          .list()
          .flatMap(({ unit, service, forced }): [string, number][] =>
            forced === null ? [] : [[`unit="${unit}",service="${service}",state="${forced.state}"`, 1]],
          ),
      ],
      ["tidegate_snapshot_revision", [["", threads.revision]]],
      ["tidegate_upstream_inflight", this.#byUnit((row) => live.unitInflight[row]!)],
      ["tidegate_unit_limit", this.#byUnit((row) => live.load.limit[row]!)],
      ["tidegate_unit_pending", this.#byUnit((row) => live.load.pending[row]!)],
      ["tidegate_limit_gateways", [["", fleetLimits.gateways]]],
      [
        "tidegate_limit_store_up",
        fleetLimits.leasing === undefined ? [] : [["", fleetLimits.leasing ? 1 : 0]],
      ],
      ["tidegate_client_connections", [["", live.connections[0]!]]],
      ["tidegate_fence_held", [["", this.#fenced(0)]]],
      ["tidegate_fence_awaited", [["", this.#fenced(1)]]],
    ]);
  }

  /** Over all threads. */
  #fenced(which: 0 | 1): number {
    const { fenced } = this.#parts.live;
    let sum = 0;
    for (let at = which; at < fenced.length; at += 2) sum += fenced[at]!;
    return sum;
  }

  #byUnit(value: (row: number) => number): [string, number][] {
    const { table, snapshot } = this.#parts.standing();
    return table.units.map((u) => [`unit="${u.name}"`, value(snapshot.rows.units.get(u.name)!)]);
  }

  /** A unit is healthy while each of its services has a usable stable endpoint there. */
  #isUnitHealthy(unit: number): boolean {
    const { live } = this.#parts;
    for (const service of this.table.services) {
      const stable = service.pools[unit]?.stable;
      if (stable !== undefined && !stable.endpoints.some((e) => live.endpoints[e.id] === 0)) return false;
    }
    return true;
  }
}
