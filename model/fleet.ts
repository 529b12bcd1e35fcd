/**
 * Where traffic can go: the meaning of `fleet.yaml`, with every default filled in.
 *
 * Durations are milliseconds, sizes bytes, shares numbers from 0 to 1. All of it is plain data, so that it
 * can be posted to a thread, stored as a snapshot and compared.
 */

import type { SlotRange } from "./slots.ts";

/** A service's endpoints carry one list per version. */
export const VERSIONS = ["stable", "canary"] as const;
export type Version = (typeof VERSIONS)[number];

export interface Region {
  readonly name: string;
  /** Other regions, nearest first. Regions that are not named follow in file order. */
  readonly near: readonly string[];
}

/** A unit that is given no new work: its requests go elsewhere by degrees, where their routes let them. */
export interface Drain {
  /** When it began, in milliseconds since 1970, by the control plane's clock. */
  readonly since: number;
  /** Milliseconds from nobody moved to everybody moved; 0 moves all at once. */
  readonly ramp: number;
  /** Milliseconds from `since` until connections that were upgraded (WebSockets) are closed. */
  readonly deadline: number;
}

export interface Unit {
  readonly name: string;
  readonly region: string;
  /** The center unit owns what cannot be sharded. Exactly one unit is the center. */
  readonly center: boolean;
  /** Requests per second that this unit is known to bear; undefined when nobody has said. */
  readonly capacity: number | undefined;
  /** Units to try when this one cannot serve, in order. Defaulted: same region first, then the rest in order. */
  readonly failover: readonly string[];
  /**
   * `adaptive`: how many requests may be under way follows the measured latency, below `inflight`; `fixed`: `inflight`
   * alone.
   */
  readonly concurrency: "adaptive" | "fixed";
  /** Requests that may be under way to this unit at once, over all threads. */
  readonly inflight: number;
  /** Requests that may wait for a place when `inflight` is reached. */
  readonly queue: { readonly size: number; readonly wait: number };
  /** Set by an overlay, never by a file. */
  readonly drain?: Drain;
}

/** Where the partition key is looked for; `name` is lower-case for headers. */
export interface KeySource {
  readonly from: "header" | "cookie" | "query" | "path";
  readonly name: string;
}

export interface Placement {
  /** The first source that is present and not empty gives the key. */
  readonly key: readonly KeySource[];
  readonly slots: number;
  /** Slot number → unit name; length is `slots`. */
  readonly map: readonly string[];
  /** Key → unit name, for keys placed by hand. */
  readonly pins: Readonly<Record<string, string>>;
  /** Raised whenever a slot or a key moves. */
  readonly epoch: number;
  /** Set by overlays, never by a file. */
  readonly fences?: readonly Fence[];
}

/** Writes that are held while slots move: first for so long, then they are refused. */
export interface Fence {
  readonly slots: readonly SlotRange[];
  /** Keys that are placed by hand. */
  readonly keys: readonly string[];
  /** Milliseconds. */
  readonly hold: number;
}

/** An active health check of one service's endpoints. */
export interface HealthCheck {
  /** `http` asks for a path, `tcp` opens a connection (the default when `health` is absent), `none` checks nothing. */
  readonly kind: "http" | "tcp" | "none";
  readonly path: string;
  /** Host header of the check; undefined uses the endpoint's own address. */
  readonly host: string | undefined;
  readonly interval: number;
  readonly timeout: number;
  /** Checks in a row that must pass before an unhealthy endpoint is healthy again. */
  readonly healthy: number;
  /** Checks in a row that must fail before a healthy endpoint is unhealthy. */
  readonly unhealthy: number;
  /** Share of the interval by which each check is shortened at random, so that checkers do not march in step. */
  readonly jitter: number;
  /** Inclusive ranges of statuses that pass. */
  readonly status: readonly (readonly [number, number])[];
  /** Text that the first 64 KiB of the body must contain; undefined asks for nothing. */
  readonly body: string | undefined;
}

/** Passive health: what real traffic says of an endpoint. */
export interface OutlierPolicy {
  /** Failures in a row (5xx, reset, timeout, refused) that eject an endpoint; 0 turns ejection off. */
  readonly consecutive: number;
  /** First ejection's length; the n-th lasts n times as long, up to `maxEjection`. */
  readonly baseEjection: number;
  readonly maxEjection: number;
  /** Most of a pool that may be ejected at once, 0 to 1. The last endpoint of a pool is never ejected. */
  readonly maxShare: number;
}

/** Who is served by the canary version, in units that have one. */
export interface CanaryPolicy {
  /** Share of partition keys (clients, where there is no key), 0 to 1. */
  readonly share: number;
  /** Mixed into the hash so that different canaries pick different users. */
  readonly salt: string;
  /** A request with this header and value sees the canary whatever its key. */
  readonly header: { readonly name: string; readonly value: string } | undefined;
  /** Keys that always see the canary. */
  readonly pins: readonly string[];
  /**
   * Units that a rollout has come to, each with a share and a salt of its own; in all others nobody sees the canary. Set
   * by overlays, never by a file.
   */
  readonly units?: Readonly<Record<string, { readonly share: number; readonly salt: string }>>;
}

export interface Pool {
  /** Origins, e.g. `http://127.0.0.1:9101`, without a path or a trailing slash. */
  readonly stable: readonly string[];
  readonly canary: readonly string[];
  /** Of both, those that get no new requests. Set by overlays, never by a file. */
  readonly drained?: readonly string[];
}

/** How an `https` endpoint is verified. Verification cannot be turned off. */
export interface UpstreamTls {
  /** PEM text of a private CA, read from the file that `ca` names; undefined uses Node's own roots. */
  readonly ca: string | undefined;
  /** Name to verify and to send by SNI; undefined uses the endpoint's host. */
  readonly servername: string | undefined;
}

export interface Service {
  readonly name: string;
  readonly health: HealthCheck;
  readonly outlier: OutlierPolicy;
  /** Length of the ramp after an endpoint recovers; 0 turns it off. */
  readonly slowStart: number;
  /** Requests under way to one endpoint at once, over all threads. */
  readonly inflight: number;
  readonly canary: CanaryPolicy;
  readonly tls: UpstreamTls;
  /** Unit name → pool. */
  readonly pools: Readonly<Record<string, Pool>>;
}

export interface Fleet {
  readonly name: string;
  readonly regions: readonly Region[];
  readonly units: readonly Unit[];
  readonly placement: Placement;
  readonly services: readonly Service[];
}
