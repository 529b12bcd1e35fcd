/** A unit's answer on its way to the client: header, body with backpressure, trailers, as few writes as can be. */
import type { ServerResponse } from "node:http";
import type { IncomingHttpHeaders } from "undici/types/header.js";
import { http1Head, http2Head, trailersOf } from "./response-head.ts";

/** Up to here a body is copied into the header's own string; see `#endWith`. */
const SMALL_BODY = 4_096;

export class AnswerStream {
  readonly #response: ServerResponse;
  readonly #method: string;
  readonly #http2: boolean;
  /** Bytes that are still to come by the Content-Length; −1 when it named none. */
  #owed = -1;
  #listens = false;

  constructor(response: ServerResponse, method: string, http2: boolean) {
    this.#response = response;
    this.#method = method;
    this.#http2 = http2;
  }

  /**
   * Writes the header; it leaves with the body's first bytes.
   *
   * @param close end the connection after this answer
   * @throws when a field cannot be sent (the unit's answer is malformed)
   */
  begin(status: number, headers: IncomingHttpHeaders, message: string, close: boolean): void {
    const response = this.#response;
    const body = this.#method !== "HEAD" && status !== 204 && status !== 304;
    const length = headers["content-length"];
    this.#owed = typeof length === "string" && body ? Number(length) : -1;
    if (this.#http2) {
      response.writeHead(status, http2Head(headers, status));
    } else {
      const flat = http1Head(headers, status);
      if (close) flat.push("connection", "close");
      response.writeHead(status, message, flat as never);
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
      response.addTrailers(trailersOf(trailers));
      break;
    }
    response.end();
  }

  /** 102 and 103, which Node can pass on. 100 was answered by the gateway, and 101 cannot come to a plain request. */
  informational(status: number, headers: IncomingHttpHeaders): void {
    if (status === 103 && headers.link !== undefined) {
      this.#response.writeEarlyHints({ ...headers, link: headers.link });
    } else if (status === 102 && !this.#http2) this.#response.writeProcessing();
  }
}

/** Node knows whether a header has left only by a field of its own; for HTTP/2 it is sent at once. */
function isFlushed(response: ServerResponse & { _headerSent?: boolean }): boolean {
  return response._headerSent !== false;
}

function flush(response: ServerResponse): void {
  if (!isFlushed(response) && !response.writableEnded && !response.destroyed) response.flushHeaders();
}
