import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Breakers, UnitBreaker } from "../../gateway/breaker.ts";
import { compileTable } from "../../model/table.ts";
import { config, route } from "../support/config.ts";

const POLICY = { errors: 0.5, volume: 4, window: 10_000, open: 1_000 };

const settled = () => new Promise((resolve) => setImmediate(resolve));

function setUp(t: TestContext): UnitBreaker {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  const breaker = new UnitBreaker(POLICY);
  t.after(() => breaker.shutdown());
  return breaker;
}

async function attempts(breaker: UnitBreaker, ...outcomes: ("success" | "failure" | "neutral")[]) {
  for (const outcome of outcomes) {
    breaker.begin().settle(outcome);
    await settled();
  }
}

test("closed until there are enough requests and enough of them fail", async (t) => {
  const breaker = setUp(t);
  await attempts(breaker, "failure", "failure", "failure");
  assert.deepEqual([breaker.state, breaker.allows], [0, true]);
  await attempts(breaker, "failure");
  assert.deepEqual([breaker.state, breaker.allows], [2, false]);
});

test("clients that leave do not open it", async (t) => {
  const breaker = setUp(t);
  await attempts(breaker, ...Array.from({ length: 20 }, () => "neutral" as const));
  assert.equal(breaker.state, 0);
});

test("after a while one trial is let through: it closes it, or opens it again", async (t) => {
  const breaker = setUp(t);
  await attempts(breaker, "failure", "failure", "failure", "failure");
  t.mock.timers.tick(1_000);
  assert.deepEqual([breaker.state, breaker.allows], [1, true]);
  const trial = breaker.begin();
  assert.equal(breaker.allows, false, "one at a time");
  trial.settle("failure");
  await settled();
  assert.deepEqual([breaker.state, breaker.allows], [2, false]);
  t.mock.timers.tick(1_000);
  breaker.begin().settle("success");
  await settled();
  assert.deepEqual([breaker.state, breaker.allows], [0, true]);
});

test("a trial whose client left proves nothing: it stays half-open, and another trial may go", async (t) => {
  const breaker = setUp(t);
  await attempts(breaker, "failure", "failure", "failure", "failure");
  t.mock.timers.tick(1_000);
  await attempts(breaker, "neutral");
  assert.deepEqual([breaker.state, breaker.allows], [1, true]);
});

test("an attempt that began before it opened does not close it in half-open", async (t) => {
  const breaker = setUp(t);
  const early = breaker.begin();
  await attempts(breaker, "failure", "failure", "failure", "failure");
  t.mock.timers.tick(1_000);
  early.settle("success");
  assert.deepEqual([breaker.state, breaker.allows], [1, true]);
});

test("a trial that has begun to answer well closes it, without waiting for a stream that never ends", async (t) => {
  const breaker = setUp(t);
  await attempts(breaker, "failure", "failure", "failure", "failure");
  t.mock.timers.tick(1_000);
  const trial = breaker.begin();
  trial.answered();
  await settled();
  assert.equal(breaker.state, 0);
  trial.settle("failure");
  await settled();
  assert.equal(breaker.state, 0, "counted once");
});

test("what begins while it is open is uncounted and harmless", async (t) => {
  const breaker = setUp(t);
  await attempts(breaker, "failure", "failure", "failure", "failure", "success", "success", "success");
  assert.equal(breaker.state, 2);
});

test("a breaker is kept over swaps while service, unit and policy stay", async () => {
  const table = (errors: number) =>
    compileTable(config([route("hall", "/*", { breaker: { ...POLICY, errors } })]));
  const breakers = new Breakers();
  const first = table(0.5);
  const hz = breakers.of(first.routes[0]!, first.units[0]!)!;
  assert.notEqual(breakers.of(first.routes[0]!, first.units[1]!), hz);
  await attempts(hz, "failure", "failure", "failure", "failure");
  const same = table(0.5);
  breakers.swap(same.routes);
  assert.equal(breakers.of(same.routes[0]!, same.units[0]!), hz);
  assert.deepEqual(
    [...breakers.states()].map((state) => state.join(" ")),
    ["hall hz 2", "hall sh 0"],
  );
  const other = table(0.6);
  breakers.swap(other.routes);
  assert.deepEqual([...breakers.states()], []);
  assert.notEqual(breakers.of(other.routes[0]!, other.units[0]!), hz);
  breakers.swap([]);
});
