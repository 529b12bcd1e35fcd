/** A unit's answer on its way to the client: header, body with backpressure, trailers, as few writes as can be. */
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from "node:http";
import { constants, type Http2ServerResponse } from "node:http2";
import { Socket } from "node:net";
import type { IncomingHttpHeaders } from "undici/types/header.js";
import type { Core } from "./core.ts";
import { linger } from "./linger.ts";
import { http1Head, http2Head, trailersOf } from "./response-head.ts";

/** More 1xx than this before an answer are a flood. */
const MOST_INFORMATIONAL = 16;
/** Up to here a body is copied into the header's own string; see `#endWith`. */
const SMALL_BODY = 4_096;

export class AnswerStream {
  readonly #response: ServerResponse;
  readonly #method: string;
  readonly #http2: boolean;
  readonly #http10: boolean;
  /** Bytes that are still to come by the Content-Length; −1 when it named none. */
  #owed = -1;
  #listens = false;
  #informational = 0;

  constructor(request: IncomingMessage, response: ServerResponse) {
    this.#response = response;
    this.#method = request.method!;
    this.#http2 = request.httpVersionMajor === 2;
    this.#http10 = request.httpVersion === "1.0";
  }

  /** Tells a client that asked by Expect to send its body. HTTP/1.0 knows no 1xx (RFC 9110 §15.2). */
  goOn(): void {
    if (!this.#http10) this.#response.writeContinue();
  }

  /**
   * Writes the header; it leaves with the body's first bytes.
   *
   * @param early the request is not here whole: the connection ends with this answer
   * @throws when a field cannot be sent (the unit's answer is malformed)
   */
  begin(core: Core, status: number, headers: IncomingHttpHeaders, message: string, early: boolean): void {
    const response = this.#response;
    const coding = headers["transfer-encoding"];
    if (coding !== undefined && (typeof coding !== "string" || coding.trim().toLowerCase() !== "chunked")) {
      throw new Error("a transfer coding other than chunked");
    }
    const body = this.#method !== "HEAD" && status !== 204 && status !== 304;
    const length = headers["content-length"];
    this.#owed = typeof length === "string" && body ? Number(length) : -1;
    if (this.#http2) {
      response.writeHead(status, http2Head(headers, status));
    } else {
      const flat = http1Head(headers, status);
      if (early) linger(core.deadlines, response.socket);
      if (early || core.lameDuck) flat.push("connection", "close");
      response.writeHead(status, reasonOf(message, status), flat as never);
    }
    // No length is known, as with server-sent events: the header goes out now, if no body came with it.
    if (body && this.#owed === -1) process.nextTick(flush, response);
  }

  /** A body of known length nearly always comes with its header; when it does not, the header must not wait for it. */
  get awaitsBody(): boolean {
    return this.#owed > 0 && !isFlushed(this.#response);
  }

  flush(): void {
    flush(this.#response);
  }

  /** @returns false when the client is behind: stop until the listener's `onDrain`. */
  data(chunk: Buffer, listener: { onDrain(): void }): boolean {
    if (this.#owed >= 0) {
      this.#owed -= chunk.length;
      if (this.#owed === 0) {
        this.#endWith(chunk);
        return true;
      }
    }
    if (this.#response.write(chunk)) return true;
    if (!this.#listens) {
      this.#listens = true;
      this.#response.on("drain", () => listener.onDrain());
    }
    return false;
  }

  /** The last bytes and the end in one system call. */
  #endWith(chunk: Buffer): void {
    // A small body joins the header in one string: Node would send a Buffer beside it with writev, at twice the cost.
    if (chunk.length <= SMALL_BODY && !this.#http2) this.#response.end(chunk.toString("latin1"), "latin1");
    else this.#response.end(chunk);
  }

  end(trailers: IncomingHttpHeaders): void {
    const response = this.#response;
    if (response.writableEnded) return;
    for (const _ in trailers) {
      const list = trailersOf(trailers);
      // Node's HTTP/1 takes a list, so that a field may come twice; its HTTP/2 an object.
      response.addTrailers(this.#http2 ? (Object.fromEntries(list) as never) : list);
      break;
    }
    response.end();
  }

  /** The answer cannot be completed: the client must see that it is not whole. */
  breakOff(): void {
    const response = this.#response;
    if (this.#http2) {
      // Destroyed without a code the stream would end with NO_ERROR, as a whole one does.
      (response as unknown as Http2ServerResponse).stream.close(constants.NGHTTP2_INTERNAL_ERROR);
      return;
    }
    const { socket } = response;
    // Where only the connection's end ends the answer (HTTP/1.0), a FIN would say that it is whole.
    if (socket?.constructor === Socket && response.headersSent) socket.resetAndDestroy();
    response.destroy();
  }

  /**
   * 102 and 103, which Node can pass on. 100 was answered by the gateway, and 101 cannot come to a plain request.
   *
   * @returns false when there are too many of them
   */
  informational(status: number, headers: IncomingHttpHeaders): boolean {
    if (++this.#informational > MOST_INFORMATIONAL) return false;
    if (this.#http10) return true;
    if (status === 103 && headers.link !== undefined) {
      try {
        // Several links may stand in one field; Node takes one of each.
        const links = Array.isArray(headers.link) ? headers.link : [headers.link];
        this.#response.writeEarlyHints({ link: links.flatMap((field) => field.split(/,\s*(?=<)/)) });
      } catch {
        // Hints that Node will not write are no loss.
      }
    } else if (status === 102 && !this.#http2) this.#response.writeProcessing();
    return true;
  }
}

/** The unit's reason where Node would write it: undici reads it as UTF-8, and Node throws on what is not Latin-1. */
function reasonOf(reason: string, status: number): string {
  if (reason === STATUS_CODES[status]) return reason;
  return /^[\t\x20-\x7e\x80-\xff]*$/.test(reason) ? reason : (STATUS_CODES[status] ?? "");
}

/** Node knows whether a header has left only by a field of its own; for HTTP/2 it is sent at once. */
function isFlushed(response: ServerResponse & { _headerSent?: boolean }): boolean {
  return response._headerSent !== false;
}

function flush(response: ServerResponse): void {
  if (!isFlushed(response) && !response.writableEnded && !response.destroyed) response.flushHeaders();
}
