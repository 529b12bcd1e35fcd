/** Where stress traffic goes: its unit or nowhere. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Decision, decide, DOWN, type Health, type RouteRequest } from "../../model/decide.ts";
import { explain } from "../../model/explain.ts";
import { endpointsOf, compileTable, type Table } from "../../model/table.ts";
import { config, route, service, UNITS } from "../support/config.ts";

const ROUTES = [
  route("hall", "/hall/*"),
  route("cart", "/cart/*", { scope: "sharded", failover: "reads" }),
  route("anyone", "/anyone/*", { scope: "sharded", missingKey: "center" }),
  route("orders", "/orders/*", { scope: "center" }),
  route("pay", "/pay/*", { service: "pay" }),
];
const PAY = service("pay", { pools: { hz: { stable: ["http://pay-hz"], canary: [] } } });
const TABLE = compileTable(config(ROUTES, [service("hall"), PAY]));

function request(
  target: string,
  stress: string | undefined,
  method = "GET",
  headers: string[] = [],
): RouteRequest {
  const [path = "", query = ""] = target.split("?");
  return { method, host: "", path, query, headers, client: "192.0.2.1", stress };
}

function health(table: Table, down: readonly string[] = []): Health {
  const endpoints = new Int32Array(table.endpointCount);
  for (const { id, origin } of endpointsOf(table)) if (down.includes(origin)) endpoints[id] = DOWN;
  return { endpoints };
}

function decided(one: RouteRequest, down: readonly string[] = []): Decision {
  const decision = decide(TABLE, health(TABLE, down), one);
  assert.ok(!decision.refused, `refused: ${decision.refused ? decision.cause : ""}`);
  return decision;
}

test("every scope, method and key: the mark's unit alone", () => {
  for (const unit of UNITS) {
    for (const target of [
      "/hall/1",
      "/orders/1",
      "/anyone/1",
      ...[1, 2, 3, 4].map((i) => `/cart/1?uid=u${i}`),
    ]) {
      for (const method of ["GET", "POST"]) {
        const { candidates, home, first, panic } = decided(request(target, unit, method));
        assert.deepEqual(
          [candidates.map((c) => c.unit.name), TABLE.units[home]!.name, first, panic],
          [[unit], unit, 0, false],
          `${method} ${target} for ${unit}`,
        );
      }
    }
  }
});

test("its slot is said where it is the unit's own, pins included, and nowhere else", () => {
  for (let i = 0; i < 50; i++) {
    const target = `/cart/1?uid=u${i}`;
    const users = decided(request(target, undefined));
    for (const [at, unit] of UNITS.entries()) {
      const { slot, key } = decided(request(target, unit));
      assert.equal(slot, at === users.home ? users.slot : -1);
      assert.equal(key, `u${i}`);
    }
  }
  assert.equal(decided(request("/cart/1?uid=qa-1", "sz")).pinned, true);
  assert.deepEqual([decided(request("/cart/1?uid=qa-1", "hz")).pinned], [false]);
});

test("a unit that is down, is none, or has no pool: refused, and never another", () => {
  const cause = (one: RouteRequest, down: readonly string[] = []) => {
    const decision = decide(TABLE, health(TABLE, down), one);
    return decision.refused ? decision.cause : undefined;
  };
  assert.equal(cause(request("/hall/1", "sh"), ["http://sh-1"]), "unit-down");
  assert.equal(cause(request("/hall/1", "hz"), ["http://hz-1"]), undefined, "one endpoint of two is enough");
  assert.equal(cause(request("/hall/1", "hz"), ["http://hz-1", "http://hz-2"]), "unit-down");
  assert.equal(cause(request("/hall/1", "gz")), "no-such-unit");
  assert.equal(cause(request("/pay/1", "sh")), "no-pool");
  assert.equal(cause(request("/nowhere", "sh")), "no-route");
  assert.equal(cause(request("/cart/1", "sh")), "no-key", "as a user's would be");
  assert.equal(decided(request("/hall/1", undefined), ["http://sh-1"]).refused, false);
});

test("a drain moves users, and nobody who stresses the drained unit", () => {
  const { endpoints } = health(TABLE);
  const moved = new Int32Array(3);
  const sh = TABLE.units.find(({ name }) => name === "sh")!;
  moved[sh.id] = 100;
  const drains = { count: Int32Array.of(1), moved };
  const decision = decide(TABLE, { endpoints, drains }, request("/hall/1", "sh"));
  assert.ok(!decision.refused);
  assert.deepEqual(
    decision.candidates.map((c) => c.unit.name),
    ["sh"],
  );
});

test("it sees the versions that the unit's users see", () => {
  const canary = service("hall", {
    canary: { share: 0.5, salt: "hall", header: { name: "x-canary", value: "1" }, pins: ["vip"] },
  });
  const table = compileTable(config([route("cart", "/cart/*", { scope: "sharded" })], [canary]));
  const version = (one: RouteRequest): string => {
    const decision = decide(table, health(table), one);
    assert.ok(!decision.refused);
    return `${decision.version} ${decision.versionCause}`;
  };
  const all = Array.from({ length: 200 }, (_, i) => version(request(`/cart/1?uid=u${i}`, "sh")));
  const share = all.filter((one) => one === "canary canary-share").length / all.length;
  assert.ok(share > 0.35 && share < 0.65, `${share}`);
  assert.equal(version(request("/cart/1?uid=vip", "sh")), "canary canary-pin");
  assert.equal(version(request("/cart/1?uid=u1", "sh", "GET", ["X-Canary", "1"])), "canary canary-header");
  assert.match(version(request("/cart/1?uid=vip", "hz")), /^stable/, "a unit without a canary has none");
});

test("explained as it is decided", () => {
  const { decision, unit, reasons } = explain(TABLE, health(TABLE), request("/cart/1?uid=u1", "sh"));
  assert.deepEqual([decision, unit], ["forward", "sh"]);
  assert.ok(reasons.includes("stress traffic goes to its unit sh or nowhere"), reasons.join("\n"));
  const down = explain(TABLE, health(TABLE, ["http://sh-1"]), request("/cart/1?uid=u1", "sh"));
  assert.match(down.reasons.at(-1)!, /goes nowhere else, and it is down: answered 503/);
  const none = explain(TABLE, health(TABLE), request("/cart/1?uid=u1", "gz"));
  assert.match(none.reasons.at(-1)!, /unit gz, which does not exist: answered 403/);
});
