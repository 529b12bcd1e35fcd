/** What is known of gateways: who lives, whoever holds the stream and whatever the clock shows. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Gateways, SILENT } from "../../../control-plane/publish/gateways.ts";
import { Peers } from "../../../control-plane/publish/peers.ts";
import { Roster } from "../../../control-plane/publish/roster.ts";
import { SqliteStore } from "../../../control-plane/store/sqlite-store.ts";

const HOUR = 3_600_000;
const REPORT = { epoch: 1, revision: 1, units: {} };
const names = (list: readonly { readonly name: string }[]): string[] => list.map(({ name }) => name);

function clocks(): { wall: number; monotonic: number } {
  return { wall: 1_800_000_000_000, monotonic: 0 };
}

test("a wall clock that is set makes no gateway silent, and keeps no silent one alive", () => {
  const at = clocks();
  const gateways = new Gateways(
    () => at.wall,
    () => at.monotonic,
  );
  gateways.connected("one");
  at.wall += 30 * HOUR;
  assert.deepEqual(names(gateways.live()), ["one"]);
  at.wall -= 60 * HOUR;
  at.monotonic += SILENT + 1;
  assert.deepEqual(names(gateways.live()), []);
  assert.deepEqual(names(gateways.list()), ["one"], "it is not forgotten");
  assert.equal(at.wall - gateways.list()[0]!.heardAt, SILENT + 1);
});

test("the end of an old stream does not end the one that followed it", () => {
  const gateways = new Gateways(() => 0);
  const first = gateways.connected("one");
  const second = gateways.connected("one");
  gateways.disconnected("one", first);
  assert.deepEqual(names(gateways.live()), ["one"]);
  gateways.disconnected("one", second);
  assert.deepEqual(names(gateways.live()), []);
});

test("of two control planes that think they have its stream, the one that hears it is believed", async () => {
  const at = clocks();
  const store = new SqliteStore(":memory:", () => at.wall);
  const monotonic = (): number => at.monotonic;
  const [here, there] = [0, 5 * HOUR].map((skew) => new Gateways(() => at.wall + skew, monotonic)) as [
    Gateways,
    Gateways,
  ];
  const peers = [
    new Peers(store, here, "here", monotonic),
    new Peers(store, there, "there", monotonic),
  ] as const;
  here.connected("one");
  at.monotonic += SILENT + 1;
  // It is there now, and nobody has told the stream that it had.
  there.connected("one");
  there.reported("one", { ...REPORT, revision: 7 });
  for (const one of peers) await one.tick();
  for (const one of peers) await one.tick();
  assert.deepEqual(names(here.live()), ["one"], "whatever the other's clock shows");
  assert.equal(here.live()[0]!.revision, 7);
  await store.close();
});

test("a gateway that was ever let in is on the roster, whoever let it in, until a day after it was seen last", async () => {
  const at = clocks();
  const store = new SqliteStore(":memory:", () => at.wall);
  const [first, second] = [new Roster(store, () => at.wall), new Roster(store, () => at.wall)];
  assert.equal(await first.enter("one"), true);
  assert.equal(await first.enter("one"), false);
  assert.equal(await second.enter("one"), false, "it is no stranger: what it is sent may be what it had");
  assert.deepEqual(await second.names(), ["one"]);
  const known = { name: "one", connected: true } as Parameters<Roster["stay"]>[0][number];
  for (let hour = 0; hour < 30; hour++) {
    at.wall += HOUR;
    await second.stay([known]);
  }
  assert.deepEqual(await first.names(), ["one"]);
  assert.deepEqual(await first.superfluous(), []);
  at.wall += 25 * HOUR;
  assert.deepEqual(await first.names(), []);
  assert.equal((await first.superfluous()).length, 1);
  assert.equal(await first.enter("one"), true);
  await store.close();
});

test("a gateway that ends is taken off the roster by its own process, and by no other", async () => {
  const at = clocks();
  const store = new SqliteStore(":memory:", () => at.wall);
  const [first, second] = [new Roster(store, () => at.wall), new Roster(store, () => at.wall)];
  await first.enter("one", "a");
  assert.equal(await second.leave("one", "b"), false);
  assert.equal(await first.enter("one", "b"), false, "its successor is no stranger");
  assert.equal(await second.leave("one", "a"), false, "it ends after its successor has its name");
  assert.deepEqual(await first.names(), ["one"]);
  at.wall += 2 * HOUR;
  await first.stay([{ name: "one", connected: true } as Parameters<Roster["stay"]>[0][number]]);
  assert.equal(await second.leave("one", "b"), true, "whichever control plane it tells");
  assert.deepEqual(await first.names(), []);
  assert.equal(await second.leave("one", "b"), false);
  assert.equal(await first.enter("one", "c"), true);
  // The other control plane held its stream once, and forgets it.
  const gateways = new Gateways(() => at.wall);
  gateways.connected("two");
  gateways.disconnected("two");
  gateways.connected("one");
  gateways.disconnected("one");
  at.wall += 6_000;
  await first.look(gateways);
  assert.deepEqual(
    gateways.own().map(({ name }) => name),
    ["one"],
  );
  await store.close();
});
