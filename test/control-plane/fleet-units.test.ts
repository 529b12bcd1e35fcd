import assert from "node:assert/strict";
import { test } from "node:test";
import { flowsOf, slotsByUnit, type UnitStanding, unitStandings } from "../../control-plane/fleet-units.ts";
import type { Unit } from "../../model/fleet.ts";

const unit = (name: string, failover: string[], drained = false): Unit =>
  ({
    ...{ name, region: "r", center: false, capacity: 100, failover },
    ...(drained ? { drain: { since: 0, ramp: 0, deadline: 0 } } : {}),
  }) as unknown as Unit;
const gateway = (connected: boolean, units: Record<string, object> | undefined) =>
  ({ connected, report: units === undefined ? undefined : { units } }) as never;
const view = (healthy: boolean, drained = 0) => ({ healthy, drained, inflight: 2, rate: 10 });

test("most gateways decide whether a unit is healthy; without a view there is no data, and the least drained counts", () => {
  const standings = unitStandings(
    [unit("a", []), unit("b", []), unit("c", [])],
    [
      gateway(true, { a: view(true, 0.5), b: view(true) }),
      gateway(true, { a: view(false, 1), b: view(false) }),
      gateway(true, { a: view(true, 1) }),
      gateway(false, { c: view(true) }),
      gateway(true, undefined),
    ],
  );
  const seen = standings.map(({ unit: name, healthy, drained, inflight, rate }) => [
    name,
    healthy,
    drained,
    inflight,
    rate,
  ]);
  assert.deepEqual(seen, [
    ["a", true, 0.5, 6, 30],
    ["b", false, 0, 4, 20],
    ["c", null, null, null, null],
  ]);
});

test("what a unit cannot take goes to the first of its failover that is well and not drained", () => {
  const units = [unit("a", ["b", "c", "d"]), unit("b", ["a"]), unit("c", ["a"], true), unit("d", ["b", "c"])];
  const standing = (healthy: boolean | null, drained: number, i: number): UnitStanding => ({
    ...{ unit: units[i]!.name, region: "r", capacity: null, drain: units[i]!.drain ?? null },
    ...{ healthy, drained, inflight: 0, rate: 0 },
  });
  const standings = [
    standing(false, 0, 0),
    standing(false, 0, 1),
    standing(true, 0.25, 2),
    standing(null, 0, 3),
  ];
  assert.deepEqual(flowsOf(units, standings), [{ from: "a", to: "d", share: 1, cause: "unhealthy" }]);
  const better = [standing(true, 0, 0), ...standings.slice(1)];
  assert.deepEqual(flowsOf(units, better), [
    { from: "b", to: "a", share: 1, cause: "unhealthy" },
    { from: "c", to: "a", share: 0.25, cause: "drain" },
  ]);
});

test("slots are counted by their owner, and those that are fenced", () => {
  const fences = [{ slots: [{ first: 1, last: 2 }], keys: [], hold: 0 }];
  const config = { fleet: { placement: { map: ["a", "a", "b", "b", "b"], fences } } } as never;
  const { owned, fenced } = slotsByUnit(config);
  assert.deepEqual(
    [...owned],
    [
      ["a", 2],
      ["b", 3],
    ],
  );
  assert.deepEqual(
    [...fenced],
    [
      ["a", 1],
      ["b", 1],
    ],
  );
});
