/** That a drained unit is empty is said once, whoever leads. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Drains } from "../../control-plane/drains.ts";
import type { DrainStanding } from "../../control-plane/fleet-gateways.ts";
import { SqliteStore } from "../../control-plane/store/sqlite-store.ts";

async function stand(t: TestContext) {
  const store = new SqliteStore(":memory:", () => 9_000);
  t.after(() => store.close());
  const { epoch } = (await store.lead("one", 60_000))!;
  const leads = { epoch: epoch as number | undefined };
  const make = (): Drains =>
    new Drains({
      store,
      now: () => 9_000,
      epoch: () => leads.epoch,
      write: (change) => store.commit(change),
    });
  const events = async () => (await store.events(0, 100)).map(({ type, body }) => [type, JSON.parse(body)]);
  return { leads, make, events };
}

const drain = (unit: string, since: number, empty: boolean, gone: string[] = []): DrainStanding => ({
  ...{ unit, since, moved: 1, rate: 0, inflight: 0, empty, unknown: [], gone },
});

test("an event for each drain whose unit is empty, once, also after another leads", async (t) => {
  const { make, events } = await stand(t);
  const first = make();
  await first.look([drain("sh", 4_000, false), drain("sz", 5_000, true, ["gw-2"])]);
  await first.look([drain("sh", 4_000, true), drain("sz", 5_000, true)]);
  await first.look([drain("sh", 4_000, true)]);
  const said = [
    ["drained", { unit: "sz", since: 5_000, took: 4_000, gone: ["gw-2"] }],
    ["drained", { unit: "sh", since: 4_000, took: 5_000 }],
  ];
  assert.deepEqual(await events(), said);
  const next = make();
  await next.look([drain("sh", 4_000, true)]);
  assert.deepEqual(await events(), said);
  await next.look([]);
  await next.look([drain("sh", 6_000, true)]);
  assert.deepEqual(
    (await events()).at(-1),
    ["drained", { unit: "sh", since: 6_000, took: 3_000 }],
    "another drain",
  );
});

test("who does not lead says nothing, and the next leader does", async (t) => {
  const { leads, make, events } = await stand(t);
  const { epoch } = leads;
  leads.epoch = undefined;
  const drains = make();
  await drains.look([drain("sh", 4_000, true)]);
  assert.deepEqual(await events(), []);
  leads.epoch = epoch;
  await drains.look([drain("sh", 4_000, true)]);
  assert.equal((await events()).length, 1);
});
