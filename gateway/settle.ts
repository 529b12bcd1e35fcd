/** The end of a request: what is counted and logged of it. */
import type { Exchange } from "./exchange.ts";

export function settle(exchange: Exchange): void {
  const { core, decision, identity, question, status } = exchange;
  const { unit, pool } = exchange.candidates;
  const seconds = (core.clock.now() - identity.startedAt) / 1000;
  const version = pool?.version ?? "stable";
  const answered = exchange.problem === "" && exchange.attempts > 0;
  core.metrics.request(decision.route, unit, version, status, seconds, answered);
  if (unit !== undefined) {
    if (exchange.attempts > 0 && exchange.problem !== "") core.metrics.attempt(unit.name, exchange.problem);
    if (unit.index !== decision.home && exchange.problem === "") {
      const from = question.table.units[decision.home]!.name;
      core.metrics.count(
        "tidegate_failovers_total",
        `from="${from}",to="${unit.name}",cause="${exchange.failoverCause}"`,
      );
    }
  }
  if (core.accessLog.wants(status)) {
    core.accessLog.add({
      time: core.wallClock(),
      method: identity.method,
      path: identity.path,
      host: identity.head.host,
      client: identity.peer.address,
      status,
      route: decision.route.name,
      unit: unit?.name ?? "",
      version,
      slot: decision.slot,
      attempts: exchange.attempts,
      milliseconds: Math.round(seconds * 1e6) / 1e3,
      trace: identity.head.traceparent ?? "",
      problem: exchange.problem,
    });
  }
}
