/** A Redis that keeps its connections and says nothing. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { startGateway, type TestGateway, until } from "../../support/gateway.ts";
import { startRedis } from "../../support/redis.ts";
import { pause } from "../failover/load.ts";
import { files, isUp, saidIn, Stream, unharmed, upstream } from "./support.ts";

const RATE = 200;
const LIMIT = { limits: `  a: { rate: ${RATE}/s, burst: ${RATE}, by: [route], scope: fleet }`, route: "a" };

async function start(t: TestContext, url: string, limit = LIMIT): Promise<TestGateway> {
  return startGateway(t, files(await upstream(t), limit), ["--redis", url]);
}

test("a Redis that accepts and is silent from the start", async (t) => {
  const redis = await startRedis(t);
  await redis.signal("SIGSTOP");
  const gateway = await start(t, redis.url);
  const stream = new Stream(gateway, 2 * RATE);
  await until("it is said", () => saidIn(gateway, /Redis does not answer/g));
  await pause(500); // the share's burst is spent
  const from = performance.now();
  await pause(2_000);
  const share = stream.between(from, performance.now()) / (RATE * 2);
  assert.ok(share > 0.9 && share < 1.1, `${share} of the limit, by a share of one`);
  await redis.signal("SIGCONT");
  await isUp(gateway, 1);
  await stream.stop();
  unharmed(stream);
});

test("what was asked of a frozen Redis is not taken from the limit when it thaws", async (t) => {
  const redis = await startRedis(t);
  const deep = { limits: "  a: { rate: 100/s, burst: 2000, by: [route], scope: fleet }", route: "a" };
  const gateway = await start(t, redis.url, deep);
  await isUp(gateway, 1);
  const stream = new Stream(gateway, 90);
  await pause(1_000);
  await redis.signal("SIGSTOP");
  stream.rate = 95;
  await pause(5_000);
  await redis.signal("SIGCONT");
  await isUp(gateway, 1);
  await pause(500);
  const [name] = (await redis.names()).filter((n) => n.includes(":limit:"));
  const full = Number((await redis.command("GET", name!)) ?? 0);
  const [seconds, micros] = (await redis.command("TIME")) as [string, string];
  const owed = ((full - Number(seconds) * 1e6 - Number(micros)) / 1e6) * 100;
  await stream.stop();
  unharmed(stream);
  assert.ok(
    owed < 400,
    `the bucket of 2000 owes ${Math.round(owed)} tokens, and nobody took more than it gives`,
  );
});
