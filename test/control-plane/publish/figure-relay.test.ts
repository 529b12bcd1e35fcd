/** What gateways counted, handed on between control planes: once, in its time, and within bounds. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { FigureRelay, type Reported } from "../../../control-plane/publish/figure-relay.ts";
import { SqliteStore } from "../../../control-plane/store/sqlite-store.ts";
import { type Commit, type Store, Unavailable } from "../../../control-plane/store/store.ts";
import type { Slice } from "../../../model/report.ts";
import { FleetFigures } from "../../../control-plane/fleet-figures.ts";
import { Intake } from "../../../control-plane/intake.ts";
import { recorded } from "../../gateway/tracing/support.ts";

const slice = (number: number, route = "hall"): Slice => ({
  ...{ start: "s", number, span: 1_000, age: 100, folded: 0, limited: [] },
  series: [[route, "hz", "stable", [7], []]],
});

function stand(t: TestContext) {
  const disk = new SqliteStore(":memory:", () => 0);
  t.after(() => disk.close());
  const clock = { now: 1_000, isDown: false };
  const store = new Proxy(disk, {
    get(target, name) {
      const value = Reflect.get(target, name) as unknown;
      if (typeof value !== "function") return value;
      return (...args: unknown[]): unknown => {
        if (clock.isDown && name === "commit") throw new Unavailable("down");
        return value.apply(target, args);
      };
    },
  }) as Store;
  const plane = (holder: string) => {
    const heard: [string, number, number][] = [];
    const add = (gateway: string, { slice }: Reported): void => {
      heard.push([gateway, slice!.number, slice!.age]);
    };
    return { heard, relay: new FigureRelay({ store, holder, monotonic: () => clock.now, add }) };
  };
  return { disk, clock, plane };
}

test("a slice is with the other control plane, with the time that it waited, and not with the one that has it", async (t) => {
  const { clock, plane } = stand(t);
  const [a, b] = [plane("a"), plane("b")];
  a.relay.take("gw-1", { slice: slice(1) });
  clock.now += 400;
  await a.relay.say();
  await b.relay.hear();
  await a.relay.hear();
  assert.deepEqual([a.heard, b.heard], [[], [["gw-1", 1, 500]]]);
  await b.relay.hear();
  assert.equal(b.heard.length, 1, "what was not written again is not heard again");
});

test("each slice is in three writes, so that one that is missed costs nothing", async (t) => {
  const { plane } = stand(t);
  const [a, b] = [plane("a"), plane("b")];
  const numbers = (): number[] => b.heard.splice(0).map(([, number]) => number);
  const heard: number[][] = [];
  for (let n = 1; n <= 5; n++) {
    a.relay.take("gw-1", { slice: slice(n) });
    await a.relay.say();
    // It sleeps over two of them.
    if (n === 1 || n >= 4) {
      await b.relay.hear();
      heard.push(numbers());
    }
  }
  assert.deepEqual(heard, [[1], [2, 3, 4], [3, 4, 5]]);
});

test("while the store is away what was counted waits, the newest for as long as there is room", async (t) => {
  const { clock, plane } = stand(t);
  const [a, b] = [plane("a"), plane("b")];
  clock.isDown = true;
  a.relay.take("gw-1", { slice: slice(1) });
  await assert.rejects(a.relay.say(), Unavailable);
  const large = "r".repeat(500_000);
  for (let n = 2; n <= 7; n++) a.relay.take("gw-1", { slice: slice(n, large) });
  clock.isDown = false;
  clock.now += 5_000;
  await a.relay.say();
  await b.relay.hear();
  assert.deepEqual(
    b.heard,
    [4, 5, 6, 7].map((n) => ["gw-1", n, 5_100]),
  );
});

test("what nobody can read is left alone, and so is what a control plane left that is gone", async (t) => {
  const { disk, clock, plane } = stand(t);
  const b = plane("b");
  const odd = ["1", "{}", '{"handed":"!"}', '{"handed":"H4sIAAAAAAAAAwEAAP//AAAAAAAAAAA="}'];
  const put = (id: string, body: string): Commit => ({ puts: [{ kind: "figures", id, body }] });
  for (const [i, body] of odd.entries()) await disk.commit(put(`odd-${i}`, body));
  await b.relay.hear();
  assert.deepEqual(b.heard, []);
  clock.now += 60_001;
  await b.relay.hear();
  assert.equal((await disk.documents("figures", undefined, 10)).length, 0);
});

test("who stops takes its document along", async (t) => {
  const { disk, plane } = stand(t);
  const a = plane("a");
  a.relay.take("gw-1", { slice: slice(1) });
  await a.relay.say();
  assert.equal((await disk.documents("figures", undefined, 10)).length, 1);
  await a.relay.stop();
  assert.equal((await disk.documents("figures", undefined, 10)).length, 0);
});

test("failed requests go along, are known at both, and are not handed back", async (t) => {
  const { disk, clock } = stand(t);
  const plane = (holder: string) => {
    const intake = new Intake(new FleetFigures(() => clock.now, 0));
    const { add } = intake;
    return { intake, relay: new FigureRelay({ store: disk, holder, monotonic: () => clock.now, add }) };
  };
  const [a, b] = [plane("a"), plane("b")];
  const errors = [{ ...recorded().trace, kind: "failed" as const, gateway: "it says so" }];
  const taken = a.intake.add("gw-1", { errors });
  assert.deepEqual(
    taken?.errors?.map(({ gateway }) => gateway),
    ["gw-1"],
  );
  assert.equal(a.intake.add("gw-1", { errors }), undefined, "a gateway says again what got no answer");
  a.relay.take("gw-1", taken!);
  for (let i = 0; i < 4; i++) {
    await a.relay.say();
    await b.relay.hear();
  }
  assert.deepEqual(b.intake.errors.list({}), a.intake.errors.list({}));
  assert.equal(b.intake.errors.list({}).length, 1);
});
