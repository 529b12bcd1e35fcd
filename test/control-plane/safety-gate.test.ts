/** What the safety rules are told of the fleet. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { readBase } from "../../control-plane/base.ts";
import { type Draft, draftApply, type Standing } from "../../control-plane/draft.ts";
import { Gateways } from "../../control-plane/publish/gateways.ts";
import { SafetyGate } from "../../control-plane/safety-gate.ts";
import { SqliteStore } from "../../control-plane/store/sqlite-store.ts";

const ROUTES = "routes:\n  - { name: a, match: { path: /a/* }, service: hall, scope: center }\n";

function base(units: Readonly<Record<string, number>>, safety: string): ReadonlyMap<string, string> {
  const names = Object.keys(units);
  const list = names.map(
    (n, i) => `  ${n}: { region: r, capacity: ${units[n]}rps${i === 0 ? ", center: true" : ""} }`,
  );
  const pools = names.map((n, i) => `${n}: { stable: [ "http://127.0.0.1:${i + 1}" ] }`).join(", ");
  return new Map([
    [
      "fleet.yaml",
      `fleet: test\nregions: { r: {} }\nunits:\n${list.join("\n")}\n` +
        `placement: { key: [ { header: x-user-id } ], slots: 16, map: { ${names[0]}: 0-15 } }\n` +
        `services: { hall: { pools: { ${pools} } } }\n`,
    ],
    ["routes.yaml", ROUTES],
    ["safety.yaml", safety],
  ]);
}

/** Three units with a rule; one of them goes. @param report of the unit that goes */
function violations(safety: string, report: { healthy: boolean; rate: number }): string[] {
  const now = (): number => 1_000;
  const store = new SqliteStore(":memory:", now);
  const gateways = new Gateways(now);
  const all = { hz: 20_000, sh: 5_000, sz: 10_000 };
  const before = base(all, safety);
  gateways.connected("one");
  const unit = { inflight: 0, drained: 0 };
  const units = {
    hz: { ...unit, healthy: true, rate: 12_000 },
    sh: { ...unit, healthy: false, rate: 0 },
    sz: { ...unit, ...report },
  };
  gateways.reported("one", { epoch: 1, revision: 1, units } as never);
  const config = readBase(before).config!;
  const standing: Standing = {
    revision: { number: 1, at: 0, author: "", reason: "", cause: "", base: "", overlays: "", effective: "" },
    base: before,
    baseConfig: config,
    overlays: [],
    config,
  };
  const { sz: _, ...rest } = all;
  const draft: Draft = draftApply(standing, base(rest, safety));
  const actor = { name: "ann", from: "", overrides: [] };
  const gate = new SafetyGate(store, gateways, now);
  return gate.violations(draft, { actions: ["apply"], target: "configuration", actor }).map((v) => v.rule);
}

test("the load of a unit that is taken away does not go with it", () => {
  const rule = "rules:\n  room: { capacity: 110%, losing: none }\n";
  assert.deepEqual(violations(rule, { healthy: true, rate: 12_000 }), ["room"]);
  assert.deepEqual(violations(rule, { healthy: true, rate: 1_000 }), []);
});

test("a unit that is dead already may be taken away", () => {
  const rule = "rules:\n  two: { serving: 2 }\n";
  assert.deepEqual(violations(rule, { healthy: true, rate: 0 }), ["two"]);
  assert.deepEqual(violations(rule, { healthy: false, rate: 0 }), []);
});
