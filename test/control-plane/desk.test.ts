/** Changes while the clock of the wall jumps: revisions rise, nothing ends at once, and the audit chain is whole. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Desk } from "../../control-plane/desk.ts";
import { ChainCheck } from "../../control-plane/store/audit-chain.ts";
import { SqliteStore } from "../../control-plane/store/sqlite-store.ts";
import { fleetYaml, ROUTES } from "../support/gateway.ts";

const HOUR = 3_600_000;
const ANN = { name: "ann", from: "127.0.0.1", overrides: [] };
const BASE = new Map([
  ["fleet.yaml", fleetYaml({ hz: ["http://127.0.0.1:1"], sh: ["http://127.0.0.1:2"] })],
  ["routes.yaml", ROUTES],
]);

async function stand(t: TestContext) {
  let [wall, monotonic] = [1_800_000_000_000, 5_000];
  const store = new SqliteStore(":memory:", () => wall);
  t.after(() => store.close());
  const lead = async (): Promise<number> => (await store.lead("one", 60_000))!.epoch;
  let epoch = await lead();
  const desk = new Desk({
    store,
    now: () => wall,
    monotonic: () => monotonic,
    epoch: () => epoch,
    check: async () => ({ puts: [], audit: [] }),
  });
  await desk.apply(BASE, 0, "the first", ANN);
  const pin = (key: string, expiresIn?: number) =>
    desk.addOverlay(
      { change: { kind: "pin", key, unit: "hz" }, reason: "a test", expiresIn, supersedes: undefined },
      undefined,
      ANN,
    );
  return {
    desk,
    store,
    pin,
    /** Time passes. */
    pass: async (milliseconds: number) => {
      wall += milliseconds;
      monotonic += milliseconds;
      epoch = await lead();
    },
    /** Somebody sets the clock. */
    jump: async (milliseconds: number) => {
      wall += milliseconds;
      epoch = await lead();
    },
  };
}

async function checkWhole(store: SqliteStore): Promise<void> {
  const check = new ChainCheck();
  for (const entry of await store.audit(0, 500)) assert.equal(check.see(entry), undefined);
}

test("a clock that goes back an hour: revisions rise, expiries wait for their time, the audit chain is whole", async (t) => {
  const { desk, store, pin, pass, jump } = await stand(t);
  await pin("ann", HOUR / 2);
  assert.equal(await desk.expire(), undefined);
  await jump(-HOUR);
  const { revision } = await pin("bob", 10_000);
  assert.equal(revision.number, 3);
  assert.ok(revision.at < (await store.revision(2))!.at, "the times go back, the numbers do not");
  assert.equal(await desk.expire(), undefined);
  await pass(10_000);
  assert.equal(
    (await desk.expire())?.revision.number,
    4,
    "what was laid after the jump ends by the new time",
  );
  assert.deepEqual(
    desk.standing!.overlays.map((o) => o.id),
    ["ov-2"],
  );
  await pass(2 * HOUR);
  assert.equal((await desk.expire())?.overlays.length, 0);
  await checkWhole(store);
});

test("a clock that goes forward an hour ends nothing at once, and everything after its time", async (t) => {
  const { desk, store, pin, pass, jump } = await stand(t);
  await pin("ann", HOUR / 2);
  assert.equal(await desk.expire(), undefined);
  await jump(HOUR);
  assert.equal(await desk.expire(), undefined, "half an hour was agreed to, and nothing of it has passed");
  await pass(HOUR / 2 - 1);
  assert.equal(await desk.expire(), undefined);
  await pass(1);
  assert.equal((await desk.expire())?.overlays.length, 0);
  await checkWhole(store);
});

test("what ran out while no control plane ran ends at the first look", async (t) => {
  const { desk, pin, pass } = await stand(t);
  await pin("ann", 1_000);
  await pass(1_001);
  assert.equal((await desk.expire())?.overlays.length, 0);
});
