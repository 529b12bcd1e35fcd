import assert from "node:assert/strict";
import { test } from "node:test";
import { RetryBudget } from "../../gateway/retry-budget.ts";
import { HandClock } from "./support.ts";

const FLOOR = 100; // ten a second over ten seconds

function takeAll(budget: RetryBudget, share: number): number {
  let taken = 0;
  while (taken < 10_000 && budget.take(share, false, false)) taken++;
  return taken;
}

test("a quiet route may retry up to the floor", () => {
  const budget = new RetryBudget(new HandClock(), 1);
  assert.equal(takeAll(budget, 0.2), FLOOR);
  assert.equal(budget.take(0.2, false, false), false);
});

test("a busy route may retry its share above the floor", () => {
  const clock = new HandClock();
  const budget = new RetryBudget(clock, 1);
  for (let i = 0; i < 1_000; i++) budget.begin(clock.now());
  assert.equal(takeAll(budget, 0.2), FLOOR + 200);
});

test("a share of nothing leaves the floor", () => {
  const clock = new HandClock();
  const budget = new RetryBudget(clock, 1);
  for (let i = 0; i < 1_000; i++) budget.begin(clock.now());
  assert.equal(takeAll(budget, 0), FLOOR);
});

test("requests and retries are forgotten after ten seconds, second by second", () => {
  const clock = new HandClock(0);
  const budget = new RetryBudget(clock, 1);
  for (let second = 0; second < 10; second++) {
    clock.time = second * 1_000;
    for (let i = 0; i < 100; i++) budget.begin(clock.now());
  }
  assert.equal(takeAll(budget, 0.5), FLOOR + 500);
  clock.time = 10_000; // the first second's requests are gone, the retries of the tenth are not
  assert.equal(takeAll(budget, 0.5), 0);
  clock.time = 19_000; // only retries of the tenth second would be left: they are gone, and so is all else
  assert.equal(takeAll(budget, 0.5), FLOOR);
});

test("a long quiet empties it whole", () => {
  const clock = new HandClock();
  const budget = new RetryBudget(clock, 1);
  for (let i = 0; i < 1_000; i++) budget.begin(clock.now());
  assert.equal(takeAll(budget, 0.2), FLOOR + 200);
  clock.time += 3_600_000;
  assert.equal(takeAll(budget, 0.2), FLOOR);
});

test("threads divide the floor between them", () => {
  assert.equal(takeAll(new RetryBudget(new HandClock(), 4), 0.2), FLOOR / 4);
  assert.equal(takeAll(new RetryBudget(new HandClock(), 64), 0.2), 2);
});

test("a request that began in the second before is counted and takes nothing back", () => {
  const clock = new HandClock(5_001);
  const budget = new RetryBudget(clock, 1);
  assert.equal(takeAll(budget, 0), FLOOR);
  budget.begin(4_999);
  assert.equal(budget.take(0, false, false), false, "the retries of this second are still counted");
  clock.time = 5_500;
  assert.equal(budget.take(0, false, false), false);
});

test("where a retry adds to nobody's load, what occupies no more than its share may go besides", () => {
  const clock = { now: () => 0 };
  const budget = new RetryBudget(clock, 1);
  for (let i = 0; i < 1_000; i++) budget.begin(0);
  // By number: 100 + 20 % of 1,000. By room: 20 % of the 1,000 under way.
  for (let i = 0; i < 300; i++) assert.ok(budget.take(0.2, true, false));
  assert.ok(!budget.take(0.2, true, false), "they occupy all the room, too");
  assert.ok(!budget.take(0.2, false, false));
  for (let i = 0; i < 150; i++) budget.end(true);
  assert.ok(budget.take(0.2, true, false), "room is given back by those that ended");
  assert.ok(budget.take(0.2, true, true), "a second retry occupies no more than the first");
  assert.ok(!budget.take(0.2, false, false), "the number is not");
});
