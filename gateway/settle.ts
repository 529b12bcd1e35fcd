/** The end of a request: what is counted and logged of it. */
import type { Exchange } from "./exchange.ts";

export function settle(exchange: Exchange): void {
  const { core, decision, unit, status } = exchange;
  const seconds = (core.clock.now() - exchange.startedAt) / 1000;
  const version = exchange.pool?.version ?? "stable";
  core.metrics.request(decision.route, unit, version, status, seconds);
  if (unit !== undefined) {
    if (exchange.attempts > 0) {
      core.metrics.attempt(unit.name, exchange.problem === "" ? "answered" : exchange.problem);
    }
    if (unit.index !== decision.home && exchange.problem === "") {
      const from = exchange.table.units[decision.home]!.name;
      core.metrics.count(
        "tidegate_failovers_total",
        `from="${from}",to="${unit.name}",cause="${exchange.failoverCause}"`,
      );
    }
  }
  if (core.accessLog.wants(status)) {
    core.accessLog.add({
      time: core.wallClock(),
      method: exchange.method,
      path: pathOnly(exchange.path),
      host: exchange.head.host,
      client: exchange.peer.address,
      status,
      route: decision.route.name,
      unit: unit?.name ?? "",
      version,
      slot: decision.slot,
      attempts: exchange.attempts,
      milliseconds: Math.round(seconds * 1e6) / 1e3,
      trace: exchange.head.traceparent ?? "",
      problem: exchange.problem,
    });
  }
}

function pathOnly(target: string): string {
  const query = target.indexOf("?");
  return query === -1 ? target : target.slice(0, query);
}
