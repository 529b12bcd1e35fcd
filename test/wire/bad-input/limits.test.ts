/** Too much, too slow, or not all of it. */
import assert from "node:assert/strict";
import test from "node:test";
import { until } from "../../support/gateway.ts";
import {
  Client,
  check,
  get,
  HOST,
  isProblem,
  OK,
  passed,
  plain,
  post,
  reached,
  refused,
  say,
  site,
  unharmed,
} from "./support.ts";

const LIMITED = `routes:
  - name: hall
    match: { path: /hall/* }
    service: hall
    scope: nearest
    timeout: { idle: 600ms, headers: 2s }
  - name: small
    match: { path: /small/* }
    service: hall
    scope: nearest
    maxBody: 10B
`;
const large = { status: 431, type: "headers-too-large" };

test("limits of a request", async (t) => {
  const s = await site(t, LIMITED, { "gateway.yaml": "client: { headerTimeout: 1s, keepAlive: 1s }\n" });

  // The slow ones wait for their timeouts side by side.
  const slow = ["GET /ha", "GET /hall/x HTTP/1.1\r\nHost: a.t", `GET /hall/x HTTP/1.1\r\n${HOST}`].map(
    (bytes) => {
      const client = new Client(s.port);
      client.write(bytes);
      return { bytes, client };
    },
  );
  const dribbling = new Client(s.port);
  dribbling.write(`GET /hall/x HTTP/1.1\r\n${HOST}`);
  const dribble = setInterval(() => dribbling.write("X-A: b\r\n"), 50);
  const silent = new Client(s.port);
  const kept = new Client(s.port);
  kept.write(get("/hall/sentinel-kept"));
  const slowSecond = new Client(s.port);
  slowSecond.write(`${get("/hall/sentinel-slow")}GET /hall/sl`);
  const started = performance.now();

  await check(t, "64 kB of header in many fields: 431", () =>
    refused(s, get("/hall/x", `X-A: ${"b".repeat(1_000)}\r\n`.repeat(64)), large),
  );
  await check(t, "one field of 64 kB: 431", () =>
    refused(s, get("/hall/x", `X-A: ${"b".repeat(65_536)}\r\n`), large),
  );
  await check(t, "one name of 64 kB: 431", () =>
    refused(s, get("/hall/x", `${"a".repeat(65_536)}: b\r\n`), large),
  );
  await check(t, "60 kB of header is passed on", () =>
    passed(s, get("/hall/x", `X-A: ${"b".repeat(1_000)}\r\n`.repeat(58)), [{ line: "GET /hall/x HTTP/1.1" }]),
  );
  await check(t, "101 fields: 431", () =>
    refused(s, get("/hall/x", "X-A: b\r\n".repeat(100)), { ...large, closes: false }),
  );
  await check(t, "100 fields are passed on", () =>
    passed(s, get("/hall/x", "X-A: b\r\n".repeat(99)), [{ line: "GET /hall/x HTTP/1.1" }]),
  );
  await check(t, "20,000 fields: 431", () =>
    refused(s, get("/hall/x", "a:b\r\n".repeat(20_000)), { ...large, closes: false }),
  );

  await check(t, "a declared body beyond maxBody: 413 before the upstream is asked", () =>
    refused(s, post("/small/x", "Content-Length: 11\r\n", "hello world"), {
      status: 413,
      type: "body-too-large",
      closes: false,
    }),
  );
  await check(t, "a declared body of 1 TB beyond maxBody: 413, and the connection ends", () =>
    refused(s, post("/small/x", "Content-Length: 1000000000000\r\n", "hello world"), {
      status: 413,
      type: "body-too-large",
    }),
  );
  await check(t, "Expect: 100-continue with too much: 413 without asking for it", () =>
    refused(s, post("/small/x", "Content-Length: 11\r\nExpect: 100-continue\r\n", ""), {
      status: 413,
      type: "body-too-large",
    }),
  );
  await check(t, "a body of exactly maxBody is passed on", () =>
    passed(s, post("/small/x", "Content-Length: 10\r\n", "0123456789"), [
      { line: "POST /small/x HTTP/1.1", body: "0123456789" },
    ]),
  );
  await check(t, "a chunked body beyond maxBody in one packet: 413", () =>
    refused(s, post("/small/x", "Transfer-Encoding: chunked\r\n", "b\r\nhello world\r\n0\r\n\r\n"), {
      status: 413,
      type: "body-too-large",
    }),
  );
  await check(
    t,
    "a chunked body that grows beyond maxBody: 413, the upstream's connection ends, and no end is sent",
    async () => {
      const client = new Client(s.port);
      let rest = "";
      const ended = new Promise<void>((resolve) => {
        s.upstream.onRest = (text, socket) => {
          if (rest === "") socket.on("close", () => resolve());
          rest += text;
          if (!rest.includes("hello")) return;
          client.write("6\r\n world\r\n0\r\n\r\n");
        };
      });
      s.upstream.onHead = (head) => head.includes("/small/grows");
      client.write(post("/small/grows", "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n"));
      await client.answers(1);
      await ended;
      await Promise.race([client.closed, plain(s)]);
      s.upstream.onHead = undefined;
      s.upstream.onRest = undefined;
      isProblem(client.said().answers[0], { status: 413, type: "body-too-large" });
      assert.doesNotMatch(rest, /0\r\n\r\n$/, "the upstream must not take the body for whole");
      assert.doesNotMatch(rest, /world/);
      await client.finish();
    },
  );

  await check(
    t,
    "a body longer than its Content-Length: the rest is the next request, and malformed",
    async () => {
      const got = await reached(s, async () => {
        const said = await say(s.port, post("/hall/x", "Content-Length: 5\r\n", "hello world\r\n\r\n"), 2);
        assert.deepEqual(
          said.answers.map((a) => a.status),
          [200, 400],
          said.text,
        );
      });
      assert.deepEqual(
        got.map((r) => r.body),
        ["hello"],
      );
    },
  );
  for (const [name, fields, body] of [
    ["shorter than its Content-Length", "Content-Length: 10\r\n", "hello"],
    ["without its last chunk", "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n"],
    ["that ends inside a chunk", "Transfer-Encoding: chunked\r\n", "8\r\nhello"],
  ] as const) {
    await check(
      t,
      `a body ${name}, then a close: the upstream's connection ends, and no end is sent`,
      async () => {
        const client = new Client(s.port);
        let rest = "";
        const ended = new Promise<void>((resolve) => {
          s.upstream.onRest = (text, socket) => {
            if (rest === "") {
              socket.on("close", () => resolve());
              client.socket.end();
            }
            rest += text;
          };
        });
        s.upstream.onHead = (head) => head.includes("/hall/short");
        client.write(post("/hall/short", fields, body));
        await ended;
        await client.closed;
        s.upstream.onHead = undefined;
        s.upstream.onRest = undefined;
        assert.doesNotMatch(rest, /0\r\n\r\n$/);
        assert.doesNotMatch(client.text, /^HTTP\/1.1 2/);
      },
    );
  }

  await check(
    t,
    "a slow body: 408 after the route's idle timeout, and the upstream's connection ends",
    async () => {
      const client = new Client(s.port);
      let seen = "";
      const ended = new Promise<void>((resolve) => {
        s.upstream.onHead = (head, socket) => {
          if (!head.includes("/hall/stops")) return false;
          socket.on("close", () => resolve());
          return true;
        };
      });
      s.upstream.onRest = (text) => {
        seen += text;
      };
      client.write(post("/hall/stops", "Content-Length: 10\r\n", "hello"));
      const from = performance.now();
      await client.answers(1);
      assert.ok(performance.now() - from >= 590, "not before the timeout");
      isProblem(client.said().answers[0], { status: 408, type: "request-timeout" });
      await ended;
      await client.closed;
      s.upstream.onHead = undefined;
      s.upstream.onRest = undefined;
      assert.equal(seen, "hello");
    },
  );
  await check(t, "a body that dribbles within the idle timeout is passed on", async () => {
    const client = new Client(s.port);
    const got = await reached(s, async () => {
      client.write(post("/hall/dribble", "Content-Length: 8\r\n", ""));
      for (let i = 0; i < 8; i++) {
        await new Promise((resolve) => setTimeout(resolve, 100)); // the point is to be slow
        client.write("x");
      }
      await client.answers(1);
      await client.finish();
    });
    assert.deepEqual(
      got.map((r) => r.body),
      ["xxxxxxxx"],
    );
  });

  for (const { bytes, client } of slow) {
    await check(t, `a header that stops at ${JSON.stringify(bytes)}: 408, closed`, async () => {
      await client.closed;
      isProblem(client.said().answers[0], { status: 408, type: "request-timeout" });
    });
  }
  await check(t, "a header that dribbles without end: 408, closed within 3 s", async () => {
    await dribbling.closed;
    clearInterval(dribble);
    isProblem(dribbling.said().answers[0], { status: 408, type: "request-timeout" });
    assert.ok(performance.now() - started < 6_000);
  });
  await check(t, "a second request's header that stops: its 408 behind the first answer", async () => {
    await slowSecond.closed;
    assert.deepEqual(
      slowSecond.said().answers.map((a) => a.status),
      [200, 408],
      slowSecond.text,
    );
  });
  await check(t, "a connection without a word is closed", async () => {
    await silent.until(() => false, 5_000);
    assert.equal(silent.end, "closed");
  });
  await check(t, "a kept connection is closed after keepAlive", async () => {
    await kept.until(() => false, 5_000);
    assert.equal(kept.said().answers[0]?.status, 200);
  });

  await check(t, "nothing is left under way", () =>
    until(
      "in-flight is 0",
      () => s.gateway.metric("tidegate_upstream_inflight"),
      (n) => n === 0,
    ),
  );
  s.upstream.script = (_request, socket) => socket.write(OK);
  await check(t, "the gateway is unharmed", () => unharmed(s));
});
