/** Bodies: JSON in UTF-8, taken as it was sent. */
import { isUtf8 } from "node:buffer";
import { createHash } from "node:crypto";
import type { FastifyInstance } from "fastify";
import { Refused } from "../refused.ts";

/** No body of ours has more: what has is refused before a parser makes gigabytes of it. */
const DEEPEST = 64;
const MOST_VALUES = 1_000_000;
const [QUOTE, COMMA, OPEN_LIST, BACKSLASH, CLOSE_LIST, OPEN, CLOSE] = [
  0x22, 0x2c, 0x5b, 0x5c, 0x5d, 0x7b, 0x7d,
];

declare module "fastify" {
  interface FastifyRequest {
    /** SHA-256 of the body, where the request may be sent again. */
    bodyDigest: string;
  }
}

export function takeJson(api: FastifyInstance): void {
  const parse = api.getDefaultJsonParser("error", "error");
  api.decorateRequest("bodyDigest", "");
  api.removeContentTypeParser(["text/plain", "application/json"]);
  api.addContentTypeParser<Buffer>("application/json", { parseAs: "buffer" }, (request, body, done) => {
    // Else bytes that are no text would become U+FFFD, and something else would be done than was asked.
    if (!isUtf8(body)) {
      done(new Refused("bad-request", "the body is not UTF-8"));
      return;
    }
    const odd = oddShape(body);
    if (odd !== undefined) {
      done(new Refused("bad-request", odd));
      return;
    }
    if (request.headers["idempotency-key"] !== undefined) {
      request.bodyDigest = createHash("sha256").update(body).digest("hex");
    }
    const text = body.toString("utf8");
    parse(request, text, (error, value) => {
      if (error !== null || !hasHalves(text, value)) done(error, value);
      else done(new Refused("bad-request", "the body has half a surrogate pair, which no text has"));
    });
  });
}

const ESCAPE = /\\u[dD][89a-fA-F]/;
/** An escape, and not a backslash that is escaped before a `u`. */
const HALF = /(?<!\\)(?:\\\\)*\\ud[89a-f]/;

/** Halves of characters come as escapes, and are written as escapes again; whole ones are not. */
function hasHalves(text: string, value: unknown): boolean {
  return ESCAPE.test(text) && HALF.test(JSON.stringify(value));
}

function oddShape(body: Buffer): string | undefined {
  let [depth, values, isText] = [0, 0, false];
  for (let i = 0; i < body.length; i++) {
    const byte = body[i];
    if (isText) {
      if (byte === BACKSLASH) i++;
      else if (byte === QUOTE) isText = false;
      continue;
    }
    if (byte === QUOTE) isText = true;
    else if (byte === CLOSE_LIST || byte === CLOSE) depth--;
    else if (byte === COMMA && ++values > MOST_VALUES) return `the body has more than ${MOST_VALUES} values`;
    else if ((byte === OPEN_LIST || byte === OPEN) && ++depth > DEEPEST) {
      return `the body is nested deeper than ${DEEPEST} levels`;
    }
  }
  return undefined;
}
