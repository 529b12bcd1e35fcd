import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { after, before, test } from "node:test";
import { createUnit } from "../../loadtest/unit/app.ts";
import { acceptKey } from "../../loadtest/unit/websocket.ts";

const unit = createUnit({ unit: "hz", clock: { now: () => 0 } });
before(() => unit.listen());
after(() => unit.close());

async function connect(path = "/hall/ws", protocols: string[] = []): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${unit.port}${path}`, protocols);
  socket.binaryType = "arraybuffer";
  await once(socket, "open");
  return socket;
}

async function echoed(socket: WebSocket, message: string | Uint8Array<ArrayBuffer>): Promise<unknown> {
  const answer = once(socket, "message");
  socket.send(message);
  const [event] = (await answer) as [MessageEvent];
  return event.data;
}

test("the handshake of RFC 6455 §1.3", () => {
  assert.equal(acceptKey("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
});

test("echoes text and binary of every length form, counts the socket, and closes with the peer's code", async () => {
  const socket = await connect("/hall/ws", ["v2.chat", "v1.chat"]);
  assert.equal(socket.protocol, "v2.chat");
  assert.equal(unit.report().websockets, 1);
  assert.equal(await echoed(socket, "潮汐"), "潮汐");
  for (const length of [0, 125, 126, 65_535, 65_536, 1_000_000]) {
    const bytes = new Uint8Array(length).fill(length % 256);
    assert.deepEqual(new Uint8Array((await echoed(socket, bytes)) as ArrayBuffer), bytes);
  }
  const closed = once(socket, "close");
  socket.close(4001, "enough");
  const [event] = (await closed) as [CloseEvent];
  assert.deepEqual([event.code, event.reason, event.wasClean], [4001, "enough", true]);
});

/** A masked frame of a short payload. */
function frame(opcode: number, text: string, fin = true): Buffer {
  const payload = Buffer.from(text);
  const mask = Buffer.from([1, 2, 3, 4]);
  const head = Buffer.from([(fin ? 0x80 : 0) | opcode, 0x80 | payload.length]);
  return Buffer.concat([head, mask, payload.map((byte, i) => byte ^ mask[i & 3]!)]);
}

/** Sends frames in one write after the handshake and collects what comes back, until the unit hangs up. */
async function exchange(...frames: Buffer[]): Promise<Buffer> {
  const socket = net.connect(unit.port, "127.0.0.1");
  const head =
    "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
  socket.write(Buffer.concat([Buffer.from(head), ...frames]));
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  const all = Buffer.concat(chunks);
  assert.match(all.toString("latin1"), /^HTTP\/1\.1 101 .*x-unit: hz\r\n/s);
  return all.subarray(all.indexOf("\r\n\r\n") + 4);
}

test("echoes a fragmented message as one, and answers a ping between its parts first", async () => {
  const back = await exchange(
    frame(1, "frag", false),
    frame(9, "ping"),
    frame(0, "ment", false),
    frame(0, "ed"),
    frame(8, ""),
  );
  assert.deepEqual(
    back,
    Buffer.concat([
      Buffer.from([0x8a, 4]),
      Buffer.from("ping"),
      Buffer.from([0x81, 10]),
      Buffer.from("fragmented"),
      Buffer.from([0x88, 0]),
    ]),
  );
});

for (const [name, frames, code] of [
  ["an unmasked frame", [Buffer.from([0x81, 1, 65])], 1002],
  ["a continuation of nothing", [frame(0, "x")], 1002],
  ["a new message inside another", [frame(1, "x", false), frame(1, "y")], 1002],
  ["an unknown opcode", [frame(3, "x")], 1002],
  ["text that is not UTF-8", [Buffer.from([0x81, 0x81, 0, 0, 0, 0, 0xff])], 1007],
] as const) {
  test(`closes with ${code} on ${name}`, async () => {
    assert.deepEqual(await exchange(...frames), Buffer.from([0x88, 2, code >> 8, code & 0xff]));
  });
}

test("an upgrade to something else is answered as a plain request", async () => {
  const response = await fetch(`${unit.origin}/ws`);
  assert.equal(response.status, 200);
});
