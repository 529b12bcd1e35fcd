import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { liveState, InflightCounter } from "../../gateway/live-state.ts";
import { type Queued, UnitQueues } from "../../gateway/unit-queue.ts";
import { LoopLag } from "../../gateway/loop-lag.ts";
import type { Urgency } from "../../gateway/waiting-line.ts";
import { HandClock, tableWith } from "./support.ts";

const unit = (size: number, wait = 500) => {
  const made = tableWith(["http://127.0.0.1:1"]).units[0]!;
  return { ...made, spec: { ...made.spec, queue: { size, wait } } };
};

function setUp() {
  const clock = new HandClock();
  const live = liveState(1);
  const lag = new LoopLag(clock.now());
  const queues = new UnitQueues(live, new InflightCounter(live, 0).ownWaiting, clock, lag);
  const log: string[] = [];
  const waiter = (name: string, urgency: Urgency = 2, takes = true): Queued => ({
    urgency,
    user: name,
    joinedAt: clock.now(),
    onPlace: () => {
      if (takes) log.push(name);
      return takes;
    },
    onShed: () => log.push(`${name} shed`),
  });
  return { clock, lag, live, queues, log, waiter };
}

describe("the lines of a thread", () => {
  it("serve all who find a place, the most urgent first", () => {
    const { queues, log, waiter } = setUp();
    queues.join(7, unit(9), waiter("sheddable", 3));
    queues.join(7, unit(9), waiter("critical", 0));
    queues.join(7, unit(9), waiter("normal", 2));
    queues.wake(7);
    assert.deepEqual(log, ["critical", "normal", "sheddable"]);
    assert.ok(queues.isEmpty);
  });

  it("stop at the first who finds none, and keep the turn", () => {
    const { queues, log, waiter } = setUp();
    queues.join(7, unit(9), waiter("stubborn", 2, false));
    queues.join(7, unit(9), waiter("behind"));
    queues.wake(7);
    assert.deepEqual(log, []);
    assert.ok(!queues.isEmpty);
  });

  it("refuse where the line is full, and always where it has no places", () => {
    const { queues, waiter } = setUp();
    assert.equal(queues.join(1, unit(1), waiter("a")), true);
    assert.equal(queues.join(1, unit(1), waiter("b")), false);
    assert.equal(queues.join(2, unit(1), waiter("c")), true, "another unit's line");
    assert.equal(queues.join(3, unit(0), waiter("d")), false);
  });

  it("give the place of the least urgent to a more urgent one", () => {
    const { queues, log, waiter } = setUp();
    queues.join(1, unit(1), waiter("low", 3));
    assert.equal(queues.join(1, unit(1), waiter("high", 1)), true);
    assert.deepEqual(log, ["low shed"]);
  });

  it("do not call who left", () => {
    const { queues, log, waiter } = setUp();
    const [a, b] = [waiter("a"), waiter("b")];
    queues.join(1, unit(9), a);
    queues.join(1, unit(9), b);
    queues.leave(1, a);
    queues.leave(1, a);
    queues.leave(2, b);
    queues.wake(1);
    assert.deepEqual(log, ["b"]);
  });

  it("shed who waits longer than is worth it, once the line stands; critical ones wait on", () => {
    const { clock, live, queues, log, waiter } = setUp();
    live.load.work[1] = 20_000;
    const look = (milliseconds: number): void => {
      for (let i = 0; i < milliseconds; i++) {
        clock.time++;
        live.load.answers[1]!++; // it is busy, it does not hang
        queues.look();
      }
    };
    queues.join(1, unit(9), waiter("critical", 0, false));
    queues.join(1, unit(9), waiter("normal"));
    look(45);
    assert.deepEqual(log, [], "a burst may wait");
    look(15);
    assert.deepEqual(log, ["normal shed"]);
    look(500);
    assert.deepEqual(log, ["normal shed", "critical shed"]);
  });

  it("shed nobody for a unit that answers nothing, and let who may go elsewhere", () => {
    const { clock, live, queues, log, waiter } = setUp();
    live.load.work[1] = 1_000;
    const write = waiter("write", 1, false);
    queues.join(1, unit(9), write);
    queues.join(1, unit(9), waiter("read", 2));
    for (let i = 0; i < 100; i++) {
      clock.time++;
      queues.look();
    }
    assert.deepEqual(log, []);
    live.load.stalled[1] = 1;
    queues.look();
    assert.deepEqual(log, ["read"]);
  });

  it("do not blame those who waited because this thread was held up", () => {
    const { clock, lag, live, queues, log, waiter } = setUp();
    live.load.work[1] = 20_000;
    queues.join(1, unit(9), waiter("stubborn", 0, false));
    queues.join(1, unit(9), waiter("normal"));
    clock.time += 200;
    lag.tick(clock.time);
    queues.look();
    assert.deepEqual(log, []);
  });

  it("tell all threads who waits, and nobody when the thread is gone", () => {
    const { live, queues, waiter } = setUp();
    queues.join(3, unit(9), waiter("high", 1, false));
    assert.equal(live.load.isAwaited(3, 0), false);
    assert.equal(live.load.isAwaited(3, 1), true);
    assert.equal(live.load.isAwaited(3, 3), true);
    assert.equal(live.load.isAwaited(4, 3), false);
  });

  it("call for somebody to look when the first begins to wait", () => {
    const { queues, waiter } = setUp();
    let calls = 0;
    queues.onWaiting = () => calls++;
    queues.join(1, unit(9), waiter("a"));
    queues.join(1, unit(9), waiter("b"));
    queues.wake(1);
    queues.join(1, unit(9), waiter("c"));
    assert.equal(calls, 2);
  });
});
