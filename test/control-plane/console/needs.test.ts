import assert from "node:assert/strict";
import { test } from "node:test";
import { type Facts, needsOf } from "../../../control-plane/console/data/needs.ts";
import type { FedGateway, FedUnit, FleetNow } from "../../../control-plane/fleet-now.ts";

const NOW = 1_800_000_000_000;

const unit = (name: string, more: Partial<FedUnit> = {}): FedUnit => ({
  ...{
    unit: name,
    region: "r",
    capacity: null,
    drain: null,
    healthy: true,
    drained: 0,
    inflight: 0,
    rate: 0,
  },
  ...{ center: false, slots: 1, fenced: 0, figure: null },
  ...more,
});
const gateway = (name: string, more: Partial<FedGateway> = {}): FedGateway => ({
  ...{ gateway: name, live: true, heardAt: NOW, revision: 7, refused: null },
  ...more,
});
const fleet = (more: Partial<FleetNow>): FleetNow => ({
  ...{ now: NOW, fleet: "f", revision: 7, revisionAt: NOW - 60_000, leads: true, total: null },
  ...{ units: [], flows: [], gateways: [] },
  ...more,
});
const needs = (more: Partial<Facts>): string[] =>
  needsOf({
    fleet: undefined,
    executions: [],
    details: new Map(),
    overrides: [],
    alerts: [],
    now: NOW,
    ...more,
  }).map(
    (need) =>
      `${need.kind} ${"units" in need ? need.units : "gateways" in need ? need.gateways : need.kind === "alert" ? need.rule : need.id}`,
  );

test("a unit that is down needs somebody, unless somebody has drained it or nobody knows", () => {
  const drain = { since: 0, ramp: 0, deadline: 0 };
  const units = [
    unit("a"),
    unit("b", { healthy: false }),
    unit("c", { healthy: null }),
    unit("d", { healthy: false, drain }),
  ];
  assert.deepEqual(needs({ fleet: fleet({ units }) }), ["unit-down b"]);
});

test("a gateway that refuses, stays behind or has just gone needs somebody; one that went long ago does not", () => {
  const refused = { revision: 7, reasons: ["no"] };
  const gateways = [
    gateway("a"),
    gateway("b", { revision: 6 }),
    gateway("c", { revision: 6, refused }),
    gateway("d", { revision: 7, refused: { ...refused, revision: 5 } }),
    gateway("e", { live: false, heardAt: NOW - 20_000 }),
    gateway("f", { live: false, heardAt: NOW - 3_600_000 }),
  ];
  assert.deepEqual(needs({ fleet: fleet({ gateways }) }), [
    "gateway-refuses c",
    "gateway-behind b",
    "gateway-silent e",
  ]);
  const fresh = fleet({ gateways: [gateway("b", { revision: 6 })], revisionAt: NOW - 2_000 });
  assert.deepEqual(needs({ fleet: fresh }), [], "it takes a moment");
});

test("a critical alert needs somebody until somebody says that they look after it, or it is quiet", () => {
  const alert = {
    ...{ id: "al-1", labels: {}, severity: "critical", state: "firing", since: 0, summary: "", seen: "" },
    ...{ noData: false, silencedBy: null, inhibitedBy: null, ack: null, plan: null, run: null },
  };
  const alerts = [
    { ...alert, rule: "loud" },
    { ...alert, rule: "warns", severity: "warning" },
    { ...alert, rule: "about to", state: "pending" },
    { ...alert, rule: "cared for", ack: { by: "ann", at: 0, reason: "" } },
    { ...alert, rule: "silenced", silencedBy: "si-1" },
    { ...alert, rule: "because of another", inhibitedBy: { rule: "loud" } },
  ];
  assert.deepEqual(needs({ alerts }), ["alert loud"]);
});

test("what is held or waits for an approval needs somebody, and an override until it is over", () => {
  const line = { plan: "p", values: {}, reason: "", owner: { name: "ann" }, at: 0 };
  const steps = [
    { kind: "if", path: "1", title: "", yes: [{ kind: "approve", path: "1.then.1", role: "admin" }], no: [] },
  ];
  const waiting = {
    ...{ id: "ex-2", plan: { name: "p" }, owner: { name: "ann" }, state: "running", steps },
    runs: { "1.then.1": { state: "running" } },
  };
  const override = { rule: "r", what: "", askedBy: "ann", reason: "", at: 0 };
  const found = needs({
    executions: [
      { ...line, id: "ex-1", state: "held" },
      { ...line, id: "ex-2", state: "running" },
    ],
    details: new Map([
      ["ex-2", waiting],
      ["ex-3", { ...waiting, id: "ex-3", state: "paused" }],
    ]) as never,
    overrides: [
      { ...override, id: "or-1", expires: NOW + 1 },
      { ...override, id: "or-2", expires: NOW - 1 },
      { ...override, id: "or-3", expires: NOW + 1, approvedBy: "bob" },
    ],
  });
  assert.deepEqual(found, ["execution-held ex-1", "execution-approval ex-2", "override or-1"]);
});
