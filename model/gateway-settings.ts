/** How a gateway listens and protects itself: the meaning of the optional `gateway.yaml`. */

import type { KeySource } from "./fleet.ts";

export interface GatewaySettings {
  /** CIDRs whose `X-Forwarded-*` and `Forwarded` are believed and appended to. Others' are overwritten. */
  readonly trust: readonly string[];
  /** Header names with `_`: `refuse` answers 400 (many servers read `_` and `-` as one), `pass` sends them on. */
  readonly underscores: "refuse" | "pass";
  readonly client: {
    /** Bytes of request line and headers together. Read at start. */
    readonly maxHeader: number;
    /** Number of header fields. */
    readonly maxHeaders: number;
    /** To receive the whole head of a request. Read at start. */
    readonly headerTimeout: number;
    /** A connection without a request is closed after this. Read at start. */
    readonly keepAlive: number;
    /** Client connections over all threads; more are closed at once. Read at start. */
    readonly maxConnections: number;
    /** HTTP/2 streams of one connection at once. Read at start. */
    readonly maxStreams: number;
  };
  /** Who a request is counted as, by limits. */
  readonly identity: {
    /** Header that carries the client's API key; undefined: clients are told apart by address alone. */
    readonly apiKey: string | undefined;
    /** Where the tenant is looked for; the first one present counts. */
    readonly tenant: readonly KeySource[];
    /** Bits of an IPv4 address that make one client. */
    readonly ipv4: number;
    /** Bits of an IPv6 address that make one client; a household has a /64 of its own. */
    readonly ipv6: number;
  };
  /** Request bodies up to this many bytes are kept so that they can be sent again. */
  readonly replayBody: number;
  readonly accessLog: {
    /** Share of requests that are logged, 0 to 1; answers of 500 and above are always logged. */
    readonly sample: number;
  };
  /** Undefined: nobody can mark stress traffic. */
  readonly stress?: StressSettings | undefined;
  /** Undefined: `DEFAULT_TRACING`. */
  readonly tracing?: TracingSettings | undefined;
}

/** Which requests are recorded, as spans and as error traces. */
export interface TracingSettings {
  /** Share of the requests that come without a trace of their own, 0 to 1; failed and slow ones are always recorded. */
  readonly sample: number;
  /** Slower than this (ms), until the answer began, is slow. */
  readonly slow: number;
  /** Requests per second of one gateway that are recorded because their client's trace is; the rest by `sample`. */
  readonly parents: number;
  /** Request headers whose values are shown beside the usual harmless ones; lower-case. */
  readonly headers: readonly string[];
}

export const DEFAULT_TRACING: TracingSettings = { sample: 0.01, slow: 1_000, parents: 100, headers: [] };

/** Who may mark stress traffic, and how much of it passes. */
export interface StressSettings {
  /** Public keys whose marks count, as `publicText` of stress-mark.ts writes them. */
  readonly keys: readonly string[];
  /** Requests per second that this gateway takes for one unit, all runs together; undefined: no bound of its own. */
  readonly limit: number | undefined;
  /** Runs whose marks count no longer. Set by overlays, never by a file. */
  readonly stopped?: readonly string[];
}

export const DEFAULT_GATEWAY_SETTINGS: GatewaySettings = {
  trust: [],
  underscores: "refuse",
  client: {
    maxHeader: 61_440,
    maxHeaders: 100,
    headerTimeout: 10_000,
    keepAlive: 75_000,
    maxConnections: 16_384,
    maxStreams: 100,
  },
  identity: { apiKey: undefined, tenant: [], ipv4: 32, ipv6: 64 },
  replayBody: 65_536,
  accessLog: { sample: 1 },
};
