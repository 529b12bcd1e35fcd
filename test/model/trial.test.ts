/** What a rehearsal lays, for its audience alone: everybody else is served as if there were none. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Decision, decide, type RouteRequest } from "../../model/decide.ts";
import { effective } from "../../model/effective.ts";
import type { Audience, Overlay, OverlayChange } from "../../model/overlay.ts";
import { configFrom, sectionsOf } from "../../model/snapshot.ts";
import { compileTable, type Table } from "../../model/table.ts";
import { config, route } from "../support/config.ts";

const BASE = config([
  route("cart", "/cart/*", { scope: "sharded", failover: "reads" }),
  route("hall", "/hall/*", { service: "hall", scope: "nearest" }),
]);
const TENTH: Audience = { kind: "users", share: 0.1, salt: "rehearsal ex-1" };
const RUN: Audience = { kind: "stress", run: "evening-1" };

function overlay(change: OverlayChange, audience?: Audience): Overlay {
  const rest = { id: "ov-1", owner: "ann", reason: "a test", since: 0, expires: undefined };
  return { ...rest, change, ...(audience === undefined ? {} : { for: audience }) };
}

function tableOf(...overlays: readonly Overlay[]): Table {
  const { config: made, misfits } = effective(BASE, overlays);
  assert.deepEqual(misfits, []);
  // As gateways get it.
  return compileTable(configFrom(sectionsOf(made)));
}

function get(table: Table, user: string, changes: Partial<RouteRequest> = {}): Decision {
  const request = { method: "GET", host: "", path: "/cart/1", query: "", client: "192.0.2.1", ...changes };
  const health = { endpoints: new Int32Array(table.endpointCount) };
  const decision = decide(table, health, { ...request, headers: ["x-user-id", user] });
  assert.ok(!decision.refused, decision.refused ? decision.cause : "");
  return decision;
}

const unitOf = (decision: Decision): string => decision.candidates[decision.first]!.unit.name;
const drain: OverlayChange = { kind: "drain", unit: "sh", ramp: 10_000, deadline: 0 };
const USERS = Array.from({ length: 20_000 }, (_, i) => `user-${i}`);

test("a drain moves the reads of its share of the users, and of nobody else; writes stay", () => {
  const [before, during] = [tableOf(), tableOf(overlay(drain, TENTH))];
  const own = USERS.filter((user) => unitOf(get(before, user)) === "sh");
  const moved = own.filter((user) => unitOf(get(during, user)) !== "sh");
  assert.ok(Math.abs(moved.length / own.length - 0.1) < 0.015, `${moved.length} of ${own.length}`);
  for (const user of USERS.slice(0, 2_000)) {
    const post = { method: "POST" };
    assert.equal(unitOf(get(during, user, post)), unitOf(get(before, user, post)));
    if (!own.includes(user)) assert.equal(unitOf(get(during, user)), unitOf(get(before, user)));
  }
  // Who is of it is counted as the canary's are.
  assert.equal(get(during, moved[0]!).route.isStaged, true);
  assert.equal(get(during, own.find((user) => !moved.includes(user))!).route.isStaged, false);
});

test("stress traffic of its run is placed as users are, and drained; users and other runs are not", () => {
  const table = tableOf(overlay(drain, RUN));
  const own = USERS.find((user) => unitOf(get(tableOf(), user)) === "sh")!;
  const mark = { stress: "hz", mark: { run: "evening-1" } };
  assert.notEqual(unitOf(get(table, own, mark)), "sh");
  assert.equal(unitOf(get(table, own, { ...mark, method: "POST" })), "sh", "its key places it, not its mark");
  assert.equal(
    unitOf(get(table, own, { stress: "hz", mark: { run: "evening-2" } })),
    "hz",
    "that one goes to its unit",
  );
  for (const user of USERS.slice(0, 1_000)) {
    assert.equal(unitOf(get(table, user)), unitOf(get(tableOf(), user)));
  }
});

test("a weight, a pin, a breaker that is held open: each for its audience alone", () => {
  const all: Audience = { kind: "users", share: 1, salt: "all" };
  const weight = tableOf(overlay({ kind: "weight", service: "hall", share: 1 }, all));
  const own = USERS.find((user) => unitOf(get(tableOf(), user)) === "sh")!;
  assert.equal(get(weight, own).version, "canary");
  const pin = tableOf(overlay({ kind: "pin", key: own, unit: "hz" }, RUN));
  assert.equal(unitOf(get(pin, own)), "sh");
  assert.equal(unitOf(get(pin, own, { stress: "sz", mark: { run: "evening-1" } })), "hz");
  const breaker: OverlayChange = { kind: "breaker", service: "hall", unit: "sh", state: "open" };
  const withBreaker = { errors: 0.5, volume: 20, window: 10_000, open: 5_000, probes: 1 } as never;
  const routes = BASE.routes.map((one) => ({ ...one, breaker: withBreaker }));
  const { config: made, misfits } = effective({ ...BASE, routes }, [overlay(breaker, all)]);
  assert.deepEqual(misfits, []);
  assert.notEqual(unitOf(get(compileTable(made), own)), "sh");
  assert.equal(made.breakers, undefined, "nobody's breaker is touched");
});

test("stress traffic is moved at once, and what it writes elsewhere is nobody's slot", () => {
  const slots = [{ first: 0, last: 1023 }];
  const table = tableOf(overlay({ kind: "move", slots, keys: [], unit: "hz" }, RUN));
  const mark = { stress: "sz", mark: { run: "evening-1" }, method: "POST" };
  for (const user of USERS.slice(0, 500)) {
    const moved = get(table, user, mark);
    const home = get(tableOf(), user, { method: "POST" });
    assert.equal(unitOf(moved), "hz");
    assert.equal(moved.slot, unitOf(home) === "hz" ? home.slot : -1);
    assert.equal(unitOf(get(table, user, { method: "POST" })), unitOf(home));
  }
});

test("one rehearsal at a time, on what fits; without it everything is as it was", () => {
  const misfits = (...overlays: readonly Overlay[]): readonly string[] => effective(BASE, overlays).misfits;
  assert.match(misfits(overlay(drain, TENTH), overlay(drain, RUN))[0]!, /another rehearsal is under way/);
  const unknown: OverlayChange = { kind: "drain", unit: "gz", ramp: 0, deadline: 0 };
  assert.match(misfits(overlay(unknown, TENTH))[0]!, /for 10 % of the users alone .*there is no unit gz/);
  const routes = overlay({ kind: "routes", routes: BASE.routes, salt: "next" });
  assert.match(misfits(routes, overlay(drain, TENTH))[0]!, /other routes are on their way/);
  assert.deepEqual(misfits(overlay(drain), overlay(drain, TENTH)), [], "a drain for all, and one for few");
  const { config: during } = effective(BASE, [overlay(drain, TENTH)]);
  const { trial, ...rest } = during;
  assert.deepEqual(rest, BASE);
  assert.equal(trial!.overlays.length, 1);
});
