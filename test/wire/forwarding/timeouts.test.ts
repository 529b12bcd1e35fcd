/** Each wait has its bound, and what follows from it. */
import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fleetYaml, raw, startGateway } from "../../support/gateway.ts";
import { byteServer, OK } from "../../support/upstream.ts";
import { ask, oneRoute, pause, problemOf } from "./support.ts";

const NO_CHECKS = (yaml: string) => yaml.replace(/health: \{.*\}/, "health: none");

test("headers: 504 in time, or the next endpoint", async (t) => {
  const silent = await byteServer(t, () => {});
  const good = await byteServer(t);
  const alone = await startGateway(t, {
    "fleet.yaml": NO_CHECKS(fleetYaml({ hz: [silent.url] })),
    "routes.yaml": oneRoute("timeout: { headers: 300ms }", "retry: none"),
  });
  for (const method of ["GET", "POST"]) {
    const began = performance.now();
    const answer = await ask(alone.port, { method, path: "/x", ...(method === "POST" ? { body: "x" } : {}) });
    const took = performance.now() - began;
    assert.equal(answer.status, 504);
    assert.equal(problemOf(answer), "upstream-timeout");
    assert.ok(took >= 300 && took < 700, `${took} ms`);
  }
  const two = await startGateway(t, {
    "fleet.yaml": NO_CHECKS(fleetYaml({ hz: [silent.url], sh: [good.url] })),
    "routes.yaml": oneRoute("timeout: { headers: 300ms }"),
  });
  const answer = await ask(two.port, { path: "/x" });
  assert.equal(answer.status, 200);
  assert.equal(answer.text, "ok");
  const post = await ask(two.port, { method: "POST", path: "/x", body: "x" });
  assert.equal(post.status, 504, "a POST that a server may have seen is not repeated");
});

test("idle in mid-stream: the client's stream is cut, never ended cleanly", async (t) => {
  const upstream = await byteServer(t, (request, socket) => {
    if (request.includes(" /length ")) socket.write("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npart");
    else socket.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\npart\r\n");
  });
  const gateway = await startGateway(t, {
    "fleet.yaml": fleetYaml({ hz: [upstream.url] }),
    "routes.yaml": oneRoute("timeout: { idle: 300ms }"),
  });
  for (const path of ["/length", "/chunked"]) {
    const began = performance.now();
    await assert.rejects(ask(gateway.port, { path }), { code: "ECONNRESET" });
    const took = performance.now() - began;
    assert.ok(took >= 300 && took < 800, `${took} ms`);
  }
  // HTTP/1.0 has no chunks: only a reset tells a broken body from a whole one.
  const socket = net.connect(gateway.port, "127.0.0.1");
  socket.write("GET /chunked HTTP/1.0\r\nhost: a\r\n\r\n");
  socket.resume();
  const [error] = (await Promise.race([
    once(socket, "close").then(() => [undefined]),
    new Promise((resolve) => socket.on("error", (e) => resolve([e]))),
  ])) as [NodeJS.ErrnoException | undefined];
  assert.equal(error?.code, "ECONNRESET", "a body of HTTP/1.0 that broke off looks whole");
});

test("idle while the body is sent: the client's silence is 408, the unit's is 504", async (t) => {
  const deaf = await byteServer(t, (_request, socket) => socket.pause());
  const gateway = await startGateway(t, {
    "fleet.yaml": NO_CHECKS(fleetYaml({ hz: [deaf.url] })),
    "routes.yaml": oneRoute("timeout: { idle: 300ms }", "retry: none"),
  });
  const slow = await raw(gateway.port, "POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nsome");
  assert.match(slow, /^HTTP\/1\.1 408 /);
  const socket = net.connect(gateway.port, "127.0.0.1");
  let text = "";
  socket.on("error", () => {});
  socket.on("data", (chunk) => {
    text += chunk.toString("latin1");
  });
  socket.write("POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 100000000\r\n\r\n");
  socket.write(Buffer.alloc(100_000_000));
  await Promise.race([new Promise((resolve) => socket.once("close", resolve)), pause(3_000)]);
  socket.destroy();
  assert.match(text, /^HTTP\/1\.1 504 /);
});

test("total bounds the whole exchange, retries included", async (t) => {
  const silent = await byteServer(t, () => {});
  const dripping = await byteServer(t, (_request, socket) => {
    socket.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
    const timer = setInterval(() => socket.write("1\r\nx\r\n"), 50);
    socket.on("close", () => clearInterval(timer));
  });
  const gateway = await startGateway(t, {
    "fleet.yaml": NO_CHECKS(fleetYaml({ hz: [silent.url] })).replace(
      "hall:",
      `drip:\n    health: none\n    pools: { hz: { stable: [ "${dripping.url}" ] } }\n  hall:`,
    ),
    "routes.yaml": `${oneRoute("timeout: { headers: 300ms, total: 500ms }", "retry: { attempts: 5 }")}  - { name: drip, match: { path: /drip }, service: drip, scope: nearest, timeout: { total: 500ms } }\n`,
  });
  let began = performance.now();
  const answer = await ask(gateway.port, { path: "/x" });
  assert.equal(answer.status, 504);
  let took = performance.now() - began;
  assert.ok(took >= 500 && took < 900, `${took} ms`);
  began = performance.now();
  await assert.rejects(ask(gateway.port, { path: "/drip" }), { code: "ECONNRESET" });
  took = performance.now() - began;
  assert.ok(took >= 500 && took < 900, `${took} ms`);
});

test("connect: an address that swallows SYN", async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "tidegate-backlog-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const script = join(dir, "listen.mjs");
  writeFileSync(
    script,
    'import net from "node:net";\nconst s = net.createServer().listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => process.send(s.address().port));\n',
  );
  const child = fork(script, { execArgv: [] });
  t.after(() => child.kill("SIGKILL"));
  const [port] = (await once(child, "message")) as [number];
  child.kill("SIGSTOP");
  // Its queue is filled until a connection is no longer made.
  const fillers: net.Socket[] = [];
  t.after(() => {
    for (const socket of fillers) socket.destroy();
  });
  for (let full = false; !full && fillers.length < 20; ) {
    const socket = net.connect(port, "127.0.0.1");
    socket.on("error", () => {});
    fillers.push(socket);
    full = await Promise.race([once(socket, "connect").then(() => false), pause(150).then(() => true)]);
  }
  const good = await byteServer(t, (_request, socket) => socket.write(OK));
  const gateway = await startGateway(t, {
    "fleet.yaml": NO_CHECKS(fleetYaml({ hz: [`http://127.0.0.1:${port}`], sh: [good.url] })),
    "routes.yaml": `${oneRoute("timeout: { connect: 200ms }")}  - { name: one, match: { path: /one }, service: hall, scope: center, retry: none, timeout: { connect: 200ms } }\n`,
  });
  let began = performance.now();
  const answer = await ask(gateway.port, { method: "POST", path: "/x", body: "x" });
  let took = performance.now() - began;
  assert.equal(answer.text, "ok", "no server saw it: even a POST goes on");
  assert.ok(took >= 200 && took < 600, `${took} ms`);
  began = performance.now();
  const alone = await ask(gateway.port, { path: "/one" });
  took = performance.now() - began;
  assert.equal(alone.status, 504);
  assert.ok(took >= 200 && took < 600, `${took} ms`);
});
