/** Requests behind one another on one connection: answered in order, and nothing behind a refusal is served. */
import assert from "node:assert/strict";
import test from "node:test";
import { ROUTES } from "../../support/gateway.ts";
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
  type Received,
  reached,
  refused,
  say,
  site,
  unharmed,
} from "./support.ts";

const BAD = "GET /hall/bad HTTP/1.1\r\nHost : a.test\r\n\r\n";
const echo = (request: Received): string => {
  const path = request.line.split(" ")[1]!;
  return `HTTP/1.1 200 OK\r\ncontent-length: ${path.length}\r\n\r\n${path}`;
};

test("pipelined requests", async (t) => {
  const s = await site(t, ROUTES);

  await check(t, "two good ones are answered in order, though the first takes longer", async () => {
    s.upstream.script = (request, socket) => {
      if (request.line.includes("/one")) setTimeout(() => socket.write(echo(request)), 50);
      else socket.write(request.line.includes("/two") ? echo(request) : OK);
    };
    const said = await say(s.port, get("/hall/one") + get("/hall/two"), 2);
    s.upstream.script = (_request, socket) => socket.write(OK);
    assert.deepEqual(
      said.answers.map((a) => a.body),
      ["/hall/one", "/hall/two"],
    );
  });

  await check(t, "fifty good ones", () =>
    passed(
      s,
      Array.from({ length: 50 }, (_, i) => get(`/hall/${i}`)).join(""),
      Array.from({ length: 50 }, (_, i) => ({ line: `GET /hall/${i} HTTP/1.1` })),
    ),
  );

  // RFC 9112 §9.3.2: only safe requests may be served side by side.
  await check(t, "a POST and its body, then a GET, which waits for it", () =>
    passed(s, post("/hall/x", "Content-Length: 5\r\n", "hello") + get("/hall/y"), [
      { line: "POST /hall/x HTTP/1.1", body: "hello" },
      { line: "GET /hall/y HTTP/1.1" },
    ]),
  );

  await check(t, "empty lines before a request are passed over", () =>
    passed(s, `\r\n\r\n${get("/hall/x")}\r\n${get("/hall/y")}`, [
      { line: "GET /hall/x HTTP/1.1" },
      { line: "GET /hall/y HTTP/1.1" },
    ]),
  );

  await check(
    t,
    "good, then bad: the first is answered, the second is refused, and the connection ends",
    async () => {
      const got = await reached(s, async () => {
        const said = await say(s.port, get("/hall/good") + BAD, 2);
        assert.equal(said.answers[0]?.status, 200, JSON.stringify(said.text));
        isProblem(said.answers[1], { status: 400, type: "bad-request" });
        assert.equal(said.answers.length, 2);
        assert.equal(said.endedByGateway, true);
      });
      assert.deepEqual(
        got.map((r) => r.line),
        ["GET /hall/good HTTP/1.1"],
      );
    },
  );

  await check(t, "good, then bad in a later packet while the first is under way", async () => {
    let answer: () => void = () => {};
    const asked = new Promise<void>((resolve) => {
      s.upstream.script = (request, socket) => {
        if (!request.line.includes("/slow")) return void socket.write(OK);
        answer = () => socket.write(OK);
        resolve();
      };
    });
    const client = new Client(s.port);
    client.write(post("/hall/slow", "Content-Length: 2\r\n", "hi"));
    await asked;
    client.write(BAD);
    await plain(s);
    assert.equal(client.text, "", "the POST that is under way is not answered for");
    answer();
    await client.until((text) => /400 Bad Request/.test(text), 3_000).catch(() => {});
    const said = await client.finish();
    s.upstream.script = (_request, socket) => socket.write(OK);
    assert.deepEqual(
      said.answers.map((a) => a.status),
      [200, 400],
      JSON.stringify(said.text),
    );
  });

  await check(t, "two good ones, then bad: both are answered first", async () => {
    const said = await say(s.port, get("/hall/1") + get("/hall/2") + BAD, 3);
    assert.deepEqual(
      said.answers.map((a) => a.status),
      [200, 200, 400],
      JSON.stringify(said.text),
    );
  });

  await check(t, "a request behind Connection: close is not served", async () => {
    const got = await reached(s, async () => {
      const said = await say(s.port, get("/hall/last", "Connection: close\r\n") + get("/hall/late"));
      assert.equal(said.answers[0]?.status, 200, JSON.stringify(said.text));
      assert.equal(said.endedByGateway, true);
    });
    assert.deepEqual(
      got.map((r) => r.line),
      ["GET /hall/last HTTP/1.1"],
    );
  });

  await check(t, "a line end behind Connection: close does no harm", async () => {
    const got = await reached(s, async () => {
      const said = await say(
        s.port,
        `${post("/hall/last", "Connection: close\r\nContent-Length: 2\r\n", "hi")}\r\n`,
      );
      assert.deepEqual(
        said.answers.map((a) => a.status),
        [200],
        JSON.stringify(said.text),
      );
    });
    assert.deepEqual(
      got.map((r) => r.line),
      ["POST /hall/last HTTP/1.1"],
    );
  });

  await check(t, "a request behind an HTTP/1.0 request is not served", async () => {
    const got = await reached(s, async () => {
      const said = await say(s.port, `GET /hall/last HTTP/1.0\r\n${HOST}\r\n${get("/hall/late")}`);
      assert.equal(said.answers[0]?.status, 200, JSON.stringify(said.text));
      assert.equal(said.endedByGateway, true);
    });
    assert.deepEqual(
      got.map((r) => r.line),
      ["GET /hall/last HTTP/1.1"],
    );
  });

  // The gateway said Connection: close, so the client will never hear what became of a second request.
  const closing: Record<string, [bytes: string, expected: { status: number; type: string }]> = {
    "an unknown transfer coding": [
      post("/hall/x", "Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"),
      { status: 501, type: "unsupported-transfer-coding" },
    ],
    "Transfer-Encoding in HTTP/1.0": [
      `POST /hall/x HTTP/1.0\r\n${HOST}Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      { status: 400, type: "ambiguous-length" },
    ],
    "a target that is no path": [
      `GET http://other.test/hall/x HTTP/1.1\r\n${HOST}\r\n`,
      { status: 400, type: "bad-request" },
    ],
    "a chunked body for no route": [
      post("/nowhere", "Transfer-Encoding: chunked\r\n", "0\r\n\r\n"),
      { status: 404, type: "no-route" },
    ],
    "an unknown expectation": [
      post("/hall/x", "Content-Length: 2\r\nExpect: a-miracle\r\n", "hi"),
      { status: 417, type: "expectation-failed" },
    ],
  };
  for (const [name, [bytes, expected]] of Object.entries(closing)) {
    await check(t, `a request behind ${name} is not served`, () =>
      refused(s, bytes + get("/hall/smuggled"), expected),
    );
  }

  await check(t, "a request behind a refusal that keeps the connection is served", async () => {
    const got = await reached(s, async () => {
      const said = await say(s.port, get("/nowhere") + get("/hall/y"), 2);
      assert.deepEqual(
        said.answers.map((a) => a.status),
        [404, 200],
        JSON.stringify(said.text),
      );
    });
    assert.deepEqual(
      got.map((r) => r.line),
      ["GET /hall/y HTTP/1.1"],
    );
  });

  await check(t, "a refused POST's body is not taken for a request", async () => {
    const body = get("/hall/smuggled");
    const got = await reached(s, async () => {
      const said = await say(
        s.port,
        post("/nowhere", `Content-Length: ${body.length}\r\n`, body) + get("/hall/y"),
        2,
      );
      assert.deepEqual(
        said.answers.map((a) => a.status),
        [404, 200],
        JSON.stringify(said.text),
      );
    });
    assert.deepEqual(
      got.map((r) => r.line),
      ["GET /hall/y HTTP/1.1"],
    );
  });

  await check(t, "the gateway is unharmed", () => unharmed(s));
});

test("10,000 pipelined requests of one connection leave room for others", async (t) => {
  const s = await site(t, ROUTES);
  let busy = 0;
  let most = 0;
  const waiting: (() => void)[] = [];
  s.upstream.script = (request, socket) => {
    if (!request.line.includes("/many")) return void socket.write(OK);
    most = Math.max(most, ++busy);
    waiting.push(() => socket.write(OK));
  };
  const client = new Client(s.port);
  client.write(get("/hall/many").repeat(10_000));
  await plain(s);
  await plain(s);
  assert.equal(most, 1, `${most} requests of one connection were under way at once`);
  client.socket.destroy();
  await client.closed;
  await unharmed(s);
});
