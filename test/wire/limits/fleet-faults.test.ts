/** What Redis may do to gateways besides being gone, and that no request feels it. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { startGateway, type TestGateway, until } from "../../support/gateway.ts";
import { startRedis, type TestRedis } from "../../support/redis.ts";
import { pause } from "../failover/load.ts";
import { files, isUp, saidIn, Stream, unharmed, upstream } from "./support.ts";

const RATE = 200;
const LIMIT = { limits: `  a: { rate: ${RATE}/s, burst: ${RATE}, by: [route], scope: fleet }`, route: "a" };

async function start(t: TestContext, url: string, limit = LIMIT): Promise<TestGateway> {
  return startGateway(t, files(await upstream(t), limit), ["--redis", url]);
}

/** Shares while Redis is so, leases after it, one line each way, and nobody harmed. */
async function fallsBackAndReturns(
  t: TestContext,
  redis: TestRedis,
  harm: () => Promise<unknown>,
  heal: () => Promise<unknown>,
): Promise<TestGateway> {
  const gateway = await start(t, redis.url);
  await isUp(gateway, 1);
  const stream = new Stream(gateway, 150);
  await pause(500);
  await harm();
  await isUp(gateway, 0);
  await pause(700);
  assert.equal(await gateway.metric("tidegate_limit_store_up"), 0, "and stays so");
  await heal();
  await isUp(gateway, 1);
  await pause(300);
  await stream.stop();
  unharmed(stream);
  assert.equal(saidIn(gateway, /Redis does not answer/g), 1, gateway.stderr);
  assert.equal(saidIn(gateway, /Redis answers again/g), 1, gateway.stderr);
  return gateway;
}

test("a Redis without memory left", async (t) => {
  const redis = await startRedis(t);
  await fallsBackAndReturns(
    t,
    redis,
    () => redis.command("CONFIG", "SET", "maxmemory", "1", "maxmemory-policy", "noeviction"),
    () => redis.command("CONFIG", "SET", "maxmemory", "0"),
  );
});

test("another program's value under the name that gateways use", async (t) => {
  const redis = await startRedis(t);
  const name = "tidegate:{test}:gateways";
  await fallsBackAndReturns(
    t,
    redis,
    async () => {
      await redis.command("DEL", name);
      await redis.command("SET", name, "not yours");
    },
    () => redis.command("DEL", name),
  );
});

test("a password that is asked for from now on is in no log", async (t) => {
  const redis = await startRedis(t, "--requirepass", "tg-right-secret");
  const wrong = `redis://:tg-wrong-secret@127.0.0.1:${redis.port}`;
  const gateway = await start(t, wrong);
  const stream = new Stream(gateway, 100);
  await until("it is said", () => saidIn(gateway, /Redis does not answer/g));
  await stream.stop();
  unharmed(stream);
  assert.equal(await gateway.metric("tidegate_limit_store_up"), 0);
  const status = await (await gateway.admin("/limits")).text();
  assert.doesNotMatch(gateway.stderr + gateway.stdout + status, /tg-(wrong|right)-secret/);
  const right = await start(t, wrong.replace("wrong", "right"));
  await isUp(right, 1);
});

test("a Redis that forgets its scripts is given them again, unnoticed", async (t) => {
  const redis = await startRedis(t);
  const gateway = await start(t, redis.url);
  await isUp(gateway, 1);
  const stream = new Stream(gateway, 150);
  for (let i = 0; i < 5; i++) {
    await redis.command("SCRIPT", "FLUSH");
    await pause(200);
  }
  await stream.stop();
  unharmed(stream);
  assert.equal(stream.answers.filter((a) => a.status === 429).length, 0);
  assert.equal(saidIn(gateway, /Redis does not answer/g), 0, gateway.stderr);
});
