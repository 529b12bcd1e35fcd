/**
 * A WebSocket echo (RFC 6455), enough to test a gateway with: text, binary, fragments, ping and close. It negotiates
 * no extension, and echoes a fragmented message as one frame.
 */
import { isUtf8 } from "node:buffer";
import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; // RFC 6455 §1.3
const MAX_MESSAGE = 16 * 1024 * 1024;

const CONTINUATION = 0;
const TEXT = 1;
const BINARY = 2;
const CLOSE = 8;
const PING = 9;
const PONG = 10;

interface Frame {
  readonly fin: boolean;
  readonly opcode: number;
  readonly payload: Buffer;
  /** Bytes of the frame on the wire. */
  readonly size: number;
}

/** A frame, undefined when more bytes are needed, or the close code of a violation. */
type Reading = Frame | undefined | number;

/** Answers the handshake and echoes until the peer closes. Only for requests that `isWebSocket` accepts. */
export function echoWebSocket(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  headers: Readonly<Record<string, string>>,
): void {
  const lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"];
  lines.push(`Sec-WebSocket-Accept: ${acceptKey(request.headers["sec-websocket-key"]!)}`);
  const protocol = request.headers["sec-websocket-protocol"]?.split(",")[0]?.trim();
  if (protocol) lines.push(`Sec-WebSocket-Protocol: ${protocol}`);
  for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
  socket.write(`${lines.join("\r\n")}\r\n\r\n`);

  const echo = new Echo(socket);
  socket.on("data", (bytes: Buffer) => echo.receive(bytes));
  socket.on("end", () => socket.end());
  if (head.length > 0) echo.receive(head);
}

export function isWebSocket(request: IncomingMessage): boolean {
  return (
    request.method === "GET" &&
    request.headers.upgrade?.toLowerCase() === "websocket" &&
    request.headers["sec-websocket-version"] === "13" &&
    request.headers["sec-websocket-key"] !== undefined
  );
}

export function acceptKey(key: string): string {
  return createHash("sha1")
    .update(key + GUID)
    .digest("base64");
}

class Echo {
  readonly #socket: Duplex;
  #pending: Buffer = Buffer.alloc(0);
  #parts: Buffer[] = [];
  #size = 0;
  #opcode = CONTINUATION;
  #closed = false;

  constructor(socket: Duplex) {
    this.#socket = socket;
  }

  receive(bytes: Buffer): void {
    this.#pending = this.#pending.length === 0 ? bytes : Buffer.concat([this.#pending, bytes]);
    while (!this.#closed) {
      const frame = readFrame(this.#pending);
      if (frame === undefined) return;
      if (typeof frame === "number") {
        this.#close(closePayload(frame));
      } else {
        this.#pending = this.#pending.subarray(frame.size);
        this.#take(frame);
      }
    }
  }

  #take({ fin, opcode, payload }: Frame): void {
    if (opcode === CLOSE) this.#close(payload);
    else if (opcode === PING) this.#send(PONG, payload);
    else if (opcode !== PONG) {
      const violation = this.#gather(opcode, payload) ?? (fin ? this.#finish() : undefined);
      if (violation !== undefined) this.#close(closePayload(violation));
    }
  }

  /** Adds a part to the message under way. Answers the close code of a violation. */
  #gather(opcode: number, payload: Buffer): number | undefined {
    const underWay = this.#opcode !== CONTINUATION;
    if ((opcode === CONTINUATION) !== underWay) return 1002;
    if (!underWay) this.#opcode = opcode;
    this.#size += payload.length;
    if (this.#size > MAX_MESSAGE) return 1009;
    this.#parts.push(payload);
    return undefined;
  }

  #finish(): number | undefined {
    const message = Buffer.concat(this.#parts);
    if (this.#opcode === TEXT && !isUtf8(message)) return 1007;
    this.#send(this.#opcode, message);
    this.#parts = [];
    this.#size = 0;
    this.#opcode = CONTINUATION;
    return undefined;
  }

  #send(opcode: number, payload: Buffer): void {
    this.#socket.write(frameHead(opcode, payload.length));
    if (this.#socket.write(payload)) return;
    this.#socket.pause(); // A peer that does not read its echo is not read either.
    this.#socket.once("drain", () => this.#socket.resume());
  }

  #close(payload: Buffer): void {
    this.#closed = true;
    this.#socket.write(frameHead(CLOSE, payload.length));
    this.#socket.end(payload);
  }
}

function closePayload(code: number): Buffer {
  const payload = Buffer.alloc(2);
  payload.writeUInt16BE(code);
  return payload;
}

/** The head of an unmasked, final frame. */
function frameHead(opcode: number, length: number): Buffer {
  const first = 0x80 | opcode;
  if (length < 126) return Buffer.from([first, length]);
  if (length < 65_536) return Buffer.from([first, 126, length >> 8, length & 0xff]);
  const head = Buffer.alloc(10);
  head[0] = first;
  head[1] = 127;
  head.writeBigUInt64BE(BigInt(length), 2);
  return head;
}

/** RFC 6455 §5.2. */
function readFrame(bytes: Buffer): Reading {
  if (bytes.length < 2) return undefined;
  const fin = (bytes[0]! & 0x80) !== 0;
  const opcode = bytes[0]! & 0x0f;
  const control = opcode >= CLOSE;
  const known = opcode <= BINARY || (control && opcode <= PONG);
  if ((bytes[0]! & 0x70) !== 0 || !known || (bytes[1]! & 0x80) === 0) return 1002;
  let length = bytes[1]! & 0x7f;
  if (control && (length > 125 || !fin)) return 1002;
  let at = 2;
  if (length === 126) {
    if (bytes.length < 4) return undefined;
    length = bytes.readUInt16BE(2);
    at = 4;
  } else if (length === 127) {
    if (bytes.length < 10) return undefined;
    const long = bytes.readBigUInt64BE(2);
    if (long > BigInt(MAX_MESSAGE)) return 1009;
    length = Number(long);
    at = 10;
  }
  const size = at + 4 + length;
  if (bytes.length < size) return undefined;
  const payload = Buffer.from(bytes.subarray(at + 4, size));
  for (let i = 0; i < length; i++) payload[i]! ^= bytes[at + (i & 3)]!;
  return { fin, opcode, payload, size };
}
