import assert from "node:assert/strict";
import { test } from "node:test";
import { Deadlines, Waiting } from "../../gateway/deadlines.ts";
import { HandClock } from "./support.ts";

class Wait extends Waiting {
  calls: number[] = [];
  readonly #then: ((wait: Wait) => void) | undefined;

  constructor(deadline: number, then?: (wait: Wait) => void) {
    super();
    this.deadline = deadline;
    this.#then = then;
  }

  override onOverdue(now: number): void {
    this.calls.push(now);
    this.#then?.(this);
  }
}

test("only what is overdue is called, and once", () => {
  const clock = new HandClock(0);
  const deadlines = new Deadlines(clock);
  const soon = new Wait(100);
  const later = new Wait(200);
  const never = new Wait(Number.POSITIVE_INFINITY);
  for (const wait of [soon, later, never]) deadlines.add(wait);
  assert.equal(deadlines.size, 3);
  clock.time = 99;
  deadlines.look();
  assert.deepEqual(soon.calls, []);
  clock.time = 100;
  deadlines.look();
  clock.time = 150;
  deadlines.look();
  assert.deepEqual(soon.calls, [100], "a callback that forgets to move on is not called for ever");
  clock.time = 1e9;
  deadlines.look();
  assert.deepEqual([later.calls, never.calls], [[1e9], []]);
  assert.equal(deadlines.coarseNow, 1e9);
});

test("callbacks may remove themselves and others, and add new ones", () => {
  const clock = new HandClock(0);
  const deadlines = new Deadlines(clock);
  const victim = new Wait(10);
  const added = new Wait(10);
  const killer = new Wait(10, (self) => {
    deadlines.remove(self);
    deadlines.remove(victim);
    deadlines.add(added);
  });
  deadlines.add(victim);
  deadlines.add(killer); // looked at before the victim
  clock.time = 10;
  deadlines.look();
  assert.equal(killer.calls.length, 1);
  assert.equal(victim.calls.length, 0, "removed before its turn");
  assert.equal(added.calls.length, 0, "not in the look in which it was added");
  assert.equal(deadlines.size, 1);
  deadlines.look();
  assert.equal(added.calls.length, 1);
});

test("a callback that moves its deadline is called again then", () => {
  const clock = new HandClock(0);
  const deadlines = new Deadlines(clock);
  const again = new Wait(10, (self) => {
    self.deadline = clock.time + 10;
  });
  deadlines.add(again);
  for (clock.time = 0; clock.time <= 100; clock.time += 5) deadlines.look();
  assert.deepEqual(again.calls, [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
});

test("adding and removing twice, at the head, in the middle and at the end", () => {
  const deadlines = new Deadlines(new HandClock(0));
  const waits = Array.from({ length: 5 }, () => new Wait(1));
  for (const wait of waits) {
    deadlines.add(wait);
    deadlines.add(wait);
  }
  assert.equal(deadlines.size, 5);
  for (const i of [2, 4, 0, 2, 1, 3, 3]) deadlines.remove(waits[i]!);
  assert.equal(deadlines.size, 0);
  deadlines.add(waits[2]!);
  assert.equal(deadlines.size, 1);
});
