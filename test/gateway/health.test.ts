/** The monitor with a probe that tests answer by hand, mock timers and a clock that follows them. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { HealthMonitor } from "../../gateway/health.ts";
import { liveState } from "../../gateway/live-state.ts";
import { DOWN, EJECTED } from "../../model/decide.ts";
import type { Service } from "../../model/fleet.ts";
import { HandClock, tableWith } from "./support.ts";

const CHECK = { ...tableWith([]).services[0]!.spec.health, kind: "http", jitter: 0 } as const;

function setUp(t: TestContext, count: number, changes: Partial<Service> = {}) {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const clock = new HandClock();
  const origins = Array.from({ length: count }, (_, i) => `http://e${i}`);
  const table = tableWith(origins, { health: CHECK, ...changes });
  const live = liveState(1);
  const ill = new Set<string>();
  const probed: string[] = [];
  const changed: string[] = [];
  const monitor = new HealthMonitor(
    live,
    clock,
    { next: () => 0 },
    async (origin) => {
      probed.push(origin);
      return ill.has(origin) ? "answered 503" : undefined;
    },
    { onChange: (endpoint, change, reason) => changed.push(`${endpoint.origin} ${change}: ${reason}`) },
  );
  t.after(() => monitor.stop());
  /** Time goes on, in steps small enough that every check's answer is heard before the next timer. */
  const pass = async (milliseconds: number): Promise<void> => {
    for (let left = milliseconds; left > 0; left -= 10) {
      clock.time += 10;
      t.mock.timers.tick(10);
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const words = (): string[] => changed.map((c) => c.slice("http://".length, c.indexOf(":", 8)));
  monitor.install(table);
  return { monitor, table, live, clock, ill, probed, changed, words, pass };
}

test("the first check counts at once", async (t) => {
  const { live, ill, pass, changed } = setUp(t, 2);
  ill.add("http://e1");
  await pass(20);
  assert.deepEqual([live.endpoints[0], live.endpoints[1]], [0, DOWN]);
  assert.deepEqual(changed, ["http://e1 down: answered 503"]);
});

test("then three failures in a row make it down, and two passes up again", async (t) => {
  const { live, ill, pass, probed, words } = setUp(t, 1);
  await pass(20);
  ill.add("http://e0");
  probed.length = 0;
  await pass(1_000);
  assert.equal(probed.length, 1);
  assert.equal(live.endpoints[0], 0, "one failure is nothing");
  await pass(100);
  assert.equal(live.endpoints[0], 0, "two are nothing either");
  await pass(110);
  assert.equal(live.endpoints[0], DOWN, "after a failure the next check comes a tenth of the interval later");
  ill.clear();
  await pass(1_000);
  assert.equal(live.endpoints[0], DOWN, "one pass is not enough");
  await pass(1_010);
  assert.equal(live.endpoints[0], 0);
  assert.deepEqual(words(), ["e0 down", "e0 up"]);
});

test("a failure now and then is forgiven", async (t) => {
  const { live, ill, pass, probed, changed } = setUp(t, 1);
  await pass(20);
  const failOnce = async (): Promise<void> => {
    const before = probed.length;
    ill.add("http://e0");
    while (probed.length === before) await pass(10);
    ill.clear();
  };
  for (let i = 0; i < 5; i++) {
    await failOnce();
    await failOnce();
    await pass(1_500);
    assert.equal(live.endpoints[0], 0);
  }
  assert.deepEqual(changed, []);
});

test("real traffic that fails asks for a check now", async (t) => {
  const { monitor, live, ill, pass, probed } = setUp(t, 2);
  await pass(100);
  probed.length = 0;
  ill.add("http://e0");
  monitor.suspect(0, 1, true);
  await pass(10);
  assert.deepEqual(probed, ["http://e0"]);
  await pass(210);
  assert.equal(live.endpoints[0], DOWN, "out a quarter of a second later instead of after an interval");
});

test("five failures in a row eject, and the ejection's length grows to its bound", async (t) => {
  const outlier = { consecutive: 5, baseEjection: 1_000, maxEjection: 3_000, maxShare: 0.5 };
  const { monitor, live, pass, words, clock } = setUp(t, 2, { outlier, slowStart: 500 });
  await pass(20);
  monitor.suspect(0, 1, true);
  assert.equal(live.endpoints[0], 0);
  for (const length of [1_000, 2_000, 3_000, 3_000]) {
    live.failures[0] = 5;
    monitor.suspect(0, 5, true);
    assert.equal(live.endpoints[0], EJECTED);
    await pass(length - 20);
    assert.equal(live.endpoints[0], EJECTED, `for ${length} ms, though its checks pass`);
    await pass(30);
    assert.equal(live.endpoints[0], 0);
    assert.equal(live.failures[0], 0, "it begins anew");
    assert.ok(clock.now() - live.warmingSince[0]! <= 30, "with slow start");
  }
  assert.equal(words().filter((w) => w === "e0 ejected").length, 4);
  // A quiet while forgives, a step per base ejection.
  await pass(10_000);
  monitor.suspect(0, 5, true);
  await pass(1_010);
  assert.equal(live.endpoints[0], 0);
});

test("the last usable endpoint is never ejected", async (t) => {
  const outlier = { consecutive: 5, baseEjection: 1_000, maxEjection: 3_000, maxShare: 1 };
  const { monitor, live, pass } = setUp(t, 2, { outlier });
  await pass(20);
  monitor.suspect(0, 5, true);
  monitor.suspect(1, 5, true);
  assert.deepEqual([live.endpoints[0], live.endpoints[1]], [EJECTED, 0]);
  const alone = setUpAlone(t);
  alone.monitor.suspect(0, 5, true);
  assert.equal(alone.live.endpoints[0], 0);
});

function setUpAlone(t: TestContext) {
  t.mock.timers.reset();
  return setUp(t, 1);
}

test("an endpoint that is down counts against the last usable one as well", async (t) => {
  const outlier = { consecutive: 5, baseEjection: 1_000, maxEjection: 3_000, maxShare: 1 };
  const { monitor, live, ill, pass } = setUp(t, 2, { outlier });
  ill.add("http://e0");
  await pass(20);
  assert.equal(live.endpoints[0], DOWN);
  monitor.suspect(1, 5, true);
  assert.equal(live.endpoints[1], 0);
});

test("no more than a share of a pool is ejected at once", async (t) => {
  const { monitor, live, pass } = setUp(t, 5); // half of five, rounded down, is two
  await pass(20);
  for (const row of [0, 1, 2, 3, 4]) monitor.suspect(row, 5, true);
  assert.deepEqual([...live.endpoints.subarray(0, 5)], [EJECTED, EJECTED, 0, 0, 0]);
});

test("`consecutive: 0` turns ejection off", async (t) => {
  const outlier = { consecutive: 0, baseEjection: 1_000, maxEjection: 3_000, maxShare: 1 };
  const { monitor, live, pass } = setUp(t, 3, { outlier });
  await pass(20);
  for (let failures = 1; failures < 50; failures++) monitor.suspect(0, failures, true);
  assert.equal(live.endpoints[0], 0);
});

test("`health: none` checks nothing", async (t) => {
  const { pass, probed, live } = setUp(t, 2, { health: { ...CHECK, kind: "none" } });
  await pass(5_000);
  assert.deepEqual(probed, []);
  assert.equal(live.endpoints[0], 0);
});

test("a table that keeps the endpoint keeps what is known of it", async (t) => {
  const { monitor, live, ill, pass, words } = setUp(t, 2);
  ill.add("http://e0");
  await pass(20);
  monitor.install(tableWith(["http://e0", "http://e1"], { health: CHECK, slowStart: 7 }));
  monitor.install(tableWith(["http://e0", "http://e1"], { health: { ...CHECK, interval: 2_000 } }));
  assert.equal(live.endpoints[0], DOWN);
  assert.deepEqual(words(), ["e0 down"]);
  ill.clear();
  await pass(4_100);
  assert.deepEqual(words(), ["e0 down", "e0 up"]);
});

test("an ejection goes on under a new table, and ends", async (t) => {
  const outlier = { consecutive: 5, baseEjection: 1_000, maxEjection: 3_000, maxShare: 0.5 };
  const { monitor, live, pass } = setUp(t, 2, { outlier });
  await pass(20);
  monitor.suspect(0, 5, true);
  await pass(500);
  monitor.install(tableWith(["http://e0", "http://e1"], { health: { ...CHECK, interval: 900 }, outlier }));
  assert.equal(live.endpoints[0], EJECTED);
  await pass(1_100);
  assert.equal(live.endpoints[0], 0);
});

test("an endpoint that the new table does not have is asked no more", async (t) => {
  const { monitor, pass, probed } = setUp(t, 2);
  await pass(20);
  monitor.install(tableWith(["http://e0"], { health: CHECK }));
  probed.length = 0;
  await pass(3_000);
  assert.ok(probed.length >= 3);
  assert.ok(!probed.includes("http://e1"));
});
