import assert from "node:assert/strict";
import { test } from "node:test";
import { type Decision, decide, DOWN, EJECTED, type RouteRequest, versionIn } from "../../model/decide.ts";
import { explain } from "../../model/explain.ts";
import { slotOf } from "../../model/hash.ts";
import { compileTable, type Table } from "../../model/table.ts";
import { config, route, service } from "../support/config.ts";

function request(method: string, target: string, headers: readonly string[] = [], host = ""): RouteRequest {
  const [path = "", query = ""] = target.split("?");
  return { method, host, path, query, headers, client: "192.0.2.1" };
}

function decided(table: Table, r: RouteRequest, down: Record<string, number> = {}): Decision {
  const decision = decide(table, healthOf(table, down), r);
  assert.ok(!decision.refused, `refused: ${decision.refused ? decision.cause : ""}`);
  return decision;
}

function healthOf(table: Table, bits: Record<string, number>) {
  const endpoints = new Int32Array(table.endpointCount);
  for (const s of table.services) {
    for (const pools of s.pools) {
      for (const e of [...(pools?.stable.endpoints ?? []), ...(pools?.canary?.endpoints ?? [])]) {
        endpoints[e.id] = bits[e.origin] ?? 0;
      }
    }
  }
  return { endpoints };
}

const unitsOf = (d: Decision): string[] => d.candidates.map((c) => c.unit.name);
const sharded = compileTable(config([route("cart", "/cart/*", { scope: "sharded", failover: "reads" })]));
const keyIn = (unit: string): string => {
  for (let i = 0; ; i++)
    if (sharded.units[sharded.slotUnits[slotOf(`u${i}`, 1024)]!]!.name === unit) return `u${i}`;
};

test("sharded: the key's slot decides the home unit, from header, then cookie, then query", () => {
  for (const unit of ["hz", "sh", "sz"]) {
    const key = keyIn(unit);
    const other = keyIn(unit === "hz" ? "sh" : "hz");
    const d = decided(
      sharded,
      request("GET", `/cart/1?uid=${other}`, ["Cookie", `uid=${other}`, "X-User-Id", key]),
    );
    assert.equal(sharded.units[d.home]!.name, unit);
    assert.equal(d.slot, slotOf(key, 1024));
    assert.equal(d.key, key);
    assert.equal(d.candidates[d.first]!.unit.name, unit);
    assert.equal(
      decided(sharded, request("GET", `/cart/1?uid=${other}`, ["cookie", `a=b; uid=${key}`])).key,
      key,
    );
    assert.equal(decided(sharded, request("GET", `/cart/1?x=1&uid=${key}&uid=${other}`)).key, key);
  }
});

test("sharded: a pin wins over the slot", () => {
  const d = decided(sharded, request("GET", "/cart/1", ["x-user-id", "qa-1"]));
  assert.equal(sharded.units[d.home]!.name, "sz");
  assert.ok(d.pinned);
});

test("sharded: without a key the route refuses, or uses the center where it says so", () => {
  const refusal = decide(sharded, healthOf(sharded, {}), request("GET", "/cart/1?uid="));
  assert.ok(refusal.refused && refusal.cause === "no-key");
  const lenient = compileTable(
    config([route("cart", "/cart/*", { scope: "sharded", missingKey: "center" })]),
  );
  assert.equal(lenient.units[decided(lenient, request("GET", "/cart/1")).home]!.name, "hz");
});

test("sharded: a key header that contradicts itself is refused, one that repeats itself is not", () => {
  const twice = request("GET", "/cart/1", ["x-user-id", "a", "X-User-Id", "b"]);
  const refusal = decide(sharded, healthOf(sharded, {}), twice);
  assert.ok(refusal.refused && refusal.cause === "contradictory-key");
  assert.equal(decided(sharded, request("GET", "/cart/1", ["x-user-id", "a", "x-user-id", "a"])).key, "a");
});

test("sharded: the same user in bytes, percent-encoding and a path parameter has one slot", () => {
  const table = compileTable(
    config([
      route("byPath", "/u/:id/cart", { scope: "sharded", key: [{ from: "path", name: "id" }] }),
      route("cart", "/cart/*", { scope: "sharded" }),
    ]),
  );
  const latin1 = Buffer.from("张三", "utf8").toString("latin1");
  const slots = [
    decided(table, request("GET", "/cart/1", ["x-user-id", latin1])),
    decided(table, request("GET", `/cart/1?uid=${encodeURIComponent("张三")}`)),
    decided(table, request("GET", `/u/${encodeURIComponent("张三")}/cart`)),
  ].map((d) => [d.key, d.slot]);
  assert.deepEqual(slots, Array(3).fill(["张三", slotOf("张三", 1024)]));
});

test("failover: reads may leave their unit, writes may not", () => {
  const key = keyIn("sh");
  assert.deepEqual(unitsOf(decided(sharded, request("GET", "/cart/1", ["x-user-id", key]))), [
    "sh",
    "hz",
    "sz",
  ]);
  assert.deepEqual(unitsOf(decided(sharded, request("POST", "/cart/1", ["x-user-id", key]))), ["sh"]);
});

test("failover: sharded writes never leave their unit, even when the route says all", () => {
  const table = compileTable(config([route("cart", "/cart/*", { scope: "sharded", failover: "all" })]));
  const key = keyIn("sh");
  for (const method of ["POST", "PUT", "DELETE", "PATCH"]) {
    assert.deepEqual(unitsOf(decided(table, request(method, "/cart/1", ["x-user-id", key]))), ["sh"]);
  }
});

test("health: a unit without a usable endpoint is passed over, and comes first again when it is back", () => {
  const key = keyIn("sh");
  const r = request("GET", "/cart/1", ["x-user-id", key]);
  for (const bits of [DOWN, EJECTED, DOWN | EJECTED]) {
    const d = decided(sharded, r, { "http://sh-1": bits });
    assert.equal(d.candidates[d.first]!.unit.name, "hz");
    assert.equal(sharded.units[d.home]!.name, "sh");
    assert.ok(!d.panic);
  }
  const oneOfTwo = decided(sharded, request("GET", "/cart/1", ["x-user-id", keyIn("hz")]), {
    "http://hz-1": DOWN,
  });
  assert.equal(oneOfTwo.first, 0);
});

test("health: when nothing is usable the decision is panic, not a refusal", () => {
  const all = { "http://hz-1": DOWN, "http://hz-2": DOWN, "http://sh-1": DOWN, "http://sz-1": DOWN };
  const d = decided(sharded, request("GET", "/cart/1", ["x-user-id", keyIn("sh")]), all);
  assert.ok(d.panic);
  const write = decided(sharded, request("POST", "/cart/1", ["x-user-id", keyIn("sh")]), all);
  assert.deepEqual(unitsOf(write), ["sh"], "and a write still stays at home");
});

test("center: the center unit; nearest: the gateway's region, then near regions, then file order", () => {
  const routes = [
    route("orders", "/orders/*", { scope: "center", failover: "reads" }),
    route("hall", "/hall/*"),
  ];
  const table = compileTable(config(routes), { region: "shanghai" });
  assert.deepEqual(unitsOf(decided(table, request("GET", "/orders/1"))), ["hz", "sh", "sz"]);
  assert.deepEqual(unitsOf(decided(table, request("POST", "/orders/1"))), ["hz"]);
  assert.deepEqual(unitsOf(decided(table, request("POST", "/hall/1"))), ["sh", "sz", "hz"]);
  const nowhere = compileTable(config(routes));
  assert.deepEqual(unitsOf(decided(nowhere, request("GET", "/hall/1"))), ["hz", "sh", "sz"]);
});

test("a service without a pool in the home unit goes to the next one for reads, and refuses writes", () => {
  const halls = [service("hall", { pools: { sz: { stable: ["http://sz-1"], canary: [] } } })];
  const table = compileTable(
    config([route("cart", "/cart/*", { scope: "sharded", failover: "reads" })], halls),
  );
  const key = keyIn("hz");
  assert.deepEqual(unitsOf(decided(table, request("GET", "/cart/1", ["x-user-id", key]))), ["sz"]);
  const write = decide(table, healthOf(table, {}), request("POST", "/cart/1", ["x-user-id", key]));
  assert.ok(write.refused && write.cause === "no-pool");
});

test("version: header, pinned key, then share; stable where the unit has no canary", () => {
  const canary = { share: 0.2, salt: "r1", header: { name: "x-canary", value: "1" }, pins: ["tester"] };
  const table = compileTable(
    config([route("cart", "/cart/*", { scope: "sharded" })], [service("hall", { canary })]),
  );
  const causes = (headers: string[]) => decided(table, request("GET", "/cart/1", headers)).versionCause;
  assert.equal(causes(["x-user-id", "tester"]), "canary-pin");
  assert.equal(causes(["x-user-id", "tester", "x-canary", "1"]), "canary-header");
  assert.equal(causes(["x-user-id", "tester", "x-canary", "2"]), "canary-pin");
  const [seen, all] = sharesOf(table);
  assert.ok(Math.abs(seen.sh! / all.sh! - 0.2) < 0.02, `${seen.sh} of ${all.sh}`);
  assert.deepEqual([seen.hz, seen.sz], [0, 0], "they have no canary");
});

test("version: of 100,000 users of a unit, a share is exact to half a percent, and grows by adding users", () => {
  const pools = { sh: { stable: ["http://sh-1"], canary: ["http://sh-2"] } };
  const users = Array.from({ length: 100_000 }, (_, i) => `user-${i}`);
  const others = new Map<string, Set<string>>();
  for (const salt of ["hall 2.4", "hall 2.5"]) {
    let before = new Set<string>();
    for (const share of [0.01, 0.05, 0.2, 0.5, 1]) {
      const canary = { share, salt, header: undefined, pins: [] };
      const { services } = compileTable(
        config([route("cart", "/cart/*", { scope: "sharded" })], [service("hall", { pools, canary })]),
      );
      const unit = services[0]!.pools.find((one) => one?.canary !== undefined)!;
      const seen = new Set(users.filter((user) => versionIn(unit, "canary-share", user) === "canary"));
      const is = seen.size / users.length;
      assert.ok(Math.abs(is - share) <= 0.005, `${salt}: ${is} of ${share}`);
      for (const user of before) assert.ok(seen.has(user), `${user} goes back at ${share}`);
      before = seen;
      if (share === 0.05) others.set(salt, seen);
    }
  }
  const [first, second] = [...others.values()];
  const both = [...first!].filter((user) => second!.has(user)).length;
  assert.ok(both / first!.size < 0.1, `${both} of ${first!.size} users are the first again`);
});

/** Unit → keys that see the canary there, and all keys. */
function sharesOf(table: Table): [Record<string, number>, Record<string, number>] {
  const seen: Record<string, number> = { hz: 0, sh: 0, sz: 0 };
  const all = { ...seen };
  for (let i = 0; i < 10_000; i++) {
    const { versionCause, home } = decided(table, request("GET", "/cart/1", ["x-user-id", `u${i}`]));
    const unit = table.units[home]!.name;
    all[unit] = all[unit]! + 1;
    if (versionCause === "canary-share") seen[unit] = seen[unit]! + 1;
  }
  return [seen, all];
}

test("version: units that a rollout has come to have shares of their own, and no other shows its canary", () => {
  const pools = Object.fromEntries(
    ["hz", "sh", "sz"].map((u) => [u, { stable: [`http://${u}-1`], canary: [`http://${u}-2`] }]),
  );
  const units = { sh: { share: 0.5, salt: "r1" }, sz: { share: 0, salt: "r1" } };
  const canary = {
    share: 1,
    salt: "",
    header: { name: "x-canary", value: "1" },
    pins: [],
    units,
  };
  const table = compileTable(
    config(
      [route("cart", "/cart/*", { scope: "sharded", failover: "reads" })],
      [service("hall", { pools, canary })],
    ),
  );
  const [seen, all] = sharesOf(table);
  assert.ok(Math.abs(seen.sh! / all.sh! - 0.5) < 0.03, `${seen.sh} of ${all.sh}`);
  assert.deepEqual([seen.hz, seen.sz], [0, 0]);
  const cause = (unit: string) =>
    decided(table, request("GET", "/cart/1", ["x-user-id", keyIn(unit), "x-canary", "1"])).version;
  assert.deepEqual([cause("sh"), cause("sz"), cause("hz")], ["canary", "canary", "stable"], "testers");
  // Who fails over sees what the other unit shows them.
  for (let i = 0; i < 1_000; i++) {
    const asked = request("GET", "/cart/1", ["x-user-id", `u${i}`]);
    const before = decided(table, asked);
    if (table.units[before.home]!.name !== "sh") continue;
    const after = decided(table, asked, { "http://sh-1": DOWN, "http://sh-2": DOWN });
    assert.equal(after.candidates[after.first]!.unit.name, "hz");
    assert.equal(after.version, "stable");
  }
});

test("routes on their way: for a share of the users of a unit, whoever serves them, and for nobody else", () => {
  const now = [
    route("cart", "/cart/*", { scope: "sharded", failover: "reads" }),
    route("old", "/old/*", { scope: "sharded" }),
  ];
  const next = [
    route("cart", "/cart/*", { scope: "sharded", failover: "none" }),
    route("fresh", "/fresh/*", { scope: "sharded" }),
  ];
  const table = compileTable({
    ...config(now),
    staged: { routes: next, units: { sh: 0.5, hz: 0 }, salt: "r1" },
  });
  const seen: Record<string, number> = { hz: 0, sh: 0, sz: 0 };
  const all = { ...seen };
  for (let i = 0; i < 4_000; i++) {
    const asked = (path: string) =>
      decide(table, healthOf(table, {}), request("GET", path, ["x-user-id", `u${i}`]));
    const cart = asked("/cart/1");
    assert.ok(!cart.refused);
    const unit = table.units[cart.home]!.name;
    all[unit] = all[unit]! + 1;
    const { isStaged } = cart.route;
    if (isStaged) seen[unit] = seen[unit]! + 1;
    // The whole configuration is one or the other for a user.
    assert.equal(asked("/fresh/1").refused, !isStaged);
    assert.equal(asked("/old/1").refused, isStaged);
    assert.equal(cart.candidates.length, isStaged ? 1 : 3);
  }
  assert.ok(Math.abs(seen.sh! / all.sh! - 0.5) < 0.05, `${seen.sh} of ${all.sh}`);
  assert.deepEqual([seen.hz, seen.sz], [0, 0]);
  const none = { ...config(now), staged: { routes: next, units: { sh: 0 }, salt: "r1" } };
  assert.equal(compileTable(none).staged, undefined, "nobody sees them: nobody pays for them");
});

test("explain tells each step, of the same decision", () => {
  const key = keyIn("sh");
  const e = explain(
    sharded,
    healthOf(sharded, { "http://sh-1": DOWN }),
    request("GET", "/cart/1", ["x-user-id", key]),
  );
  assert.equal(e.home, "sh");
  assert.equal(e.unit, "hz");
  assert.match(e.reasons.join("\n"), /XXH32\(key\) mod 1024 = slot \d+, owned by sh \(epoch 7\)/);
  assert.match(e.reasons.join("\n"), /sh is passed over: it has no usable endpoint/);
  assert.equal(explain(sharded, healthOf(sharded, {}), request("GET", "/nowhere")).decision, "refuse");
});
