/** Bytes pass as they come, both ways, and a slow side holds the other back. */
import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import { test } from "node:test";
import { fleetYaml, startGateway, until } from "../../support/gateway.ts";
import { httpServer, oneRoute, pause, sampleUnit, within } from "./support.ts";

test("duplex: the answer begins before the request ends", async (t) => {
  const unit = await sampleUnit(t);
  const gateway = await startGateway(t, {
    "fleet.yaml": fleetYaml({ hz: [unit.origin] }),
    "routes.yaml": oneRoute(),
  });
  const request = http.request({
    port: gateway.port,
    host: "127.0.0.1",
    method: "POST",
    path: "/echo",
    agent: false,
  });
  request.write("one");
  const [response] = (await within(500, "the answer", once(request, "response"))) as [http.IncomingMessage];
  for (const word of ["one", "two", "three"]) {
    if (word !== "one") request.write(word);
    const [chunk] = (await within(200, word, once(response, "data"))) as [Buffer];
    assert.equal(chunk.toString(), word);
  }
  request.end();
  await within(200, "the end", once(response, "end"));
});

test("server-sent events, and headers whose body comes later, arrive as they are sent", async (t) => {
  let sentAt = 0;
  const upstream = await httpServer(t, async (request, response) => {
    if (request.url === "/sse") {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.flushHeaders();
      for (let n = 0; n < 5; n++) {
        await pause(150);
        sentAt = performance.now();
        response.write(`data: ${n}\n\n`);
      }
      response.end();
      return;
    }
    response.writeHead(200, request.url === "/length" ? { "content-length": 4 } : {});
    response.flushHeaders();
    sentAt = performance.now();
    await pause(1_000);
    response.end("late");
  });
  const gateway = await startGateway(t, {
    "fleet.yaml": fleetYaml({ hz: [upstream.url] }),
    "routes.yaml": oneRoute("timeout: { idle: 3s }"),
  });
  const get = async (path: string): Promise<http.IncomingMessage> => {
    const request = http.get({ port: gateway.port, host: "127.0.0.1", path, agent: false });
    return ((await once(request, "response")) as [http.IncomingMessage])[0];
  };

  await t.test("events one by one within 100 ms, the header at once", async () => {
    const began = performance.now();
    const response = await get("/sse");
    assert.ok(performance.now() - began < 140, "the header waited for the first event");
    let n = 0;
    for await (const chunk of response as AsyncIterable<Buffer>) {
      assert.equal(chunk.toString(), `data: ${n++}\n\n`);
      assert.ok(performance.now() - sentAt < 100, `${performance.now() - sentAt} ms`);
    }
    assert.equal(n, 5);
  });

  for (const path of ["/length", "/chunked"]) {
    await t.test(`a header of ${path} whose body comes a second later`, async () => {
      const response = await get(path);
      const late = performance.now() - sentAt;
      assert.ok(late < 100, `${late} ms`);
      const chunks = await Array.fromAsync(response as AsyncIterable<Buffer>);
      assert.equal(Buffer.concat(chunks).toString(), "late");
    });
  }
});

test("a slow reader holds the unit back, a slow unit holds the client back", async (t) => {
  let sent = 0;
  let full = false;
  let uploading: http.IncomingMessage | undefined;
  const upstream = await httpServer(t, (request, response) => {
    if (request.method === "POST") {
      uploading = request;
      request.pause();
      request.on("end", () => response.end("done"));
      return;
    }
    const block = Buffer.alloc(65_536);
    const total = 64 << 20;
    const more = (): void => {
      full = false;
      while (sent < total) {
        sent += block.length;
        if (!response.write(block)) {
          full = true;
          response.once("drain", more);
          return;
        }
      }
      response.end();
    };
    more();
  });
  const gateway = await startGateway(t, {
    "fleet.yaml": fleetYaml({ hz: [upstream.url] }),
    "routes.yaml": oneRoute(),
  });

  await t.test("download", async () => {
    const request = http.get({ port: gateway.port, host: "127.0.0.1", path: "/", agent: false });
    const [response] = (await once(request, "response")) as [http.IncomingMessage];
    let before = -1;
    await until("the unit to stop", async () => {
      const still = full && sent === before;
      before = sent;
      await pause(100);
      return still;
    });
    assert.ok(sent < 32 << 20, `${sent} bytes`);
    let received = 0;
    response.on("data", (chunk: Buffer) => {
      received += chunk.length;
    });
    await once(response, "end");
    assert.equal(received, 64 << 20);
  });

  await t.test("upload", async () => {
    const request = http.request({
      port: gateway.port,
      host: "127.0.0.1",
      method: "POST",
      path: "/",
      agent: false,
    });
    const block = Buffer.alloc(65_536);
    let written = 0;
    let stopped = false;
    const total = 64 << 20;
    const more = (): void => {
      stopped = false;
      while (written < total) {
        written += block.length;
        if (!request.write(block)) {
          stopped = true;
          request.once("drain", more);
          return;
        }
      }
      request.end();
    };
    more();
    let before = -1;
    await until("the client to stop", async () => {
      const still = stopped && written === before && uploading !== undefined;
      before = written;
      await pause(100);
      return still;
    });
    assert.ok(written < 32 << 20, `${written} bytes`);
    let received = 0;
    uploading!.on("data", (chunk: Buffer) => {
      received += chunk.length;
    });
    uploading!.resume();
    await once(request, "response");
    assert.equal(received, total);
  });
});
