/** Fleet limits so slow that what is forgotten, or guessed, would be most of them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { startRedis } from "../../support/redis.ts";
import { pause } from "../failover/load.ts";
import { leasing, passed, statuses } from "./support.ts";

test("a slow limit remembers who has used it up, however long he pauses", async (t) => {
  const redis = await startRedis(t);
  const gateways = await leasing(t, 1, redis, "rate: 6/m, burst: 2, by: [user]");
  const ann = { "x-user-id": "ann" };
  await statuses(gateways[0]!, 1, ann);
  await pause(500);
  await statuses(gateways[0]!, 1, ann);
  await pause(500);
  assert.deepEqual(await statuses(gateways[0]!, 1, ann), [429]);
  let more = 0;
  for (let i = 0; i < 3; i++) {
    await pause(2_700);
    more += passed(await statuses(gateways[0]!, 1, ann));
  }
  assert.ok(more <= 1, `${more} in 9 seconds, of one every 10`);
});

test("who waits as long as Retry-After says passes, however slow the limit", async (t) => {
  const redis = await startRedis(t);
  const [gateway] = await leasing(t, 1, redis, "rate: 20/m, burst: 2, by: [user]");
  const ann = { "x-user-id": "ann" };
  assert.deepEqual(await statuses(gateway!, 2, ann), [200, 200]);
  // What the lease says, not what is guessed before it.
  await pause(400);
  const answer = await fetch(`${gateway!.url}/hall/a`, { headers: ann });
  await answer.text();
  const after = Number(answer.headers.get("retry-after"));
  assert.equal(answer.status, 429);
  assert.ok(after >= 2 && after <= 3, `${after} s, of one token every three`);
  await pause(after * 1_000);
  assert.deepEqual(await statuses(gateway!, 2, ann), [200, 429]);
});
