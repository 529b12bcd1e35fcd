import assert from "node:assert/strict";
import { test } from "node:test";
import { UnitQueues } from "../../gateway/unit-queue.ts";

const waiter = (log: string[], name: string) => ({ onPlace: () => log.push(name) });

test("first come, first served, one per place", () => {
  const queues = new UnitQueues();
  const log: string[] = [];
  for (const name of ["a", "b", "c"]) assert.equal(queues.join(7, 3, waiter(log, name)), true);
  queues.wake(7);
  assert.deepEqual(log, ["a"]);
  queues.wake(7);
  queues.wake(7);
  queues.wake(7);
  assert.deepEqual(log, ["a", "b", "c"]);
});

test("a full line refuses, and a size of 0 always", () => {
  const queues = new UnitQueues();
  const log: string[] = [];
  assert.equal(queues.join(1, 1, waiter(log, "a")), true);
  assert.equal(queues.join(1, 1, waiter(log, "b")), false);
  assert.equal(queues.join(2, 1, waiter(log, "c")), true, "another unit's line");
  assert.equal(queues.join(3, 0, waiter(log, "d")), false);
});

test("who leaves is not called", () => {
  const queues = new UnitQueues();
  const log: string[] = [];
  const [a, b] = [waiter(log, "a"), waiter(log, "b")];
  queues.join(1, 9, a);
  queues.join(1, 9, b);
  queues.leave(1, a);
  queues.leave(1, a);
  queues.leave(2, b);
  queues.wake(1);
  assert.deepEqual(log, ["b"]);
});

test("a tick lets one of every line try, and one that joins again does not try twice", () => {
  const queues = new UnitQueues();
  const log: string[] = [];
  const stubborn = {
    onPlace: () => {
      log.push("again");
      queues.join(1, 9, stubborn);
    },
  };
  queues.join(1, 9, stubborn);
  queues.join(2, 9, waiter(log, "b"));
  queues.join(2, 9, waiter(log, "c"));
  queues.wakeAll();
  assert.deepEqual(log, ["again", "b"]);
  queues.wakeAll();
  assert.deepEqual(log.slice(2).sort(), ["again", "c"]);
});
