/** HTTPS to clients: HTTP/1.1 and HTTP/2 by ALPN, certificates that are replaced, and floods that end. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { copyFileSync, writeFileSync } from "node:fs";
import type http from "node:http";
import http2 from "node:http2";
import https from "node:https";
import { createRequire } from "node:module";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import tls from "node:tls";
import { fleetYaml, startGateway, type TestGateway, until } from "../../support/gateway.ts";
import { byteServer } from "../../support/upstream.ts";
import { Certificates } from "./certificates.ts";
import { httpServer, oneRoute, pause, sampleUnit, valuesOf, within } from "./support.ts";

interface H2Answer {
  status: number;
  headers: http2.IncomingHttpHeaders;
  trailers: http2.IncomingHttpHeaders;
  text: string;
}

function ask2(
  session: http2.ClientHttp2Session,
  headers: http2.OutgoingHttpHeaders,
  body?: string | Buffer,
): Promise<H2Answer> {
  return new Promise((resolve, reject) => {
    const stream = session.request(headers, { endStream: body === undefined });
    const answer: H2Answer = { status: 0, headers: {}, trailers: {}, text: "" };
    stream.on("response", (head) => {
      answer.status = head[":status"]!;
      answer.headers = head;
    });
    stream.on("trailers", (fields) => {
      answer.trailers = fields;
    });
    stream.on("data", (chunk) => {
      answer.text += chunk;
    });
    stream.on("error", reject);
    stream.on("aborted", () => reject(new Error("aborted")));
    stream.on("end", () => resolve(answer));
    if (body !== undefined) stream.end(body);
  });
}

async function secure(t: TestContext, origin: string, ...lines: string[]) {
  const certificates = new Certificates(t);
  const first = certificates.make("DNS:localhost,IP:127.0.0.1");
  const cert = join(certificates.dir, "live.pem");
  const key = join(certificates.dir, "live.key");
  copyFileSync(first.certFile, cert);
  copyFileSync(first.keyFile, key);
  const gateway = await startGateway(
    t,
    { "fleet.yaml": fleetYaml({ hz: [origin] }), "routes.yaml": oneRoute(...lines) },
    ["--tls-port", "0", "--tls-cert", cert, "--tls-key", key],
  );
  return { certificates, first, cert, key, gateway };
}

function session(t: TestContext, gateway: TestGateway, ca: string): http2.ClientHttp2Session {
  const made = http2.connect(`https://127.0.0.1:${gateway.tlsPort}`, { ca });
  made.on("error", () => {});
  t.after(() => made.destroy());
  return made;
}

test("HTTPS and HTTP/2", async (t) => {
  const unit = await sampleUnit(t);
  const { certificates, gateway } = await secure(t, unit.origin);
  const { ca } = certificates;

  await t.test("HTTP/1.1 over TLS", async () => {
    const request = https.request({
      port: gateway.tlsPort,
      host: "127.0.0.1",
      ca,
      agent: false,
      path: "/x?y",
      method: "POST",
    });
    request.end("abc");
    const [response] = (await once(request, "response")) as [http.IncomingMessage];
    const seen = JSON.parse(
      Buffer.concat(await Array.fromAsync(response as AsyncIterable<Buffer>)).toString(),
    );
    assert.equal(seen.headers["x-forwarded-proto"], "https");
    assert.equal(seen.body.bytes, 3);
  });

  await t.test("GET, POST, parallel streams and trailers", async () => {
    const client = session(t, gateway, ca);
    await once(client, "connect");
    assert.equal(client.alpnProtocol, "h2");
    const get = await ask2(client, { ":path": "/x?a=%2F", cookie: ["a=1", "b=2"], te: "trailers" });
    const seen = JSON.parse(get.text);
    assert.equal(get.status, 200);
    assert.equal(seen.path, "/x");
    assert.equal(seen.query, "a=%2F");
    assert.deepEqual(valuesOf(seen.rawHeaders, "cookie"), ["a=1; b=2"]);
    assert.deepEqual(valuesOf(seen.rawHeaders, "host"), [`127.0.0.1:${gateway.tlsPort}`]);
    assert.equal(seen.headers["x-forwarded-proto"], "https");
    assert.equal(seen.headers.te, undefined);
    const post = await ask2(client, { ":path": "/x", ":method": "POST" }, Buffer.alloc(300_000));
    assert.equal(JSON.parse(post.text).body.bytes, 300_000);
    const empty = await ask2(client, { ":path": "/x", ":method": "POST" }, "");
    assert.equal(JSON.parse(empty.text).body.bytes, 0);
    const head = await ask2(client, { ":path": "/bytes/77", ":method": "HEAD" });
    assert.equal(head.headers["content-length"], "77");
    const began = performance.now();
    const many = await Promise.all(
      Array.from({ length: 50 }, (_, i) => ask2(client, { ":path": `/delay/200?${i}` })),
    );
    assert.ok(performance.now() - began < 2_000);
    for (const [i, answer] of many.entries()) assert.equal(JSON.parse(answer.text).query, `${i}`);
    const trailed = await ask2(client, { ":path": "/trailers" });
    assert.equal(trailed.trailers["x-bytes"], "20");
  });

  await t.test("RST_STREAM cancels the request to the unit", async () => {
    const client = session(t, gateway, ca);
    const arrived = once(unit.events, "request");
    const stream = client.request({ ":path": "/delay/30000" });
    stream.on("error", () => {});
    await arrived;
    const aborted = once(unit.events, "abort");
    const left = performance.now();
    stream.close(http2.constants.NGHTTP2_CANCEL);
    await within(2_000, "the abort", aborted);
    assert.ok(performance.now() - left < 100, `${performance.now() - left} ms`);
    assert.equal((await ask2(client, { ":path": "/x" })).status, 200);
  });

  await t.test("a WebSocket over TLS", async () => {
    const WebSocket = createRequire(import.meta.url)("ws") as new (
      url: string,
      options: object,
    ) => NodeJS.EventEmitter & { send(text: string): void; close(): void };
    const socket = new WebSocket(`wss://127.0.0.1:${gateway.tlsPort}/ws`, {
      ca,
      ALPNProtocols: ["http/1.1"],
    });
    await once(socket, "open");
    socket.send("hello");
    const [message] = (await once(socket, "message")) as [Buffer];
    assert.equal(message.toString(), "hello");
    const closed = once(socket, "close");
    socket.close();
    await within(1_000, "the close", closed);
  });

  await t.test("floods end with the connection, and the gateway lives", async () => {
    const rapid = session(t, gateway, ca);
    await once(rapid, "connect");
    const ended = once(rapid, "close");
    const timer = setInterval(() => {
      for (let i = 0; i < 200 && !rapid.destroyed && !rapid.closed; i++) {
        const stream = rapid.request({ ":path": "/delay/1000" });
        stream.on("error", () => {});
        stream.close(http2.constants.NGHTTP2_CANCEL);
      }
    }, 5);
    await within(8_000, "the end of a rapid reset", ended).finally(() => clearInterval(timer));
    const wide = session(t, gateway, ca);
    const headers: http2.OutgoingHttpHeaders = { ":path": "/x" };
    for (let i = 0; i < 3_000; i++) headers[`x-${i}`] = "1";
    const answer = await ask2(wide, headers).then(
      (a) => a.status,
      () => 0,
    );
    assert.ok(answer === 0 || answer === 431, `${answer}`);
    const after = session(t, gateway, ca);
    assert.equal((await ask2(after, { ":path": "/x" })).status, 200);
    assert.equal(await gateway.metric("tidegate_thread_restarts_total"), 0);
    await until("nothing under way", async () => (await gateway.metric("tidegate_upstream_inflight")) === 0);
  });
});

test("an answer that breaks off is an error over HTTP/2 too", async (t) => {
  const upstream = await byteServer(t, (_request, socket) => {
    socket.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\npart\r\n");
    setTimeout(() => socket.resetAndDestroy(), 100);
  });
  const { certificates, gateway } = await secure(t, upstream.url);
  const client = session(t, gateway, certificates.ca);
  await assert.rejects(ask2(client, { ":path": "/x" }));
});

test("early hints over HTTP/2, and a unit's connection fields", async (t) => {
  const upstream = await httpServer(t, (_request, response) => {
    response.writeEarlyHints({ link: "</a.css>; rel=preload" }, () => {
      response.setHeader("keep-alive", "timeout=9");
      response.end("ok");
    });
  });
  const { certificates, gateway } = await secure(t, upstream.url);
  const client = session(t, gateway, certificates.ca);
  const stream = client.request({ ":path": "/" });
  const hints: http2.IncomingHttpHeaders[] = [];
  stream.on("headers", (fields) => hints.push(fields));
  stream.resume();
  await once(stream, "end");
  assert.equal(hints[0]?.[":status"], 103);
  assert.equal(hints[0]?.link, "</a.css>; rel=preload");
});

test("a replaced certificate is served without a restart; a broken one is refused", async (t) => {
  const unit = await sampleUnit(t);
  const { certificates, first, cert, key, gateway } = await secure(t, unit.origin);
  const fingerprint = async (): Promise<string> => {
    const socket = tls.connect({ port: gateway.tlsPort, host: "127.0.0.1", ca: certificates.ca });
    await once(socket, "secureConnect");
    const { fingerprint256 } = socket.getPeerCertificate();
    socket.destroy();
    return fingerprint256;
  };
  const old = await fingerprint();
  const living = session(t, gateway, certificates.ca);
  assert.equal((await ask2(living, { ":path": "/x" })).status, 200);

  const second = certificates.make("DNS:localhost,IP:127.0.0.1");
  copyFileSync(second.certFile, cert);
  copyFileSync(second.keyFile, key);
  const renewed = await until("the new certificate", fingerprint, (seen) => seen !== old, 5_000);
  assert.equal((await ask2(living, { ":path": "/x" })).status, 200);

  writeFileSync(cert, "-----BEGIN CERTIFICATE-----\nbroken\n-----END CERTIFICATE-----\n");
  await until(
    "the refusal is said",
    () => gateway.stderr.includes("the new certificate is refused"),
    Boolean,
    5_000,
  );
  assert.equal(await fingerprint(), renewed);

  gateway.stderr = "";
  copyFileSync(first.certFile, cert); // Its key is the second's.
  await until(
    "the refusal is said",
    () => gateway.stderr.includes("the new certificate is refused"),
    Boolean,
    5_000,
  );
  assert.equal(await fingerprint(), renewed);
  copyFileSync(first.keyFile, key);
  await until("the first again", fingerprint, (seen) => seen === old, 5_000);
  await pause(0);
});
