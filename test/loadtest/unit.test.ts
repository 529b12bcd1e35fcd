import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import http from "node:http";
import net from "node:net";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { after, afterEach, before, describe, test } from "node:test";
import { createUnit } from "../../loadtest/unit/app.ts";
import { firstDifference } from "../../loadtest/unit/content.ts";

const unit = createUnit({ unit: "sh", version: "canary", clock: { now: () => performance.now() } });
before(() => unit.listen());
after(() => unit.close());
afterEach(() => unit.turn({ mode: "ok", health: "ok" }));

type Options = http.RequestOptions & { body?: Buffer };

/** One exchange on a connection of its own, by node:http, which hides nothing. */
async function ask(path: string, { body, ...options }: Options = {}) {
  const request = http.request({ port: unit.port, host: "127.0.0.1", path, agent: false, ...options });
  request.end(body);
  const [response] = (await once(request, "response")) as [http.IncomingMessage];
  const content = await buffer(response);
  return { response, content, json: () => JSON.parse(content.toString()) };
}

const post = (change: unknown) =>
  fetch(`${unit.origin}/__unit`, { method: "POST", body: JSON.stringify(change) });

describe("the description", () => {
  test("tells who answered, how it was addressed and what arrived", async () => {
    const body = Buffer.from("two apples");
    const { response, json } = await ask("/cart/1?uid=42", {
      method: "PUT",
      headers: {
        "x-tidegate-unit": "sh",
        "x-tidegate-slot": "515",
        "x-tidegate-epoch": "3",
        "X-CamelCase": "y",
      },
      body,
    });
    assert.equal(response.headers["x-unit"], "sh");
    assert.equal(response.headers["x-version"], "canary");
    const { headers, rawHeaders, ...answer } = json();
    assert.deepEqual(answer, {
      unit: "sh",
      version: "canary",
      service: "hall",
      port: unit.port,
      addressed: "sh",
      slot: 515,
      epoch: 3,
      key: "42",
      method: "PUT",
      path: "/cart/1",
      query: "uid=42",
      body: { bytes: 10, sha256: createHash("sha256").update(body).digest("hex") },
    });
    assert.equal(headers["x-camelcase"], "y");
    assert.ok(rawHeaders.includes("X-CamelCase"));
  });

  for (const method of http.METHODS.filter((method) => method !== "CONNECT")) {
    test(`answers ${method}`, async () => {
      const { response, json } = await ask("/anything/at/all", { method });
      assert.equal(response.statusCode, 200);
      if (method !== "HEAD") assert.equal(json().method, method);
    });
  }

  for (const path of ["/%zz", "/a//b/../c", "/%2e%2e/x", "*", "/?a=?b"]) {
    test(`takes the path ${path} as it is`, async () => {
      const { json } = await ask(path, { method: "OPTIONS" });
      const { path: seen, query } = json();
      assert.equal(query === "" ? seen : `${seen}?${query}`, path);
    });
  }

  test("hashes a chunked body of any content type", async () => {
    const parts = [randomBytes(100_000), randomBytes(200_000)];
    const response = await fetch(`${unit.origin}/x`, {
      method: "POST",
      headers: { "content-type": "nonsense" },
      body: Readable.from(parts),
      duplex: "half",
    });
    const { body } = (await response.json()) as { body: unknown };
    const sha256 = createHash("sha256").update(Buffer.concat(parts)).digest("hex");
    assert.deepEqual(body, { bytes: 300_000, sha256 });
  });
});

describe("paths with a behaviour, after any prefix", () => {
  for (const [path, length] of [
    ["/hall/bytes/1000000", "1000000"],
    ["/bytes/1000000?chunked=1", undefined],
  ] as const) {
    test(path, async () => {
      const { response, content } = await ask(path);
      assert.equal(response.headers["content-length"], length);
      assert.equal(content.length, 1_000_000);
      assert.equal(firstDifference(content, 0), -1);
    });
  }

  test("HEAD /bytes/N tells the length and sends nothing", async () => {
    const { response, content } = await ask("/bytes/2147483648", { method: "HEAD" });
    assert.equal(response.headers["content-length"], "2147483648");
    assert.equal(content.length, 0);
  });

  test("/bytes of 256 MiB flows in flat memory, and every byte is right", async () => {
    const size = 256 * 1024 * 1024;
    const start = process.memoryUsage();
    let peak = 0;
    let seen = 0;
    const response = await fetch(`${unit.origin}/bytes/${size}`);
    for await (const chunk of response.body!) {
      const difference = firstDifference(chunk, seen);
      if (difference !== -1) assert.fail(`byte ${difference} is wrong`);
      seen += chunk.length;
      peak = Math.max(peak, process.memoryUsage.rss());
    }
    assert.equal(seen, size);
    assert.ok(peak - start.rss < size / 2, `memory grew by ${peak - start.rss} bytes`);
  });

  test("/sse sends its first event at once and ends after count", async () => {
    const { response, content } = await ask("/hall/sse?count=3&every=10");
    assert.equal(response.headers["content-type"], "text/event-stream");
    const events = content.toString().split("\n\n").slice(0, -1);
    assert.deepEqual(
      events,
      [1, 2, 3].map((n) => `id: ${n}\ndata: {"n":${n},"unit":"sh"}`),
    );
  });

  test("/status/CODE", async () => {
    for (const code of [200, 204, 304, 404, 418, 503, 599]) {
      assert.equal((await ask(`/orders/status/${code}`)).response.statusCode, code);
    }
  });

  test("/delay/MS answers no earlier", async () => {
    const start = performance.now();
    const { json } = await ask("/cart/delay/50");
    assert.equal(json().path, "/cart/delay/50");
    assert.ok(performance.now() - start >= 49);
  });

  test("/trailers", async () => {
    const { response, content } = await ask("/hall/trailers");
    assert.equal(response.headers.trailer, "x-sha256, x-bytes");
    assert.deepEqual(
      { ...response.trailers },
      { "x-sha256": createHash("sha256").update(content).digest("hex"), "x-bytes": String(content.length) },
    );
  });

  test("/early-hints sends 103 before 200", async () => {
    const request = http.get({ port: unit.port, path: "/early-hints", agent: false });
    const answered = once(request, "response"); // Both may come in one packet.
    const [hints] = (await once(request, "information")) as [http.InformationEvent];
    assert.equal(hints.statusCode, 103);
    assert.match(hints.headers.link as string, /style\.css/);
    const [response] = (await answered) as [http.IncomingMessage];
    assert.equal(response.statusCode, 200);
    response.resume();
    await once(response, "end");
  });

  test("/echo answers while the request is still being sent", async () => {
    const request = http.request({ port: unit.port, path: "/cart/echo", method: "POST", agent: false });
    request.flushHeaders();
    const [response] = (await once(request, "response")) as [http.IncomingMessage];
    for (const part of ["one", "two", "three"]) {
      request.write(part);
      const [chunk] = (await once(response, "data")) as [Buffer];
      assert.equal(chunk.toString(), part);
    }
    request.end();
    await once(response, "end");
  });
});

describe("the switches", () => {
  test("fail strikes exactly its share, and spares the health check", async () => {
    await post({ mode: "fail", share: 0.25, status: 500 });
    const statuses: (number | undefined)[] = [];
    for (let i = 0; i < 8; i++) statuses.push((await ask("/")).response.statusCode);
    assert.deepEqual(statuses, [200, 200, 200, 500, 200, 200, 200, 500]);
    assert.equal((await ask("/healthz")).response.statusCode, 200);
  });

  test("slow delays the answer", async () => {
    await post({ mode: "slow", ms: 40 });
    const start = performance.now();
    await ask("/");
    assert.ok(performance.now() - start >= 39);
  });

  test("reset resets the connection, and that is not an abort by the peer", async () => {
    const { aborted } = unit.report();
    await post({ mode: "reset" });
    await assert.rejects(ask("/"), { code: "ECONNRESET" });
    await assert.rejects(ask("/healthz"), { code: "ECONNRESET" });
    assert.equal(unit.report().aborted, aborted);
  });

  test("hang never answers; when the peer gives up, the abort is counted and stamped", async () => {
    await post({ mode: "hang" });
    const { aborted } = unit.report();
    const arrived = once(unit.events, "request");
    const request = http.request({ port: unit.port, path: "/cart/9", method: "POST", agent: false });
    request.on("error", () => {});
    request.end("a body nobody reads");
    await arrived;
    const left = performance.now();
    const abort = once(unit.events, "abort");
    request.destroy();
    const [{ method, path, at }] = await abort;
    assert.deepEqual([method, path], ["POST", "/cart/9"]);
    assert.ok(at - left < 100, `noticed after ${at - left} ms`);
    assert.equal(unit.report().aborted, aborted + 1);
  });

  for (const path of ["/sse", "/delay/60000", "/bytes/2147483648"]) {
    test(`a peer that leaves during ${path} is counted`, async () => {
      const arrived = once(unit.events, "request");
      const request = http.get({ port: unit.port, path, agent: false });
      request.on("error", () => {});
      request.on("response", (response) => response.on("error", () => {}));
      await arrived;
      const abort = once(unit.events, "abort");
      request.destroy();
      const [{ path: aborted }] = await abort;
      assert.equal(aborted, path);
    });
  }

  test("refuse cuts what is open, refuses what comes, and ends by itself after ms", async () => {
    const idle = net.connect(unit.port, "127.0.0.1");
    await once(idle, "connect");
    const cut = once(idle, "close");
    idle.resume();
    await post({ mode: "refuse", ms: 100 });
    await cut;
    await assert.rejects(ask("/"), { code: "ECONNREFUSED" });
    while (true) {
      const back = await ask("/").catch(() => undefined);
      if (back === undefined) continue;
      assert.equal(back.response.statusCode, 200);
      break;
    }
  });

  test("flap answers and refuses by turns", async () => {
    await post({ mode: "flap", period: 30 });
    const turns: boolean[] = [];
    while (turns.length < 4) {
      const answered = await ask("/").then(
        () => true,
        () => false,
      );
      if (turns.at(-1) !== answered) turns.push(answered);
    }
    assert.deepEqual(turns, [true, false, true, false]);
  });

  test("health fail touches the health check alone; health always overrules the mode", async () => {
    await post({ health: "fail" });
    assert.equal((await ask("/healthz")).response.statusCode, 503);
    assert.equal((await ask("/")).response.statusCode, 200);
    await post({ mode: "hang", health: "always" });
    assert.equal((await ask("/healthz")).response.statusCode, 200);
  });

  for (const [change, complaint] of [
    [{ mode: "broken" }, /mode is "broken"; expected ok, slow/],
    [{ share: 2 }, /share is 2; expected a number from 0 to 1/],
    [{ colour: 1 }, /colour is not a switch/],
    [[], /must be a JSON object/],
  ] as const) {
    test(`refuses ${JSON.stringify(change)} and changes nothing`, async () => {
      const before = unit.switches;
      const response = await post(change);
      assert.equal(response.status, 400);
      assert.match(((await response.json()) as { error: string }).error, complaint);
      assert.equal(unit.switches, before);
    });
  }

  test("counts by method, and DELETE begins anew", async () => {
    await fetch(`${unit.origin}/__unit`, { method: "DELETE" });
    await ask("/");
    await ask("/", { method: "POST" });
    await ask("/healthz");
    const { requests, total, healthChecks, switches } = (await ask("/__unit")).json();
    assert.deepEqual(
      { requests, total, healthChecks },
      { requests: { GET: 1, POST: 1 }, total: 2, healthChecks: 1 },
    );
    assert.equal(switches.mode, "ok");
  });
});

test("a taken port rejects with EADDRINUSE", async () => {
  const second = createUnit({ unit: "hz", clock: { now: () => 0 } });
  await assert.rejects(second.listen(unit.port), { code: "EADDRINUSE" });
  await second.close();
});

test("close lets a request under way finish within its grace", async () => {
  const own = createUnit({ unit: "hz", clock: { now: () => 0 } });
  await own.listen();
  const arrived = once(own.events, "request");
  const answer = fetch(`${own.origin}/delay/30`);
  await arrived;
  await own.close(5000);
  assert.equal((await answer).status, 200);
});
