import assert from "node:assert/strict";
import { test } from "node:test";
import { liveState } from "../../gateway/live-state.ts";
import { Picker } from "../../gateway/pick.ts";
import { seededRandom } from "../../model/clock.ts";
import { DOWN, EJECTED } from "../../model/decide.ts";
import { HandClock, poolOf, tableWith } from "./support.ts";

function setUp(count: number, slowStart = 0) {
  const table = tableWith(
    Array.from({ length: count }, (_, i) => `http://e${i}`),
    { slowStart },
  );
  const pool = poolOf(table);
  const live = liveState(1);
  const clock = new HandClock();
  const picker = new Picker(live, clock, seededRandom(7));
  const shares = (tries = 20_000): number[] => {
    const counts = new Array<number>(count).fill(0);
    for (let i = 0; i < tries; i++) counts[picker.pick(pool, undefined, false)!.id]!++;
    return counts.map((n) => n / tries);
  };
  return { pool, live, clock, picker, shares };
}

const near = (value: number, expected: number, by = 0.02): void =>
  assert.ok(Math.abs(value - expected) < by, `${value}, expected ${expected}`);

test("equally busy endpoints share alike", () => {
  for (const share of setUp(4).shares()) near(share, 0.25);
});

test("the less busy of two is taken", () => {
  const { live, shares } = setUp(2);
  live.inflight[0] = 5;
  // Both draws meet the busy one a quarter of the time.
  near(shares()[0]!, 0.25);
});

test("endpoints that are down or ejected are passed over", () => {
  const { live, shares, picker, pool } = setUp(3);
  live.endpoints[0] = DOWN;
  live.endpoints[1] = EJECTED;
  assert.deepEqual(shares(100), [0, 0, 1]);
  live.endpoints[2] = DOWN | EJECTED;
  assert.equal(picker.pick(pool, undefined, false), undefined);
});

test("panic takes health for nothing", () => {
  const { live, picker, pool } = setUp(2);
  live.endpoints[0] = DOWN;
  live.endpoints[1] = DOWN;
  const seen = new Set(Array.from({ length: 100 }, () => picker.pick(pool, undefined, true)!.id));
  assert.deepEqual([...seen].sort(), [0, 1]);
});

test("what was tried is not tried again, in panic neither", () => {
  const { picker, pool } = setUp(3);
  const [a, b, c] = pool.endpoints;
  for (let i = 0; i < 100; i++) assert.equal(picker.pick(pool, [a!, c!], false), b);
  assert.equal(picker.pick(pool, [a!, b!, c!], false), undefined);
  assert.equal(picker.pick(pool, [a!, b!, c!], true), undefined);
});

test("a pool of one", () => {
  const { picker, pool, live, clock } = setUp(1, 10_000);
  assert.equal(picker.pick(pool, undefined, false), pool.endpoints[0]);
  assert.equal(picker.pick(pool, [pool.endpoints[0]!], false), undefined);
  live.warmingSince[0] = clock.now();
  assert.equal(picker.pick(pool, undefined, false), pool.endpoints[0], "a cold one is better than none");
  live.endpoints[0] = DOWN;
  assert.equal(picker.pick(pool, undefined, false), undefined);
});

test("slow start: a tenth at first, then in proportion to the time, then its full share", () => {
  const { live, clock, shares } = setUp(4, 10_000);
  live.warmingSince[0] = clock.now();
  const full = 1 / 4;
  assert.ok(shares()[0]! < full * 0.2, `${shares()[0]}`);
  clock.time += 5_000;
  const half = shares()[0]!;
  assert.ok(half > full * 0.35 && half < full * 0.65, `${half}`);
  clock.time += 5_000;
  near(shares()[0]!, full);
});

test("a pool that is cold as a whole still serves", () => {
  const { live, clock, shares } = setUp(2, 10_000);
  live.warmingSince[0] = clock.now();
  live.warmingSince[1] = clock.now();
  for (const share of shares()) near(share, 0.5, 0.03);
});

test("a cold endpoint serves when it is the only one left", () => {
  const { live, clock, picker, pool } = setUp(2, 10_000);
  live.warmingSince[0] = clock.now();
  live.endpoints[1] = DOWN;
  for (let i = 0; i < 50; i++) assert.equal(picker.pick(pool, undefined, false)!.id, 0);
});
