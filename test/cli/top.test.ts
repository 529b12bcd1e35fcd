import assert from "node:assert/strict";
import { test } from "node:test";
import { course, type TopState, topView } from "../../cli/top-view.ts";
import type { FedUnit, FleetNow } from "../../control-plane/fleet-now.ts";

const figure = { rps: 120, successShare: 0.99999, errorShare: 0, p50: 4, p99: 31.4 };
const unit = (name: string, more: Partial<FedUnit> = {}): FedUnit => ({
  ...{
    unit: name,
    region: "r",
    capacity: 200,
    drain: null,
    healthy: true,
    drained: 0,
    inflight: 3,
    rate: 50,
  },
  ...{ center: false, slots: 1, fenced: 0, figure },
  ...more,
});
const fleet = (units: FedUnit[]): FleetNow => ({
  ...{ now: 0, fleet: "double11", revision: 7, revisionAt: 0, leads: true, total: figure, flows: [] },
  gateways: [{ gateway: "gw-1", live: true, heardAt: 0, revision: 7, refused: null }],
  units,
});
const state = (more: Partial<TopState>): TopState => ({
  ...{ fleet: undefined, history: new Map(), alerts: [], executions: [], lost: undefined, sort: "worst" },
  ...{ columns: 120, rows: 40, paint: (_colour, text) => text },
  ...more,
});

test("the worst unit comes first, or the busiest, or the first by name", () => {
  const units = [
    unit("hz", { rate: 90 }),
    unit("sh", { healthy: false, rate: 0, figure: null }),
    unit("sz", { healthy: null, rate: null, figure: null }),
  ];
  const order = (sort: TopState["sort"]): string[] =>
    topView(state({ fleet: fleet(units), sort }))
      .split("\n")
      .flatMap((line) => /^(hz|sh|sz) /.exec(line)?.[1] ?? []);
  assert.deepEqual(order("worst"), ["sh", "sz", "hz"]);
  assert.deepEqual(order("rate"), ["hz", "sh", "sz"]);
  assert.deepEqual(order("name"), ["hz", "sh", "sz"]);
  const text = topView(state({ fleet: fleet(units) }));
  assert.match(text, /1 of 3 units down/);
  assert.match(text, /success 99\.99 %/, "what is not all is not shown as all");
  assert.match(text, /^sz +no data +– +– /m);
});

test("a thousand units fit any screen, and the screen says how many it does not show", () => {
  const units = Array.from({ length: 1_000 }, (_, i) => unit(`u${i}`));
  const alert = { rule: "slow", severity: "critical" as const, summary: "p99", state: "firing", ack: null };
  const text = topView(state({ fleet: fleet(units), rows: 24, alerts: Array(9).fill(alert) }));
  assert.ok(text.split("\n").length <= 24);
  assert.match(text, /and 9\d\d more units/);
  assert.match(text, /and 4 more alerts/);
});

test("what others wrote moves no cursor and sets no colour", () => {
  const text = topView(
    state({
      fleet: fleet([unit("hz")]),
      executions: [{ id: "ex-1", plan: "p", state: "held", says: "no\u001b[2J\u202e" }],
    }),
  );
  assert.ok(!/[\u001b\u202e]/.test(text));
});

test("a course is as high as its highest value", () => {
  assert.equal(course([0, 50, 100]).trim(), "▁▄█");
  assert.equal(course([0, 0]).trim(), "▁▁");
});
