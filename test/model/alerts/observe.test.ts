/** What rules see in the facts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { AlertRule, Test } from "../../../model/alerts/alerts.ts";
import type { FactFigure, Facts } from "../../../model/alerts/facts.ts";
import { observe } from "../../../model/alerts/observe.ts";
import { watchesOf } from "../../../model/alerts/watch.ts";
import { config, route } from "../../support/config.ts";

const CONFIG = config([route("hall", "/hall/*"), route("cart", "/cart/*")]);
const DAY = 24 * 3_600_000;

function figure(changes: Partial<FactFigure> = {}): FactFigure {
  return { requests: 1000, rps: 100, errorShare: 0, successShare: 1, p50: 5, p95: 10, p99: 20, ...changes };
}

function facts(changes: Partial<Facts> = {}): Facts {
  return {
    now: 100 * DAY,
    figure: () => figure(),
    counted: () => ({ requests: 360_000, served: 360_000, errors: 0, known: 3_600_000 }),
    healthy: new Map([
      ["hz", true],
      ["sh", true],
      ["sz", true],
    ]),
    drained: new Set(),
    gateways: 2,
    standings: [],
    breakers: [],
    limited: new Map(),
    unfit: new Map(),
    executions: [],
    rehearsals: new Map(),
    ...changes,
  };
}

function see(asked: Test, given: Facts, each: AlertRule["each"] = []) {
  const rule = { test: asked, each } as AlertRule;
  const { seen, others } = observe(rule, watchesOf(rule, CONFIG), given);
  const all = seen.map(({ labels, holds, says }) => [Object.values(labels).join(" "), holds, says]);
  return { seen: all, others };
}

const when = (text: string, samples = 20): Test => ({ kind: "when", text, window: "10s", samples });

test("a condition is asked once for each unit, with what was seen of it", () => {
  const given = facts({ figure: (_window, { unit }) => figure({ errorShare: unit === "sh" ? 0.123 : 0 }) });
  const { seen } = see(when(`errors{unit=\${unit}} > 5%`), given, ["unit"]);
  assert.deepEqual(seen, [
    ["hz", false, "errors{unit=hz} > 5% (is 0 %)"],
    ["sh", true, "errors{unit=sh} > 5% (is 12.3 %)"],
    ["sz", false, "errors{unit=sz} > 5% (is 0 %)"],
  ]);
});

test("each of unit and route is every pair", () => {
  const { seen } = see(when(`p99{unit=\${unit},route=\${route}} > 1s`), facts(), ["unit", "route"]);
  assert.equal(seen.length, 6);
  assert.deepEqual(seen[1], ["hz cart", false, "p99{unit=hz,route=cart} > 1s (is 20 ms)"]);
});

test("too few requests are no breach, and where nobody knows it says so", () => {
  const quiet = facts({ figure: () => figure({ requests: 19, errorShare: 1, p99: 9_000 }) });
  assert.equal(see(when("errors > 5%"), quiet).seen[0]![1], false);
  assert.equal(see(when("errors != 5%"), quiet).seen[0]![1], false);
  assert.equal(see(when("p99 > 1s"), quiet).seen[0]![1], false);
  const idle = facts({ figure: () => figure({ requests: 0, rps: 0, errorShare: null, p99: null }) });
  assert.equal(see(when("errors > 5%", 0), idle).seen[0]![1], false);
  // A rate needs no samples: nothing is what it says.
  assert.equal(see(when("rps < 1"), idle).seen[0]![1], true);
  assert.equal(see(when("errors > 5%"), facts({ figure: () => undefined })).seen[0]![1], undefined);
});

test("units: unhealthy, and where no gateway says, nobody knows", () => {
  const healthy = new Map([
    ["hz", true],
    ["sh", false],
    ["sz", undefined],
  ]);
  const { seen } = see({ kind: "unit-unhealthy" }, facts({ healthy }));
  assert.deepEqual(
    seen.map(([, holds]) => holds),
    [false, true, undefined],
  );
  const drained = facts({ healthy, drained: new Set(["hz"]) });
  assert.equal(see(when("serving < 1"), drained).seen[0]![1], true);
});

test("breakers and limits are found by themselves; without any report nobody knows of the rest", () => {
  const breakers = [
    { service: "hall", unit: "sh", state: "open" },
    { service: "hall", unit: "hz", state: "half-open" },
  ];
  const { seen, others } = see({ kind: "breaker-open" }, facts({ breakers }));
  assert.deepEqual([seen.map(([labels]) => labels), others], [["hall sh"], false]);
  assert.equal(see({ kind: "breaker-open" }, facts({ breakers: undefined })).others, undefined);
  const limited = new Map([
    ["slow", 9],
    ["fast", 11],
  ]);
  assert.deepEqual(
    see({ kind: "limit-saturated", above: 10 }, facts({ limited })).seen.map(([labels]) => labels),
    ["fast"],
  );
});

test("gateways, plans and rehearsals", () => {
  const standings = ["serves", "behind", "refuses", "gone"].map((state, i) => ({
    gateway: `gw-${i}`,
    state,
    says: "",
  }));
  for (const [i, kind] of ["gateway-behind", "gateway-refuses", "gateway-gone"].entries()) {
    const { seen } = see({ kind } as Test, facts({ standings }));
    assert.deepEqual(
      seen.map(([labels]) => labels),
      [`gw-${i + 1}`],
    );
  }
  assert.equal(
    see({ kind: "plan-unfit" }, facts({ unfit: new Map([["p", "no unit"]]) })).seen[0]![2],
    "plan p does not fit: no unit",
  );
  const executions = (["execution-held", "rollout-taken-back"] as const).map((is, i) => ({
    ...{ plan: "hall", execution: `ex-${i}`, is, says: is },
  }));
  for (const [i, kind] of (["execution-held", "rollout-taken-back"] as const).entries()) {
    assert.deepEqual(see({ kind }, facts({ executions })).seen, [[`hall ex-${i}`, true, kind]]);
  }
  const rehearsals = new Map([
    ["old", 69 * DAY],
    ["new", 71 * DAY],
    ["never", undefined],
  ]);
  assert.deepEqual(
    see({ kind: "rehearsal-old", older: 30 * DAY }, facts({ rehearsals })).seen.map(([, holds]) => holds),
    [true, false, true],
  );
});

test("a drop is seen against what was, not where hardly anything was, and not in a unit that is drained", () => {
  const drop: Test = { kind: "rps-drop", drop: 0.5, against: "hour", above: 10 };
  assert.equal(see(drop, facts({ figure: () => figure({ rps: 49 }) })).seen[0]![1], true);
  assert.equal(see(drop, facts({ figure: () => figure({ rps: 51 }) })).seen[0]![1], false);
  const little = facts({
    figure: () => figure({ rps: 0 }),
    counted: () => ({ requests: 3_600, served: 0, errors: 0, known: 3_600_000 }),
  });
  assert.equal(see(drop, little).seen[0]![1], false);
  const young = facts({ counted: () => ({ requests: 9, served: 9, errors: 0, known: 60_000 }) });
  assert.equal(see(drop, young).seen[0]![1], undefined);
  const drained = facts({ figure: () => figure({ rps: 0 }), drained: new Set(["sh"]) });
  assert.deepEqual(
    see(drop, drained, ["unit"]).seen.map(([, holds]) => holds),
    [true, false, true],
  );
});
