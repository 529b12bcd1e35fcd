/** What the bad-input tests share: an upstream that frames strictly, a client that sends bytes, and the last look. */
import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import type { TestContext } from "node:test";
import { type Files, fleetYaml, startGateway, type TestGateway } from "../../support/gateway.ts";

/** One request as the upstream read it. */
export interface Received {
  /** Request line and fields, without the empty line. */
  readonly head: string;
  readonly line: string;
  readonly fields: readonly (readonly [string, string])[];
  /** The body, its framing taken off. */
  readonly body: string;
  readonly framing: "none" | "length" | "chunked";
  /** Number of the connection that it came on. */
  readonly connection: number;
}

export type Script = (request: Received, socket: net.Socket) => void;

export const OK = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok";

/**
 * An upstream that reads requests by the letter of RFC 9112, so that whatever a gateway lets through as a second
 * request is seen as one. What is not a request at all is kept in `garbage`.
 */
export class Upstream {
  readonly server: net.Server;
  readonly requests: Received[] = [];
  readonly garbage: string[] = [];
  readonly sockets = new Set<net.Socket>();
  connections = 0;
  /** Answers what no test has scripted. */
  script: Script = (_request, socket) => socket.write(OK);
  /** Called with every request head, before its body has come; true takes the request away from the script. */
  onHead: ((head: string, socket: net.Socket) => boolean) | undefined;
  /** Called for every byte behind a head that `onHead` took. */
  onRest: ((text: string, socket: net.Socket) => void) | undefined;
  onConnection: ((socket: net.Socket) => void) | undefined;

  constructor() {
    this.server = net.createServer({ allowHalfOpen: false }, (socket) => {
      const connection = this.connections++;
      let pending = "";
      let taken = false;
      this.sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => this.sockets.delete(socket));
      socket.setNoDelay(true);
      this.onConnection?.(socket);
      socket.on("data", (chunk) => {
        if (taken) {
          this.onRest?.(chunk.toString("latin1"), socket);
          return;
        }
        pending += chunk.toString("latin1");
        while (pending !== "") {
          const end = pending.indexOf("\r\n\r\n");
          if (end === -1) return;
          const head = pending.slice(0, end);
          if (head.startsWith("GET /healthz ")) {
            pending = pending.slice(end + 4);
            socket.end("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
            continue;
          }
          if (this.onHead?.(head, socket) === true) {
            taken = true;
            const rest = pending.slice(end + 4);
            if (rest !== "") this.onRest?.(rest, socket);
            return;
          }
          const read = readRequest(pending, connection);
          if (read === "partial") return;
          if (read === "garbage") {
            this.garbage.push(pending);
            socket.destroy();
            return;
          }
          pending = pending.slice(read.length);
          this.requests.push(read.request);
          this.script(read.request, socket);
        }
      });
    });
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as net.AddressInfo).port}`;
  }
}

function readRequest(
  text: string,
  connection: number,
): "partial" | "garbage" | { request: Received; length: number } {
  const end = text.indexOf("\r\n\r\n");
  const head = text.slice(0, end);
  const [line = "", ...rest] = head.split("\r\n");
  if (!/^[A-Z-]+ \S+ HTTP\/1\.1$/.test(line) || /[\r\n\0]/.test(line)) return "garbage";
  const fields: [string, string][] = [];
  for (const field of rest) {
    const match = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*?)[ \t]*$/.exec(field);
    if (match === null) return "garbage";
    fields.push([match[1]!.toLowerCase(), match[2]!]);
  }
  const all = (name: string): string[] => fields.filter(([n]) => n === name).map(([, v]) => v);
  const lengths = all("content-length");
  const codings = all("transfer-encoding");
  if (lengths.length + codings.length > 1) return "garbage";
  const request = { head, line, fields, connection };
  if (codings.length === 1) {
    if (codings[0] !== "chunked") return "garbage";
    const read = readChunks(text, end + 4);
    if (typeof read === "string") return read;
    return { request: { ...request, body: read.body, framing: "chunked" }, length: read.end };
  }
  if (lengths.length === 0) return { request: { ...request, body: "", framing: "none" }, length: end + 4 };
  if (!/^\d+$/.test(lengths[0]!)) return "garbage";
  const length = Number(lengths[0]);
  if (text.length < end + 4 + length) return "partial";
  const body = text.slice(end + 4, end + 4 + length);
  return { request: { ...request, body, framing: "length" }, length: end + 4 + length };
}

function readChunks(text: string, from: number): "partial" | "garbage" | { body: string; end: number } {
  let body = "";
  for (let at = from; ; ) {
    const line = text.indexOf("\r\n", at);
    if (line === -1) return "partial";
    const size = text.slice(at, line);
    if (!/^[0-9a-fA-F]{1,12}$/.test(size)) return "garbage";
    const length = Number.parseInt(size, 16);
    if (length === 0) {
      if (text.length < line + 4) return "partial";
      return text.startsWith("\r\n", line + 2) ? { body, end: line + 4 } : "garbage";
    }
    if (text.length < line + 4 + length) return "partial";
    body += text.slice(line + 2, line + 2 + length);
    if (!text.startsWith("\r\n", line + 2 + length)) return "garbage";
    at = line + 4 + length;
  }
}

export async function upstream(t: TestContext): Promise<Upstream> {
  const made = new Upstream();
  made.server.listen(0, "127.0.0.1");
  await once(made.server, "listening");
  t.after(() => {
    for (const socket of made.sockets) socket.destroy();
    made.server.close();
  });
  return made;
}

/** One answer as the client read it. */
export interface Answer {
  readonly status: number;
  readonly reason: string;
  readonly fields: readonly (readonly [string, string])[];
  readonly body: string;
  /** Complete by its own framing: all of Content-Length, or the last chunk. */
  readonly whole: boolean;
}

export interface Said {
  readonly text: string;
  /** How the gateway ended the connection: FIN, RST, or not at all before we gave up. */
  readonly end: "closed" | "reset" | "open";
  readonly answers: readonly Answer[];
}

/** Reads the answers in a text. @param methods of the requests, in order, for those without a body (HEAD) */
export function readAnswers(text: string, methods: readonly string[] = []): Answer[] {
  const answers: Answer[] = [];
  let at = 0;
  let final = 0;
  while (at < text.length) {
    const end = text.indexOf("\r\n\r\n", at);
    if (end === -1) break;
    const [line = "", ...rest] = text.slice(at, end).split("\r\n");
    const match = /^HTTP\/1\.[01] (\d{3})(?: (.*))?$/.exec(line);
    assert.ok(match !== null, `not an answer: ${JSON.stringify(text.slice(at, at + 200))}`);
    const status = Number(match[1]);
    const fields = rest.map((field): [string, string] => {
      const colon = field.indexOf(":");
      return [field.slice(0, colon).toLowerCase(), field.slice(colon + 1).trim()];
    });
    const value = (name: string): string | undefined => fields.find(([n]) => n === name)?.[1];
    at = end + 4;
    let body = "";
    let whole = true;
    const length = value("content-length");
    if (status < 200) {
      // No body, and the final answer is still to come.
    } else if (methods[final] === "HEAD" || status === 204 || status === 304) final++;
    else {
      final++;
      if (value("transfer-encoding") !== undefined) {
        const read = readAnswerChunks(text, at);
        ({ body, whole } = read);
        at = read.end;
      } else if (length !== undefined) {
        body = text.slice(at, at + Number(length));
        whole = body.length === Number(length);
        at += body.length;
      } else {
        body = text.slice(at);
        at = text.length;
      }
    }
    answers.push({ status, reason: match[2] ?? "", fields, body, whole });
    if (status === 101) break; // what follows is no HTTP
  }
  return answers;
}

function readAnswerChunks(text: string, from: number): { body: string; whole: boolean; end: number } {
  let body = "";
  for (let at = from; ; ) {
    const line = text.indexOf("\r\n", at);
    if (line === -1) return { body, whole: false, end: text.length };
    const size = Number.parseInt(text.slice(at, line), 16);
    if (size === 0) {
      const end = text.indexOf("\r\n\r\n", line);
      return end === -1 ? { body, whole: false, end: text.length } : { body, whole: true, end: end + 4 };
    }
    body += text.slice(line + 2, line + 2 + size);
    at = line + 4 + size;
    if (at > text.length) return { body, whole: false, end: text.length };
  }
}

/** A connection of a client that says exactly what it is told to say. */
export class Client {
  readonly socket: net.Socket;
  text = "";
  end: Said["end"] = "open";
  readonly closed: Promise<void>;
  readonly #wakers = new Set<() => void>();

  constructor(port: number) {
    this.socket = net.connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    this.socket.setNoDelay(true);
    this.socket.on("data", (chunk) => {
      this.text += chunk.toString("latin1");
      for (const wake of this.#wakers) wake();
    });
    this.socket.on("end", () => {
      this.end = "closed";
      this.socket.end();
    });
    this.socket.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNRESET" || error.code === "EPIPE") {
        if (this.end === "open") this.end = "reset";
      }
    });
    this.closed = new Promise((resolve) => {
      this.socket.on("close", () => {
        resolve();
        for (const wake of this.#wakers) wake();
      });
    });
  }

  write(bytes: string): void {
    if (this.socket.writable) this.socket.write(Buffer.from(bytes, "latin1"));
  }

  /** Waits until the text satisfies, or the connection is over. */
  until(satisfied: (text: string) => boolean, deadline = 5_000): Promise<string> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        if (!satisfied(this.text) && !this.socket.closed) return;
        clearTimeout(timer);
        this.#wakers.delete(look);
        resolve(this.text);
      };
      const timer = setTimeout(() => {
        this.#wakers.delete(look);
        reject(new Error(`not within ${deadline} ms; came: ${JSON.stringify(this.text.slice(0, 500))}`));
      }, deadline);
      this.#wakers.add(look);
      look();
    });
  }

  /** Waits for the number of final answers, or for the end of the connection. */
  answers(count: number, methods: readonly string[] = [], deadline = 5_000): Promise<string> {
    return this.until((text) => {
      const answers = readAnswers(text, methods).filter((a) => a.status >= 200);
      return answers.length >= count && answers.every((a) => a.whole);
    }, deadline);
  }

  /** Our side is done; waits for the gateway to close. */
  async finish(methods: readonly string[] = []): Promise<Said> {
    // Only a half close: whatever the gateway still has to say is heard.
    this.socket.end();
    const timer = setTimeout(() => this.socket.destroy(), 3_000);
    await this.closed;
    clearTimeout(timer);
    return this.said(methods);
  }

  said(methods: readonly string[] = []): Said {
    return { text: this.text, end: this.end, answers: readAnswers(this.text, methods) };
  }
}

/** Sends bytes, waits for `count` answers or the end, then closes and gives back all that was said. */
export async function say(
  port: number,
  bytes: string | readonly string[],
  count = 1,
  methods: readonly string[] = [],
): Promise<Said & { endedByGateway: boolean }> {
  const client = new Client(port);
  for (const part of typeof bytes === "string" ? [bytes] : bytes) client.write(part);
  let late = "";
  await client.answers(count, methods, 3_000).catch((error: Error) => {
    late = error.message;
  });
  if (late !== "") {
    client.socket.destroy();
    throw new Error(late);
  }
  const saysClose = /^connection: close\r$/im.test(client.text);
  if (saysClose) await Promise.race([client.closed, new Promise((r) => setTimeout(r, 2_000).unref())]);
  const endedByGateway = client.end !== "open";
  const said = await client.finish(methods);
  return { ...said, endedByGateway };
}

export interface Site {
  readonly gateway: TestGateway;
  readonly upstream: Upstream;
  readonly port: number;
}

export const QUIET_FLEET = "    outlier: { consecutive: 1000 }\n";

/** A gateway with one unit and one upstream. */
export async function site(t: TestContext, routes: string, files: Files = {}): Promise<Site> {
  const up = await upstream(t);
  const gateway = await startGateway(t, {
    "fleet.yaml": fleetYaml({ hz: [up.url] }, "  pins: { qa-1: hz }\n", QUIET_FLEET),
    "routes.yaml": routes,
    ...files,
  });
  return { gateway, upstream: up, port: gateway.port };
}

/** What is expected of one attack. */
export interface Refused {
  readonly status: number;
  readonly type: string;
  /** The gateway must end the connection after it. Default true. */
  readonly closes?: boolean;
}

let sentinels = 0;

/** Asks for something plain on a fresh connection; what the upstream got before it is what the attack let through. */
export async function plain(s: Site): Promise<void> {
  const path = `/hall/sentinel-${++sentinels}`;
  const said = await say(s.port, `GET ${path} HTTP/1.1\r\nHost: a.test\r\n\r\n`);
  assert.equal(said.answers[0]?.status, 200, `a plain request is served: ${JSON.stringify(said.text)}`);
  assert.equal(said.answers[0]?.body, "ok");
}

/** What reached the upstream while `act` ran. */
export async function reached(s: Site, act: () => Promise<void>): Promise<Received[]> {
  const from = s.upstream.requests.length;
  const garbage = s.upstream.garbage.length;
  await act();
  await plain(s);
  assert.deepEqual(
    s.upstream.garbage.slice(garbage),
    [],
    "the upstream was sent something that is no request",
  );
  return s.upstream.requests.slice(from).filter((r) => !r.line.startsWith("GET /hall/sentinel-"));
}

/** The attack must be refused with one answer, and nothing of it may reach the upstream. */
export async function refused(s: Site, bytes: string | readonly string[], expected: Refused): Promise<void> {
  let said: Awaited<ReturnType<typeof say>> | undefined;
  const passed = await reached(s, async () => {
    said = await say(s.port, bytes);
  });
  assert.deepEqual(
    passed.map((r) => r.line),
    [],
    `reached the upstream; the client was told ${JSON.stringify(said!.text.slice(0, 200))}`,
  );
  isProblem(said!.answers[0], expected);
  assert.equal(said!.answers.length, 1, `one answer: ${JSON.stringify(said!.text)}`);
  if (expected.closes !== false) assert.equal(said!.endedByGateway, true, "the gateway ends the connection");
}

export function isProblem(answer: Answer | undefined, expected: { status: number; type: string }): void {
  assert.ok(answer !== undefined, "there is an answer");
  const got = `${answer.status} ${problemType(answer)}`;
  assert.equal(got, `${expected.status} ${expected.type}`, JSON.stringify(answer));
  assert.equal(answer.whole, true, "the answer is whole");
}

export function problemType(answer: Answer): string {
  try {
    return String((JSON.parse(answer.body) as { type: string }).type).replace("urn:tidegate:problem:", "");
  } catch {
    return `(no problem document: ${JSON.stringify(answer.body.slice(0, 80))})`;
  }
}

/** The attack's requests must be answered 200 and reach the upstream exactly so: request lines and bodies. */
export async function passed(
  s: Site,
  bytes: string | readonly string[],
  expected: readonly { line: string; body?: string; framing?: Received["framing"] }[],
  methods: readonly string[] = [],
): Promise<Received[]> {
  let said: Said | undefined;
  const got = await reached(s, async () => {
    said = await say(s.port, bytes, expected.length, methods);
  });
  assert.deepEqual(
    said!.answers.filter((a) => a.status >= 200).map((a) => a.status),
    expected.map(() => 200),
    JSON.stringify(said!.text),
  );
  assert.deepEqual(
    got.map(({ line, body, framing }) => ({ line, body, framing })),
    expected.map(({ line, body = "", framing }, i) => ({ line, body, framing: framing ?? got[i]?.framing })),
  );
  return got;
}

/** Values of a field of a request or an answer. */
export function values(message: { fields: readonly (readonly [string, string])[] }, name: string): string[] {
  return message.fields.filter(([n]) => n === name).map(([, v]) => v);
}

/** One statement of a file's list; it ends by itself, so that one that hangs does not take the others with it. */
export async function check(t: TestContext, name: string, act: () => unknown): Promise<void> {
  await t.test(name, { timeout: 15_000 }, async () => {
    await act();
  });
}

/** After every file: the gateway serves, no thread was replaced, and nothing was thrown. */
export async function unharmed(s: Site): Promise<void> {
  await plain(s);
  assert.equal(await s.gateway.metric("tidegate_thread_restarts_total"), 0, s.gateway.stderr);
  assert.doesNotMatch(s.gateway.stderr, /\n\s+at |Error:/);
  assert.equal(s.gateway.process.exitCode, null);
}

export const HOST = "Host: a.test\r\n";

export function get(path: string, fields = ""): string {
  return `GET ${path} HTTP/1.1\r\n${HOST}${fields}\r\n`;
}

export function post(path: string, fields: string, body: string): string {
  return `POST ${path} HTTP/1.1\r\n${HOST}${fields}\r\n${body}`;
}
