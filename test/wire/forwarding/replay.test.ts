/** What is sent again, what never is, and that what is sent again is the same. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import type http from "node:http";
import { test } from "node:test";
import { fleetYaml, startGateway } from "../../support/gateway.ts";
import { ask, deadOrigin, httpServer, oneRoute } from "./support.ts";

/** Two endpoints of one unit; `first` is whatever is asked first of them. */
async function pair(
  t: Parameters<typeof startGateway>[0],
  act: (response: http.ServerResponse, request: http.IncomingMessage) => void,
  ...lines: string[]
) {
  const seen: { method: string; bytes: number; sha256: string }[] = [];
  let asked = 0;
  const listener: http.RequestListener = (request, response) => {
    const hash = createHash("sha256");
    let bytes = 0;
    const isFirst = asked++ === 0;
    request.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      hash.update(chunk);
    });
    request.on("end", () => {
      seen.push({ method: request.method!, bytes, sha256: hash.digest("hex") });
      if (isFirst) act(response, request);
      else response.end("second");
    });
  };
  const a = await httpServer(t, listener);
  const b = await httpServer(t, listener);
  const gateway = await startGateway(t, {
    "fleet.yaml": fleetYaml({ hz: [a.url, b.url] }, "", "    outlier: none\n"),
    "routes.yaml": oneRoute(...lines),
  });
  return {
    async send(method: string, body?: string | Buffer, headers: http.OutgoingHttpHeaders = {}) {
      seen.length = 0;
      asked = 0;
      const length = body === undefined ? {} : { "content-length": Buffer.byteLength(body) };
      const answer = await ask(gateway.port, {
        method,
        path: "/x",
        headers: { ...headers, ...length },
        ...(body === undefined ? {} : { body }),
      });
      return { answer, seen: [...seen] };
    },
  };
}

const sha256 = (body: string | Buffer) => createHash("sha256").update(body).digest("hex");

test("a refused connection: every method goes to the unit's other endpoint, byte for byte", async (t) => {
  const seen: { unit: unknown; body: Buffer; method: string | undefined }[] = [];
  const good = await httpServer(t, (request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      seen.push({
        unit: request.headers["x-tidegate-unit"],
        body: Buffer.concat(chunks),
        method: request.method,
      });
      response.end("good");
    });
  });
  const gateway = await startGateway(t, {
    "fleet.yaml": fleetYaml({ hz: [await deadOrigin(), good.url] }, "", "    outlier: none\n").replace(
      /health: \{.*\}/,
      "health: none",
    ),
    "routes.yaml": oneRoute("retry: { attempts: 2, budget: 100% }"),
  });
  for (const method of ["GET", "POST", "PUT", "DELETE", "PATCH"]) {
    for (const size of [0, 5, 60_000]) {
      for (const framing of ["length", "chunked"]) {
        const body = randomBytes(size);
        for (let round = 0; round < 4; round++) {
          seen.length = 0;
          const headers =
            framing === "length" ? { "content-length": size } : { "transfer-encoding": "chunked" };
          const answer = await ask(gateway.port, { method, path: "/x", headers, body });
          assert.equal(answer.text, "good", `${method} ${size} ${framing}`);
          assert.equal(seen.length, 1);
          assert.equal(seen[0]!.unit, "hz");
          assert.ok(seen[0]!.body.equals(body), `${method} ${size} ${framing}`);
        }
      }
    }
  }
});

test("a large body that no server can have seen goes to the next endpoint", async (t) => {
  let received = 0;
  const good = await httpServer(t, (request, response) => {
    received = 0;
    request.on("data", (chunk: Buffer) => {
      received += chunk.length;
    });
    request.on("end", () => response.end("good"));
  });
  const gateway = await startGateway(t, {
    "fleet.yaml": fleetYaml({ hz: [await deadOrigin(), good.url] }, "", "    outlier: none\n").replace(
      /health: \{.*\}/,
      "health: none",
    ),
    "routes.yaml": oneRoute("retry: { budget: 100% }"),
  });
  const statuses: number[] = [];
  for (let i = 0; i < 20; i++) {
    const answer = await ask(gateway.port, { method: "POST", path: "/x", body: Buffer.alloc(1_000_000) });
    statuses.push(answer.status);
    if (answer.status === 200) assert.equal(received, 1_000_000);
  }
  assert.deepEqual(new Set(statuses), new Set([200]), statuses.join(" "));
});

test("a reset before the answer", async (t) => {
  const reset = (response: http.ServerResponse) => void response.socket!.resetAndDestroy();
  const careful = await pair(t, reset, "retry: { budget: 100% }");

  await t.test("GET, HEAD, OPTIONS are repeated", async () => {
    for (const method of ["GET", "HEAD", "OPTIONS"]) {
      const { answer, seen } = await careful.send(method);
      assert.equal(answer.status, 200, method);
      assert.equal(seen.length, 2, method);
    }
  });
  await t.test("POST, PUT, PATCH, DELETE are not: a server may have acted", async () => {
    for (const method of ["POST", "PUT", "PATCH", "DELETE"]) {
      const { answer, seen } = await careful.send(method, "abc");
      assert.equal(answer.status, 502, method);
      assert.equal(seen.length, 1, method);
    }
  });
  await t.test("with `unsafe: true` they are, byte for byte", async (t2) => {
    const daring = await pair(t2, reset, "retry: { unsafe: true, budget: 100% }");
    for (const method of ["POST", "PUT", "PATCH", "DELETE"]) {
      for (const size of [3, 60_000]) {
        const body = randomBytes(size);
        const { answer, seen } = await daring.send(method, body);
        assert.equal(answer.text, "second");
        assert.deepEqual(seen, [
          { method, bytes: size, sha256: sha256(body) },
          { method, bytes: size, sha256: sha256(body) },
        ]);
      }
    }
    const { answer, seen } = await daring.send("POST", Buffer.alloc(500_000));
    assert.equal(answer.status, 502, "a body of more than 64 KiB was streamed, and is gone");
    assert.equal(seen.length, 1);
  });
});

test("statuses of `retry.on`", async (t) => {
  const say = (status: number) => (response: http.ServerResponse) => {
    response.writeHead(status, { "content-type": "text/plain", "retry-after": "7" });
    response.end("first");
  };
  const busy = await pair(t, say(503), "retry: { budget: 100% }");
  const get = await busy.send("GET");
  assert.equal(get.answer.text, "second");
  assert.equal(get.seen.length, 2);
  for (const method of ["POST", "PUT", "DELETE"]) {
    const { answer, seen } = await busy.send(method, "x");
    assert.equal(answer.status, 503);
    assert.equal(answer.text, "first");
    assert.equal(answer.headers["retry-after"], "7");
    assert.equal(seen.length, 1);
  }
  const broken = await pair(t, say(500), "retry: { budget: 100% }");
  const once = await broken.send("GET");
  assert.equal(once.answer.status, 500, "500 is not in the default list");
  assert.equal(once.answer.text, "first");
  assert.equal(once.seen.length, 1);
});

test("when every attempt answers 503 the last answer is the client's, as it is", async (t) => {
  let asked = 0;
  const upstream = await httpServer(t, (_request, response) => {
    asked++;
    response.writeHead(503, { "x-own": "yes" });
    response.end("busy");
  });
  const gateway = await startGateway(t, {
    "fleet.yaml": fleetYaml({ hz: [upstream.url] }),
    "routes.yaml": oneRoute("retry: { attempts: 2, budget: 100% }"),
  });
  const answer = await ask(gateway.port, { path: "/x" });
  assert.equal(answer.status, 503);
  assert.equal(answer.text, "busy");
  assert.equal(answer.headers["x-own"], "yes");
  assert.equal(asked, 3);
});
