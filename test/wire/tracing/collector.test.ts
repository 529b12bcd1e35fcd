/** What a real OpenTelemetry Collector makes of a gateway's spans: one trace from the client to the attempt. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fleetYaml, startGateway } from "../../support/gateway.ts";
import { ask, httpServer } from "../forwarding/support.ts";
import { CLIENT, SERVER, type Span, startCollector } from "./support.ts";

const ROUTES = `routes:
  - name: cart
    match: { path: /cart/* }
    service: hall
    scope: sharded
    failover: reads
    retry: { attempts: 2, on: [refused, reset, 503] }
`;

const id = (n: number): string => `0af7651916cd43dd8448eb211c8031${n.toString(16).padStart(2, "0")}`;
const CLIENT_SPAN = "b7ad6b7169203331";

for (const protocol of ["http", "grpc"] as const) {
  test(`one trace from the client through the gateway to the unit, by OTLP over ${protocol}`, async (t) => {
    const collector = await startCollector(t);
    const heard: { url: string; traceparent: string; tracestate: string; baggage: string }[] = [];
    const listen = (status: (url: string) => number) =>
      httpServer(t, (request, response) => {
        const { traceparent = "", tracestate = "", baggage = "" } = request.headers as Record<string, string>;
        heard.push({ url: request.url!, traceparent, tracestate, baggage });
        response.statusCode = status(request.url!);
        response.write("begun, ");
        setTimeout(() => response.end("ended"), 40);
      });
    const hz = await listen((url) => (url.includes("fails") ? 503 : 200));
    const sh = await listen(() => 200);
    const gateway = await startGateway(
      t,
      {
        "fleet.yaml": fleetYaml({ hz: [hz.url], sh: [sh.url] }, "  pins: { u1: hz }\n"),
        "routes.yaml": ROUTES,
        "gateway.yaml": "tracing: { sample: 0%, slow: 10s }\n",
      },
      ["--otlp", collector[protocol], "--name", "gw-1"],
    );
    const get = (n: number, path: string, flags: string) =>
      ask(gateway.port, {
        path,
        headers: {
          host: "shop.test",
          "x-user-id": "u1",
          traceparent: `00-${id(n)}-${CLIENT_SPAN}-${flags}`,
          tracestate: "rojo=1",
          baggage: "a=1",
        },
      });

    const before = Date.now();
    assert.equal((await get(1, "/cart/fails?token=x", "01")).status, 200);
    const spans = await collector.trace(id(1), 3);
    const [server] = spans.filter(({ kind }) => kind === SERVER) as [Span];
    const attempts = spans.filter(({ kind }) => kind === CLIENT);
    assert.equal(spans.length, 3);
    assert.equal(server.parentSpanId, CLIENT_SPAN);
    assert.equal(server.traceState, "rojo=1");
    assert.equal(server.name, "GET /cart/*");
    const { "client.address": _c, "tidegate.reason": reason, ...said } = server.attributes;
    assert.deepEqual(said, {
      "http.request.method": "GET",
      "url.path": "/cart/fails",
      "url.scheme": "http",
      "http.route": "/cart/*",
      "http.response.status_code": 200,
      "server.address": "shop.test",
      "network.protocol.name": "http",
      "network.protocol.version": "1.1",
      "tidegate.route": "cart",
      "tidegate.unit": "sh",
      "tidegate.home": "hz",
      "tidegate.slot": said["tidegate.slot"],
      "tidegate.version": "stable",
      "tidegate.failover.cause": "503",
      "tidegate.revision": 1,
      "tidegate.attempts": 2,
    });
    assert.match(String(reason), /^the key is pinned to hz .* of 1024\); sent to sh because of 503$/);
    assert.deepEqual(
      [server.resource["service.name"], server.resource["service.instance.id"]],
      ["tidegate-gateway", "gw-1"],
    );
    for (const attempt of attempts) assert.equal(attempt.parentSpanId, server.spanId);
    assert.deepEqual(
      attempts.map(({ attributes: a, status }) => [
        a["tidegate.unit"],
        a["http.response.status_code"],
        a["error.type"],
        a["http.request.resend_count"],
        status.code ?? 0,
        a["url.full"],
      ]),
      [
        ["hz", 503, "503", undefined, 2, `${hz.url}/cart/fails`],
        ["sh", 200, undefined, 1, 0, `${sh.url}/cart/fails`],
      ],
    );
    // The units go on where their attempt is, and the rest of the context comes through.
    assert.deepEqual(
      heard.map(({ traceparent, tracestate, baggage }) => [traceparent, tracestate, baggage]),
      attempts.map(({ spanId }) => [`00-${id(1)}-${spanId}-01`, "rojo=1", "a=1"]),
    );
    // The spans end with the stream, and within their parent.
    const ms = (nanos: string): number => Number(BigInt(nanos) / 1_000_000n);
    const took = ms(server.endTimeUnixNano) - ms(server.startTimeUnixNano);
    assert.ok(took >= 35, `${took} ms`);
    assert.ok(ms(server.startTimeUnixNano) >= before - 5 && ms(server.endTimeUnixNano) <= Date.now() + 5);
    const last = attempts[1]!;
    assert.ok(ms(last.endTimeUnixNano) - ms(last.startTimeUnixNano) >= 35);
    assert.ok(BigInt(last.endTimeUnixNano) <= BigInt(server.endTimeUnixNano) + 1_000_000n);

    // Whose client does not record it is recorded only where it fails.
    assert.equal((await get(2, "/cart/good", "00")).status, 200);
    assert.equal(
      (
        await ask(gateway.port, {
          method: "POST",
          path: "/cart/fails",
          body: "x",
          headers: { "x-user-id": "u1", traceparent: `00-${id(3)}-${CLIENT_SPAN}-00` },
        })
      ).status,
      503,
    );
    const failed = await collector.trace(id(3), 2);
    const failure = failed.find(({ kind }) => kind === SERVER)!;
    assert.deepEqual(
      [
        failure.attributes["error.type"],
        failure.status.code,
        failure.attributes["http.response.status_code"],
      ],
      ["503", 2, 503],
    );
    assert.deepEqual(
      collector.spans().filter(({ traceId }) => traceId === id(2)),
      [],
    );
    assert.match(
      heard.find(({ url }) => url === "/cart/good")!.traceparent,
      new RegExp(`^00-${id(2)}-\\w{16}-00$`),
    );
    assert.doesNotMatch(collector.text(), /token=x/);
    assert.equal(await gateway.metric("tidegate_spans_exported_total"), 5);
    assert.equal(await gateway.metric("tidegate_spans_dropped_total"), 0);
  });
}
