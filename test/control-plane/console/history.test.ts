import assert from "node:assert/strict";
import { test } from "node:test";
import { History, KEPT } from "../../../control-plane/console/data/history.ts";

const point = (rps: number | null) => ({ rps, success: 1, p50: null, p99: 2 });

test("seconds follow each other, the last word of a second holds, and what was not told is not known", () => {
  const history = new History();
  history.add(1_000, [["a", point(1)]]);
  history.add(1_900, [["a", point(2)]]);
  history.add(2_000, [["b", point(3)]]);
  history.add(5_000, [["a", point(4)]]);
  assert.deepEqual(history.of("a").times, [1, 2, 5]);
  assert.deepEqual(history.of("a").fields[0], [2, null, 4]);
  assert.deepEqual(history.of("a").fields[2], [null, null, null]);
  assert.deepEqual(history.of("b").fields[0], [null, 3, null]);
  assert.deepEqual(history.of("c").fields[0], [null, null, null]);
});

test("no more than the newest are kept, in their order; a clock that goes back begins anew", () => {
  const history = new History();
  for (let i = 0; i < KEPT + 50; i++) history.add(i * 1000, [["a", point(i)]]);
  const { times, fields } = history.of("a");
  assert.equal(times.length, KEPT);
  assert.deepEqual([times[0], times.at(-1)], [50, KEPT + 49]);
  assert.deepEqual(fields[0], times);
  history.add(10_000, [["a", point(7)]]);
  assert.deepEqual(history.of("a").times, [10]);
  assert.deepEqual(history.of("a").fields[0], [7]);
});
