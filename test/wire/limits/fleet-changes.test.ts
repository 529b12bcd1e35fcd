/** Fleet limits while the world around them changes: another primary, another configuration. */
import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { type TestContext, test } from "node:test";
import { startGateway, until } from "../../support/gateway.ts";
import { startRedis, type TestRedis } from "../../support/redis.ts";
import { pause } from "../failover/load.ts";
import { files, isUp, Stream, statuses, unharmed, upstream } from "./support.ts";

/** Leads connections to one server or another, as a name or a virtual address does. */
async function road(t: TestContext, to: TestRedis): Promise<{ url: string; to: TestRedis }> {
  const open = new Set<net.Socket>();
  const way = { url: "", to };
  const server = net.createServer((socket) => {
    const far = net.connect(way.to.port, "127.0.0.1");
    for (const [one, other] of [
      [socket, far],
      [far, socket],
    ] as const) {
      open.add(one);
      one.on("error", () => {}).on("close", () => other.destroy());
      one.pipe(other);
    }
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  t.after(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  way.url = `redis://127.0.0.1:${(server.address() as net.AddressInfo).port}`;
  return way;
}

test("after a failover the promoted replica is found, though the old primary still answers", async (t) => {
  const primary = await startRedis(t);
  const replica = await startRedis(t, "--replicaof", "127.0.0.1", `${primary.port}`);
  const way = await road(t, primary);
  const given = files(await upstream(t), {
    limits: "  a: { rate: 200/s, burst: 200, by: [route], scope: fleet }",
    route: "a",
  });
  const gateway = await startGateway(t, given, ["--redis", way.url]);
  await isUp(gateway, 1);
  const stream = new Stream(gateway, 150);
  await pause(500);
  await replica.command("REPLICAOF", "NO", "ONE");
  way.to = replica;
  await primary.command("REPLICAOF", "127.0.0.1", `${replica.port}`);
  await until(
    "leases of the new primary",
    () => replica.leases(),
    (n) => n > 2,
  );
  await isUp(gateway, 1);
  await pause(500);
  assert.equal(await gateway.metric("tidegate_limit_store_up"), 1);
  await stream.stop();
  unharmed(stream);
});

test("a limit of the fleet that a reload brings is leased, and one that it changes takes its new rate", async (t) => {
  const redis = await startRedis(t);
  const unit = await upstream(t);
  const given = (limits: string, route: string) => files(unit, { limits, route });
  const gateway = await startGateway(t, given("  b: { rate: 1/s }", ""), ["--redis", redis.url]);
  assert.equal(await gateway.metric("tidegate_limit_store_up"), 0);
  for (const [revision, rate] of [
    [2, 100],
    [3, 300],
  ] as const) {
    const text = given(`  a: { rate: ${rate}/s, burst: 100, by: [route], scope: fleet }`, "a");
    gateway.write("routes.yaml", text["routes.yaml"]!);
    await until(
      "reloaded",
      () => gateway.status(),
      (s) => s.servedRevision === revision,
    );
    await isUp(gateway, 1);
    const stream = new Stream(gateway, 500);
    await pause(1_500);
    const from = performance.now();
    await pause(2_000);
    const share = stream.between(from, performance.now()) / (rate * 2);
    await stream.stop();
    assert.ok(share > 0.93 && share < 1.07, `${share} of ${rate}/s`);
    assert.deepEqual(await statuses(gateway, 1, {}, "/nowhere"), [404]);
  }
});
