/** The end of a request: what is counted and logged of it. */
import type { IncomingMessage } from "node:http";
import type { Decision } from "../model/decide.ts";
import type { Version } from "../model/fleet.ts";
import type { CompiledRoute, EndpointPool } from "../model/table.ts";
import type { Core } from "./core.ts";
import type { Exchange } from "./exchange.ts";
import type { Identity } from "./identify.ts";
import { outcomeOf } from "./outcome.ts";
import { peerOf } from "./peer.ts";
import type { RefusalType } from "./refusal.ts";
import { metricsOf } from "./stress.ts";

/** What a request is counted under: who sees routes that are on their way sees a canary, too. */
export function versionOf({ route }: Decision, pool: EndpointPool | undefined): Version {
  return route.isStaged ? "canary" : (pool?.version ?? "stable");
}

/** An exchange with units is over. */
export function settle(exchange: Exchange): void {
  const { core, metrics, decision, identity, question, status, problem } = exchange;
  const { unit, pool } = exchange.candidates;
  const now = core.clock.now();
  const seconds = (now - identity.startedAt) / 1000;
  const version = versionOf(decision, pool);
  const outcome = outcomeOf(status, problem, exchange.fellBack);
  metrics.request(
    decision.route,
    unit,
    version,
    status,
    outcome,
    seconds,
    problem === "" && exchange.attempts > 0,
  );
  if (unit !== undefined) {
    if (exchange.attempts > 0 && problem !== "") metrics.attempt(unit.name, problem);
    if (unit.index !== decision.home && problem === "") {
      const from = question.table.units[decision.home]!.name;
      metrics.count(
        "tidegate_failovers_total",
        `from="${from}",to="${unit.name}",cause="${exchange.failoverCause}"`,
      );
    }
  }
  core.tracer.settle(exchange, now, outcome);
  if (!core.accessLog.wants(status)) return;
  core.accessLog.add({
    time: core.wallClock(),
    method: identity.method,
    path: identity.path,
    host: identity.host,
    client: identity.client,
    status,
    route: decision.route.name,
    unit: unit?.name ?? "",
    version,
    slot: decision.slot,
    attempts: exchange.attempts,
    milliseconds: milliseconds(seconds),
    trace: identity.head.traceparent ?? "",
    problem,
    ...stressOf(identity),
  });
}

/** A longer path is cut in the log: what is refused may be nonsense of any length. */
const LONGEST_PATH = 1_024;

/**
 * A request was refused before it had a unit, or its client left.
 *
 * @param identity undefined where the request could not even be read in one way
 * @param fellBack the route's fallback answered
 */
export function settleRefused(
  core: Core,
  request: IncomingMessage,
  status: number,
  problem: RefusalType | "client-closed",
  identity: Identity | undefined,
  route: CompiledRoute | undefined,
  fellBack = false,
): void {
  const now = core.clock.now();
  const seconds = identity === undefined ? 0 : (now - identity.startedAt) / 1000;
  const metrics = metricsOf(core, identity);
  const outcome = outcomeOf(status, problem, fellBack);
  if (identity !== undefined) core.tracer.refused(identity, now, status, problem, route, outcome);
  if (route === undefined) metrics.count("tidegate_refused_total", `cause="${problem}"`);
  else {
    metrics.request(route, undefined, "stable", status, outcome, seconds, false);
  }
  if (!core.accessLog.wants(status)) return;
  const target = request.url ?? "";
  const query = target.indexOf("?");
  core.accessLog.add({
    time: core.wallClock(),
    method: request.method ?? "",
    path: target.slice(0, Math.min(query === -1 ? target.length : query, LONGEST_PATH)),
    host: identity?.host ?? "",
    client: identity?.client ?? peerOf(request.socket, core.networks).address,
    status,
    route: route?.name ?? "",
    unit: "",
    version: "",
    slot: -1,
    attempts: 0,
    milliseconds: milliseconds(seconds),
    trace: identity?.head.traceparent ?? "",
    problem,
    ...stressOf(identity),
  });
}

function stressOf(identity: Identity | undefined): { stress: string } | undefined {
  return identity?.mark === undefined ? undefined : { stress: identity.mark.run };
}

/** With microseconds behind the point. */
function milliseconds(seconds: number): number {
  return Math.round(seconds * 1e6) / 1e3;
}
