/** Upgrades: only a WebSocket, only to a route, and not a byte through before the unit's 101. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import test from "node:test";
import { fleetYaml, startGateway, until } from "../../support/gateway.ts";
import {
  Client,
  check,
  get,
  HOST,
  isProblem,
  OK,
  passed,
  plain,
  QUIET_FLEET,
  reached,
  refused,
  say,
  site,
  unharmed,
  upstream,
  values,
} from "./support.ts";

const ROUTES = `routes:
  - name: hall
    match: { path: /hall/* }
    service: hall
    scope: nearest
    maxBody: 1KiB
    retry: { attempts: 0 }
    timeout: { headers: 1s, idle: 1s }
  - name: cart
    match: { path: /cart/* }
    service: hall
    scope: sharded
`;
const KEY = "dGhlIHNhbXBsZSBub25jZQ==";
const WS = `Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${KEY}\r\n`;
const ACCEPT = createHash("sha1").update(`${KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
const SWITCH = `HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: ${ACCEPT}\r\n`;

test("upgrades", async (t) => {
  const s = await site(t, ROUTES);

  await check(t, "a WebSocket: 101, then bytes both ways, exactly", async () => {
    let got = "";
    s.upstream.onHead = (head, socket) => {
      if (!head.includes("/hall/ws")) return false;
      assert.match(head, /\r\nupgrade: websocket/i);
      assert.match(head, /\r\nsec-websocket-key: dGhl/i);
      socket.write(`${SWITCH}\r\n`);
      return true;
    };
    s.upstream.onRest = (text, socket) => {
      got += text;
      socket.write(text.toUpperCase());
    };
    const client = new Client(s.port);
    client.write(get("/hall/ws", WS));
    await client.until((text) => text.includes("\r\n\r\n"));
    client.write("hello\r\n\r\nGET /hall/inner HTTP/1.1\r\n\r\n");
    await client.until((text) => text.endsWith("GET /HALL/INNER HTTP/1.1\r\n\r\n"));
    client.socket.end();
    await client.closed;
    s.upstream.onHead = undefined;
    s.upstream.onRest = undefined;
    assert.equal(got, "hello\r\n\r\nGET /hall/inner HTTP/1.1\r\n\r\n");
    const [answer] = client.said().answers;
    assert.equal(answer!.status, 101);
    assert.deepEqual(values(answer!, "sec-websocket-accept"), [ACCEPT]);
    await plain(s);
  });
  await check(t, "bytes behind the upgrade reach the unit after its 101 and not before", async () => {
    let rest = "";
    let release: () => void = () => {};
    const asked = new Promise<void>((resolve) => {
      s.upstream.onHead = (head, socket) => {
        if (!head.includes("/hall/ws")) return false;
        release = () => socket.write(`${SWITCH}\r\n`);
        resolve();
        return true;
      };
    });
    s.upstream.onRest = (text, socket) => {
      rest += text;
      if (rest.endsWith("later")) socket.end("bye");
    };
    const client = new Client(s.port);
    client.write(`${get("/hall/ws", WS)}early`);
    await asked;
    client.write(get("/hall/smuggled"));
    await plain(s);
    assert.equal(rest, "", "nothing before the 101");
    release();
    await client.until((text) => text.includes("101"));
    client.write("later");
    await client.closed;
    s.upstream.onHead = undefined;
    s.upstream.onRest = undefined;
    assert.equal(rest, `early${get("/hall/smuggled")}later`);
    assert.equal(client.text.slice(client.text.indexOf("\r\n\r\n") + 4), "bye");
  });
  await check(t, "hop-by-hop fields of a 101 are left out", async () => {
    s.upstream.onHead = (head, socket) => {
      if (!head.includes("/hall/ws")) return false;
      socket.end(
        `${SWITCH}keep-alive: 1\r\nproxy-authenticate: x\r\ntransfer-encoding: chunked\r\ncontent-length: 9\r\n\r\n`,
      );
      return true;
    };
    const client = new Client(s.port);
    client.write(get("/hall/ws", WS));
    await client.closed;
    s.upstream.onHead = undefined;
    const [answer] = client.said().answers;
    if (answer!.status === 101) {
      assert.deepEqual(answer!.fields.map(([n]) => n).sort(), [
        "connection",
        "sec-websocket-accept",
        "upgrade",
        "via",
      ]);
    } else assert.equal(answer!.status, 502);
  });

  await check(t, "outside the routes: 404 no-route", () =>
    refused(s, get("/nowhere", WS), { status: 404, type: "no-route" }),
  );
  await check(t, "an ambiguous path: 400 ambiguous-path", () =>
    refused(s, get("/hall/../admin", WS), { status: 400, type: "ambiguous-path" }),
  );
  await check(t, "two Hosts: 400 bad-host", () =>
    refused(s, get("/hall/ws", `Host: b.test\r\n${WS}`), { status: 400, type: "bad-host" }),
  );
  await check(t, "no key on a sharded route: 400 no-partition-key", () =>
    refused(s, get("/cart/ws", WS), { status: 400, type: "no-partition-key" }),
  );
  await check(t, "a request behind a refused upgrade is not served", () =>
    refused(s, get("/nowhere", WS) + get("/hall/smuggled"), { status: 404, type: "no-route" }),
  );

  await check(
    t,
    "a unit that answers 200: relayed as an answer, no tunnel, and what came behind goes nowhere",
    async () => {
      const got = await reached(s, async () => {
        const said = await say(s.port, get("/hall/ws", WS) + get("/hall/smuggled"));
        assert.deepEqual(
          said.answers.map((a) => a.status),
          [200],
          said.text,
        );
        assert.equal(said.answers[0]!.body, "ok");
        assert.equal(said.answers[0]!.whole, true);
        assert.equal(said.endedByGateway, true);
      });
      assert.deepEqual(
        got.map((r) => r.line),
        ["GET /hall/ws HTTP/1.1"],
      );
    },
  );
  for (const [name, answer] of Object.entries({
    "403 with a body": "HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno",
    "426 with Upgrade":
      "HTTP/1.1 426 Upgrade Required\r\nconnection: upgrade\r\nupgrade: websocket\r\ncontent-length: 2\r\n\r\nno",
    "200 with Upgrade":
      "HTTP/1.1 200 OK\r\nconnection: upgrade\r\nupgrade: websocket\r\ncontent-length: 2\r\n\r\nno",
    "a chunked 400": "HTTP/1.1 400 X\r\ntransfer-encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
  })) {
    await check(t, `a unit that answers ${name}: relayed as an answer, no tunnel`, async () => {
      s.upstream.script = (request, socket) =>
        void socket.write(request.line.includes("/hall/ws") ? answer : OK);
      const said = await say(s.port, get("/hall/ws", WS));
      s.upstream.script = (_request, socket) => socket.write(OK);
      assert.deepEqual(
        said.answers.map((a) => [a.status, a.body]),
        [[Number(answer.slice(9, 12)), "no"]],
        said.text,
      );
      assert.deepEqual(values(said.answers[0]!, "upgrade"), []);
      assert.equal(said.endedByGateway, true);
    });
  }
  await check(t, "a unit that switches to something else: 502, no tunnel", async () => {
    s.upstream.script = (request, socket) =>
      void socket.write(
        request.line.includes("/hall/ws")
          ? "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n"
          : OK,
      );
    const said = await say(s.port, get("/hall/ws", WS)).finally(() => {
      s.upstream.script = (_request, socket) => socket.write(OK);
    });
    assert.equal(said.answers[0]?.status, 502, said.text);
  });
  await check(t, "a unit that never answers: 504", async () => {
    s.upstream.onHead = (head) => head.includes("/hall/ws");
    const said = await say(s.port, get("/hall/ws", WS));
    s.upstream.onHead = undefined;
    isProblem(said.answers[0], { status: 504, type: "upstream-timeout" });
  });
  await check(t, "a unit that closes instead: 502", async () => {
    s.upstream.onHead = (head, socket) => {
      if (!head.includes("/hall/ws")) return false;
      socket.destroy();
      return true;
    };
    const said = await say(s.port, get("/hall/ws", WS));
    s.upstream.onHead = undefined;
    isProblem(said.answers[0], { status: 502, type: "upstream-reset" });
  });
  for (const how of ["half closes", "resets"] as const) {
    await check(t, `a client that ${how} before the 101: the unit's connection ends at once`, async () => {
      let ended: Promise<number> | undefined;
      const asked = new Promise<void>((resolve) => {
        s.upstream.onHead = (head, socket) => {
          if (!head.includes("/hall/ws")) return false;
          ended = new Promise((done) => socket.on("close", () => done(performance.now())));
          resolve();
          return true;
        };
      });
      const client = new Client(s.port);
      client.write(get("/hall/ws", WS));
      await asked;
      const from = performance.now();
      if (how === "resets") client.socket.resetAndDestroy();
      else client.socket.end();
      const took = (await ended!) - from;
      s.upstream.onHead = undefined;
      client.socket.destroy();
      assert.ok(took < 500, `${took} ms, which is the unit's own timeout`);
    });
  }

  for (const [name, bytes, line] of [
    ["Upgrade: foo", get("/hall/x", "Connection: Upgrade\r\nUpgrade: foo\r\n"), "GET /hall/x HTTP/1.1"],
    [
      "Upgrade: h2c",
      get(
        "/hall/x",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
      ),
      "GET /hall/x HTTP/1.1",
    ],
    ["Upgrade without Connection", get("/hall/x", "Upgrade: websocket\r\n"), "GET /hall/x HTTP/1.1"],
    [
      "Upgrade to one of two",
      get("/hall/x", "Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n"),
      "GET /hall/x HTTP/1.1",
    ],
    ["an empty Upgrade", get("/hall/x", "Connection: Upgrade\r\nUpgrade: \r\n"), "GET /hall/x HTTP/1.1"],
    [
      "an upgrade with POST",
      `POST /hall/x HTTP/1.1\r\n${HOST}${WS}Content-Length: 5\r\n\r\nhello`,
      "POST /hall/x HTTP/1.1",
    ],
    ["an upgrade in HTTP/1.0", `GET /hall/x HTTP/1.0\r\n${HOST}${WS}\r\n`, "GET /hall/x HTTP/1.1"],
  ] as const) {
    await check(t, `${name} is a plain request`, async () => {
      const [request] = await passed(s, bytes, [
        { line, ...(line.startsWith("POST") ? { body: "hello" } : {}) },
      ]);
      assert.deepEqual(values(request!, "upgrade"), []);
    });
  }
  // Node throws away what came behind such a request in one packet: a kept connection would lose count of the answers.
  await check(t, "a request behind Upgrade: foo is never answered by the answer to a third", async () => {
    const client = new Client(s.port);
    client.write(get("/hall/x", "Connection: Upgrade\r\nUpgrade: foo\r\n") + get("/hall/y"));
    await client.answers(1);
    await plain(s);
    client.write(get("/hall/z"));
    await client.answers(2, [], 1_000).catch(() => {});
    const { answers, text } = await client.finish();
    assert.ok(answers.length === 1 || answers.length === 3, `3 requests, ${answers.length} answers: ${text}`);
  });
  for (const [name, fields, body] of [
    ["a measured body", "Content-Length: 5\r\n", "hello"],
    ["a chunked body", "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"],
    ["a body that has not come yet", "Content-Length: 5\r\n", ""],
    ["a body beyond maxBody", "Content-Length: 5000\r\n", ""],
  ] as const) {
    // Whatever its size: it is refused before a route is looked for.
    const expected = { status: 400, type: "bad-request" };
    await check(
      t,
      `an upgrade with ${name}: ${expected.status} ${expected.type}, and the unit is not asked`,
      () => refused(s, get("/hall/ws", WS + fields) + body, expected),
    );
  }
  await check(t, "Expect: 100-continue with an upgrade: no 100 into a tunnel", async () => {
    const said = await say(s.port, get("/hall/ws", `${WS}Expect: 100-continue\r\n`));
    assert.deepEqual(
      said.answers.map((a) => a.status),
      [200],
      said.text,
    );
  });

  await check(t, "nothing is left under way", () =>
    until(
      "in-flight is 0",
      () => s.gateway.metric("tidegate_upstream_inflight"),
      (n) => n === 0,
    ),
  );
  await check(t, "the gateway is unharmed", () => unharmed(s));
});

test("an upgrade to a unit that is down is refused before any 101", async (t) => {
  const up = await upstream(t);
  const gateway = await startGateway(t, {
    "fleet.yaml": fleetYaml({ hz: [up.url] }, "", QUIET_FLEET),
    "routes.yaml": ROUTES,
  });
  await until(
    "the endpoint is up",
    async () => (await gateway.status()).endpoints[0]!.health,
    (h) => h === "up",
  );
  up.server.close();
  for (const socket of up.sockets) socket.destroy();
  const said = await say(gateway.port, get("/hall/ws", WS));
  assert.match(`${said.answers[0]!.status}`, /^50[23]$/, said.text);
  await until(
    "the endpoint is down",
    async () => (await gateway.status()).endpoints[0]!.health,
    (h) => h === "down",
  );
  const later = await say(gateway.port, get("/hall/ws", WS));
  assert.match(`${later.answers[0]!.status}`, /^50[23]$/, later.text);
  assert.equal(await gateway.metric("tidegate_thread_restarts_total"), 0, gateway.stderr);
});
