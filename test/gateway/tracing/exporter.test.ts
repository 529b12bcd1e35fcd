/** What an exporter does with collectors that are slow, gone, or of another mind. */
import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import http2 from "node:http2";
import type { AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";
import {
  type Collector,
  type CollectorAddress,
  collectorAddress,
  openCollector,
  type Sent,
} from "../../../gateway/tracing/collector.ts";
import { MOST_QUEUED, SpanExporter } from "../../../gateway/tracing/exporter.ts";
import { chance, HandClock } from "../support.ts";
import { recorded } from "./support.ts";

const TAKEN: Sent = { taken: true, rejected: 0 };
const DOWN: Sent = { taken: false, again: true, after: 0, why: "down" };
const SPANS = 3; // of one record

function stage(answers: Sent[]) {
  const clock = new HandClock();
  const counted: Record<string, number> = {};
  const sizes: number[] = [];
  const words: string[] = [];
  const collector: Collector = {
    send: async (message) => {
      sizes.push(message.length);
      return answers.shift() ?? TAKEN;
    },
    close: () => {},
  };
  const exporter = new SpanExporter({
    address: undefined as never,
    collector,
    clock,
    random: chance(0.5),
    log: {
      info: (word: unknown) => words.push(String(word)),
      warn: (_: unknown, word: string) => words.push(word),
    } as never,
    count: (name, labels, n) => {
      counted[`${name}{${labels}}`] = (counted[`${name}{${labels}}`] ?? 0) + n;
    },
    resource: () => ({ gateway: "gw", fleet: "f", version: "1", region: undefined }),
  });
  return { clock, counted, sizes, words, exporter };
}

const many = (n: number) => Array.from({ length: n }, () => recorded());

test("batches are sent one after another until nothing waits", async () => {
  const { exporter, sizes, counted } = stage([]);
  exporter.add(many(600));
  await exporter.look();
  assert.equal(sizes.length, 3);
  assert.equal(exporter.queued, 0);
  assert.deepEqual(counted, { "tidegate_spans_exported_total{}": 600 * SPANS });
});

test("while a collector is gone spans wait up to a bound, and it is asked ever more rarely", async () => {
  const { exporter, sizes, counted, clock, words } = stage(Array.from({ length: 8 }, () => DOWN));
  exporter.add(many(MOST_QUEUED + 10));
  assert.equal(counted['tidegate_spans_dropped_total{cause="queue"}'], 10 * SPANS);
  for (let ms = 0; ms < 60_000; ms += 100) {
    await exporter.look();
    clock.time += 100;
  }
  assert.ok(sizes.length >= 6 && sizes.length <= 9, `${sizes.length} tries in a minute`);
  assert.equal(words.length, 1, "said once");
  assert.equal(exporter.queued, MOST_QUEUED);
  for (let ms = 0; ms < 60_000; ms += 1_000) {
    await exporter.look();
    clock.time += 1_000;
  }
  assert.equal(exporter.queued, 0, "it came back, and takes what waited");
  assert.equal(words.length, 2);
  assert.equal(counted["tidegate_spans_exported_total{}"], MOST_QUEUED * SPANS);
});

test("what a collector will never take is dropped, counted, and in nobody's way", async () => {
  const never: Sent = { taken: false, again: false, after: 0, why: "it answers 400" };
  const { exporter, counted } = stage([never, { taken: true, rejected: 5 }]);
  exporter.add(many(257));
  await exporter.look();
  assert.deepEqual(counted, {
    'tidegate_spans_dropped_total{cause="refused"}': 256 * SPANS + 3,
  });
});

test("a collector that asks for a pause has it", async () => {
  const { exporter, sizes, clock } = stage([{ ...DOWN, after: 20_000 } as Sent]);
  exporter.add(many(1));
  await exporter.look();
  clock.time += 19_000;
  await exporter.look();
  assert.equal(sizes.length, 1);
  clock.time += 1_001;
  await exporter.look();
  assert.equal(sizes.length, 2);
});

test("a gateway that ends sends what is left, unless the collector is gone", async () => {
  const good = stage([]);
  good.exporter.add(many(3));
  await good.exporter.stop(1_000);
  assert.equal(good.counted["tidegate_spans_exported_total{}"], 9);
  const bad = stage([DOWN]);
  bad.exporter.add(many(3));
  await bad.exporter.look();
  await bad.exporter.stop(1_000);
  assert.deepEqual(bad.counted, { 'tidegate_spans_dropped_total{cause="queue"}': 9 });
});

test("addresses: the scheme says the protocol, and a password in one is neither taken nor shown", () => {
  assert.deepEqual(collectorAddress("http://127.0.0.1:4318"), {
    origin: "http://127.0.0.1:4318",
    path: "/v1/traces",
    protocol: "http",
    headers: {},
  });
  const grpc = collectorAddress(
    "grpcs://otel.test:4317",
    "Authorization=Bearer%20x, a=b",
  ) as CollectorAddress;
  assert.deepEqual(
    [grpc.origin, grpc.protocol, grpc.headers],
    ["https://otel.test:4317", "grpc", { authorization: "Bearer x", a: "b" }],
  );
  assert.equal(
    (collectorAddress("https://otel.test/otlp/v1/traces") as CollectorAddress).path,
    "/otlp/v1/traces",
  );
  for (const wrong of ["", "otel.test:4318", "ftp://otel.test", "http://", "http://user:canary@otel.test"]) {
    const said = collectorAddress(wrong);
    assert.match(String(said), /expected a URL such as/, wrong);
    assert.doesNotMatch(String(said), /canary/);
  }
  assert.match(String(collectorAddress("http://otel.test", "nonsense")), /name=value/);
  assert.match(String(collectorAddress("http://otel.test", "a=%zz")), /percent-encoded/);
});

async function opened(t: TestContext, server: http.Server | http2.Http2Server, scheme: "http" | "grpc") {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = collectorAddress(`${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const collector = openCollector(address as CollectorAddress);
  t.after(() => {
    collector.close();
    server.close();
    if ("closeAllConnections" in server) server.closeAllConnections();
  });
  return collector;
}

test("OTLP over HTTP: what an answer means", async (t) => {
  let answer: (response: http.ServerResponse) => void = (response) => response.end();
  const server = http.createServer((request, response) => request.resume().on("end", () => answer(response)));
  const collector = await opened(t, server, "http");
  const send = (deadline = 2_000) => collector.send(Buffer.from("x"), deadline);
  assert.deepEqual(await send(), TAKEN);
  answer = (response) => response.end(Buffer.from("0a03088002", "hex"));
  assert.deepEqual(await send(), { taken: true, rejected: 256 });
  answer = (response) => response.writeHead(429, { "retry-after": "3" }).end();
  assert.deepEqual(await send(), { taken: false, again: true, after: 3_000, why: "it answers 429" });
  answer = (response) => response.writeHead(400).end();
  assert.deepEqual(await send(), { taken: false, again: false, after: 0, why: "it answers 400" });
  answer = () => {};
  assert.deepEqual(await send(100), { taken: false, again: true, after: 0, why: "no answer in time" });
  answer = (response) => response.end("x".repeat(100_000));
  assert.deepEqual(await send(), { taken: false, again: true, after: 0, why: "the answer is too long" });
});

test("OTLP over gRPC: the verdict is in the trailers, and what hangs is given up", async (t) => {
  let status: string | undefined = "0";
  const got: Buffer[] = [];
  const server = http2.createServer();
  server.on("stream", (stream: http2.ServerHttp2Stream) => {
    stream.on("error", () => {});
    stream.on("data", (chunk: Buffer) => got.push(chunk));
    stream.on("end", () => {
      if (status === undefined) return;
      stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": status! }));
      stream.end(Buffer.from("0000000000", "hex"));
    });
  });
  const sessions = new Set<http2.ServerHttp2Session>();
  server.on("session", (session) => sessions.add(session));
  t.after(() => {
    for (const session of sessions) session.destroy();
  });
  const collector = await opened(t, server, "grpc");
  assert.deepEqual(await collector.send(Buffer.from("abc"), 2_000), TAKEN);
  assert.equal(Buffer.concat(got).toString("hex"), "0000000003616263");
  status = "14";
  assert.deepEqual(await collector.send(Buffer.from("x"), 2_000), {
    taken: false,
    again: true,
    after: 0,
    why: "it answers gRPC status 14",
  });
  status = "3";
  assert.equal(((await collector.send(Buffer.from("x"), 2_000)) as { again: boolean }).again, false);
  status = undefined;
  assert.deepEqual(await collector.send(Buffer.from("x"), 100), {
    taken: false,
    again: true,
    after: 0,
    why: "no answer in 100 ms",
  });
  status = "0";
  assert.deepEqual(await collector.send(Buffer.from("x"), 2_000), TAKEN, "on a new connection");
});
