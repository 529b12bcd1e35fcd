/**
 * Keeps the requests of one HTTP/1 connection in their order: one at a time, none behind an answer that ends the
 * connection, and what cannot be read is refused behind the answers that are still owed (RFC 9112 §9.3.2).
 *
 * Node parses pipelined requests as they come and hands all of them over. It gives a response its socket once all
 * before it have been sent, and never when one of them was the connection's last.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Core } from "./core.ts";
import { type RefusalType, rawRefusal } from "./refusal.ts";

/** More waiting requests than this stop the reading. */
const MOST_WAITING = 32;

const kWaiting = Symbol("waiting");
const kBroken = Symbol("broken");

type PipelinedSocket = Socket & {
  [kWaiting]?: number;
  /** Its bytes are no longer HTTP. */
  [kBroken]?: boolean;
  /** Node's own field: the response that is being sent. */
  _httpMessage?: ServerResponse | null;
};

/** When a request may be served: `never` where the answer before it was the connection's last. */
export function turnOf(request: IncomingMessage, response: ServerResponse): "now" | "later" | "never" {
  if (request.httpVersionMajor !== 1) return "now";
  if (request.socket.writableEnded) return "never";
  return response.socket === null ? "later" : "now";
}

/** Calls `serve` when the request's turn comes, if it does. */
export function waitBehind(socket: PipelinedSocket, response: ServerResponse, serve: () => void): void {
  const waiting = (socket[kWaiting] ?? 0) + 1;
  socket[kWaiting] = waiting;
  if (waiting === MOST_WAITING) socket.pause();
  response.once("socket", () => {
    socket[kWaiting]!--;
    if (socket[kWaiting] === MOST_WAITING - 1 && socket[kBroken] !== true) socket.resume();
    // Node is still about to flush what a waiting response has (nothing).
    process.nextTick(() => {
      if (!socket.destroyed && socket.writable) serve();
    });
  });
}

/** The parser gave up: one clear answer behind those that are owed, then the connection ends, for its framing is lost. */
export function onClientError(
  core: Core,
  error: NodeJS.ErrnoException & { reason?: string },
  socket: PipelinedSocket,
): void {
  if (socket[kBroken] === true) return;
  const type: RefusalType =
    error.code === "HPE_HEADER_OVERFLOW"
      ? "headers-too-large"
      : error.code === "ERR_HTTP_REQUEST_TIMEOUT"
        ? "request-timeout"
        : "bad-request";
  core.metrics.count("tidegate_client_errors_total", `cause="${type}"`);
  // Nothing was asked (a port scan, a client that went away): nothing can be said.
  if (error.code === "ECONNRESET" || !socket.writable) {
    socket.destroy();
    return;
  }
  socket[kBroken] = true;
  socket.pause();
  refuseBehind(socket, type, error.reason);
}

function refuseBehind(socket: PipelinedSocket, type: RefusalType, detail: string | undefined): void {
  if (socket.destroyed || !socket.writable) return;
  const busy = socket._httpMessage;
  if (busy === undefined || busy === null) refuseSocket(socket, type, detail);
  else if (busy.req.complete) {
    busy.once("close", () => process.nextTick(refuseBehind, socket, type, detail));
    // The error lies in the body of the request under way: this is its answer, unless that has begun.
  } else if (busy.headersSent) socket.destroy();
  else refuseSocket(socket, type, detail);
}

/** Answers on a bare socket, and ends the connection. */
export function refuseSocket(socket: Duplex, type: RefusalType, detail: string | undefined): void {
  socket.on("error", () => socket.destroy());
  socket.end(rawRefusal(type, detail), () => socket.destroy());
}
