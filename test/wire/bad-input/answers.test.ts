/** What a unit may say: malformed answers are 502, broken ones are broken off, and none becomes another client's. */
import assert from "node:assert/strict";
import type net from "node:net";
import test from "node:test";
import { fleetYaml, until } from "../../support/gateway.ts";
import {
  type Answer,
  Client,
  check,
  get,
  HOST,
  isProblem,
  OK,
  plain,
  post,
  type Said,
  type Site,
  say,
  site,
  unharmed,
  values,
} from "./support.ts";

const ROUTES = `routes:
  - name: hall
    match: { path: /hall/* }
    service: hall
    scope: nearest
    retry: { attempts: 0 }
    timeout: { connect: 500ms, headers: 500ms, idle: 500ms }
`;
const malformed = { status: 502, type: "upstream-malformed" };
const reset = { status: 502, type: "upstream-reset" };

/** Asks once while the unit answers `/hall/x` so. */
async function answered(
  s: Site,
  answer: string | ((socket: net.Socket) => void),
  bytes = get("/hall/x"),
  method = "GET",
): Promise<Said> {
  s.upstream.script = (_request, socket) => socket.write(OK);
  // A test before this one may have cost a thread: each is judged by itself.
  await until("the gateway serves", () =>
    plain(s).then(
      () => true,
      () => false,
    ),
  );
  s.upstream.script = (request, socket) => {
    if (!request.line.includes("/hall/x")) socket.write(OK);
    else if (typeof answer === "string") socket.write(Buffer.from(answer, "latin1"));
    else answer(socket);
  };
  const client = new Client(s.port);
  client.write(bytes);
  await client.until((text) => {
    const last = client
      .said([method])
      .answers.filter((a) => a.status >= 200)
      .at(-1);
    return (
      last?.whole === true &&
      (text.includes("chunked") ||
        /content-length/i.test(text) ||
        method === "HEAD" ||
        last.status === 204 ||
        last.status === 304)
    );
  }, 4_000);
  const said = client.end === "open" ? await client.finish([method]) : client.said([method]);
  await client.closed;
  await plain(s);
  return said;
}

/** The final answer of the client. */
function last(said: Said): Answer {
  const answer = said.answers.at(-1);
  assert.ok(answer !== undefined, "there is an answer");
  return answer;
}

const head = (fields: string, body = "ok"): string => `HTTP/1.1 200 OK\r\n${fields}\r\n${body}`;

const MALFORMED: Record<string, string> = {
  "no HTTP at all": "SSH-2.0-OpenSSH_9.6\r\n\r\n",
  "HTTP/0.9": "<html>ok</html>\r\n\r\n",
  "a status line without a status": "HTTP/1.1\r\n\r\n",
  "a status of two digits": "HTTP/1.1 20 OK\r\ncontent-length: 2\r\n\r\nok",
  "a status of four digits": "HTTP/1.1 2000 OK\r\ncontent-length: 2\r\n\r\nok",
  "a status that is no number": "HTTP/1.1 2x0 OK\r\ncontent-length: 2\r\n\r\nok",
  "a status below 100": "HTTP/1.1 099 OK\r\ncontent-length: 2\r\n\r\nok",
  "a status of 0": "HTTP/1.1 000 OK\r\ncontent-length: 2\r\n\r\nok",
  "a negative status": "HTTP/1.1 -200 OK\r\ncontent-length: 2\r\n\r\nok",
  "another version": "HTTP/1.7 200 OK\r\ncontent-length: 2\r\n\r\nok",
  "a field without a colon": head("nonsense\r\ncontent-length: 2\r\n"),
  "a space before the colon": head("content-length : 2\r\n"),
  "an empty name": head(": x\r\ncontent-length: 2\r\n"),
  "a folded field": head("x-a: b\r\n c\r\ncontent-length: 2\r\n"),
  "a field line ended by a bare LF": head("x-a: b\ncontent-length: 2\r\n"),
  "a status line ended by a bare LF": "HTTP/1.1 200 OK\ncontent-length: 2\r\n\r\nok",
  "a header ended by a bare LF": "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\nok",
  "only bare LFs": "HTTP/1.1 200 OK\ncontent-length: 2\n\nok",
  "a bare CR in a value": head("x-a: b\rset-cookie: evil\r\ncontent-length: 2\r\n"),
  "NUL in a value": head("x-a: b\0c\r\ncontent-length: 2\r\n"),
  "NUL in a name": head("x\0a: b\r\ncontent-length: 2\r\n"),
  "a control byte in a value": head("x-a: b\x01c\r\ncontent-length: 2\r\n"),
  "a bare CR in the reason": "HTTP/1.1 200 O\rK\r\ncontent-length: 2\r\n\r\nok",
  "Content-Length twice, the same": head("content-length: 2\r\ncontent-length: 2\r\n"),
  "Content-Length twice, different": head("content-length: 2\r\ncontent-length: 20\r\n"),
  "a list of Content-Lengths": head("content-length: 2, 2\r\n"),
  "negative Content-Length": head("content-length: -2\r\n"),
  "Content-Length with a plus": head("content-length: +2\r\n"),
  "empty Content-Length": head("content-length: \r\n"),
  "hexadecimal Content-Length": head("content-length: 0x2\r\n"),
  "Content-Length beyond 64 bits": head("content-length: 99999999999999999999\r\n"),
  "Content-Length, then Transfer-Encoding": head(
    "content-length: 2\r\ntransfer-encoding: chunked\r\n",
    "2\r\nok\r\n0\r\n\r\n",
  ),
  "Transfer-Encoding, then Content-Length": head(
    "transfer-encoding: chunked\r\ncontent-length: 2\r\n",
    "2\r\nok\r\n0\r\n\r\n",
  ),
  "chunked, then another coding": head("transfer-encoding: chunked, gzip\r\n", "2\r\nok\r\n0\r\n\r\n"),
  "another coding, then chunked": head("transfer-encoding: gzip, chunked\r\n", "2\r\nok\r\n0\r\n\r\n"),
  "another coding alone": head("transfer-encoding: gzip\r\nconnection: close\r\n"),
  "an unknown coding": head("transfer-encoding: xchunked\r\nconnection: close\r\n"),
  "a header beyond the limit": head(`x-a: ${"b".repeat(70_000)}\r\ncontent-length: 2\r\n`),
  "a header of 10 MB in many fields": head(
    `${`x-a: ${"b".repeat(1_000)}\r\n`.repeat(10_000)}content-length: 2\r\n`,
  ),
};

test("answers of a unit", async (t) => {
  const s = await site(t, ROUTES);

  for (const [name, answer] of Object.entries(MALFORMED)) {
    await check(t, `${name}: 502 upstream-malformed`, async () => {
      const said = await answered(s, answer);
      isProblem(said.answers[0], malformed);
      assert.equal(said.answers.length, 1);
    });
  }
  for (const [name, act] of Object.entries<(socket: net.Socket) => void>({
    "no answer, closed": (socket) => socket.end(),
    "no answer, reset": (socket) => socket.resetAndDestroy(),
    "half a status line, closed": (socket) => socket.end("HTTP/1.1 20"),
    "half a header, closed": (socket) => socket.end("HTTP/1.1 200 OK\r\ncontent-le"),
    "101 that nobody asked for": (socket) =>
      socket.write(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\nfree bytes",
      ),
  })) {
    await check(t, `${name}: 502 upstream-reset`, async () =>
      isProblem((await answered(s, act)).answers[0], reset),
    );
  }
  await check(t, "a header that never ends: 504 upstream-timeout", async () => {
    const said = await answered(s, "HTTP/1.1 200 OK\r\ncontent-le");
    isProblem(said.answers[0], { status: 504, type: "upstream-timeout" });
  });
  await check(t, "a header that dribbles: 504 upstream-timeout, when it began", async () => {
    const from = performance.now();
    const said = await answered(s, (socket) => {
      socket.write("HTTP/1.1 200 OK\r\n");
      const timer = setInterval(() => socket.write("x-a: b\r\n"), 50);
      socket.on("close", () => clearInterval(timer));
    });
    isProblem(said.answers[0], { status: 504, type: "upstream-timeout" });
    assert.ok(performance.now() - from < 1_500);
  });

  /** The client must not be able to take it for whole. */
  const broken = async (act: (socket: net.Socket) => void, version = "1.1"): Promise<Said> => {
    const said = await answered(s, act, `GET /hall/x HTTP/${version}\r\n${HOST}\r\n`);
    const answer = last(said);
    assert.equal(answer.status, 200, said.text);
    return said;
  };
  for (const [name, act] of Object.entries<(socket: net.Socket) => void>({
    "a measured body cut off, closed": (socket) => socket.end(head("content-length: 20\r\n", "hello")),
    "a measured body cut off, reset": (socket) =>
      socket.write(head("content-length: 20\r\n", "hello"), () =>
        setImmediate(() => socket.resetAndDestroy()),
      ),
    "a measured body that stops": (socket) => socket.write(head("content-length: 20\r\n", "hello")),
    "a chunked body without its last chunk, closed": (socket) =>
      socket.end(head("transfer-encoding: chunked\r\n", "5\r\nhello\r\n")),
    "a chunked body that ends inside a chunk": (socket) =>
      socket.end(head("transfer-encoding: chunked\r\n", "8\r\nhello")),
    "a chunked body that stops": (socket) =>
      socket.write(head("transfer-encoding: chunked\r\n", "5\r\nhello\r\n")),
    "a chunked body without its last chunk, announced as the last answer, closed": (socket) =>
      socket.end(head("connection: close\r\ntransfer-encoding: chunked\r\n", "5\r\nhello\r\n")),
    "a chunked body without its last chunk, announced as the last answer, reset": (socket) =>
      socket.write(head("connection: close\r\ntransfer-encoding: chunked\r\n", "5\r\nhello\r\n"), () =>
        setTimeout(() => socket.resetAndDestroy(), 20),
      ),
    "a measured body cut off, announced as the last answer, closed": (socket) =>
      socket.end(head("connection: close\r\ncontent-length: 20\r\n", "hello")),
    "a measured body cut off, announced as the last answer, reset": (socket) =>
      socket.write(head("connection: close\r\ncontent-length: 20\r\n", "hello"), () =>
        setTimeout(() => socket.resetAndDestroy(), 20),
      ),
    "a bad chunk size": (socket) =>
      socket.write(head("transfer-encoding: chunked\r\n", "5\r\nhello\r\nzz\r\nx\r\n0\r\n\r\n")),
    "a negative chunk size": (socket) =>
      socket.write(head("transfer-encoding: chunked\r\n", "5\r\nhello\r\n-1\r\nx\r\n0\r\n\r\n")),
    "a chunk size that overflows": (socket) =>
      socket.write(
        head("transfer-encoding: chunked\r\n", "5\r\nhello\r\nFFFFFFFFFFFFFFFFF\r\nx\r\n0\r\n\r\n"),
      ),
    "chunk data longer than its size": (socket) =>
      socket.write(head("transfer-encoding: chunked\r\n", "5\r\nhello!\r\n0\r\n\r\n")),
    "chunk lines ended by bare LFs": (socket) =>
      socket.write(head("transfer-encoding: chunked\r\n", "5\r\nhello\r\n5\nhello\n0\n\n")),
    "a body until close that is reset": (socket) =>
      socket.write(head("", "hello"), () => setTimeout(() => socket.resetAndDestroy(), 20)),
  })) {
    await check(t, `${name}: the client's stream breaks off`, async () => {
      const said = await broken(act);
      assert.equal(last(said).whole, false, said.text);
      assert.notEqual(said.end, "open");
    });
    if (name.startsWith("a measured")) continue;
    await check(
      t,
      `${name}, client of HTTP/1.0: the connection is reset, since its end would mean whole`,
      async () => {
        const said = await broken(act, "1.0");
        assert.equal(said.end, "reset", said.text);
      },
    );
  }

  const whole = async (answer: string | ((socket: net.Socket) => void), expected: string, bytes?: string) => {
    const said = await answered(s, answer, bytes);
    assert.equal(last(said).body, expected, said.text);
    assert.equal(last(said).whole, true);
    assert.equal(said.answers.length, 1, said.text);
    return last(said);
  };
  await check(t, "a body until close is passed on whole", async () => {
    await whole((socket) => socket.end(head("", "hello")), "hello");
  });
  await check(t, "an HTTP/1.0 unit", async () => {
    await whole((socket) => socket.end("HTTP/1.0 200 OK\r\n\r\nhello"), "hello");
    await whole("HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello", "hello");
    await whole("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 5\r\n\r\nhello", "hello");
  });
  await check(t, "HTTP/2.0 in HTTP/1 syntax is read as HTTP/1.1", async () => {
    await whole("HTTP/2.0 200 OK\r\ncontent-length: 2\r\n\r\nok", "ok");
  });
  await check(t, "10,000 fields within the limit of bytes are passed on", async () => {
    const answer = await whole(head(`${"x-a: b\r\n".repeat(10_000)}content-length: 2\r\n`), "ok");
    assert.equal(values(answer, "x-a").length, 10_000);
  });
  await check(t, "no reason phrase", async () => {
    await whole("HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nok", "ok");
    await whole("HTTP/1.1 200 \r\ncontent-length: 2\r\n\r\nok", "ok");
  });
  for (const status of [299, 418, 499, 599, 600, 999]) {
    await check(t, `the unknown status ${status} is passed on`, async () => {
      const said = await answered(s, `HTTP/1.1 ${status} Whatever\r\ncontent-length: 2\r\n\r\nok`);
      assert.equal(last(said).status, status);
      assert.equal(last(said).body, "ok");
    });
  }
  await check(t, "values arrive byte for byte", async () => {
    const value = 'attachment; filename="\xe4\xb8\xad\xff.txt"';
    const said = await answered(
      s,
      `HTTP/1.1 200 OK\r\ncontent-disposition: ${value}\r\nx-empty:\r\ncontent-length: 2\r\n\r\nok`,
    );
    assert.equal(last(said).status, 200, said.text);
    assert.deepEqual(values(last(said), "content-disposition"), [value]);
    assert.deepEqual(values(last(said), "x-empty"), [""]);
  });
  await check(t, "names of object members are only names", async () => {
    const names = ["__proto__", "constructor", "tostring", "valueof", "hasownproperty"];
    const said = await answered(
      s,
      head(`${names.map((n) => `${n}: 1\r\n${n}: 2\r\n`).join("")}content-length: 2\r\n`),
    );
    for (const name of names) assert.deepEqual(values(last(said), name), ["1", "2"], name);
  });
  await check(t, "hop-by-hop fields, and what Connection names, are left out", async () => {
    const answer = await whole(
      head(
        "connection: keep-alive, x-secret\r\nkeep-alive: timeout=5, max=7\r\nx-secret: 1\r\nproxy-authenticate: Basic\r\n" +
          "proxy-connection: keep-alive\r\nproxy-authentication-info: x\r\nupgrade: h2c\r\nte: trailers\r\ntrailer: x-t\r\nx-kept: 1\r\ncontent-length: 2\r\n",
      ),
      "ok",
    );
    assert.deepEqual(answer.fields.map(([n, v]) => `${n}: ${n === "date" ? "" : v}`).sort(), [
      "connection: keep-alive",
      "content-length: 2",
      "date: ",
      "keep-alive: timeout=75",
      "via: 1.1 tidegate",
      "x-kept: 1",
    ]);
  });
  await check(t, "Connection cannot take the framing or our Via away", async () => {
    const answer = await whole(head("connection: content-length, via\r\ncontent-length: 2\r\n"), "ok");
    assert.deepEqual(values(answer, "via"), ["1.1 tidegate"]);
  });
  for (const status of [204, 304]) {
    for (const framing of ["content-length: 5\r\n", "transfer-encoding: chunked\r\n", ""]) {
      await check(
        t,
        `${status} with a body (${framing.trim() || "no framing"}): the body goes nowhere`,
        async () => {
          const body = framing.startsWith("t") ? "5\r\nhello\r\n0\r\n\r\n" : "hello";
          const said = await answered(s, `HTTP/1.1 ${status} X\r\n${framing}\r\n${body}`);
          assert.equal(last(said).status, status);
          assert.doesNotMatch(said.text, /hello/);
          if (status === 204) assert.deepEqual(values(last(said), "content-length"), []);
          assert.deepEqual(values(last(said), "transfer-encoding"), []);
        },
      );
    }
  }
  for (const framing of ["content-length: 5\r\n", "transfer-encoding: chunked\r\n"]) {
    await check(t, `an answer to HEAD with a body (${framing.trim()}): the body goes nowhere`, async () => {
      const body = framing.startsWith("t") ? "5\r\nhello\r\n0\r\n\r\n" : "hello";
      const said = await answered(s, head(framing, body), `HEAD /hall/x HTTP/1.1\r\n${HOST}\r\n`, "HEAD");
      assert.equal(last(said).status, 200);
      assert.doesNotMatch(said.text, /hello/);
    });
  }

  await check(t, "trailers are passed on, without those that frame, route or hop", async () => {
    const said = await answered(
      s,
      head(
        "transfer-encoding: chunked\r\ntrailer: x-sum\r\n",
        "2\r\nok\r\n0\r\nx-sum: \xe4\xb8\xad\r\nx-two: 1\r\nx-two: 2\r\nhost: evil\r\nconnection: x\r\nupgrade: x\r\nconstructor: 1\r\n\r\n",
      ),
    );
    assert.equal(last(said).whole, true, said.text);
    const trailers = said.text
      .slice(said.text.lastIndexOf("\r\n0\r\n") + 5)
      .toLowerCase()
      .split("\r\n")
      .filter(Boolean);
    assert.deepEqual(trailers, ["x-sum: \xe4\xb8\xad", "x-two: 1", "x-two: 2", "constructor: 1"]);
  });
  await check(t, "a Content-Length in the trailers: broken off", async () => {
    const said = await broken((socket) =>
      socket.write(head("transfer-encoding: chunked\r\n", "2\r\nok\r\n0\r\ncontent-length: 9\r\n\r\n")),
    );
    assert.equal(last(said).whole, false, said.text);
  });
  await check(t, "100 kB of trailers: broken off", async () => {
    const said = await broken((socket) =>
      socket.write(
        head(
          "transfer-encoding: chunked\r\n",
          `2\r\nok\r\n0\r\n${`x-a: ${"b".repeat(1_000)}\r\n`.repeat(100)}\r\n`,
        ),
      ),
    );
    assert.equal(last(said).whole, false);
  });

  // 1xx
  await check(t, "103 with a link is passed on", async () => {
    const said = await answered(
      s,
      `HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload; as=style\r\n\r\n${OK}`,
    );
    assert.deepEqual(
      said.answers.map((a) => a.status),
      [103, 200],
    );
  });
  await check(t, "103 loses its hop-by-hop and framing fields", async () => {
    const said = await answered(
      s,
      `HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\nconnection: x-secret\r\nx-secret: 1\r\nkeep-alive: 1\r\nproxy-authenticate: x\r\n\r\n${OK}`,
    );
    assert.deepEqual(
      said.answers.map((a) => a.status),
      [103, 200],
    );
    assert.deepEqual(
      said.answers[0]!.fields.map(([n]) => n),
      ["link"],
    );
  });
  for (const [name, fields] of Object.entries({
    "whose link is nonsense": "link: nonsense\r\n",
    "whose link is empty": "link: \r\n",
    "whose link is not ASCII": "link: </\xe4\xb8\xad>; rel=preload\r\n",
    "with two links": "link: </a>; rel=preload\r\nlink: </b>; rel=preload\r\n",
    "with values that are not ASCII": "link: </a>; rel=preload\r\nx-a: \xe4\xb8\xad\r\n",
    "with a member's name": "link: </a>; rel=preload\r\n__proto__: 1\r\nconstructor: 1\r\n",
    "without a link": "x-a: 1\r\n",
  })) {
    await check(t, `103 ${name} does not keep the answer from coming`, async () => {
      const said = await answered(s, `HTTP/1.1 103 Early Hints\r\n${fields}\r\n${OK}`);
      assert.equal(last(said).status, 200, said.text);
      assert.equal(last(said).body, "ok");
    });
  }
  await check(t, "100 that nobody asked for: 502, as undici refuses it", async () => {
    isProblem((await answered(s, `HTTP/1.1 100 Continue\r\n\r\n${OK}`)).answers[0], reset);
  });
  for (const status of [102, 103, 104, 199]) {
    await check(
      t,
      `${status} that nobody asked for does not keep the answer from coming (RFC 9110 §15.2)`,
      async () => {
        const said = await answered(s, `HTTP/1.1 ${status} X\r\nlink: </a>; rel=preload\r\n\r\n${OK}`);
        assert.equal(last(said).status, 200, said.text);
      },
    );
    await check(t, `a client of HTTP/1.0 gets no ${status} (RFC 9110 §15.2)`, async () => {
      const said = await answered(
        s,
        `HTTP/1.1 ${status} X\r\nlink: </a>; rel=preload\r\n\r\n${OK}`,
        `GET /hall/x HTTP/1.0\r\n${HOST}\r\n`,
      );
      assert.deepEqual(
        said.answers.map((a) => a.status),
        [200],
        said.text,
      );
    });
  }
  await check(t, "a flood of 1xx ends with 502, and the client does not get it all", async () => {
    const said = await answered(s, (socket) => {
      const block = Buffer.from("HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n".repeat(1_000));
      const pour = (): void => {
        while (!socket.destroyed && socket.write(block));
      };
      socket.on("drain", pour);
      pour();
    });
    isProblem(last(said), malformed);
    assert.ok(said.answers.length < 100, `${said.answers.length - 1} informational answers were passed on`);
  });

  // What is left on a connection is nobody's.
  const EVIL = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil";
  await check(t, "bytes behind an answer are not the next client's answer", async () => {
    for (const garbage of [EVIL, EVIL.repeat(10), "garbage", "\r\n\r\n", "\0"]) {
      await whole(`${OK}${garbage}`, "ok");
      for (let i = 0; i < 3; i++) await plain(s);
    }
  });
  await check(t, "bytes that come a moment behind an answer are not the next client's answer", async () => {
    for (let i = 0; i < 20; i++) {
      await answered(s, (socket) => {
        socket.write(OK);
        setImmediate(() => socket.write(EVIL));
      });
    }
  });
  await check(
    t,
    "bytes behind an answer to HEAD, a 204 and a 304 are not the next client's answer",
    async () => {
      await answered(
        s,
        `${head("content-length: 4\r\n", "")}${EVIL}`,
        `HEAD /hall/x HTTP/1.1\r\n${HOST}\r\n`,
        "HEAD",
      );
      await answered(s, `HTTP/1.1 204 X\r\n\r\n${EVIL}`);
      await answered(s, `HTTP/1.1 304 X\r\ncontent-length: 4\r\n\r\n${EVIL}`);
    },
  );
  await check(t, "an answer before the request is not given to a later one", async () => {
    s.upstream.onConnection = (socket) =>
      void socket.write("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nearly");
    s.upstream.script = (request, socket) => {
      const path = request.line.split(" ")[1]!;
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${path.length}\r\n\r\n${path}`);
    };
    for (const socket of s.upstream.sockets) socket.destroy();
    for (let i = 0; i < 10; i++) {
      const said = await say(s.port, get(`/hall/${i}`));
      const { status, body } = said.answers[0]!;
      assert.ok(status === 502 || body === "early" || body === `/hall/${i}`, `${i}: ${status} ${body}`);
    }
    s.upstream.onConnection = undefined;
    s.upstream.script = (_request, socket) => socket.write(OK);
    for (const socket of s.upstream.sockets) socket.destroy();
    await plain(s);
  });

  await check(
    t,
    "an early answer to an unread POST: the client hears it, and neither connection is used again",
    async () => {
      let closed: Promise<void> | undefined;
      s.upstream.onHead = (request, socket) => {
        if (!request.includes("/hall/early")) return false;
        closed = new Promise((resolve) => socket.on("close", () => resolve()));
        socket.write("HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno");
        return true;
      };
      const client = new Client(s.port);
      client.write(post("/hall/early", "Content-Length: 1000000\r\n", "x".repeat(100_000)));
      await client.answers(1);
      const said = client.said();
      assert.equal(said.answers[0]!.status, 413);
      assert.deepEqual(values(said.answers[0]!, "connection"), ["close"]);
      await client.closed;
      await closed;
      s.upstream.onHead = undefined;
    },
  );

  await check(t, "the gateway is unharmed", () => unharmed(s));
});

// A reason that Node will not write once cost the whole thread, with every connection on it.
test("reasons of a unit", async (t) => {
  const s = await site(t, ROUTES);
  for (const [name, reason] of Object.entries({
    "in UTF-8": "\xe4\xb8\xad\xe6\x96\x87",
    "in Latin-1": "\xdcnic\xf6de",
    "with a control byte": "O\x01K",
    "with a tab": "O\tK",
    "with DEL": "O\x7fK",
    "of 10 kB": "x".repeat(10_000),
  })) {
    await check(t, `a reason ${name}: passed on, replaced or 502, and no thread dies of it`, async () => {
      const restarts = await s.gateway.metric("tidegate_thread_restarts_total");
      const said = await answered(s, `HTTP/1.1 200 ${reason}\r\ncontent-length: 2\r\n\r\nok`);
      assert.equal(await s.gateway.metric("tidegate_thread_restarts_total"), restarts, s.gateway.stderr);
      assert.match(`${last(said).status}`, /^(200|502)$/);
    });
  }
  await check(t, "the gateway is unharmed", () => unharmed(s));
});

test("bytes behind an answer are not the answer of a request that waits in the unit's queue", async (t) => {
  const s = await site(t, ROUTES);
  s.gateway.write(
    "fleet.yaml",
    fleetYaml({ hz: [s.upstream.url] }, "", "    inflight: 1\n    outlier: { consecutive: 1000 }\n"),
  );
  const revision = (await s.gateway.status()).servedRevision;
  s.gateway.process.kill("SIGHUP");
  await until(
    "the queue of one is served",
    async () => (await s.gateway.status()).servedRevision,
    (r) => r > revision,
  );
  for (let round = 0; round < 10; round++) {
    let answer: () => void = () => {};
    const asked = new Promise<void>((resolve) => {
      s.upstream.script = (request, socket) => {
        if (!request.line.includes("/first")) return void socket.write(OK);
        answer = () => socket.write(`${OK}HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil`);
        resolve();
      };
    });
    const first = new Client(s.port);
    const second = new Client(s.port);
    first.write(get("/hall/first"));
    await asked;
    second.write(get("/hall/second"));
    await until(
      "the second waits",
      () => s.gateway.metric("tidegate_upstream_inflight"),
      (n) => n === 1,
    );
    answer();
    await Promise.all([first.answers(1), second.answers(1)]);
    assert.equal((await first.finish()).answers[0]!.body, "ok");
    const { status, body } = (await second.finish()).answers[0]!;
    assert.ok(status === 502 || body === "ok", `${status} ${body}`);
  }
  await unharmed(s);
});
