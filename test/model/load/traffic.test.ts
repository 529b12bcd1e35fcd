/** What is asked under stress, by whom, and how a run is shown. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { slotOf } from "../../../model/hash.ts";
import { reportPage } from "../../../model/load/report-page.ts";
import { connectionsFor } from "../../../model/load/run-file.ts";
import { type RunResult, resultText } from "../../../model/load/run-result.ts";
import { keysOf, mixOf, mixText, parseAsk, peakTraffic } from "../../../model/load/traffic.ts";
import { config, route } from "../../support/config.ts";

describe("traffic", () => {
  const whole = config([
    route("hall", "/hall/*", { scope: "nearest" }),
    route("item", "/items/:id/pictures", {}),
    route("writes", "/orders/*", {
      match: { path: "/orders/*", host: undefined, methods: ["POST"], headers: [] },
    }),
  ]);

  test("is a unit's routes that can be read, evenly or as users ask for them", () => {
    assert.equal(mixText(mixOf(whole, "sh", new Map())), "GET /hall/{n} 50 %, GET /items/{n}/pictures 50 %");
    const asked = new Map([
      ["hall", 30],
      ["item", 10],
      ["writes", 60],
    ]);
    assert.equal(mixText(mixOf(whole, "sh", asked)), "GET /hall/{n} 75 %, GET /items/{n}/pictures 25 %");
    assert.deepEqual(mixOf(whole, "nowhere", new Map()), []);
  });

  test("is the forecast's busiest hour, in less time and at another height", () => {
    const minute = 60_000;
    const forecast = {
      zone: 0,
      times: Array.from({ length: 120 }, (_, i) => i * minute),
      routes: {
        hall: Array.from({ length: 120 }, (_, i) => (i === 60 ? 300 : 100)),
        writes: new Array(120).fill(100),
      },
    };
    const { mix, curve } = peakTraffic({ ...whole, forecast }, 1_000, 60)!;
    assert.deepEqual(
      mix.map(({ name }) => name),
      ["hall"],
      "writes are asked for by name only",
    );
    assert.deepEqual(
      [curve[0], curve.at(-1)],
      [
        { at: 0, rate: 500 },
        { at: 60, rate: 500 },
      ],
    );
    assert.deepEqual(curve.find(({ rate }) => rate === 1_000)?.at, 30);
    assert.equal(peakTraffic(whole, 1_000, 60), undefined);
  });

  test("may be said, and what cannot be understood is named", () => {
    assert.deepEqual(parseAsk("POST /cart/{n} 20%"), {
      name: "cart",
      method: "POST",
      path: "/cart/{n}",
      share: 0.2,
    });
    for (const wrong of ["", "GET", "get /a", "GET a", "GET /a 20", "GET /a 0%", "GET /a 1% more"]) {
      assert.match(String(parseAsk(wrong)), /expected a method, a path/, wrong);
    }
  });

  test("names users who live in the unit", () => {
    const { map, slots } = whole.fleet.placement;
    const keys = keysOf(whole, "sh", 50);
    assert.equal(keys.length, 50);
    for (const key of keys) assert.equal(map[slotOf(key, slots)], "sh");
    assert.deepEqual(keysOf(whole, "nowhere"), []);
  });

  test("has connections for an open loop, and no more than a generator bears", () => {
    assert.deepEqual(connectionsFor(10, 1_000), { first: 10, most: 20 });
    assert.deepEqual(connectionsFor(1e6, 5_000), { first: 3_000, most: 3_000 });
  });
});

test("a report stands alone: nothing is fetched, and what was named stays text", () => {
  const latencies = { p50: 1, p95: 2, p99: 3.25, max: 150 };
  const result: RunResult = {
    ...{
      scenario: "unit-stress",
      title: `<script>alert("x")</script>`,
      seconds: 2,
      rate: 10,
      asked: 20,
      dropped: 1,
    },
    ...{ success: 0.95, statuses: { "200": 19, "0": 1 }, ...latencies, passed: false },
    units: [{ unit: "s<h", asked: 20, success: 0.95, ...latencies }],
    slots: [
      { from: 0, to: 1, asked: 20, success: 0.95, ...latencies },
      { from: 1, to: 2, asked: 0, success: null, p50: 0, p95: 0, p99: 0, max: 0 },
    ],
    rules: [{ metric: "tidegate_took{unit:sh}", rule: "p(99)<=2", holds: false }],
  };
  const page = reportPage(result);
  assert.ok(!/<script|https?:|\bsrc=|@import|url\(/i.test(page), "self-contained");
  assert.equal(page.match(/<svg /g)!.length, 3);
  assert.ok(!/NaN|Infinity|undefined/.test(page), page);
  assert.match(page, /s&#60;h/);
  const text = resultText(result);
  assert.match(text, /20 requests in 2\.0 s \(10\.0\/s\), 95 % answered well/);
  assert.match(text, /1 × no answer, 19 × 200/);
  assert.match(text, /1 requests were not made/);
  assert.match(text, /MISSED {2}tidegate_took\{unit:sh\} p\(99\)<=2\n {2}failed/);
});
