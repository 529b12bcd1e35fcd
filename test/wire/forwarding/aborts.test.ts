/** A client that leaves takes its request to the unit with it, at once, and nobody is blamed. */
import assert from "node:assert/strict";
import { once } from "node:events";
import type http from "node:http";
import net from "node:net";
import { test } from "node:test";
import { fleetYaml, startGateway, until } from "../../support/gateway.ts";
import { httpServer, oneRoute, signal, within } from "./support.ts";

test("client aborts", async (t) => {
  let arrived = signal<http.IncomingMessage>();
  let answer: (request: http.IncomingMessage, response: http.ServerResponse) => void = () => {};
  const upstream = await httpServer(t, (request, response) => {
    answer(request, response);
    arrived.give(request);
  });
  const gateway = await startGateway(t, {
    "fleet.yaml": fleetYaml({ hz: [upstream.url] }),
    "routes.yaml": oneRoute("retry: none"),
  });

  const cases: [string, string, typeof answer, ((socket: net.Socket) => void)?][] = [
    ["before the header", "GET /a HTTP/1.1\r\nhost: a\r\n\r\n", () => {}],
    [
      "in mid-body",
      "GET /b HTTP/1.1\r\nhost: a\r\n\r\n",
      (_request, response) => {
        response.writeHead(200);
        const timer = setInterval(() => response.write("x".repeat(100)), 5);
        response.on("close", () => clearInterval(timer));
      },
    ],
    [
      "in mid-body, behind and not reading",
      "GET /c HTTP/1.1\r\nhost: a\r\n\r\n",
      (_request, response) => {
        response.writeHead(200);
        const block = Buffer.alloc(65_536);
        const more = (): void => {
          while (response.write(block));
        };
        response.on("drain", more);
        more();
      },
      (socket) => socket.pause(),
    ],
    [
      "in mid-upload",
      "POST /d HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\nsome",
      (request) => request.resume(),
    ],
    [
      "in mid-upload, chunked",
      "POST /e HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n4\r\nsome\r\n",
      (request) => request.resume(),
    ],
    [
      "in the small body",
      "POST /f HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nsome",
      (request) => request.resume(),
    ],
  ];
  for (const [name, bytes, script, prepare] of cases) {
    for (const how of ["close", "reset"] as const) {
      await t.test(`${name}, by ${how}`, async () => {
        const counted = await gateway.metric("tidegate_requests_total", 'code="499"');
        arrived = signal();
        answer = script;
        const socket = net.connect(gateway.port, "127.0.0.1");
        socket.on("error", () => {});
        prepare?.(socket);
        socket.write(bytes);
        const request = await within(2_000, "the request", arrived.promise);
        if (name.startsWith("in mid-body,")) await new Promise((resolve) => setTimeout(resolve, 100));
        else if (name.startsWith("in mid-body")) await once(socket, "data");
        const gone = new Promise<number>((resolve) => {
          request.socket.once("close", () => resolve(performance.now()));
          request.socket.on("error", () => {});
        });
        const left = performance.now();
        if (how === "close") socket.destroy();
        else socket.resetAndDestroy();
        const took = (await within(3_000, "the unit's connection to close", gone)) - left;
        assert.ok(took < 100, `${took.toFixed(0)} ms`);
        await until(
          "it is counted as 499",
          async () => (await gateway.metric("tidegate_requests_total", 'code="499"')) === counted + 1,
          Boolean,
          1_000,
        );
      });
    }
  }

  await t.test("blame nobody", async () => {
    assert.equal(await gateway.metric("tidegate_ejections_total"), 0);
    assert.ok((await gateway.status()).endpoints.every((e) => e.health === "up"));
    await until("nothing under way", async () => (await gateway.metric("tidegate_upstream_inflight")) === 0);
  });
});
