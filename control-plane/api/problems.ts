/** What a refusal looks like: application/problem+json, wherever it comes from. */
import { STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import type { FastifyError, FastifyReply, FastifyRequest } from "fastify";
import { REFUSAL_STATUS, Refused } from "../refused.ts";
import { Unavailable } from "../store/store.ts";

/** How long (ms) the rest of a body that was refused is read. */
const LINGER = 1_000;

type Replier = Pick<FastifyReply, "code" | "header" | "type">;

/** @param onError hears of defects, which no answer should say */
export function refuse(error: FastifyError, reply: FastifyReply, onError: (error: Error) => void): void {
  if (error instanceof Refused) {
    if (error.kind === "unauthenticated") reply.header("www-authenticate", "Bearer");
    if (error.kind === "too-many") reply.header("retry-after", "60");
    if (error.kind === "identity-provider") reply.header("retry-after", "5");
    problem(reply, REFUSAL_STATUS[error.kind], error.kind, error.message, error.details);
    return;
  }
  if (error instanceof Unavailable) {
    problem(reply, 503, "store", `the store does not answer: ${error.message}`, {});
    return;
  }
  const status = error.statusCode ?? 500;
  if (status === 413) {
    refuseBody(error.message, reply);
    return;
  }
  if (status < 500) {
    problem(reply, status, "bad-request", error.message, {});
    return;
  }
  onError(error);
  problem(reply, 500, "internal", "a defect of the control plane; its log says more", {});
}

/**
 * A body that is too long is refused before it has come. The rest is thrown away for a moment: a connection that is closed
 * with bytes unread is reset, and the client may never see why.
 */
function refuseBody(title: string, reply: FastifyReply): void {
  const { raw } = reply;
  const request = reply.request.raw;
  const body = JSON.stringify({ type: "urn:tidegate:problem:bad-request", title, status: 413 });
  reply.hijack();
  raw.writeHead(413, {
    "content-type": "application/problem+json",
    "content-length": Buffer.byteLength(body),
    connection: "close",
  });
  raw.write(body);
  const timer = setTimeout(() => raw.end(), LINGER);
  raw.on("close", () => clearTimeout(timer));
  request.on("end", () => raw.end());
  request.resume();
}

/** Paths and the methods that they take. */
export class Methods {
  readonly #byPath = new Map<string, { readonly matches: RegExp; readonly methods: Set<string> }>();

  /** @param path such as `/v1/overlays/:id` */
  add(path: string, methods: string | readonly string[]): void {
    const matches = new RegExp(
      `^${path.replace(/[.*+?^${}()|[\]\\]/g, "\\$&").replace(/:[a-z]+/g, "[^/]+")}$`,
    );
    const known = this.#byPath.get(path) ?? { matches, methods: new Set() };
    this.#byPath.set(path, known);
    for (const method of [methods].flat()) known.methods.add(method);
  }

  /** Says that there is no such path, or which methods it takes. */
  refuse({ method, url }: FastifyRequest, reply: FastifyReply): void {
    const path = url.split("?")[0]!;
    const exact = this.#byPath.get(path);
    const fitting =
      exact === undefined ? [...this.#byPath.values()].filter((p) => p.matches.test(path)) : [exact];
    const taken = fitting.flatMap((known) => [...known.methods]);
    const more = "GET /openapi.json lists what there is";
    if (taken.length === 0) {
      problem(reply, 404, "not-found", `there is no ${method} ${path}; ${more}`, {});
      return;
    }
    const allow = [...new Set(taken)].sort().join(", ");
    reply.header("allow", allow);
    problem(reply, 405, "method-not-allowed", `${path} takes ${allow}, not ${method}; ${more}`, {});
  }
}

/** What is no HTTP gets no further than its connection. */
export function refuseConnection(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === "ECONNRESET" || socket.destroyed) return;
  const [status, title] = CONNECTION[error.code ?? ""] ?? [400, "this is no HTTP request that can be read"];
  const body = JSON.stringify({ type: "urn:tidegate:problem:bad-request", title, status });
  if (socket.writable) {
    const head = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: application/problem+json\r\n`;
    socket.write(`${head}Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`);
  }
  socket.destroySoon();
}

const CONNECTION: Readonly<Record<string, readonly [number, string]>> = {
  HPE_HEADER_OVERFLOW: [431, "the header fields are longer than 16 KiB"],
  ERR_HTTP_REQUEST_TIMEOUT: [408, "the request did not come in a minute"],
};

function problem(
  reply: Replier & { send(payload: string): unknown },
  status: number,
  kind: string,
  title: string,
  details: Readonly<Record<string, unknown>>,
): void {
  reply.code(status);
  reply.type("application/problem+json");
  reply.send(JSON.stringify({ type: `urn:tidegate:problem:${kind}`, title, status, ...details }));
}
