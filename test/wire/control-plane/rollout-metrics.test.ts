/** Metrics of rollouts over real sockets: a real Prometheus, and servers that are none. */
import assert from "node:assert/strict";
import type { RequestListener } from "node:http";
import { type TestContext, test } from "node:test";
import { Prometheus, wrongPrometheus } from "../../../control-plane/prometheus.ts";
import { freePort } from "../../../host/port.ts";
import { startControlPlane, startFollower } from "../../support/control-plane.ts";
import { ROUTES, until } from "../../support/gateway.ts";
import { httpServer } from "../forwarding/support.ts";
import { startPrometheus } from "../../support/prometheus.ts";

const serve = async (t: TestContext, listener: RequestListener): Promise<number> =>
  Number(new URL((await httpServer(t, listener)).url).port);

test("what is no number is said so: no answer, garbage, a refusal, many series, none, a redirect, too much", async (t) => {
  const answers: Record<string, RequestListener> = {
    scalar: (_request, response) =>
      response.end('{"status":"success","data":{"resultType":"scalar","result":[1,"4"]}}'),
    one: (_request, response) =>
      response.end(
        '{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"0.5"]}]}}',
      ),
    none: (_request, response) =>
      response.end('{"status":"success","data":{"resultType":"vector","result":[]}}'),
    nan: (_request, response) =>
      response.end(
        '{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"NaN"]}]}}',
      ),
    two: (_request, response) =>
      response.end(
        '{"status":"success","data":{"resultType":"vector","result":[{"value":[1,"1"]},{"value":[1,"2"]}]}}',
      ),
    refused: (_request, response) =>
      response.writeHead(400).end('{"status":"error","errorType":"bad_data","error":"parse error"}'),
    garbage: (_request, response) => response.writeHead(502).end("<html>"),
    moved: (_request, response) => response.writeHead(302, { location: "http://169.254.169.254/" }).end(),
    much: (_request, response) => response.end("x".repeat(100_000)),
    hangs: () => {},
  };
  let headers: unknown;
  const port = await serve(t, (request, response) => {
    const name = request.url!.split("/")[1]!;
    headers = [request.method, request.headers.authorization];
    request.resume();
    answers[name]!(request, response);
  });
  const ask = (name: string) =>
    new Prometheus({
      url: new URL(`http://127.0.0.1:${port}/${name}`),
      token: "sesame",
      timeout: 500,
    }).number("up");
  assert.equal(await ask("one"), 0.5);
  assert.deepEqual(headers, ["POST", "Bearer sesame"]);
  assert.equal(await ask("scalar"), 4);
  assert.equal(await ask("none"), undefined);
  assert.equal(await ask("nan"), undefined);
  for (const [name, reason] of [
    ["two", /2 series; expected one number/],
    ["refused", /it says: parse error/],
    ["garbage", /it answers 502 and no JSON/],
    ["moved", /redirect/],
    ["much", /more than 65536 bytes/],
    ["hangs", /no answer in 500 ms/],
  ] as const) {
    await assert.rejects(ask(name), reason, name);
  }
  const closed = new Prometheus({ url: new URL(`http://127.0.0.1:${await freePort()}`), token: undefined });
  await assert.rejects(closed.number("up"), /ECONNREFUSED/);
  assert.equal(wrongPrometheus("http://prometheus:9090/base"), undefined);
  for (const text of ["prometheus:9090", "ftp://x", "http://me:secret@x", ""]) {
    const wrong = wrongPrometheus(text)!;
    assert.match(wrong, /expected http/, text);
    assert.doesNotMatch(wrong, /secret/);
  }
});

const ROLLOUT = `summary: a test
owner: ann
service: hall
waves: [ hz ]
steps: [ { share: 50%, bake: 1m } ]
evidence:
  samples: 1
  metrics:
    queue: { query: 'max(queue_length{unit="$unit",version="$version"})', limit: 100, windows: 1 }
`;

test("a rollout asks a real Prometheus, and takes itself back by what it says", async (t) => {
  const exporter = await serve(t, (_request, response) => {
    response.setHeader("content-type", "text/plain; version=0.0.4");
    response.end(
      'queue_length{unit="hz",version="canary"} 700\nqueue_length{unit="hz",version="stable"} 7\n',
    );
  });
  const ok: RequestListener = (request, response) => {
    request.resume();
    response.end("ok");
  };
  const [stable, canary] = [await serve(t, ok), await serve(t, ok)];
  const files = {
    "fleet.yaml": `fleet: test
regions: { r: {} }
units: { hz: { region: r, center: true } }
placement: { key: [ { header: x-user-id } ], slots: 1024, map: { hz: 0-1023 } }
services:
  hall:
    health: none
    pools: { hz: { stable: [ "http://127.0.0.1:${stable}" ], canary: [ "http://127.0.0.1:${canary}" ] } }
`,
    "routes.yaml": ROUTES,
    "rollouts/next.yaml": ROLLOUT,
  };
  const without = await startControlPlane(t, files);
  const refused = await without.call("POST", "/v1/rollouts/next/start", { reason: "a test" });
  assert.equal(refused.status, 422, JSON.stringify(refused.body));
  assert.match(refused.body.problems[0], /start the control plane with --prometheus URL/);
  assert.equal((await without.call("GET", "/v1/rollouts")).body.rollouts[0].fits, false);

  const prometheus = await startPrometheus(t, exporter);
  const plane = await startControlPlane(t, files, ["--dev", "--prometheus", prometheus]);
  const gateway = await startFollower(t, plane, "one");
  let user = 0;
  const traffic = setInterval(() => {
    fetch(`${gateway.url}/cart/a`, { headers: { "x-user-id": `u${user++}` } }).then(
      (answer) => answer.text(),
      () => {},
    );
  }, 20);
  t.after(() => clearInterval(traffic));
  const ask = new Prometheus({ url: new URL(prometheus), token: undefined });
  // It finds its targets after five seconds.
  await until(
    "a scrape",
    () => ask.number('max(queue_length{version="canary"})'),
    (value) => value === 700,
    20_000,
  );
  const begun = await plane.call("POST", "/v1/rollouts/next/start", { reason: "a test" });
  assert.equal(begun.status, 201, JSON.stringify(begun.body));
  const { execution, units } = await until(
    "taken back",
    async () => (await plane.call("GET", "/v1/rollouts/next")).body,
    (view) => view.execution.state === "reverted",
    30_000,
  );
  assert.deepEqual(execution.overlays.length, execution.removed.length);
  assert.match(units[0].says, /queue of the canary is 700, more than 100/);
});
