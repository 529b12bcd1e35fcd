/** A gateway's own limits under more load than they let pass: exact over its threads, and not to be washed out. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Client } from "undici";
import { startGateway, until } from "../../support/gateway.ts";
import { pause } from "../failover/load.ts";
import { files, startLimited, statuses, Stream, upstream } from "./support.ts";

const count = (list: readonly number[], status: number): number => list.filter((s) => s === status).length;

test("four threads and 64 connections, all of them eager, get exactly what one bucket gives", async (t) => {
  const [rate, burst] = [300, 100];
  const gateway = await startLimited(
    t,
    { limits: `  a: { rate: ${rate}/s, burst: ${burst}, by: [route] }`, route: "a" },
    ["--threads", "4"],
  );
  const admitted: number[] = [];
  let others = 0;
  const began = performance.now();
  const until = began + 4_000;
  await Promise.all(
    Array.from({ length: 64 }, async () => {
      const client = new Client(gateway.url);
      while (performance.now() < until) {
        const { statusCode, body } = await client.request({ path: "/hall/a", method: "GET" });
        await body.dump();
        if (statusCode === 200) admitted.push(performance.now());
        else if (statusCode !== 429) others++;
      }
      await client.close();
    }),
  );
  assert.equal(others, 0);
  const seconds = (Math.max(...admitted) - began) / 1000;
  const most = burst + rate * seconds;
  t.diagnostic(`${admitted.length} of ${most.toFixed(0)} in ${seconds.toFixed(2)} s`);
  assert.ok(admitted.length <= most, `${admitted.length} of at most ${most}`);
  // The bucket was full for the moment until the first request, which it can only lose.
  assert.ok(admitted.length >= 0.98 * most - rate * 0.1, `${admitted.length} of ${most}`);
});

test("20,000 made-up keys from one address leave another client's spent bucket spent", async (t) => {
  const gateway = await startLimited(t, {
    limits: "  a: { rate: 1/h, burst: 10, by: [client], keys: 1000 }",
    route: "a",
    gateway: "identity: { apiKey: x-api-key }\n",
  });
  const honest = { "x-api-key": "honest" };
  assert.equal(count(await statuses(gateway, 11, honest), 200), 10);
  const MADE_UP = 20_000;
  let made = 0;
  const one = async (): Promise<void> => {
    const client = new Client(gateway.url);
    for (;;) {
      const n = made++;
      if (n >= MADE_UP) break;
      const { body } = await client.request({
        path: "/hall/a",
        method: "GET",
        headers: { "x-api-key": `k${n}` },
      });
      await body.dump();
    }
    await client.close();
  };
  await Promise.all(Array.from({ length: 16 }, one));
  assert.deepEqual(await statuses(gateway, 3, honest), [429, 429, 429]);
});

test("a reload of anything else changes no bucket, and one to dry-run lets through at once", async (t) => {
  const unit = await upstream(t);
  const given = (limit: string) =>
    files(unit, { limits: `  a: { ${limit} }\n  b: { rate: 1/h }`, route: "a" });
  const gateway = await startGateway(t, given("rate: 1/h, burst: 5"));
  assert.equal(count(await statuses(gateway, 6), 200), 5);
  let revision = 1;
  const reload = async (name: string, text: string): Promise<void> => {
    gateway.write(name, text);
    revision++;
    await until(
      "reloaded",
      () => gateway.status(),
      (s) => s.servedRevision === revision,
    );
  };
  const { "routes.yaml": routes, "fleet.yaml": fleet } = given("rate: 1/h, burst: 5") as Record<
    string,
    string
  >;
  await reload("fleet.yaml", `${fleet}# touched\n`);
  assert.deepEqual(await statuses(gateway, 1), [429], "fleet.yaml");
  await reload("routes.yaml", routes!.replace("b: { rate: 1/h }", "b: { rate: 2/h }"));
  assert.deepEqual(await statuses(gateway, 1), [429], "another limit");
  await reload("routes.yaml", given("rate: 1/h, burst: 8")["routes.yaml"]!);
  assert.equal(count(await statuses(gateway, 5), 200), 3, "a larger bucket has only what it grew by");
  await reload("routes.yaml", given("rate: 1/h, burst: 8, mode: dry-run")["routes.yaml"]!);
  assert.deepEqual(await statuses(gateway, 3), [200, 200, 200]);
  await reload("routes.yaml", given("rate: 1/h, burst: 8")["routes.yaml"]!);
  assert.deepEqual(await statuses(gateway, 1), [429], "dry runs took nothing that was not there");
});

test("a refused configuration leaves the limits that serve as they are", async (t) => {
  const unit = await upstream(t);
  const given = (rate: string) => files(unit, { limits: `  a: { rate: ${rate}, burst: 2 }`, route: "a" });
  const gateway = await startGateway(t, given("1/h"));
  assert.equal(count(await statuses(gateway, 3), 200), 2);
  gateway.write("routes.yaml", given("0/s")["routes.yaml"]!);
  await until(
    "refused",
    () => gateway.status(),
    (s) => s.configError !== null,
  );
  assert.deepEqual(await statuses(gateway, 1), [429]);
});

test("a thread that dies takes no bucket with it", async (t) => {
  const gateway = await startLimited(
    t,
    { limits: "  a: { rate: 50/s, burst: 25, by: [route] }", route: "a" },
    ["--threads", "2"],
  );
  const stream = new Stream(gateway, 300);
  await pause(1_000);
  const from = performance.now();
  const killed = await gateway.admin("/threads/0/replace", { method: "POST" });
  assert.equal(killed.status, 202);
  await killed.text();
  await pause(2_000);
  const share = stream.between(from, performance.now()) / 100;
  await stream.stop();
  assert.ok(share < 1.1, `${share} of the limit`);
});
