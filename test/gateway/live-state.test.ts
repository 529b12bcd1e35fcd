import assert from "node:assert/strict";
import { test } from "node:test";
import { forgetThread, InflightCounter, liveState, MAX_ENDPOINTS } from "../../gateway/live-state.ts";
import { MAX_UNITS } from "../../gateway/unit-load.ts";

test("threads that lay the same memory out see the same numbers", () => {
  const main = liveState(2);
  const thread = liveState(2, main.buffer);
  main.endpoints[5] = 3;
  main.warmingSince[MAX_ENDPOINTS - 1] = 1.5;
  thread.failures[MAX_ENDPOINTS - 1] = 7;
  assert.equal(thread.endpoints[5], 3);
  assert.equal(thread.warmingSince[MAX_ENDPOINTS - 1], 1.5);
  assert.equal(main.failures[MAX_ENDPOINTS - 1], 7);
});

test("no array overlaps another", () => {
  const live = liveState(2);
  live.endpoints.fill(1);
  live.failures.fill(2);
  live.inflight.fill(3);
  live.unitInflight.fill(4);
  live.connections.fill(5);
  live.perThread[0]!.fill(6);
  live.perThread[1]!.fill(7);
  live.warmingSince.fill(8);
  const all: [Int32Array | Float64Array, number][] = [
    [live.endpoints, 1],
    [live.failures, 2],
    [live.inflight, 3],
    [live.unitInflight, 4],
    [live.connections, 5],
    [live.perThread[0]!, 6],
    [live.perThread[1]!, 7],
    [live.warmingSince, 8],
  ];
  for (const [array, value] of all) assert.ok(array.every((n) => n === value));
});

test("what a dead thread had under way is taken back, and the others' stays", () => {
  const live = liveState(2);
  const first = new InflightCounter(live, 0);
  const second = new InflightCounter(live, 1);
  const last = MAX_ENDPOINTS - 1;
  first.begin(0, 0);
  first.begin(last, MAX_UNITS - 1);
  second.begin(0, 0);
  second.begin(0, 0);
  second.begin(last, MAX_UNITS - 1);
  second.end(0, 0);
  assert.equal(first.connectionOpened(), 1);
  assert.equal(second.connectionOpened(), 2);
  assert.equal(second.connectionOpened(), 3);
  second.connectionClosed();
  assert.deepEqual([live.inflight[0], live.inflight[last]], [2, 2]);

  forgetThread(live, 1);
  assert.deepEqual([live.inflight[0], live.inflight[last]], [1, 1]);
  assert.deepEqual([live.unitInflight[0], live.unitInflight[MAX_UNITS - 1]], [1, 1]);
  assert.deepEqual([...live.connections], [1, 1, 0]);

  forgetThread(live, 1);
  assert.equal(live.inflight[0], 1, "forgotten once");
  const successor = new InflightCounter(live, 1);
  successor.begin(0, 0);
  successor.end(0, 0);
  first.end(0, 0);
  first.end(last, MAX_UNITS - 1);
  first.connectionClosed();
  assert.ok(live.inflight.every((n) => n === 0));
  assert.ok(live.unitInflight.every((n) => n === 0));
  assert.ok(live.connections.every((n) => n === 0));
});
