/** Requests and answers pass as they are: methods, targets, fields, bodies, statuses, trailers, hints. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import http from "node:http";
import net from "node:net";
import { test } from "node:test";
import { fleetYaml, raw, startGateway, wholeAnswer } from "../../support/gateway.ts";
import { byteServer } from "../../support/upstream.ts";
import { type Answer, ask, httpServer, oneRoute, pause, problemOf, sampleUnit, valuesOf } from "./support.ts";

interface Described {
  method: string;
  path: string;
  query: string;
  rawHeaders: string[];
  body: { bytes: number; sha256: string };
}

function described(answer: Answer): Described {
  assert.equal(answer.status, 200, answer.text);
  return JSON.parse(answer.text) as Described;
}

/** Unlike `once`, an error does not reject it. */
function happens(socket: net.Socket, event: string): Promise<void> {
  return new Promise((resolve) => socket.once(event, () => resolve()));
}

/** A script for the byte server, as a path that nobody can read in two ways. */
function hex(bytes: string): string {
  return Buffer.from(bytes, "latin1").toString("hex");
}

function sha256(body: string | Buffer): string {
  return createHash("sha256").update(body).digest("hex");
}

test("requests reach the unit as they were sent", async (t) => {
  const unit = await sampleUnit(t);
  const gateway = await startGateway(t, {
    "fleet.yaml": fleetYaml({ hz: [unit.origin] }),
    "routes.yaml": oneRoute(),
  });

  await t.test("every method", async () => {
    for (const method of http.METHODS) {
      if (method === "CONNECT") continue;
      const answer = await ask(gateway.port, { method, path: "/hall/x" });
      assert.equal(answer.status, 200, method);
      if (method !== "HEAD") assert.equal(described(answer).method, method);
    }
  });

  await t.test("bodies with a length and chunked, small and large, under every content type", async () => {
    const large = randomBytes(1_000_000);
    for (const type of [
      undefined,
      "garbage",
      "text/plain",
      "application/json",
      "multipart/form-data; boundary=x",
      ";;",
    ]) {
      for (const body of ["", "x", "{not json", large]) {
        for (const framing of ["length", "chunked"]) {
          for (const method of ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "GET", "PROPFIND"]) {
            if (body === large && method !== "POST" && method !== "PUT") continue;
            const what = `${method} ${framing} ${body.length} ${type}`;
            const headers: string[] = ["host", "a.test"];
            if (type !== undefined) headers.push("content-type", type);
            if (framing === "length") headers.push("content-length", `${body.length}`);
            else headers.push("transfer-encoding", "chunked");
            const seen = described(await ask(gateway.port, { method, path: "/hall/x", headers, body }));
            assert.deepEqual(seen.body, { bytes: body.length, sha256: sha256(body) }, what);
            assert.deepEqual(
              valuesOf(seen.rawHeaders, "content-type"),
              type === undefined ? [] : [type],
              what,
            );
          }
        }
      }
    }
  });

  await t.test("path and query byte for byte", async () => {
    for (const target of [
      "/",
      "/hall/a%20b/%E4%BD%A0?x=%2F&y=a+b&&z",
      "/hall/trailing/",
      "/hall/x?",
      "/hall/x?a=?&b=//../%2e%2e",
      "/hall/~!$&'()*+,;=:@-._",
      '/hall/x?q=[]{}|^`"<>\\',
      `/hall/${"a".repeat(7_000)}?${"b".repeat(7_000)}`,
    ]) {
      const text = await raw(gateway.port, `GET ${target} HTTP/1.1\r\nhost: a\r\n\r\n`, wholeAnswer);
      const seen = JSON.parse(text.slice(text.indexOf("\r\n\r\n") + 4)) as Described;
      const mark = target.indexOf("?");
      assert.equal(seen.path, mark === -1 ? target : target.slice(0, mark));
      assert.equal(seen.query, mark === -1 ? "" : target.slice(mark + 1));
    }
  });

  await t.test("fields that come twice stay two, in order, and bytes above 127 stay", async () => {
    const headers = [
      "host",
      "a",
      "x-a",
      "1",
      "X-B",
      "b",
      "x-a",
      "2",
      "x-latin",
      "caf\xe9 \xc3\xa9",
      "x-empty",
      "",
    ];
    const seen = described(await ask(gateway.port, { path: "/hall/x", headers }));
    assert.deepEqual(valuesOf(seen.rawHeaders, "x-a"), ["1", "2"]);
    assert.deepEqual(valuesOf(seen.rawHeaders, "x-b"), ["b"]);
    assert.deepEqual(valuesOf(seen.rawHeaders, "x-latin"), ["caf\xe9 \xc3\xa9"]);
    assert.deepEqual(valuesOf(seen.rawHeaders, "x-empty"), [""]);
  });

  await t.test("trailers and early hints of the unit reach the client", async () => {
    const answer = await ask(gateway.port, { path: "/trailers" });
    assert.equal(answer.text, "the trailers follow\n");
    assert.equal(answer.trailers["x-bytes"], "20");
    assert.equal(answer.trailers["x-sha256"], sha256(answer.text));
    const text = await raw(gateway.port, "GET /early-hints HTTP/1.1\r\nhost: a\r\n\r\n", (all) => {
      const second = all.indexOf("HTTP/1.1 200");
      return second !== -1 && wholeAnswer(all.slice(second));
    });
    assert.match(
      text,
      /^HTTP\/1\.1 103 Early Hints\r\nlink: <\/style\.css>; rel=preload; as=style\r\n\r\nHTTP\/1\.1 200 OK\r\n/i,
    );
  });

  await t.test("a hundred requests on one client connection use one connection to the unit", async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const ports = new Set<number>();
    const onRequest = (request: http.IncomingMessage) => ports.add(request.socket.remotePort!);
    unit.events.on("request", onRequest);
    for (let i = 0; i < 100; i++) {
      const method = ["GET", "HEAD", "POST", "PUT"][i % 4]!;
      const path = i % 4 === 1 ? "/bytes/5000" : ["/x", "/status/404", "/trailers"][(i >> 2) % 3]!;
      await ask(gateway.port, { method, path, agent, ...(i % 4 > 1 ? { body: "abc" } : {}) });
    }
    unit.events.off("request", onRequest);
    agent.destroy();
    assert.equal(ports.size, 1);
  });
});

test("answers reach the client as they were sent", async (t) => {
  const upstream = await byteServer(t, (request, socket) => {
    const target = /^\S+ (\S+)/.exec(request)![1]!;
    socket.write(Buffer.from(target.slice(1), "hex"));
  });
  const gateway = await startGateway(t, {
    "fleet.yaml": fleetYaml({ hz: [upstream.url] }),
    "routes.yaml": oneRoute("retry: none"),
  });
  const script = (bytes: string, method = "GET", enough = wholeAnswer) =>
    raw(gateway.port, `${method} /${hex(bytes)} HTTP/1.1\r\nhost: a\r\n\r\n`, enough, 2_000);
  const whole = (text: string) => text.includes("\r\n\r\n");

  await t.test("every status from 200 to 599, with its reason", async () => {
    for (let status = 200; status <= 599; status++) {
      const bodyless = status === 204 || status === 304;
      const reason = `Reason ${status}`;
      const text = await script(
        `HTTP/1.1 ${status} ${reason}\r\n${bodyless ? "" : "content-length: 2\r\n"}\r\n${bodyless ? "" : "ok"}`,
        "GET",
        bodyless ? whole : wholeAnswer,
      );
      assert.equal(text.slice(0, text.indexOf("\r\n")), `HTTP/1.1 ${status} ${reason}`);
      assert.equal(text.slice(text.indexOf("\r\n\r\n") + 4), bodyless ? "" : "ok");
    }
  });

  await t.test("an empty reason", async () => {
    assert.match(await script("HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n"), /^HTTP\/1\.1 200 ?\r\n/);
  });

  await t.test("redirects, cookies and repeated fields", async () => {
    const text = await script(
      "HTTP/1.1 302 Found\r\nlocation: //other.test/a%2Fb?c\r\nset-cookie: a=1; Path=/\r\nset-cookie: b=2, c\r\nx-a: 1\r\nx-a: 2\r\ncontent-length: 0\r\n\r\n",
    );
    assert.match(text, /^HTTP\/1\.1 302 Found\r\n/);
    assert.deepEqual(text.match(/^(?:location|set-cookie|x-a): .*$/gim), [
      "location: //other.test/a%2Fb?c",
      "set-cookie: a=1; Path=/",
      "set-cookie: b=2, c",
      "x-a: 1",
      "x-a: 2",
    ]);
  });

  await t.test("bytes above 127 in a field are the unit's own", async () => {
    for (const bytes of ["\xe4\xbd\xa0-\xe5\xa5\xbd!", "caf\xe9s", "a\xc3\xa9z"]) {
      const text = await script(`HTTP/1.1 200 OK\r\nx-name: ${bytes}\r\ncontent-length: 0\r\n\r\n`);
      assert.equal(/^x-name: (.*)$/m.exec(text)?.[1]?.trim(), bytes, text.slice(0, 300));
    }
  });

  await t.test("HEAD keeps the content-length and has no body", async () => {
    const text = await script('HTTP/1.1 200 OK\r\ncontent-length: 1234\r\netag: "x"\r\n\r\n', "HEAD", whole);
    assert.match(text, /\r\ncontent-length: 1234\r\n/);
    assert.match(text, /\r\netag: "x"\r\n/);
    assert.equal(text.slice(text.indexOf("\r\n\r\n") + 4), "");
  });

  await t.test("304 keeps its validators", async () => {
    const text = await script(
      'HTTP/1.1 304 Not Modified\r\netag: "v1"\r\nlast-modified: x\r\n\r\n',
      "GET",
      whole,
    );
    assert.match(text, /^HTTP\/1\.1 304 Not Modified\r\n/);
    assert.match(text, /\r\netag: "v1"\r\n/);
    assert.equal(text.slice(text.indexOf("\r\n\r\n") + 4), "");
  });

  await t.test("304 may name the length of what it stands for", async () => {
    for (let i = 0; i < 5; i++) {
      const text = await script("HTTP/1.1 304 Not Modified\r\ncontent-length: 300\r\n\r\n", "GET", whole);
      assert.match(text, /^HTTP\/1\.1 304 Not Modified\r\n/);
    }
  });

  await t.test("a body that ends with the connection is whole", async () => {
    const server = await byteServer(t, (_r, socket) => socket.end("HTTP/1.1 200 OK\r\n\r\nall of it"));
    const other = await startGateway(t, {
      "fleet.yaml": fleetYaml({ hz: [server.url] }),
      "routes.yaml": oneRoute(),
    });
    const answer = await ask(other.port, { path: "/x" });
    assert.equal(answer.text, "all of it");
  });

  await t.test("hop-by-hop fields, and what Connection names, stay on their hop", async () => {
    const text = await script(
      "HTTP/1.1 200 OK\r\nconnection: keep-alive, x-secret\r\nkeep-alive: timeout=7\r\nx-secret: s\r\nproxy-authenticate: Basic\r\ncontent-length: 0\r\n\r\n",
    );
    assert.doesNotMatch(text, /x-secret|proxy-authenticate|timeout=7\r/i);
    assert.match(text, /\r\nvia: 1\.1 tidegate\r\n/);
  });

  await t.test("early hints with several links in one field", async () => {
    const text = await script(
      "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload; as=style, </b.js>; rel=preload; as=script\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
      "GET",
      (all) => /HTTP\/1\.1 [2-5]/.test(all) && wholeAnswer(all.slice(all.search(/HTTP\/1\.1 [2-5]/))),
    );
    assert.match(text, /HTTP\/1\.1 200 OK\r\n/);
    assert.match(text, /^HTTP\/1\.1 103 Early Hints\r\nlink: <\/a\.css>; rel=preload; as=style, <\/b\.js>/i);
  });

  await t.test("a client of HTTP/1.0 is sent no informational answer", async () => {
    const hint = hex(
      "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
    );
    const hinted = await raw(gateway.port, `GET /${hint} HTTP/1.0\r\nhost: a\r\n\r\n`);
    assert.match(hinted, /^HTTP\/1\.1 200 OK\r\n/);
    const plain = hex("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    const continued = await raw(
      gateway.port,
      `POST /${plain} HTTP/1.0\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\nx`,
    );
    assert.match(continued, /^HTTP\/1\.1 200 OK\r\n/);
  });
});

test("Expect: 100-continue", async (t) => {
  const unit = await sampleUnit(t);
  const gateway = await startGateway(t, {
    "fleet.yaml": `${fleetYaml({ hz: [unit.origin] })}  gone:
    health: none
    pools: { hz: { stable: [ "http://127.0.0.1:1" ] } }
`.replace("center: true }", "center: true, inflight: 1, queue: { size: 0 } }"),
    "routes.yaml": `${oneRoute("maxBody: 1000")}  - name: cart
    match: { path: /cart/* }
    service: hall
    scope: sharded
`,
  });
  /** Sends the header; sends the body when it is asked for; everything that came. */
  const post = async (path: string, length: number): Promise<string> => {
    const socket = net.connect(gateway.port, "127.0.0.1");
    let text = "";
    let asked = false;
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
      if (!asked && text.startsWith("HTTP/1.1 100")) {
        asked = true;
        socket.write("x".repeat(length));
      }
    });
    socket.write(
      `POST ${path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\nexpect: 100-continue\r\ncontent-length: ${length}\r\n\r\n`,
    );
    await once(socket, "close");
    return text;
  };

  await t.test("is answered by 100, and the body follows", async () => {
    const text = await post("/x", 10);
    assert.match(text, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK\r\n/);
    const body = JSON.parse(text.slice(text.lastIndexOf("\r\n\r\n") + 4)) as Described;
    assert.deepEqual(body.body, { bytes: 10, sha256: sha256("x".repeat(10)) });
    assert.deepEqual(valuesOf(body.rawHeaders, "expect"), []);
  });

  await t.test("a request that is refused by its header gets no 100", async () => {
    assert.match(await post("/x", 2_000), /^HTTP\/1\.1 413 /);
    assert.match(await post("/cart/1", 10), /^HTTP\/1\.1 400 /);
    assert.match(await post("/a%2fb", 10), /^HTTP\/1\.1 400 /);
  });

  await t.test("a request that finds its unit full gets no 100", async () => {
    const arrived = once(unit.events, "request");
    const slow = ask(gateway.port, { path: "/delay/300" });
    await arrived;
    const text = await post("/x", 10);
    await slow;
    assert.match(text, /^HTTP\/1\.1 503 /);
  });
});

test("an early answer to a body that is still being sent reaches the client", async (t) => {
  const upstream = await httpServer(t, (request, response) => {
    if (request.url === "/early") {
      response.writeHead(403, { "content-type": "text/plain", "content-length": 5 });
      response.end("early");
    } else request.resume().on("end", () => response.end("read"));
  });
  const gateway = await startGateway(t, {
    "fleet.yaml": fleetYaml({ hz: [upstream.url] }),
    "routes.yaml": oneRoute("maxBody: 4MiB"),
  });
  for (const [path, length, status] of [
    ["/early", 3 << 20, 403],
    ["/late", 8 << 20, 413],
  ] as const) {
    for (let round = 0; round < 10; round++) {
      // Chunked, so that only the bytes themselves tell how many they are.
      const socket = net.connect(gateway.port, "127.0.0.1");
      let text = "";
      socket.on("data", (chunk) => {
        text += chunk.toString("latin1");
      });
      socket.on("error", () => {});
      socket.write(`POST ${path} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n`);
      const chunk = Buffer.concat([Buffer.from("10000\r\n"), Buffer.alloc(65_536, 120), Buffer.from("\r\n")]);
      for (let sent = 0; sent < length && !socket.destroyed && text === ""; sent += 65_536) {
        if (!socket.write(chunk))
          await Promise.race(["drain", "close", "data"].map((e) => happens(socket, e)));
      }
      if (!socket.destroyed) await Promise.race([happens(socket, "close"), pause(1_000)]);
      socket.destroy();
      assert.equal(text.slice(0, 12), `HTTP/1.1 ${status}`, `${path} round ${round}`);
    }
  }
});

test("a refused request names its problem", async (t) => {
  const unit = await sampleUnit(t);
  const gateway = await startGateway(t, {
    "fleet.yaml": fleetYaml({ hz: [unit.origin] }),
    "routes.yaml": oneRoute().replace("/*", "/hall/*"),
  });
  const answer = await ask(gateway.port, { path: "/nowhere" });
  assert.equal(answer.status, 404);
  assert.equal(answer.headers["content-type"], "application/problem+json");
  assert.equal(problemOf(answer), "no-route");
});
