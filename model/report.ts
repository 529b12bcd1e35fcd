/** What a gateway says of itself to its control plane, once a second. Everything in it is bounded. */
import type { Version } from "./fleet.ts";
import type { Latencies } from "./latency-histogram.ts";

/** Series of one slice. What is beyond is counted under `OTHER`, the least busy stable ones first. */
export const MOST_SERIES = 2_000;
/** Route of the series that stand for all that found no place. */
export const OTHER = "_other";
/** Series of stress traffic in one slice: that of one unit, or of a few. */
export const MOST_STRESS_SERIES = 200;
/** Limits of one slice that refused anything. */
export const MOST_LIMITS = 500;
/** Pools and breakers of one report that are not as they should be. */
export const MOST_VIEWS = 500;
/** A slice covers at most so long (ms). */
export const LONGEST_SLICE = 60_000;
/** A gateway waits for its control plane with slices as old as this (ms), at most. */
export const OLDEST_SLICE = 3_600_000;

export interface Report {
  /** What it serves. */
  readonly epoch: number;
  readonly revision: number;
  /** Unit → whether it is healthy, as this gateway sees it. */
  readonly units: Readonly<Record<string, UnitReport>>;
  /** `service unit version` → whether an endpoint of it can be used; of services that have a canary. */
  readonly versions?: Readonly<Record<string, boolean>>;
  /** Pools that have an endpoint which may not be used; of the others, all may. */
  readonly pools?: readonly PoolView[];
  /** Breakers that are not closed, or that an operator forces; the others are closed. */
  readonly breakers?: readonly BreakerStanding[];
  /** Requests under way by version, where users see a canary. */
  readonly canaries?: readonly CanaryLoad[];
  readonly limits?: LimitStanding;
}

export interface UnitReport {
  readonly healthy: boolean;
  /** Requests under way. */
  readonly inflight: number;
  /** Requests per second, of late. */
  readonly rate: number;
  /** Share of its requests that a drain has moved, 0 to 1. */
  readonly drained: number;
}

export interface PoolView {
  readonly service: string;
  readonly unit: string;
  readonly version: Version;
  /** Endpoints that may be used, of how many. */
  readonly usable: number;
  readonly total: number;
}

/** Requests under way with each version of a service in a unit. */
export interface CanaryLoad {
  readonly service: string;
  readonly unit: string;
  readonly stable: number;
  readonly canary: number;
}

export interface BreakerStanding {
  readonly service: string;
  readonly unit: string;
  readonly state: "closed" | "half-open" | "open";
  readonly forced: "open" | "closed" | null;
}

export interface LimitStanding {
  /** Whether fleet limits are leased from Redis; null where there are none. */
  readonly leasing: boolean | null;
  /** Gateways that share them, as last known. */
  readonly gateways: number;
}

/**
 * What was counted in one stretch of time. It is sent again, as it is and under its number, until it is acknowledged;
 * whoever has the number has counted it.
 */
export interface Slice {
  /** One start of the gateway, unlike any other. */
  readonly start: string;
  /** From 1 on. */
  readonly number: number;
  /** Milliseconds that it covers. */
  readonly span: number;
  /** Milliseconds since its end, when it was sent. */
  readonly age: number;
  /** Series that are counted under `OTHER`. */
  readonly folded: number;
  readonly series: readonly SeriesCounts[];
  /** The same of stress traffic, which no figure of users holds; missing where there was none. */
  readonly stress?: readonly SeriesCounts[];
  /** Requests that limits refused. */
  readonly limited: readonly (readonly [limit: string, n: number])[];
}

/** `outcomes` by `OUTCOMES`, without the zeros at its end. `unit` is empty where none was reached. */
export type SeriesCounts = readonly [
  route: string,
  unit: string,
  version: Version,
  outcomes: readonly number[],
  latencies: Latencies,
];
