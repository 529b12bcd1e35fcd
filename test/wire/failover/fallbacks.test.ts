import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";
import { setTimeout } from "node:timers/promises";
import { startGateway } from "../../support/gateway.ts";
import { fleet } from "./fleet.ts";

/** A unit whose answers name the user, and that can be made to refuse everything. */
async function unit(t: TestContext) {
  const server = http.createServer((request, response) => {
    if (request.url === "/healthz") return void response.end("ok");
    if (request.url!.endsWith("/cut")) {
      response.writeHead(200, { "content-length": "10" });
      return void response.write("half", () => response.destroy());
    }
    response.setHeader("link", ["</a>", "</b>"]);
    response.end(`for ${request.headers["x-user-id"] ?? "nobody"}`);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => stop());
  const stop = (): void => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, stop };
}

test("fallbacks stand in, and no user is given another's stored answer", async (t) => {
  const { url, stop } = await unit(t);
  const gateway = await startGateway(
    t,
    {
      "fleet.yaml": fleet({ a: [url] }),
      "routes.yaml": `routes:
  - { name: hall, match: { path: /hall/* }, service: hall, scope: nearest, fallback: { stale: 10m, body: busy, status: 503 } }
  - { name: only, match: { path: /only/* }, service: hall, scope: nearest, fallback: { stale: 10m } }
  - { name: away, match: { path: /away/* }, service: hall, scope: nearest, fallback: { redirect: /hall/, status: 307 } }
  - { name: bare, match: { path: /bare/* }, service: hall, scope: nearest, fallback: { status: 204 } }
`,
    },
    ["--threads", "1"],
  );
  const ask = async (path: string, user?: string, method = "GET") => {
    const response = await fetch(`${gateway.url}${path}`, {
      method,
      redirect: "manual",
      headers: user === undefined ? {} : { "x-user-id": user },
    });
    const { status, headers } = response;
    return {
      status,
      headers,
      text: await response.text().catch(() => "cut"),
      by: headers.get("x-tidegate-fallback"),
    };
  };
  assert.equal((await ask("/hall/x", "alice")).text, "for alice");
  assert.equal((await ask("/only/x")).text, "for nobody");
  assert.equal((await ask("/hall/cut")).text, "cut");
  stop();
  const alice = await ask("/hall/x", "alice");
  assert.deepEqual(
    [alice.status, alice.text, alice.by, alice.headers.get("age")],
    [200, "for alice", "stale", "0"],
  );
  assert.equal(alice.headers.get("link"), "</a>, </b>");
  const head = await ask("/hall/x", "alice", "HEAD");
  assert.deepEqual([head.status, head.text, head.headers.get("content-length")], [200, "", "9"]);
  for (const other of ["bob", undefined]) {
    const { status, text, by } = await ask("/hall/x", other);
    assert.deepEqual([status, text], [503, "busy"]);
    assert.notEqual(by, "stale");
  }
  assert.equal((await ask("/hall/cut")).text, "busy");
  assert.equal((await ask("/only/x")).text, "for nobody");
  const none = await ask("/only/y");
  assert.deepEqual([none.headers.get("content-type"), none.by], ["application/problem+json", null]);
  const away = await ask("/away/x");
  assert.deepEqual([away.status, away.headers.get("location")], [307, "/hall/"]);
  const bare = await ask("/bare/x");
  assert.deepEqual([bare.status, bare.headers.get("content-length")], [204, null]);
  // Threads hand their counts over once a second.
  while ((await gateway.metric("tidegate_fallbacks_total")) < 8) await setTimeout(50);
  assert.equal(await gateway.metric("tidegate_fallbacks_total", 'kind="stale"'), 3);
  assert.equal(await gateway.metric("tidegate_fallbacks_total", 'kind="static"'), 4);
  assert.equal(await gateway.metric("tidegate_fallbacks_total", 'kind="redirect"', 'route="away"'), 1);
});
