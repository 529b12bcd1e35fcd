/** Limits that four gateways share through a real Redis, and what becomes of them when it fails. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { startGateway, type TestGateway, until } from "../../support/gateway.ts";
import { startRedis, type TestRedis } from "../../support/redis.ts";
import { WHOLE } from "../../support/whole.ts";
import { pause } from "../failover/load.ts";
import { files, Stream, upstream } from "./support.ts";

const RATE = 400;
const LIMITS = {
  limits: `  a: { rate: ${RATE}/s, burst: ${RATE / 2}, by: [route, unit], scope: fleet }`,
  route: "a",
};

async function fleetOf(t: TestContext, n: number, redis: TestRedis): Promise<TestGateway[]> {
  const unit = await upstream(t);
  const gateways = await Promise.all(
    Array.from({ length: n }, () => startGateway(t, files(unit, LIMITS), ["--redis", redis.url])),
  );
  await known(gateways, n);
  return gateways;
}

/** All gateways lease, and know of each other. */
async function known(gateways: readonly TestGateway[], n: number): Promise<void> {
  for (const gateway of gateways) {
    await until(
      "leasing",
      () => gateway.metric("tidegate_limit_store_up"),
      (up) => up === 1,
    );
    await until(
      "known",
      () => gateway.metric("tidegate_limit_gateways"),
      (live) => live === n,
    );
  }
}

const admitted = (streams: readonly Stream[], from: number, to: number): number =>
  streams.reduce((sum, stream) => sum + stream.between(from, to), 0);

function noHarm(streams: readonly Stream[]): void {
  for (const { status, milliseconds } of streams.flatMap((s) => s.answers)) {
    assert.ok(status === 200 || status === 429, `status ${status}`);
    assert.ok(milliseconds < 1_000, `${milliseconds} ms`);
  }
}

test("four gateways of uneven load admit the limit together, with few commands; below it they refuse nobody", async (t) => {
  const redis = await startRedis(t);
  const gateways = await fleetOf(t, 4, redis);
  const below = gateways.map((gateway, i) => new Stream(gateway, [200, 60, 30, 10][i]!));
  await pause(2_500);
  await Promise.all(below.map((s) => s.stop()));
  assert.equal(below.flatMap((s) => s.answers).filter((a) => a.status !== 200).length, 0);

  const before = await redis.leases();
  const streams = gateways.map((gateway, i) => new Stream(gateway, [800, 240, 120, 40][i]!));
  await pause(2_000); // the burst is spent
  const from = performance.now();
  await pause(5_000);
  const to = performance.now();
  await Promise.all(streams.map((s) => s.stop()));
  const commands = (await redis.leases()) - before;
  const seconds = (to - from) / 1000;
  const share = admitted(streams, from, to) / (RATE * seconds);
  t.diagnostic(`admitted ${(share * 100).toFixed(1)} % of the limit, ${commands} leases`);
  assert.ok(share > 0.95 && share < 1.05, `${share} of the limit`);
  assert.ok(commands < 4 * 10 * 8, `${commands} commands`);
  noHarm(streams);
});

const OUTAGES = [
  ["frozen", (r: TestRedis) => r.signal("SIGSTOP"), (r: TestRedis) => r.signal("SIGCONT")],
  ["killed", (r: TestRedis) => r.signal("SIGKILL"), (r: TestRedis) => r.start()],
  [
    "a read-only replica",
    (r: TestRedis) => r.command("REPLICAOF", "127.0.0.1", "1"),
    (r: TestRedis) => r.command("REPLICAOF", "NO", "ONE"),
  ],
] as const;
for (const [how, down, up] of WHOLE ? OUTAGES : OUTAGES.slice(1, 2)) {
  test(`while Redis is ${how}, each gateway takes its share, says so once, and comes back by itself`, async (t) => {
    const redis = await startRedis(t);
    const gateways = await fleetOf(t, 2, redis);
    const streams = gateways.map((gateway) => new Stream(gateway, 500));
    await pause(1_500);
    await down(redis);
    for (const gateway of gateways) {
      await until(
        "shares",
        () => gateway.metric("tidegate_limit_store_up"),
        (up) => up === 0,
      );
    }
    await pause(1_500); // the share's burst is spent
    const from = performance.now();
    await pause(2_000);
    const share = admitted(streams, from, performance.now()) / (RATE * 2);
    assert.ok(share > 0.9 && share < 1.1, `${share} of the limit, by shares`);
    await up(redis);
    await known(gateways, 2);
    await pause(2_500); // the bucket filled meanwhile; its burst is spent
    const back = performance.now();
    await pause(2_000);
    const again = admitted(streams, back, performance.now()) / (RATE * 2);
    await Promise.all(streams.map((s) => s.stop()));
    assert.ok(again > 0.9 && again < 1.1, `${again} of the limit, by leases`);
    noHarm(streams);
    for (const { stderr } of gateways) {
      assert.equal(stderr.match(/Redis does not answer/g)?.length, 1, stderr);
      assert.equal(stderr.match(/Redis answers again/g)?.length, 1, stderr);
    }
  });
}

test("a flush costs at most one burst, and a killed gateway's part goes to the others", async (t) => {
  const redis = await startRedis(t);
  const gateways = await fleetOf(t, 3, redis);
  const streams = gateways.map((gateway) => new Stream(gateway, 300));
  await pause(2_000);
  let from = performance.now();
  await redis.command("FLUSHALL");
  await pause(2_000);
  const flushed = admitted(streams, from, performance.now());
  assert.ok(flushed <= RATE * 2 * 1.1 + RATE / 2, `${flushed} in two seconds`);
  await gateways[0]!.stop("SIGKILL");
  await streams[0]!.stop();
  await pause(1_000);
  from = performance.now();
  await pause(2_000);
  const rest = admitted(streams.slice(1), from, performance.now()) / (RATE * 2);
  await Promise.all(streams.slice(1).map((s) => s.stop()));
  assert.ok(rest > 0.93 && rest < 1.07, `${rest} of the limit`);
  await until(
    "two are left",
    () => gateways[1]!.metric("tidegate_limit_gateways"),
    (n) => n === 2,
  );
});

test("a gateway that starts while Redis is away serves, by a share of one", async (t) => {
  const redis = await startRedis(t);
  await redis.signal("SIGKILL");
  const gateway = await startGateway(t, files(await upstream(t), LIMITS), ["--redis", redis.url]);
  const stream = new Stream(gateway, 600);
  await pause(1_500);
  const from = performance.now();
  await pause(1_500);
  const share = admitted([stream], from, performance.now()) / (RATE * 1.5);
  assert.ok(share > 0.9 && share < 1.1, `${share}`);
  await redis.start();
  await known([gateway], 1);
  await stream.stop();
  noHarm([stream]);
});

test("an operator sees what is left of a bucket, and fills it", async (t) => {
  const redis = await startRedis(t);
  const [gateway] = await fleetOf(t, 1, redis);
  const look = async (method = "GET") =>
    (await (await gateway!.admin("/limits/a?by=hall&by=hz", { method })).json()) as { remaining: number };
  assert.equal((await look()).remaining, RATE / 2);
  const stream = new Stream(gateway!, 600);
  await pause(1_500);
  assert.ok((await look()).remaining < RATE / 4);
  await stream.stop();
  assert.equal((await look("DELETE")).remaining, RATE / 2);
  assert.equal((await gateway!.admin("/limits/b?by=hall")).status, 404);
  const browser = { method: "DELETE", headers: { origin: "http://evil" } };
  assert.equal((await gateway!.admin("/limits/a?by=hall&by=hz", browser)).status, 403);
  const listed = (await (await gateway!.admin("/limits")).json()) as { limit: string; leasing: boolean }[];
  assert.deepEqual(
    listed.map((l) => [l.limit, l.leasing]),
    [["a", true]],
  );
});
