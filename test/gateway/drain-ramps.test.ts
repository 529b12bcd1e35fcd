import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DrainRamps } from "../../gateway/drain-ramps.ts";
import { liveState } from "../../gateway/live-state.ts";
import type { Drain, Unit } from "../../model/fleet.ts";

const UNIT: Unit = {
  name: "sh",
  region: "r",
  center: false,
  capacity: undefined,
  failover: [],
  concurrency: "adaptive",
  inflight: 1,
  queue: { size: 0, wait: 0 },
};
const ROWS = new Map([["sh", 3]]);
const SINCE = 50_000;
const DRAIN: Drain = { since: SINCE, ramp: 10_000, deadline: 30_000 };

function ramps() {
  const { drains } = liveState(1);
  const made = new DrainRamps(drains);
  /** @param wall what the control plane's clock says */
  const install = (drain: Drain | undefined, now: number, wall: number): void =>
    made.install([drain === undefined ? UNIT : { ...UNIT, drain }], ROWS, now, ({ since }) => wall - since);
  return { made, drains, install, moved: () => drains.moved[3]! };
}

describe("a drain's ramp", () => {
  it("moves a hundredth at a time, and all of it in the end", () => {
    const { made, drains, install, moved } = ramps();
    install(DRAIN, 1_000, SINCE);
    let before = 0;
    const seen = new Set<number>();
    for (let now = 1_000; now <= 11_000; now += 25) {
      made.look(now);
      assert.ok(moved() >= before && moved() - before <= 1, `${before} → ${moved()}`);
      before = moved();
      seen.add(moved());
    }
    assert.equal(moved(), 100);
    assert.equal(seen.size, 101);
    assert.equal(drains.count[0], 1);
  });

  it("goes on where it was when something else changes, and when a gateway comes later", () => {
    const { install, moved } = ramps();
    install(DRAIN, 1_000, SINCE);
    install(DRAIN, 6_000, SINCE + 5_000);
    assert.equal(moved(), 50);
    const late = ramps();
    late.install(DRAIN, 77, SINCE + 7_000);
    assert.equal(late.moved(), 70);
  });

  it("comes back as slowly as it went, from where it was", () => {
    const { made, drains, install, moved } = ramps();
    install(DRAIN, 0, SINCE);
    made.look(5_000);
    install(undefined, 5_000, SINCE + 5_000);
    assert.equal(moved(), 50);
    made.look(7_500);
    assert.equal(moved(), 25);
    install(undefined, 8_000, SINCE + 8_000);
    made.look(10_000);
    assert.equal(moved(), 0);
    assert.equal(drains.count[0], 0);
  });

  it("of no length moves all at once, and closes tunnels at its deadline only", () => {
    const { made, drains, install, moved } = ramps();
    install({ ...DRAIN, ramp: 0 }, 0, SINCE);
    assert.equal(moved(), 100);
    made.look(29_999);
    assert.equal(drains.closed[3], 0);
    made.look(30_000);
    assert.equal(drains.closed[3], 1);
    install(undefined, 30_001, SINCE);
    assert.equal(drains.closed[3], 0);
  });

  it("is not fooled by a control plane's clock that is ahead of what it dated", () => {
    const { install, moved } = ramps();
    install(DRAIN, 0, SINCE - 3_600_000);
    assert.equal(moved(), 0);
  });

  it("of a unit that is gone is forgotten", () => {
    const { made, drains, install } = ramps();
    install({ ...DRAIN, ramp: 0 }, 0, SINCE);
    made.install([], new Map(), 1, () => 0);
    assert.equal(drains.moved[3], 0);
    assert.equal(drains.count[0], 0);
  });
});
