/** How a refusal looks: over both versions of HTTP, for every kind of request, and that it can be relied on. */
import assert from "node:assert/strict";
import { once } from "node:events";
import http2 from "node:http2";
import { test } from "node:test";
import { raw, startGateway, wholeAnswer } from "../../support/gateway.ts";
import { pause } from "../failover/load.ts";
import { Certificates } from "../forwarding/certificates.ts";
import { files, startLimited, statuses, upstream } from "./support.ts";

const ONE_AN_HOUR = { limits: "  a: { rate: 1/h, burst: 1, by: [route] }", route: "a" };
const UPGRADE =
  "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/** How many whole heads a text holds. */
const answers = (text: string): number => text.match(/HTTP\/1\.1 \d{3} /g)?.length ?? 0;

test("over HTTP/2 a refusal says the same, and the connection serves on", async (t) => {
  const certificate = new Certificates(t).make("IP:127.0.0.1");
  const tls = ["--tls-port", "0", "--tls-cert", certificate.certFile, "--tls-key", certificate.keyFile];
  const gateway = await startGateway(t, files(await upstream(t), ONE_AN_HOUR), tls);
  const session = http2.connect(`https://127.0.0.1:${gateway.tlsPort}`, {
    ca: certificate.cert,
    rejectUnauthorized: false,
  });
  t.after(() => session.destroy());
  const ask = async (path: string) => {
    const stream = session.request({ ":path": path, "x-user-id": "ann" });
    const [head] = (await once(stream, "response")) as [
      http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader,
    ];
    let body = "";
    for await (const chunk of stream) body += chunk;
    return { head, body };
  };
  assert.equal((await ask("/hall/a")).head[":status"], 200);
  const { head, body } = await ask("/hall/a");
  assert.equal(head[":status"], 429);
  assert.equal(head["content-type"], "application/problem+json");
  assert.equal(head["retry-after"], "3600");
  assert.equal(head.ratelimit, '"a";r=0;t=3600');
  assert.equal(head["ratelimit-policy"], '"a";q=1;w=3600');
  assert.equal(Number(head["content-length"]), body.length);
  assert.equal((JSON.parse(body) as { limit: string }).limit, "a");
  assert.equal(
    (await ask("/cart/a")).head[":status"],
    200,
    "another route's bucket, over the same connection",
  );
});

test("an upgrade takes a token like any request, and is refused before the unit hears of it", async (t) => {
  const gateway = await startLimited(t, ONE_AN_HOUR);
  assert.deepEqual(await statuses(gateway, 1), [200]);
  const text = await raw(gateway.port, `GET /hall/ws HTTP/1.1\r\nHost: h\r\n${UPGRADE}\r\n`, wholeAnswer);
  assert.match(text, /^HTTP\/1\.1 429 Too Many Requests\r\n/);
  assert.match(text, /\r\nretry-after: 3600\r\n/i);
  assert.match(text, /\r\nratelimit: "a";r=0;t=3600\r\n/i);
  assert.match(text, /"type":"urn:tidegate:problem:limit"/);
});

test("a refused HEAD has no body, and the answers after it stay in their places", async (t) => {
  const gateway = await startLimited(t, ONE_AN_HOUR);
  await statuses(gateway, 1);
  const both = "HEAD /hall/a HTTP/1.1\r\nHost: h\r\n\r\nGET /none HTTP/1.1\r\nHost: h\r\n\r\n";
  const text = await raw(gateway.port, both, (seen) => answers(seen) === 2 && seen.endsWith("}"));
  const [head, second] = text.split("\r\n\r\n", 2) as [string, string];
  assert.match(head, /^HTTP\/1\.1 429 /);
  assert.match(head, /\r\ncontent-length: \d\d+/i, "of what GET would have got");
  assert.match(second, /^HTTP\/1\.1 404 /);
});

test("a body that was sent with a refused request is not taken for the next request", async (t) => {
  const gateway = await startLimited(t, ONE_AN_HOUR);
  await statuses(gateway, 1);
  const inner = "GET /cart/smuggled HTTP/1.1\r\nHost: h\r\n\r\n";
  const outer = `POST /hall/a HTTP/1.1\r\nHost: h\r\nContent-Length: ${inner.length}\r\n\r\n${inner}GET /none HTTP/1.1\r\nHost: h\r\n\r\n`;
  const text = await raw(gateway.port, outer, (seen) => answers(seen) === 2 && seen.endsWith("}"), 2_000);
  assert.deepEqual(
    [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map((m) => m[1]),
    ["429", "404"],
  );
});

test("a long body is not awaited: who uploads to a used up limit hears of it at once", async (t) => {
  const gateway = await startLimited(t, ONE_AN_HOUR);
  await statuses(gateway, 1);
  const began = performance.now();
  const head = "POST /hall/a HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\n";
  const text = await raw(gateway.port, `${head}${"x".repeat(10_000)}`, wholeAnswer);
  assert.match(text, /^HTTP\/1\.1 429 /);
  assert.match(text, /\r\nconnection: close\r\n/i, "its framing is lost");
  assert.ok(performance.now() - began < 1_000);
});

test("Retry-After is enough for a request of several tokens, and no second too long", async (t) => {
  const gateway = await startLimited(t, {
    limits: "  a: { rate: 2/s, burst: 5, by: [client] }",
    route: "a",
    more: ", cost: 5",
  });
  assert.deepEqual(await statuses(gateway, 1), [200]);
  const answer = await fetch(`${gateway.url}/hall/a`);
  const took = performance.now();
  await answer.text();
  assert.equal(answer.headers.get("retry-after"), "3", "five tokens at two a second");
  assert.equal(answer.headers.get("ratelimit"), '"a";r=0;t=3');
  await pause(2_000);
  assert.deepEqual(await statuses(gateway, 1), [429], "a refusal takes nothing, nor gives");
  await pause(3_000 - (performance.now() - took));
  assert.deepEqual(await statuses(gateway, 1), [200]);
});

test("of two limits the one that refuses is named, with its own time, and counted alone", async (t) => {
  const gateway = await startLimited(t, {
    limits: "  wide: { rate: 1/h, burst: 3 }\n  narrow: { rate: 1/m, burst: 1, by: [user] }",
    route: "wide, narrow",
  });
  const ask = async (user: string): Promise<[number, string | null]> => {
    const answer = await fetch(`${gateway.url}/hall/a`, { headers: { "x-user-id": user } });
    await answer.text();
    return [answer.status, answer.headers.get("ratelimit")];
  };
  assert.deepEqual(await ask("ann"), [200, null]);
  for (let i = 0; i < 5; i++) assert.deepEqual(await ask("ann"), [429, '"narrow";r=0;t=60']);
  assert.deepEqual(await ask("bob"), [200, null]);
  assert.deepEqual(await ask("eve"), [200, null], "ann's refusals took nothing of the wide one");
  assert.deepEqual(await ask("zoe"), [429, '"wide";r=0;t=3600']);
  // Zoe's own bucket was not touched: counted by user, she still has her token on a route that obeys both.
  assert.equal(await gateway.metric("tidegate_limited_total", 'limit="narrow"'), 5);
  assert.equal(await gateway.metric("tidegate_limited_total", 'limit="wide"'), 1);
  assert.equal(await gateway.metric("tidegate_requests_total", 'code="429"'), 6);
});
