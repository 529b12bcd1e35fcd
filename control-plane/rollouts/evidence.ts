/** What is seen of a service's versions in one unit: what they answered, second by second, and whether they are well. */
import type { Config } from "../../model/config.ts";
import type { Version } from "../../model/fleet.ts";
import type { CanaryLoad } from "../../model/report.ts";
import { BUCKETS } from "../../model/latency-histogram.ts";
import { OUTCOME, OUTCOMES, requestsOf, servedOf } from "../../model/outcome.ts";
import type { FleetFigures } from "../fleet-figures.ts";
import type { Gateways } from "../publish/gateways.ts";
import type { Metrics } from "./metrics.ts";

/** What one version answered in a while. */
export interface Seen {
  /** Requests that it was to answer. */
  readonly requests: number;
  readonly failures: number;
  /** One count for each bucket of the histogram. */
  readonly latencies: Float64Array;
}

/** Requests under way with each version now. */
export type UnderWay = Pick<CanaryLoad, Version>;

export interface Both {
  readonly canary: Seen;
  readonly stable: Seen;
  /** Milliseconds of which anything is known. */
  readonly known: number;
  /** The second that was told last. */
  readonly last: number;
}

/** Seconds without a request after which a version is quiet. */
export const LATELY = 5;

export class Evidence {
  readonly metrics: Metrics;
  readonly #figures: FleetFigures;
  readonly #gateways: Gateways;

  constructor(figures: FleetFigures, gateways: Gateways, metrics: Metrics) {
    this.metrics = metrics;
    this.#figures = figures;
    this.#gateways = gateways;
  }

  /** Each second once, by `last` of the time before. */
  since(after: number | undefined, service: string | undefined, unit: string, config: Config): Both {
    const routes = routesOf(service, config);
    const { series, known, last } = this.#figures.seconds(after, { unit });
    const [canary, stable] = [nothing(), nothing()];
    for (const { name, row } of series) {
      if (routes.has(name.route)) add(name.version === "canary" ? canary : stable, row);
    }
    return { canary, stable, known, last };
  }

  /** Undefined where no gateway says. */
  underWay(service: string, unit: string): UnderWay | undefined {
    const loads = this.#gateways.live().flatMap(({ report }) => report?.canaries ?? []);
    const own = loads.filter((load) => load.service === service && load.unit === unit);
    const sum = (version: Version): number => own.reduce((total, load) => total + load[version], 0);
    return own.length === 0 ? undefined : { stable: sum("stable"), canary: sum("canary") };
  }

  /** What stable answered in the ten minutes before: what a canary is held against where it is alone. */
  past(service: string | undefined, unit: string, config: Config): Seen {
    const routes = routesOf(service, config);
    const seen = nothing();
    for (const { name, row } of this.#figures.sum("10m", { unit, version: "stable" }).series) {
      if (routes.has(name.route)) add(seen, row);
    }
    return seen;
  }

  /** Requests of a version in the last seconds that are told whole; undefined where nobody knows. */
  lately(service: string, unit: string, version: Version, config: Config): number | undefined {
    const routes = routesOf(service, config);
    const { last } = this.#figures.seconds(undefined, {});
    const { series, known } = this.#figures.seconds(last - LATELY, { unit, version });
    if (known === 0) return undefined;
    let requests = 0;
    for (const { name, row } of series) if (routes.has(name.route)) requests += requestsOf(row);
    return requests;
  }

  /** Endpoints of a version that gateways may use, in the worst view of them; undefined where nobody says. */
  usable(
    service: string,
    unit: string,
    version: Version,
    config: Config,
  ): { readonly usable: number; readonly total: number } | undefined {
    const pool = config.fleet.services.find(({ name }) => name === service)?.pools[unit];
    const total = pool?.[version].length ?? 0;
    const reports = this.#gateways.live().flatMap(({ report }) => report ?? []);
    if (reports.length === 0) return undefined;
    const seen = reports.map(({ pools = [] }) => {
      const view = pools.find(
        (one) => one.service === service && one.unit === unit && one.version === version,
      );
      return view?.usable ?? total;
    });
    return { usable: Math.min(...seen), total };
  }
}

/** Of a service; of all, where none is named. */
function routesOf(service: string | undefined, { routes, staged }: Config): Set<string> {
  const own = [...routes, ...(staged?.routes ?? [])];
  return new Set(
    own.filter((route) => service === undefined || route.service === service).map(({ name }) => name),
  );
}

function nothing(): { requests: number; failures: number; latencies: Float64Array } {
  return { requests: 0, failures: 0, latencies: new Float64Array(BUCKETS) };
}

function add(seen: ReturnType<typeof nothing>, row: Float64Array): void {
  // Attempts that failed here and were answered elsewhere: nobody felt them, and they say the same of the version.
  const retried = row[OUTCOME.retried]!;
  seen.requests += servedOf(row) + retried;
  seen.failures += row[OUTCOME.error]! + row[OUTCOME.fallback]! + retried;
  for (let i = 0; i < BUCKETS; i++) seen.latencies[i]! += row[OUTCOMES.length + i]!;
}
