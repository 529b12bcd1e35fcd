/** WebSockets: the handshake is a request like any other, and then a tunnel. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import type http from "node:http";
import { createRequire } from "node:module";
import net from "node:net";
import { test } from "node:test";
import { fleetYaml, raw, startGateway, until } from "../../support/gateway.ts";
import { byteServer } from "../../support/upstream.ts";
import { deadOrigin, oneRoute, pause, sampleUnit, within } from "./support.ts";

interface Socket extends NodeJS.EventEmitter {
  readonly protocol: string;
  send(data: string | Buffer): void;
  close(code?: number, reason?: string): void;
  terminate(): void;
}
// A dependency of @fastify/http-proxy, without types.
const WebSocket = createRequire(import.meta.url)("ws") as new (
  url: string,
  protocols?: string[],
  options?: object,
) => Socket;

const UPGRADE =
  "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const ACCEPTED =
  "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

test("messages both ways, and both closes", async (t) => {
  const unit = await sampleUnit(t);
  const gateway = await startGateway(t, {
    "fleet.yaml": fleetYaml({ hz: [unit.origin] }),
    "routes.yaml": oneRoute(),
  });
  let head: http.IncomingMessage | undefined;
  unit.events.on("request", (request) => {
    head = request;
  });
  const url = gateway.url.replace("http", "ws");
  const socket = new WebSocket(`${url}/hall/ws?uid=4%32`, ["chat.v2", "chat.v1"], {
    headers: { "x-own": "1", cookie: "a=b", origin: "http://page.test" },
  });
  // Both are emitted in one turn.
  const [[response]] = (await Promise.all([once(socket, "upgrade"), once(socket, "open")])) as [
    [http.IncomingMessage],
    unknown,
  ];
  assert.equal(response.statusCode, 101);
  assert.equal(response.headers["x-unit"], "hz");
  assert.equal(socket.protocol, "chat.v2");
  assert.equal(head!.url, "/hall/ws?uid=4%32");
  const { headers } = head!;
  assert.equal(headers["x-own"], "1");
  assert.equal(headers.cookie, "a=b");
  assert.equal(headers.origin, "http://page.test");
  assert.equal(headers["sec-websocket-protocol"], "chat.v2,chat.v1");
  assert.match(String(headers["sec-websocket-extensions"]), /^permessage-deflate/);
  assert.equal(headers["sec-websocket-version"], "13");
  assert.equal(headers["x-tidegate-unit"], "hz");
  assert.equal(headers["x-forwarded-for"], "127.0.0.1");
  assert.equal(headers.host, `127.0.0.1:${gateway.port}`);

  for (const size of [1, 125, 70_000, 1 << 20]) {
    const sent = randomBytes(size);
    socket.send(sent);
    const [message] = (await within(3_000, `${size} bytes`, once(socket, "message"))) as [Buffer];
    assert.ok(message.equals(sent));
  }
  socket.close(4001, "bye");
  const [code, reason] = (await within(1_000, "the close", once(socket, "close"))) as [number, Buffer];
  assert.equal(code, 4001);
  assert.equal(reason.toString(), "bye");
  await until("the unit sees the close", () => unit.report().websockets === 0, Boolean, 1_000);

  const second = new WebSocket(`${url}/ws`);
  await once(second, "open");
  const gone = performance.now();
  second.terminate();
  await until("the unit sees the client go", () => unit.report().websockets === 0, Boolean, 1_000);
  assert.ok(performance.now() - gone < 150);

  const third = new WebSocket(`${url}/ws`);
  await once(third, "open");
  third.on("error", () => {});
  unit.cut();
  const [cut] = (await within(500, "the cut", once(third, "close"))) as [number];
  assert.equal(cut, 1006);
});

test("fails over like a GET: one clean 101", async (t) => {
  const unit = await sampleUnit(t, "sh");
  const gateway = await startGateway(t, {
    "fleet.yaml": fleetYaml({ hz: [await deadOrigin()], sh: [unit.origin] }).replace(
      /health: \{.*\}/,
      "health: none",
    ),
    "routes.yaml": oneRoute(),
  });
  const text = await raw(gateway.port, `GET /ws HTTP/1.1\r\nhost: a\r\n${UPGRADE}\r\n`, (all) =>
    all.includes("\r\n\r\n"),
  );
  assert.match(text, /^HTTP\/1\.1 101 Switching Protocols\r\n/);
  assert.equal(text.match(/HTTP\/1\.1/g)!.length, 1);
  assert.match(text, /\r\nx-unit: sh\r\n/i);
});

test("a unit's refusal of the upgrade is relayed", async (t) => {
  const upstream = await byteServer(t, (request, socket) => {
    const status = /^GET \/(\d+)/.exec(request)![1]!;
    socket.write(`HTTP/1.1 ${status} No\r\nwww-authenticate: Basic\r\ncontent-length: 4\r\n\r\nstop`);
  });
  const gateway = await startGateway(t, {
    "fleet.yaml": fleetYaml({ hz: [upstream.url] }),
    "routes.yaml": oneRoute(),
  });
  for (const status of [401, 403, 200]) {
    const text = await raw(
      gateway.port,
      `GET /${status} HTTP/1.1\r\nhost: a\r\n${UPGRADE}\r\n`,
      undefined,
      2_000,
    );
    assert.match(text, new RegExp(`^HTTP/1\\.1 ${status} No\r\n`));
    assert.match(text, /\r\nwww-authenticate: Basic\r\n/i);
    assert.ok(text.endsWith("\r\n\r\nstop"), text);
  }
});

test("what each side sends last arrives, whichever side is half closed", async (t) => {
  let script: (socket: net.Socket) => void = () => {};
  const upstream = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => {});
    socket.once("data", (chunk) => {
      if (chunk.toString("latin1").startsWith("GET /healthz")) {
        socket.end("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        return;
      }
      socket.write(ACCEPTED);
      script(socket);
    });
  });
  upstream.listen(0, "127.0.0.1");
  await once(upstream, "listening");
  t.after(() => upstream.close());
  const gateway = await startGateway(t, {
    "fleet.yaml": fleetYaml({ hz: [`http://127.0.0.1:${(upstream.address() as net.AddressInfo).port}`] }),
    "routes.yaml": oneRoute(),
  });
  const open = async (): Promise<net.Socket> => {
    const socket = net.connect({ port: gateway.port, host: "127.0.0.1", allowHalfOpen: true });
    socket.on("error", () => {});
    socket.write(`GET /ws HTTP/1.1\r\nhost: a\r\n${UPGRADE}\r\n`);
    await once(socket, "readable");
    assert.match((socket.read() as Buffer).toString("latin1"), /^HTTP\/1\.1 101 /);
    return socket;
  };

  await t.test("a unit that sends much and closes, to a client that reads later", async () => {
    const total = 24 << 20;
    script = (socket) => {
      setTimeout(() => socket.end(Buffer.alloc(total)), 50);
      socket.resume();
    };
    const socket = await open();
    await pause(500);
    let received = 0;
    socket.on("data", (chunk: Buffer) => {
      received += chunk.length;
    });
    await Promise.race([
      new Promise((resolve) => socket.once("end", resolve)),
      new Promise((resolve) => socket.once("close", resolve)),
    ]);
    socket.destroy();
    assert.equal(received, total);
  });

  await t.test("a client that sends much and closes, to a unit that reads later", async () => {
    const total = 24 << 20;
    const done = Promise.withResolvers<number>();
    script = (socket) => {
      socket.pause();
      let received = 0;
      setTimeout(() => {
        socket.on("data", (chunk) => {
          received += chunk.length;
        });
        socket.on("end", () => {
          done.resolve(received);
          socket.end();
        });
        socket.on("close", () => done.resolve(received));
        socket.resume();
      }, 500);
    };
    const socket = await open();
    socket.end(Buffer.alloc(total));
    socket.resume();
    assert.equal(await within(5_000, "the unit's end", done.promise), total);
  });

  await t.test("a client that has said its last still hears the unit", async () => {
    script = (socket) => {
      socket.resume();
      socket.on("end", () => setTimeout(() => socket.end("last words"), 100));
    };
    const socket = await open();
    socket.end("bye");
    const chunks = await Array.fromAsync(socket as AsyncIterable<Buffer>);
    assert.equal(Buffer.concat(chunks).toString(), "last words");
  });

  await t.test("a unit that has said its last still hears the client", async () => {
    const heard = Promise.withResolvers<string>();
    script = (socket) => {
      socket.end("enough");
      let text = "";
      socket.on("data", (chunk) => {
        text += chunk;
      });
      socket.on("end", () => heard.resolve(text));
      socket.on("close", () => heard.resolve(text));
    };
    const socket = await open();
    socket.resume();
    await once(socket, "end");
    socket.end("the client's last");
    assert.equal(await within(1_000, "the client's words", heard.promise), "the client's last");
  });

  await t.test("backpressure", async () => {
    let sent = 0;
    script = (socket) => {
      const block = Buffer.alloc(65_536);
      const more = (): void => {
        while (!socket.destroyed && sent < 256 << 20) {
          sent += block.length;
          if (!socket.write(block)) return;
        }
      };
      socket.on("drain", more);
      more();
    };
    const socket = await open();
    let before = -1;
    await until("the unit to be held back", async () => {
      const still = sent === before;
      before = sent;
      await pause(150);
      return still;
    });
    assert.ok(sent < 32 << 20, `${sent} bytes`);
    socket.destroy();
  });
});

test("a client that leaves during the handshake takes it along within 100 ms", async (t) => {
  const arrived = Promise.withResolvers<net.Socket>();
  const upstream = await byteServer(t, (_request, socket) => arrived.resolve(socket));
  const gateway = await startGateway(t, {
    "fleet.yaml": fleetYaml({ hz: [upstream.url] }),
    "routes.yaml": oneRoute(),
  });
  const socket = net.connect(gateway.port, "127.0.0.1");
  socket.write(`GET /ws HTTP/1.1\r\nhost: a\r\n${UPGRADE}\r\n`);
  const unit = await within(2_000, "the handshake", arrived.promise);
  const left = performance.now();
  const gone = once(unit, "close");
  socket.destroy();
  await within(2_000, "the unit's connection to close", gone);
  const took = performance.now() - left;
  assert.ok(took < 100, `${took} ms`);
});
