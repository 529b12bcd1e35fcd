import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { type BreakerContext, Breakers, UnitBreaker } from "../../gateway/breaker.ts";
import { FORCED } from "../../gateway/breaker-board.ts";
import { liveState } from "../../gateway/live-state.ts";
import { RowRegistry } from "../../gateway/rows.ts";
import type { Clock } from "../../model/clock.ts";
import { compileTable } from "../../model/table.ts";
import { config, route } from "../support/config.ts";

const POLICY = { errors: 0.5, volume: 4, window: 10_000, open: 1_000 };

/** Two threads of one gateway see the same board. */
function contexts(clock: Clock = { now: () => 0 }): BreakerContext[] {
  const board = liveState(2).breakers;
  return [0, 1].map((thread) => ({ board, clock, thread, threads: 1 }));
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

function setUp(t: TestContext): UnitBreaker {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  const breaker = new UnitBreaker(POLICY, 0, contexts()[0]!);
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
  const registry = new RowRegistry();
  const swapped = (errors: number) => {
    const given = config([route("hall", "/*", { breaker: { ...POLICY, errors } })]);
    return { table: compileTable(given), rows: registry.assign(given).rows.breakers };
  };
  const breakers = new Breakers(contexts()[0]!);
  const first = swapped(0.5);
  breakers.swap(first.rows);
  const hz = breakers.of(first.table.routes[0]!, first.table.units[0]!)!;
  assert.notEqual(breakers.of(first.table.routes[0]!, first.table.units[1]!), hz);
  await attempts(hz, "failure", "failure", "failure", "failure");
  const same = swapped(0.5);
  breakers.swap(same.rows);
  assert.equal(breakers.of(same.table.routes[0]!, same.table.units[0]!), hz);
  assert.equal(hz.allows, false);
  const other = swapped(0.6);
  breakers.swap(other.rows);
  assert.notEqual(breakers.of(other.table.routes[0]!, other.table.units[0]!), hz);
  breakers.swap(new Map());
});

function twoThreads(t: TestContext): [UnitBreaker, UnitBreaker] {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  const [one, two] = contexts().map((context) => new UnitBreaker(POLICY, 3, context));
  t.after(() => {
    one!.shutdown();
    two!.shutdown();
  });
  return [one!, two!];
}

test("the thread that opens it opens it for all, and so does the one whose trial closes it", async (t) => {
  const [one, two] = twoThreads(t);
  await attempts(one, "failure", "failure", "failure", "failure");
  assert.equal(two.allows, false);
  t.mock.timers.tick(1_000);
  assert.deepEqual([one.allows, two.allows], [true, true]);
  const trial = two.begin();
  assert.deepEqual([one.allows, two.allows], [false, false], "one trial over both");
  trial.settle("success");
  await settled();
  assert.deepEqual([one.allows, two.allows], [true, true]);
  assert.equal(one.state, 0);
});

test("a thread that starts while it is open begins with it open", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  const [first, second] = contexts() as [BreakerContext, BreakerContext];
  const one = new UnitBreaker(POLICY, 5, first);
  await attempts(one, "failure", "failure", "failure", "failure");
  const late = new UnitBreaker(POLICY, 5, second);
  assert.equal(late.allows, false);
  one.shutdown();
  late.shutdown();
});

test("a trial whose thread died is another's to begin", async (t) => {
  const [one, two] = twoThreads(t);
  await attempts(one, "failure", "failure", "failure", "failure");
  assert.equal(two.allows, false);
  t.mock.timers.tick(1_000);
  one.begin();
  assert.equal(two.allows, false);
  one.shutdown();
  assert.equal(two.allows, true);
});

test("each of several threads needs its share of the volume", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  const breaker = new UnitBreaker(POLICY, 1, { ...contexts()[0]!, threads: 4 });
  await attempts(breaker, "failure");
  assert.equal(breaker.state, 2);
  breaker.shutdown();
});

test("an operator's word goes before its own counts, until it expires", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  let now = 0;
  const [context] = contexts({ now: () => now }) as [BreakerContext];
  const breaker = new UnitBreaker(POLICY, 2, context);
  t.after(() => breaker.shutdown());
  context.board.force(2, FORCED.open, 60_000);
  assert.equal(breaker.allows, false);
  now = 60_000;
  assert.equal(breaker.allows, true, "expired");
  await attempts(breaker, "failure", "failure", "failure", "failure");
  assert.equal(breaker.allows, false);
  context.board.force(2, FORCED.closed, 120_000);
  assert.equal(breaker.allows, true);
  context.board.force(2, FORCED.not, 0);
  assert.equal(breaker.allows, false, "itself again");
});
