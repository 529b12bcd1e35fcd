/** Projections against the decision for every single slot. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../model/clock.ts";
import type { Config } from "../../model/config.ts";
import { decide, DOWN, type Health } from "../../model/decide.ts";
import { effective } from "../../model/effective.ts";
import { slotOf } from "../../model/hash.ts";
import type { OverlayChange } from "../../model/overlay.ts";
import { moved, project } from "../../model/projection.ts";
import { compileTable, endpointsOf, type Table } from "../../model/table.ts";
import { config, route } from "../support/config.ts";

const SLOTS = 64;

function fleet(random: () => number): Config {
  const units = ["hz", "sh", "sz"];
  const base = config([]);
  const map = Array.from({ length: SLOTS }, () => units[Math.floor(random() * 3)]!);
  const placement = {
    ...base.fleet.placement,
    slots: SLOTS,
    map,
    key: [{ from: "header" as const, name: "u" }],
  };
  const failovers = ["all", "reads", "none"] as const;
  const routes = (["sharded", "center", "nearest"] as const).map((scope) =>
    route(scope, `/${scope}`, { scope, failover: failovers[Math.floor(random() * 3)]!, key: placement.key }),
  );
  let whole: Config = { ...base, fleet: { ...base.fleet, placement }, routes };
  const changes: OverlayChange[] = [];
  if (random() < 0.6)
    changes.push({ kind: "drain", unit: units[Math.floor(random() * 3)]!, ramp: 0, deadline: 0 });
  if (random() < 0.5) changes.push({ kind: "move", slots: [{ first: 3, last: 20 }], keys: [], unit: "sz" });
  for (const change of changes) {
    const overlay = { id: "ov-1", change, owner: "", reason: "", since: 0, expires: undefined };
    whole = effective(whole, [overlay]).config;
  }
  return whole;
}

/** Every slot's own decision, a read and a write, added up. */
function bruteForce(table: Table, unhealthy: ReadonlySet<string>, rps: number): Map<string, number> {
  const endpoints = new Int32Array(table.endpointCount);
  for (const { id, pool } of endpointsOf(table)) if (unhealthy.has(pool.unit.name)) endpoints[id] = DOWN;
  const drained = table.units.filter(({ spec }) => spec.drain !== undefined);
  const shares = new Int32Array(table.units.length);
  for (const { id } of drained) shares[id] = 100;
  const health: Health = { endpoints, drains: { count: Int32Array.of(drained.length), moved: shares } };
  const keys: string[] = [];
  for (let i = 0, left = SLOTS; left > 0; i++) {
    const slot = slotOf(`k${i}`, SLOTS);
    if (keys[slot] === undefined) left--;
    keys[slot] ??= `k${i}`;
  }
  const sums = new Map<string, number>();
  for (const path of ["/sharded", "/center", "/nearest"]) {
    for (const method of ["GET", "POST"]) {
      for (const key of keys) {
        const decision = decide(table, health, {
          ...{ method, host: "", path, query: "", client: key },
          headers: ["u", key],
        });
        const unit = decision.refused || decision.panic ? "" : decision.candidates[decision.first]!.unit.name;
        sums.set(unit, (sums.get(unit) ?? 0) + rps / 2 / SLOTS);
      }
    }
  }
  return sums;
}

test("a projection says what the decision says of every slot", () => {
  const seed = Number(process.env.SEED ?? 20_261_123);
  const source = seededRandom(seed);
  const random = (): number => source.next();
  for (let round = 0; round < 300; round++) {
    const table = compileTable(fleet(random));
    const unhealthy = new Set(["hz", "sh", "sz"].filter(() => random() < 0.25));
    const load = new Map(["sharded", "center", "nearest"].map((name) => [name, 96]));
    const { units, failing } = project(table, load, { unhealthy, writes: 0.5 });
    const wanted = bruteForce(table, unhealthy, 96);
    for (const { unit, rps } of units) {
      const difference = Math.abs(rps - (wanted.get(unit) ?? 0));
      assert.ok(difference < 1e-6, `seed ${seed} round ${round}: ${unit} ${rps}, not ${wanted.get(unit)}`);
    }
    assert.ok(
      Math.abs(failing - (wanted.get("") ?? 0)) < 1e-6,
      `seed ${seed} round ${round}: ${failing} failing`,
    );
  }
});

test("what a unit cannot bear is shed, least urgent first; a degraded route asks nobody", () => {
  const base = fleet(() => 0.9);
  const units = base.fleet.units.map((unit) => ({ ...unit, capacity: 100 }));
  const spare: Config["routes"] = [
    route("low", "/low", { scope: "center", priority: "sheddable" }),
    route("top", "/top", { scope: "center", priority: "critical" }),
    { ...route("off", "/off", { scope: "center" }), degraded: true as const },
  ];
  const table = compileTable({ ...base, fleet: { ...base.fleet, units }, routes: spare });
  const load = new Map([
    ["low", 50],
    ["top", 120],
    ["off", 10],
    ["unknown", 1_000],
  ]);
  const { units: projected, degraded } = project(table, load, { unhealthy: new Set(), writes: 0 });
  const center = projected.find(({ rps }) => rps > 0)!;
  assert.equal(center.rps, 170);
  assert.deepEqual(center.shed, { sheddable: 50, critical: 20 });
  assert.equal(degraded, 10);
});

test("moved slots and keys are counted", () => {
  const base = fleet(() => 0.99);
  const change: OverlayChange = { kind: "move", slots: [{ first: 0, last: 9 }], keys: ["ann"], unit: "hz" };
  const overlay = { id: "ov-1", change, owner: "", reason: "", since: 0, expires: undefined };
  const after = effective(base, [overlay]).config;
  assert.deepEqual(moved(compileTable(base), compileTable(after)), { slots: 10, pins: 1 });
});
