/** What a route answers when no unit can: a file, a status, a redirect, or its last good answer. */
import assert from "node:assert/strict";
import http from "node:http";
import { type TestContext, test } from "node:test";
import { fleetYaml, startGateway, type TestGateway, until } from "../../support/gateway.ts";

interface Upstream {
  readonly url: string;
  stop(): Promise<void>;
}

/** Answers with the user and a count, and the fields that the query asks for: `?cache-control=private`. */
async function upstream(t: TestContext): Promise<Upstream> {
  let count = 0;
  const server = http.createServer((request, response) => {
    if (request.url === "/healthz") return response.end("ok");
    const { searchParams } = new URL(request.url!, "http://unit");
    for (const [name, value] of searchParams) if (name !== "uid") response.setHeader(name, value);
    response.end(`${request.headers["x-user-id"] ?? "nobody"} ${++count}`);
    return response;
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const stop = async (): Promise<void> => {
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
  };
  t.after(stop);
  return { url: `http://127.0.0.1:${(server.address() as { port: number }).port}`, stop };
}

const routes = (fallback: string): string => `routes:
  - name: hall
    match: { path: /hall/* }
    service: hall
    scope: nearest
    retry: none
    fallback: ${fallback}
`;

async function start(t: TestContext, fallback: string): Promise<{ gateway: TestGateway; unit: Upstream }> {
  const unit = await upstream(t);
  const gateway = await startGateway(t, {
    "fleet.yaml": fleetYaml({ hz: [unit.url] }),
    "routes.yaml": routes(fallback),
    "busy.html": "<p>Back in a minute.</p>",
  });
  return { gateway, unit };
}

const get = (gateway: TestGateway, path: string, headers: Record<string, string> = {}, method = "GET") =>
  fetch(`${gateway.url}${path}`, { method, headers, redirect: "manual" });

test("a file, with a header that says so and a metric", async (t) => {
  const { gateway, unit } = await start(t, "{ status: 200, file: busy.html }");
  assert.match(await (await get(gateway, "/hall/a")).text(), /nobody/);
  await unit.stop();
  const answer = await get(gateway, "/hall/a");
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get("x-tidegate-fallback"), "upstream-refused");
  assert.equal(answer.headers.get("content-type"), "text/html; charset=utf-8");
  assert.equal(await answer.text(), "<p>Back in a minute.</p>");
  assert.equal(await gateway.metric("tidegate_fallbacks_total", 'route="hall",kind="static"'), 1);
});

test("a status alone, and a redirect", async (t) => {
  for (const [fallback, status, location, kind] of [
    ["{ status: 503 }", 503, null, "static"],
    ["{ redirect: https://example.com/busy }", 302, "https://example.com/busy", "redirect"],
  ] as const) {
    const { gateway, unit } = await start(t, fallback);
    await unit.stop();
    const answer = await get(gateway, "/hall/a");
    assert.equal(answer.status, status);
    assert.equal(answer.headers.get("location"), location);
    assert.equal(answer.headers.get("cache-control"), "no-store");
    assert.equal(await answer.text(), "");
    assert.equal(await gateway.metric("tidegate_fallbacks_total", `kind="${kind}"`), 1);
  }
});

test("the last good answer, with its age, to GET and HEAD, and to nobody else's question", async (t) => {
  const { gateway, unit } = await start(t, "{ stale: 10m }");
  assert.equal(await (await get(gateway, "/hall/a?etag=x")).text(), "nobody 1");
  assert.equal(await (await get(gateway, "/hall/a?etag=x", { "x-user-id": "ann" })).text(), "ann 2");
  await unit.stop();
  const answer = await get(gateway, "/hall/a?etag=x");
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get("x-tidegate-fallback"), "stale");
  assert.equal(answer.headers.get("etag"), "x");
  assert.match(answer.headers.get("age") ?? "", /^\d+$/);
  assert.equal(await answer.text(), "nobody 1");
  const head = await get(gateway, "/hall/a?etag=x", {}, "HEAD");
  assert.deepEqual([head.status, head.headers.get("content-length"), await head.text()], [200, "8", ""]);
  assert.equal(await (await get(gateway, "/hall/a?etag=x", { "x-user-id": "ann" })).text(), "ann 2");
  // Whether the gateway knows yet that nobody is there, or finds out, is not what is tested.
  const none = async (path: string, headers = {}, method = "GET"): Promise<void> => {
    const refused = await get(gateway, path, headers, method);
    assert.ok(refused.status === 502 || refused.status === 503, `${refused.status}`);
    assert.equal(refused.headers.get("x-tidegate-fallback"), null);
    assert.match(await refused.text(), /urn:tidegate:problem:/);
  };
  await none("/hall/a?etag=x", { "x-user-id": "bob" });
  await none("/hall/a?etag=x", {}, "POST");
  await none("/hall/b");
  assert.equal(await gateway.metric("tidegate_fallbacks_total", 'kind="stale"'), 3);
});

test("never what is private: by Cache-Control, Set-Cookie, Authorization, Cookie or Vary", async (t) => {
  const { gateway, unit } = await start(t, "{ stale: 10m, status: 503, body: away }");
  const cases: [string, Record<string, string>][] = [
    ["/hall/1?cache-control=private", {}],
    ["/hall/2?cache-control=no-store", {}],
    ["/hall/3?set-cookie=a%3Db", {}],
    ["/hall/4?vary=*", {}],
    ["/hall/5", { authorization: "Bearer ann" }],
    ["/hall/6", { cookie: "session=ann" }],
  ];
  for (const [path, headers] of cases) assert.equal((await get(gateway, path, headers)).status, 200, path);
  await get(gateway, "/hall/7?vary=accept-language", { "accept-language": "zh" });
  await unit.stop();
  for (const [path, headers] of cases) {
    for (const asked of [headers, {}]) {
      const answer = await get(gateway, path, asked);
      assert.notEqual(answer.headers.get("x-tidegate-fallback"), "stale", path);
      assert.equal(await answer.text(), "away", path);
    }
  }
  const same = await get(gateway, "/hall/7?vary=accept-language", { "accept-language": "zh" });
  assert.equal(same.headers.get("x-tidegate-fallback"), "stale");
  const other = await get(gateway, "/hall/7?vary=accept-language", { "accept-language": "en" });
  assert.equal(await other.text(), "away");
});
test("a reload forgets no stored answer", async (t) => {
  const { gateway, unit } = await start(t, "{ stale: 10m }");
  assert.equal(await (await get(gateway, "/hall/a")).text(), "nobody 1");
  gateway.write("routes.yaml", routes("{ stale: 20m }"));
  await until(
    "reloaded",
    () => gateway.status(),
    (s) => s.servedRevision === 2,
  );
  await unit.stop();
  assert.equal(await (await get(gateway, "/hall/a")).text(), "nobody 1");
});
