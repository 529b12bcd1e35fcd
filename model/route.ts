/** What happens to a request: the meaning of `routes.yaml`, with every default filled in. */
import type { KeySource, Version } from "./fleet.ts";

export const SCOPES = ["sharded", "center", "nearest"] as const;
export type Scope = (typeof SCOPES)[number];

export const FAILOVERS = ["all", "reads", "none"] as const;
export type Failover = (typeof FAILOVERS)[number];

export const PRIORITIES = ["critical", "high", "normal", "sheddable"] as const;
export type Priority = (typeof PRIORITIES)[number];

/**
 * Why an attempt failed, in the words of `retry.on`.
 *
 * - `refused`: no connection was made (refused, unreachable, connect timeout, TLS failure): no server saw the request.
 * - `reset`: the connection ended before the response began.
 * - `timeout`: no response headers within `timeout.headers`.
 */
export const RETRY_CAUSES = ["refused", "reset", "timeout", "500", "502", "503", "504", "429"] as const;
export type RetryCause = (typeof RETRY_CAUSES)[number];

export interface HeaderMatch {
  /** Lower-case. */
  readonly name: string;
  /** `exact` compares the whole value; `present` asks only that the header is there. No regular expressions. */
  readonly exact: string | undefined;
}

export interface RouteMatch {
  /** Exact path, or with a last `/*` everything below; `:name` takes one segment, which may be empty. */
  readonly path: string;
  /** Exact lower-case host without port, or `*.example.com`; undefined is every host. */
  readonly host: string | undefined;
  /** Upper-case; empty is every method. */
  readonly methods: readonly string[];
  readonly headers: readonly HeaderMatch[];
}

export interface RouteTimeouts {
  /** To open a connection. */
  readonly connect: number;
  /** From the request sent (its first byte, for a streamed body: its last) to the response's headers, per attempt. */
  readonly headers: number;
  /** Without a byte in either direction once the response has begun, or while a body is being sent. */
  readonly idle: number;
  /** Of the whole exchange, retries included; 0 is none (long downloads, server-sent events). */
  readonly total: number;
}

export interface RetryPolicy {
  /** Attempts beyond the first. */
  readonly attempts: number;
  readonly on: readonly RetryCause[];
  /** Share of the route's live traffic that may be retries, 0 to 1, above a small floor. */
  readonly budget: number;
  /** The route says that its unsafe methods may be repeated (it is idempotent by its own key). */
  readonly unsafe: boolean;
}

export interface BreakerPolicy {
  /** Share of failures that opens it, 0 to 1. */
  readonly errors: number;
  /** Requests in the window below which it never opens. */
  readonly volume: number;
  readonly window: number;
  /** How long it stays open before a trial. */
  readonly open: number;
}

/** What the gateway answers when the way to a unit failed: the last good answer, else an answer of its own. */
export interface Fallback {
  /** False: there is only `stale`, and the four fields below say nothing. */
  readonly hasAnswer: boolean;
  readonly status: number;
  readonly contentType: string;
  /** The body, read from the file when the configuration was loaded; empty for a status or a redirect alone. */
  readonly body: string;
  /** Where the client is sent: an absolute URL of http or https, or an absolute path. */
  readonly location: string | undefined;
  readonly stale: StalePolicy | undefined;
}

/** The last good answers that a route keeps. */
export interface StalePolicy {
  /** Oldest answer that is given, in milliseconds since the unit made it. */
  readonly for: number;
  /** Bytes that one gateway keeps for the route, all threads together. */
  readonly size: number;
  /** Bytes of the largest body that is kept. */
  readonly largest: number;
}

/** Copies of requests to another pool of the same unit; what it answers is thrown away. */
export interface MirrorPolicy {
  readonly service: string;
  readonly version: Version;
  /** Of the requests, 0 to 1. */
  readonly share: number;
  /** Copies unsafe methods as well. */
  readonly writes: boolean;
}

export interface Route {
  readonly name: string;
  readonly match: RouteMatch;
  readonly service: string;
  readonly scope: Scope;
  readonly failover: Failover;
  /** Sharded routes: what to do when no partition key is present. */
  readonly missingKey: "refuse" | "center";
  /** Overrides the placement's key sources for this route; undefined uses the placement's. */
  readonly key: readonly KeySource[] | undefined;
  readonly priority: Priority;
  readonly timeout: RouteTimeouts;
  readonly retry: RetryPolicy;
  readonly breaker: BreakerPolicy | undefined;
  readonly fallback: Fallback | undefined;
  /** Names in `limits`, in the order in which they are asked. */
  readonly limits: readonly string[];
  /** Tokens that a request of this route takes from each of its limits. */
  readonly cost: number;
  /** Largest request body in bytes; 0 is no bound. */
  readonly maxBody: number;
  /** Every request is answered by the fallback, and no unit is asked. Set by an overlay, never by a file. */
  readonly degraded?: true;
  /** A share of its requests is copied. Set by an overlay, never by a file. */
  readonly mirror?: MirrorPolicy;
}
