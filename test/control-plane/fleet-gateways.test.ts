/** How gateways stand, and when a drained unit is empty: what nobody knows is not taken for nothing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { drainStandings, gatewayStandings } from "../../control-plane/fleet-gateways.ts";
import type { KnownGateway } from "../../control-plane/publish/gateways.ts";
import type { Unit } from "../../model/fleet.ts";
import type { UnitReport } from "../../model/report.ts";

const CALM: UnitReport = { healthy: true, inflight: 0, rate: 0, drained: 1 };
const UNITS = [
  { name: "hz", drain: undefined },
  { name: "sh", drain: { since: 5_000, ramp: 0, deadline: 0 } },
] as unknown as Unit[];

function gateway(
  name: string,
  sh: Partial<UnitReport> | undefined,
  more: Partial<KnownGateway> = {},
): KnownGateway {
  const units = {
    hz: { ...CALM, drained: 0, rate: 100, inflight: 2 },
    ...(sh ? { sh: { ...CALM, ...sh } } : {}),
  };
  const report = { epoch: 1, revision: 7, units };
  return { name, connected: true, heardAt: 0, epoch: 1, revision: 7, refused: undefined, report, ...more };
}

const fresh = (): number => 100;
const drainOf = (known: KnownGateway[], silence = (_: KnownGateway): number => 100) =>
  drainStandings(UNITS, known, silence)[0]!;

test("a unit is empty when every gateway has moved everybody, nothing is under way and less than one request a second comes", () => {
  assert.equal(drainStandings(UNITS, [], fresh).length, 1, "of what is not drained nothing is said");
  assert.equal(drainOf([gateway("a", {}), gateway("b", { rate: 0.6 })]).empty, true);
  assert.equal(drainOf([gateway("a", {}), gateway("b", { drained: 0.99 })]).empty, false);
  assert.equal(drainOf([gateway("a", {}), gateway("b", { inflight: 1 })]).empty, false);
  assert.equal(
    drainOf([gateway("a", { rate: 0.6 }), gateway("b", { rate: 0.6 })]).empty,
    false,
    "together they are one",
  );
});

test("a gateway that says nothing keeps a unit from being known to be empty, and one that is gone is named", () => {
  const none = drainOf([]);
  assert.deepEqual([none.empty, none.moved, none.rate, none.inflight], [false, null, null, null]);
  const mute = drainOf([gateway("a", {}), gateway("b", {}, { report: undefined })]);
  assert.deepEqual([mute.empty, mute.unknown], [false, ["b"]]);
  const blind = drainOf([gateway("a", {}), gateway("b", undefined)]);
  assert.deepEqual([blind.empty, blind.unknown], [false, ["b"]]);
  const silent = drainOf([gateway("a", {}), gateway("b", {})], ({ name }) => (name === "b" ? 6_000 : 100));
  assert.deepEqual([silent.empty, silent.unknown], [false, ["b"]]);
  const gone = drainOf([gateway("a", {}), gateway("b", { inflight: 9 }, { connected: false })]);
  assert.deepEqual([gone.empty, gone.gone, gone.inflight], [true, ["b"], 0]);
});

test("a gateway serves, is behind, refuses, is silent or is gone", () => {
  const refused = { revision: 9, reasons: ["no"] };
  const known = [
    gateway("a", {}, { revision: 9 }),
    gateway("b", { healthy: false, rate: 5, inflight: 1 }),
    gateway("c", {}, { refused }),
    gateway("d", {}),
    gateway("e", {}, { connected: false }),
    gateway("f", {}, { report: undefined, revision: 9 }),
  ];
  const standings = gatewayStandings(known, 9, ({ name }) => (name === "d" ? 5_001 : 5_000));
  assert.deepEqual(
    standings.map(({ state }) => state),
    ["serves", "behind", "refuses", "silent", "gone", "serves"],
  );
  const [, b, , , , f] = standings;
  assert.deepEqual([b!.rate, b!.inflight, b!.units, b!.unhealthy], [105, 3, 2, ["sh"]]);
  assert.deepEqual([f!.rate, f!.inflight, f!.units, f!.unhealthy], [null, null, null, []]);
});
