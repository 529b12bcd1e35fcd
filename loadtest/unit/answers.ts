/**
 * What the sample unit answers, by the END of the path, so that a route's prefix may stand before it:
 * `/bytes/10` and `/hall/bytes/10` are the same to it.
 */
import { createHash } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import { type KeyRequest, keyFrom } from "../../model/partition-key.ts";
import { contentStream } from "./content.ts";

/** Who answers: the first fields of every answer. */
export interface Identity {
  readonly unit: string;
  readonly version: string;
  readonly service: string;
  readonly port: number;
}

/** One request on its way to its answer. Header names are lower-case. */
export interface Call {
  readonly identity: Identity;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** As sent, without the query. */
  readonly path: string;
  /** As sent, without the question mark. */
  readonly query: string;
  /** What the path's number is, for those that have one. */
  readonly number: number;
}

type Answer = (call: Call) => Promise<void>;

/** The first pattern that matches answers. */
const ANSWERS: readonly (readonly [RegExp, Answer])[] = [
  [/\/bytes\/(\d{1,15})$/, bytes],
  [/\/sse$/, serverSentEvents],
  [/\/status\/([2-5]\d\d)$/, status],
  [/\/delay\/(\d{1,7})$/, delay],
  [/\/trailers$/, trailers],
  [/\/early-hints$/, earlyHints],
  [/\/echo$/, echo],
];

export async function answer(call: Omit<Call, "number">): Promise<void> {
  for (const [pattern, give] of ANSWERS) {
    const match = pattern.exec(call.path);
    if (match !== null) return give({ ...call, number: Number(match[1] ?? 0) });
  }
  return describe({ ...call, number: 0 });
}

/** Answers JSON with a content-length. */
export function sendJson(response: ServerResponse, status: number, value: unknown): void {
  const body = Buffer.from(`${JSON.stringify(value)}\n`);
  response.writeHead(status, { "content-type": "application/json", "content-length": body.length });
  response.end(body);
}

/** Resolves to false as soon as the peer has gone. */
export function pause(ms: number, response: ServerResponse): Promise<boolean> {
  return new Promise((resolve) => {
    const gone = () => {
      clearTimeout(timer);
      resolve(false);
    };
    const timer = setTimeout(() => {
      response.off("close", gone);
      resolve(true);
    }, ms);
    response.once("close", gone);
  });
}

/** Tells what arrived, and to whom. The body is hashed as it streams by. */
async function describe(call: Call, status = 200): Promise<void> {
  const body = await digest(call.request);
  sendJson(call.response, status, { ...description(call), body });
}

function description({ identity, request, path, query }: Call) {
  const { headers, rawHeaders, method } = request;
  return {
    ...identity,
    addressed: headers["x-tidegate-unit"],
    slot: numeric(headers["x-tidegate-slot"]),
    epoch: numeric(headers["x-tidegate-epoch"]),
    key: keyOf({ headers: rawHeaders, query }),
    method,
    path,
    query,
    headers,
    rawHeaders,
  };
}

function numeric(field: string | string[] | undefined): number | undefined {
  return field === undefined ? undefined : Number(field);
}

const KEY_SOURCES = [
  { from: "header", name: "x-user-id" },
  { from: "cookie", name: "uid" },
  { from: "query", name: "uid" },
] as const;

function keyOf(request: KeyRequest): string | undefined {
  for (const source of KEY_SOURCES) {
    const key = keyFrom(source, request, {});
    if (typeof key === "string") return key;
  }
  return undefined;
}

const EMPTY = { bytes: 0, sha256: createHash("sha256").digest("hex") };

async function digest(request: IncomingMessage): Promise<{ bytes: number; sha256: string }> {
  const { headers } = request;
  if (headers["content-length"] === undefined && headers["transfer-encoding"] === undefined) return EMPTY;
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    hash.update(chunk);
  }
  return { bytes, sha256: hash.digest("hex") };
}

/** `?chunked=1` leaves the content-length away. */
async function bytes({ number, query, request, response }: Call): Promise<void> {
  const chunked = new URLSearchParams(query).get("chunked") === "1";
  response.writeHead(200, {
    "content-type": "application/octet-stream",
    ...(chunked ? {} : { "content-length": number }),
  });
  if (request.method === "HEAD") response.end();
  else await pipeline(contentStream(number), response);
}

/** `?count=` bounds the events, `?every=` changes their distance in milliseconds. */
async function serverSentEvents({ identity, query, response }: Call): Promise<void> {
  const parameters = new URLSearchParams(query);
  const count = Number(parameters.get("count") ?? Number.POSITIVE_INFINITY);
  const every = Number(parameters.get("every") ?? 100);
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  response.flushHeaders();
  for (let n = 1; n <= count; n++) {
    if (n > 1 && !(await pause(every, response))) return;
    response.write(`id: ${n}\ndata: ${JSON.stringify({ n, unit: identity.unit })}\n\n`);
  }
  response.end();
}

async function status(call: Call): Promise<void> {
  await describe(call, call.number);
}

async function delay(call: Call): Promise<void> {
  const body = await digest(call.request);
  if (await pause(call.number, call.response)) {
    sendJson(call.response, 200, { ...description(call), body });
  }
}

async function trailers({ response }: Call): Promise<void> {
  const body = "the trailers follow\n";
  response.writeHead(200, { "content-type": "text/plain", trailer: "x-sha256, x-bytes" });
  response.write(body);
  response.addTrailers({
    "x-sha256": createHash("sha256").update(body).digest("hex"),
    "x-bytes": String(body.length),
  });
  response.end();
}

async function earlyHints(call: Call): Promise<void> {
  await new Promise<void>((resolve) => {
    call.response.writeEarlyHints({ link: "</style.css>; rel=preload; as=style" }, resolve);
  });
  await describe(call);
}

/** The head goes out before the body has come, so the two directions run side by side. */
async function echo({ request, response }: Call): Promise<void> {
  const { "content-type": type, "content-length": length } = request.headers;
  response.writeHead(200, {
    "content-type": type ?? "application/octet-stream",
    ...(length === undefined ? {} : { "content-length": length }),
  });
  response.flushHeaders();
  await pipeline(request, response);
}
