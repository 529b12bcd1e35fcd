/** How much may be under way, and what becomes of what is more. */
import assert from "node:assert/strict";
import { once } from "node:events";
import type http from "node:http";
import net from "node:net";
import { test } from "node:test";
import { fleetYaml, startGateway, until } from "../../support/gateway.ts";
import { ask, httpServer, oneRoute, pause, problemOf } from "./support.ts";

/** A unit that answers when it is told to. */
async function held(t: Parameters<typeof startGateway>[0]) {
  const waiting: { url: string; response: http.ServerResponse }[] = [];
  const upstream = await httpServer(t, (request, response) => {
    waiting.push({ url: request.url!, response });
  });
  return {
    url: upstream.url,
    waiting,
    next: () => waiting.shift()!.response.end("ok"),
    arrived: (count: number) =>
      until(
        `${count} requests`,
        () => waiting.length,
        (n) => n === count,
        2_000,
      ),
  };
}

test("requests under way to a unit: the third waits, the fourth is refused", async (t) => {
  const unit = await held(t);
  const gateway = await startGateway(t, {
    "fleet.yaml": fleetYaml({ hz: [unit.url] }).replace(
      "center: true }",
      "center: true, inflight: 2, queue: { size: 1, wait: 300ms } }",
    ),
    "routes.yaml": oneRoute(),
  });
  const get = (path: string) => ask(gateway.port, { path });

  await t.test("a place that becomes free is taken by the one that waits", async () => {
    const first = [get("/1"), get("/2")];
    await unit.arrived(2);
    const third = get("/3");
    await pause(50);
    const began = performance.now();
    const fourth = await get("/4");
    assert.ok(performance.now() - began < 100, "refused at once");
    assert.equal(fourth.status, 503);
    assert.equal(problemOf(fourth), "shed");
    assert.equal(fourth.headers["retry-after"], "1");
    assert.equal(unit.waiting.length, 2);
    unit.next();
    await unit.arrived(2);
    assert.equal(unit.waiting[1]!.url, "/3");
    unit.next();
    unit.next();
    assert.deepEqual(
      (await Promise.all([...first, third])).map((a) => a.status),
      [200, 200, 200],
    );
  });

  await t.test("one that waited too long is refused", async () => {
    const first = [get("/1"), get("/2")];
    await unit.arrived(2);
    const began = performance.now();
    const third = await get("/3");
    const took = performance.now() - began;
    assert.equal(third.status, 503);
    assert.equal(problemOf(third), "shed");
    assert.ok(took >= 300 && took < 500, `${took} ms`);
    unit.next();
    unit.next();
    await Promise.all(first);
  });

  await t.test("one that leaves while it waits gives its place up", async () => {
    const first = [get("/1"), get("/2")];
    await unit.arrived(2);
    const socket = net.connect(gateway.port, "127.0.0.1");
    socket.write("GET /gone HTTP/1.1\r\nhost: a\r\n\r\n");
    await pause(50);
    socket.destroy();
    await pause(50);
    const third = get("/3");
    await pause(50);
    unit.next();
    await unit.arrived(2);
    assert.equal(unit.waiting[1]!.url, "/3");
    unit.next();
    unit.next();
    await Promise.all([...first, third]);
  });
});

test("those that wait are served in the order in which they came", async (t) => {
  const unit = await held(t);
  const gateway = await startGateway(t, {
    "fleet.yaml": fleetYaml({ hz: [unit.url] }).replace(
      "center: true }",
      "center: true, inflight: 1, queue: { size: 10, wait: 5s } }",
    ),
    "routes.yaml": oneRoute(),
  });
  const all = [ask(gateway.port, { path: "/0" })];
  await unit.arrived(1);
  for (let i = 1; i <= 4; i++) {
    all.push(ask(gateway.port, { path: `/${i}` }));
    await pause(35);
  }
  await pause(130); // Some ticks.
  const order: string[] = [];
  for (let i = 0; i <= 4; i++) {
    await unit.arrived(1);
    order.push(unit.waiting[0]!.url);
    unit.next();
  }
  await Promise.all(all);
  assert.deepEqual(order, ["/0", "/1", "/2", "/3", "/4"]);
});

test("requests under way to an endpoint", async (t) => {
  const unit = await held(t);
  const gateway = await startGateway(t, {
    "fleet.yaml": fleetYaml({ hz: [unit.url] }, "", "    inflight: 1\n").replace(
      "center: true }",
      "center: true, queue: { size: 0 } }",
    ),
    "routes.yaml": oneRoute(),
  });
  const first = ask(gateway.port, { path: "/1" });
  await unit.arrived(1);
  const second = await ask(gateway.port, { path: "/2" });
  assert.equal(second.status, 503);
  assert.equal(problemOf(second), "shed");
  unit.next();
  assert.equal((await first).status, 200);
});

test("client connections: one more than allowed is closed, the others live", async (t) => {
  const unit = await held(t);
  const gateway = await startGateway(t, {
    "fleet.yaml": fleetYaml({ hz: [unit.url] }),
    "routes.yaml": oneRoute(),
    "gateway.yaml": "client: { maxConnections: 3 }\n",
  });
  const sockets: net.Socket[] = [];
  for (let i = 0; i < 3; i++) {
    const socket = net.connect(gateway.port, "127.0.0.1");
    socket.on("error", () => {});
    await once(socket, "connect");
    sockets.push(socket);
  }
  await until(
    "three are counted",
    () => gateway.metric("tidegate_client_connections"),
    (n) => n === 3,
  );
  const fourth = net.connect(gateway.port, "127.0.0.1");
  fourth.on("error", () => {});
  fourth.resume();
  await new Promise((resolve) => fourth.once("close", resolve));
  assert.equal(await gateway.metric("tidegate_connections_refused_total"), 1);
  sockets[0]!.write("GET /x HTTP/1.1\r\nhost: a\r\n\r\n");
  await unit.arrived(1);
  unit.next();
  const [chunk] = (await once(sockets[0]!, "data")) as [Buffer];
  assert.match(chunk.toString(), /^HTTP\/1\.1 200 OK/);
  sockets[1]!.destroy();
  await until(
    "a place is free",
    () => gateway.metric("tidegate_client_connections"),
    (n) => n === 2,
  );
  const answer = ask(gateway.port, { path: "/y" });
  await unit.arrived(1);
  unit.next();
  assert.equal((await answer).status, 200);
  for (const socket of sockets) socket.destroy();
});
