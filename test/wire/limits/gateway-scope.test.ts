/** Limits of one gateway, over real sockets. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { pause } from "../failover/load.ts";
import { until } from "../../support/gateway.ts";
import { files, startLimited, statuses, Stream, upstream } from "./support.ts";
import { startGateway } from "../../support/gateway.ts";

const count = (list: readonly number[], status: number): number => list.filter((s) => s === status).length;

test("the burst passes, then the rate; a refusal says which limit and when to come again", async (t) => {
  const gateway = await startLimited(t, {
    limits: "  a: { rate: 60/m, burst: 3, by: [client] }",
    route: "a",
  });
  assert.deepEqual(await statuses(gateway, 4), [200, 200, 200, 429]);
  const answer = await fetch(`${gateway.url}/hall/a`);
  assert.equal(answer.status, 429);
  assert.equal(answer.headers.get("content-type"), "application/problem+json");
  assert.equal(answer.headers.get("retry-after"), "1");
  assert.equal(answer.headers.get("ratelimit"), '"a";r=0;t=1');
  assert.equal(answer.headers.get("ratelimit-policy"), '"a";q=3;w=3');
  const problem = (await answer.json()) as Record<string, unknown>;
  assert.deepEqual([problem.type, problem.status, problem.limit], ["urn:tidegate:problem:limit", 429, "a"]);
  assert.match(String(problem.detail), /1 a second for each client, at most 3 at once/);
  await pause(1_050);
  assert.deepEqual(await statuses(gateway, 2), [200, 429], "what Retry-After says is so");
  assert.equal(await gateway.metric("tidegate_limited_total", 'limit="a"'), 3);
});

test("clients, keys, users, headers and tenants have buckets of their own; who names none is counted by address", async (t) => {
  for (const [by, one, other] of [
    ["client", { "x-forwarded-for": "192.0.2.1" }, { "x-forwarded-for": "192.0.2.2" }],
    ["client", { "x-api-key": "a" }, { "x-api-key": "b" }],
    ["user", { "x-user-id": "ann" }, { "x-user-id": "bob" }],
    ["header:x-shop", { "x-shop": "a" }, { "x-shop": "b" }],
    ["tenant", { "x-tenant": "a" }, { "x-tenant": "b" }],
  ] as const) {
    const gateway = await startLimited(t, {
      limits: `  a: { rate: 1/h, burst: 1, by: [ "${by}" ] }`,
      route: "a",
      gateway: "identity: { apiKey: x-api-key, tenant: [ { header: x-tenant } ] }\n",
    });
    assert.deepEqual(await statuses(gateway, 2, one), [200, 429], by);
    assert.deepEqual(await statuses(gateway, 2, other), [200, 429], by);
    assert.deepEqual(await statuses(gateway, 2), [200, 429], `${by}: none`);
    await gateway.stop("SIGKILL");
  }
});

test("addresses of one IPv6 /64 are one client, and a route counts apart when asked to", async (t) => {
  const gateway = await startLimited(t, {
    limits: "  a: { rate: 1/h, burst: 1, by: [address, route] }",
    route: "a",
  });
  const from = (address: string) => ({ "x-forwarded-for": address, "x-user-id": "ann" });
  assert.deepEqual(await statuses(gateway, 1, from("2001:db8::1")), [200]);
  assert.deepEqual(await statuses(gateway, 1, from("2001:db8::ffff:1")), [429]);
  assert.deepEqual(await statuses(gateway, 1, from("2001:db8:0:1::1")), [200]);
  assert.deepEqual(await statuses(gateway, 1, from("2001:db8::1"), "/cart/a"), [200]);
});

test("a request takes its route's cost; a limit that refuses leaves the others untouched; a dry run lets through", async (t) => {
  const gateway = await startLimited(t, {
    limits: `  wide: { rate: 1/h, burst: 10 }
  narrow: { rate: 1/h, burst: 4, by: [ "header:x-shop" ] }
  dry: { rate: 1/h, burst: 2, mode: dry-run }`,
    route: "dry, wide, narrow",
    more: ", cost: 2",
  });
  assert.deepEqual(await statuses(gateway, 5, { "x-shop": "a" }), [200, 200, 429, 429, 429]);
  // Four tokens of ten are gone, not ten: refusals took none. cart costs 1, and shop a's bucket is empty for it as well.
  assert.deepEqual(await statuses(gateway, 3, { "x-shop": "b" }), [200, 200, 429]);
  assert.deepEqual(await statuses(gateway, 2, { "x-shop": "c" }), [200, 429]);
  const dry = await gateway.metric("tidegate_limit_dry_run_total", 'limit="dry"');
  assert.ok(dry >= 4, `${dry}`);
  await until("a line in the log", () => /dry-run mode would have refused/.test(gateway.stderr));
});

test("exact over four threads, and at their rate", async (t) => {
  const gateway = await startLimited(
    t,
    { limits: "  a: { rate: 200/s, burst: 50, by: [route] }", route: "a" },
    ["--threads", "4"],
  );
  const began = performance.now();
  const streams = Array.from({ length: 4 }, () => new Stream(gateway, 150));
  await pause(3_000);
  await Promise.all(streams.map((s) => s.stop()));
  const seconds = (performance.now() - began) / 1000;
  const all = streams.flatMap((s) => s.answers.map((a) => a.status));
  const admitted = count(all, 200);
  assert.equal(admitted + count(all, 429), all.length, "nothing else");
  assert.ok(admitted <= 50 + 200 * seconds, `${admitted} in ${seconds} s`);
  assert.ok(admitted >= 0.95 * (50 + 200 * 2.9), `${admitted} in ${seconds} s`);
});

test("a reload keeps the buckets, and takes a new rate", async (t) => {
  const unit = await upstream(t);
  const given = (rate: string) => files(unit, { limits: `  a: { rate: ${rate}, burst: 5 }`, route: "a" });
  const gateway = await startGateway(t, given("1/h"));
  assert.equal(count(await statuses(gateway, 7), 200), 5);
  gateway.write("gateway.yaml", "underscores: pass\n");
  await until(
    "reloaded",
    () => gateway.status(),
    (s) => s.servedRevision === 2,
  );
  assert.deepEqual(await statuses(gateway, 1), [429]);
  gateway.write("routes.yaml", given("100/s")["routes.yaml"]!);
  await until(
    "reloaded again",
    () => gateway.status(),
    (s) => s.servedRevision === 3,
  );
  // What it owed by the old rate is hours; by the new one it owes its five tokens.
  await statuses(gateway, 1);
  await pause(100);
  assert.deepEqual(await statuses(gateway, 3), [200, 200, 200]);
});

test("made-up keys push out each other, not a bucket that is spent; a key of 8 KiB is a key", async (t) => {
  const gateway = await startLimited(t, {
    limits: "  a: { rate: 10/m, burst: 20, by: [client], keys: 600 }",
    route: "a",
    gateway: "identity: { apiKey: x-api-key }\n",
  });
  const greedy = { "x-api-key": "g".repeat(8_192) };
  assert.equal(count(await statuses(gateway, 22, greedy), 200), 20);
  const invented = Array.from({ length: 40 }, async (_, i) => {
    for (let j = 0; j < 100; j++) await statuses(gateway, 1, { "x-api-key": `made-up-${i}-${j}` });
  });
  await Promise.all(invented);
  assert.ok(count(await statuses(gateway, 3, greedy), 429) >= 2, "it is remembered");
});
