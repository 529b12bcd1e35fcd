/** Makes the record of one request, at its end: the only place that does, and only for those that somebody is told of. */
import { healthReasons, homeReason } from "../../model/explain.ts";
import type { CompiledRoute } from "../../model/table.ts";
import type { TracedAttempt } from "../../model/request-trace.ts";
import type { Attempt } from "../attempt.ts";
import type { Exchange } from "../exchange.ts";
import type { Identity } from "../identify.ts";
import { redacted, type Shown } from "../redact.ts";
import { versionOf } from "../settle.ts";
import type { Recorded } from "./recorded.ts";

/** What is refused may be nonsense of any length. */
const LONGEST_PATH = 1_024;
const LONGEST_TEXT = 500;
/** Retries are few; whoever allows more is shown the first ones. */
const MOST_ATTEMPTS = 16;

/** How it is kept. */
export interface Ended {
  /** By the clock. */
  readonly now: number;
  /** Milliseconds since 1970, then. */
  readonly wall: number;
  readonly kind: Recorded["kind"];
  readonly isExported: boolean;
}

/** What records are made with. */
export interface Maker {
  readonly shown: Shown;
  /** That this thread serves. */
  readonly revision: number;
  /** The request's own span is in its `traceparent`. */
  readonly exports: boolean;
  spanId(): string;
}

export function recordOf(maker: Maker, exchange: Exchange, ended: Ended): Recorded {
  const { identity, decision, question, candidates } = exchange;
  const { table } = question;
  const { unit, pool } = candidates;
  const { startedAt } = identity;
  const tried = exchange.tried;
  const home = table.units[decision.home]!;
  const left = unit !== undefined && unit.index !== home.index;
  const reasons = [homeReason(table, decision, exchange.isStress), ...healthReasons(decision)];
  if (left) reasons.push(`sent to ${unit.name} because of ${exchange.failoverCause}`);
  return {
    ...base(identity, decision.route, ended),
    trace: {
      ...traceOf(maker, identity, ended),
      revision: maker.revision,
      route: decision.route.name,
      unit: unit?.name ?? "",
      home: decision.slot === -1 && !decision.pinned ? "" : home.name,
      slot: decision.slot,
      version: versionOf(decision, pool),
      reason: reasons.join("; ").slice(0, LONGEST_TEXT),
      failover: left ? exchange.failoverCause : "",
      status: exchange.status,
      problem: exchange.problem,
      waited: rounded((tried[0]?.startedAt ?? ended.now) - startedAt),
      attempts: tried.slice(0, MOST_ATTEMPTS).map((one) => attemptOf(maker, one, startedAt, ended.now)),
    },
  };
}

/** Of a request that never had a unit. */
export function recordOfRefused(
  maker: Maker,
  identity: Identity,
  status: number,
  problem: string,
  route: CompiledRoute | undefined,
  ended: Ended,
): Recorded {
  return {
    ...base(identity, route, ended),
    trace: {
      ...traceOf(maker, identity, ended),
      revision: maker.revision,
      route: route?.name ?? "",
      unit: "",
      home: "",
      slot: -1,
      version: "",
      reason: "",
      failover: "",
      status,
      problem,
      waited: rounded(ended.now - identity.startedAt),
      attempts: [],
    },
  };
}

function base(identity: Identity, route: CompiledRoute | undefined, ended: Ended) {
  const { head, peer } = identity;
  const own = head.traceparent!;
  return {
    kind: ended.kind,
    isExported: ended.isExported,
    parentSpanId: head.parent?.slice(36, 52) ?? "",
    tracestate: head.tracestate ?? "",
    flags: Number.parseInt(own.slice(53, 55), 16),
    pattern: route?.match.path ?? "",
    scheme: head.forwardedProto ?? peer.proto,
    host: identity.host,
    client: identity.client,
    protocol: identity.httpVersion,
  };
}

function traceOf(maker: Maker, identity: Identity, { now, wall }: Ended) {
  const { head, startedAt } = identity;
  const own = head.traceparent!;
  const duration = now - startedAt;
  return {
    traceId: own.slice(3, 35),
    spanId: maker.exports ? own.slice(36, 52) : maker.spanId(),
    at: wall - duration,
    method: identity.method,
    path: identity.path.slice(0, LONGEST_PATH),
    duration: rounded(duration),
    headers: redacted(identity.headers, maker.shown),
    stress: identity.mark?.run ?? "",
  };
}

function attemptOf(maker: Maker, attempt: Attempt, from: number, now: number): TracedAttempt {
  const { endpoint, startedAt, headAt, endedAt, status, error, spanId } = attempt;
  const { pool, origin } = endpoint;
  return {
    unit: pool.unit.name,
    endpoint: origin,
    version: pool.version,
    start: rounded(startedAt - from),
    headers: headAt === -1 ? -1 : rounded(headAt - from),
    end: rounded((endedAt === -1 ? now : endedAt) - from),
    status,
    error,
    spanId: spanId === "" ? maker.spanId() : spanId,
  };
}

/** Milliseconds with microseconds behind the point. */
function rounded(milliseconds: number): number {
  return Math.round(milliseconds * 1e3) / 1e3;
}
