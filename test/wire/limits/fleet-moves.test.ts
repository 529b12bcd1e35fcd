/** Load that moves from one gateway to another, as it does when clients are sent elsewhere. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestGateway } from "../../support/gateway.ts";
import { startRedis } from "../../support/redis.ts";
import { pause } from "../failover/load.ts";
import { leasing, Stream, unharmed } from "./support.ts";

const RATE = 400;
const LIMIT = `rate: ${RATE}/s, burst: ${RATE}, by: [route]`;

/** Most of `rate` goes to one gateway at a time, for so long (ms), and the rest to the others. */
async function move(gateways: readonly TestGateway[], rate: number, milliseconds: number): Promise<Stream[]> {
  const streams = gateways.map((gateway) => new Stream(gateway, rate * 0.05));
  for (const stream of streams) {
    for (const other of streams) other.rate = rate * 0.05;
    stream.rate = rate * (1 - 0.05 * (streams.length - 1));
    await pause(milliseconds);
  }
  await Promise.all(streams.map((s) => s.stop()));
  for (const stream of streams) unharmed(stream);
  return streams;
}

const answers = (streams: readonly Stream[]): { at: number; status: number }[] =>
  streams.flatMap((s) => s.answers);

test("below the limit nobody is refused, wherever the load goes", async (t) => {
  const gateways = await leasing(t, 3, await startRedis(t), LIMIT);
  const all = answers(await move(gateways, 0.8 * RATE, 1_300));
  assert.ok(all.length > 900, `${all.length} requests`);
  assert.equal(all.filter((a) => a.status !== 200).length, 0);
});

test("beyond the limit what one gateway leaves goes to the next, and what was spent is spent for both", async (t) => {
  const gateways = await leasing(t, 3, await startRedis(t), LIMIT);
  const began = performance.now();
  const all = answers(await move(gateways, 2 * RATE, 1_600));
  const admitted = all.filter((a) => a.status === 200);
  const seconds = (Math.max(...all.map((a) => a.at)) - began) / 1000;
  const most = RATE + RATE * seconds;
  // What is out on lease when the load ends was admitted by nobody: 0.4 of a bucket.
  const least = most - 0.4 * RATE;
  t.diagnostic(
    `${admitted.length} of ${least.toFixed(0)} to ${most.toFixed(0)} tokens, in ${seconds.toFixed(1)} s`,
  );
  assert.ok(admitted.length > 0.95 * least && admitted.length < 1.05 * most, `${admitted.length} of ${most}`);
});
