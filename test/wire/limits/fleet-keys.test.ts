/** Fleet limits of many small buckets: a user's, a client's, a tenant's. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { startGateway, type TestGateway, until } from "../../support/gateway.ts";
import { startRedis } from "../../support/redis.ts";
import { pause } from "../failover/load.ts";
import { files, leasing, passed, statuses, upstream } from "./support.ts";

/** So many requests at once. */
async function together(gateway: TestGateway, n: number, headers: Record<string, string>): Promise<number[]> {
  return (await Promise.all(Array.from({ length: n }, () => statuses(gateway, 1, headers)))).flat();
}

test("a burst within the limit passes at once, whichever gateway it comes to", async (t) => {
  const redis = await startRedis(t);
  const gateways = await leasing(t, 2, redis, "rate: 10/s, burst: 60, by: [client]");
  // A page and its thirty pictures: half of what the bucket holds.
  for (const [i, gateway] of gateways.entries()) {
    const all = await together(gateway, 30, { "x-api-key": `page-${i}` });
    assert.deepEqual(
      all.filter((status) => status !== 200),
      [],
      `gateway ${i}`,
    );
  }
});

test("gateways share a user's bucket", async (t) => {
  const redis = await startRedis(t);
  const gateways = await leasing(t, 2, redis, "rate: 1/h, burst: 10, by: [user]");
  let ann = 0;
  for (let i = 0; i < 18; i++) {
    ann += passed(await statuses(gateways[i % 2]!, 1, { "x-user-id": "ann" }));
    // What was taken on credit is told within 150 ms; a gateway has twice that, however busy the machine.
    await pause(200);
  }
  // What each gateway lends ahead of its first lease may come on top.
  assert.ok(ann >= 10 && ann <= 12, `${ann} of 10`);
  assert.equal(passed(await statuses(gateways[0]!, 1, { "x-user-id": "bob" })), 1);
});

test("nothing in Redis names a user or a key, and everything there ends by itself", async (t) => {
  const redis = await startRedis(t);
  const [gateway] = await leasing(t, 1, redis, "rate: 20/s, burst: 20, by: [client]");
  const secret = "tg-canary-secret";
  await together(gateway!, 15, { "x-api-key": secret });
  const names = await until(
    "a bucket",
    () => redis.names(),
    (all) => all.some((name) => name.includes(":limit:a:")),
  );
  assert.ok(!names.join(" ").includes(secret));
  for (const name of names.filter((n) => n.includes(":limit:"))) {
    const left = Number(await redis.command("PTTL", name));
    assert.ok(left > 0 && left <= 2_100, `${name} ends in ${left} ms`);
  }
  await gateway!.stop("SIGKILL");
  assert.ok(!gateway!.stderr.includes(secret));
  await until(
    "no bucket",
    () => redis.names(),
    (all) => !all.some((name) => name.includes(":limit:")),
    4_000,
  );
});

test("two fleets at one Redis do not share", async (t) => {
  const redis = await startRedis(t);
  const [one] = await leasing(t, 1, redis, "rate: 1/h, burst: 4, by: [route]");
  const [unit, limits] = [
    await upstream(t),
    { limits: "  a: { rate: 1/h, burst: 4, by: [route], scope: fleet }" },
  ];
  const given = files(unit, { ...limits, route: "a" });
  const other = await startGateway(
    t,
    { ...given, "fleet.yaml": given["fleet.yaml"]!.replace("fleet: test", "fleet: other") },
    ["--redis", redis.url],
  );
  await until("leasing", () => other.metric("tidegate_limit_store_up"));
  const take = async (gateway: TestGateway): Promise<number> => {
    let all = 0;
    for (let i = 0; i < 12; i++) {
      all += passed(await statuses(gateway, 1));
      await pause(60);
    }
    return all;
  };
  for (const gateway of [one!, other]) {
    const all = await take(gateway);
    assert.ok(all >= 4 && all <= 5, `${all} of 4`);
    assert.equal(await gateway.metric("tidegate_limit_gateways"), 1);
  }
});
