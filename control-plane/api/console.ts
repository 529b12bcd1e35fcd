/**
 * The console: files that `npm run console` builds, read once at the start and served from memory.
 *
 * Its security rests on three fields: nothing but our own files runs (no inline script, no string becomes markup), nobody
 * frames it, and it speaks to nobody but this control plane.
 */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { extname, join } from "node:path";
import { gzipSync } from "node:zlib";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";

export interface ConsoleFile {
  readonly type: string;
  readonly bytes: Buffer;
  readonly zipped: Buffer;
  readonly etag: string;
}

/** Path → file. */
export type ConsoleFiles = ReadonlyMap<string, ConsoleFile>;

export const CONSOLE_DIST = join(import.meta.dirname, "../console/dist");
export const NOT_BUILT = "the console is not built; build it with: npm run console";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
};

const SECURITY: Readonly<Record<string, string>> = {
  "content-security-policy": [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    // Of what the console shows, much was written by others: no text of theirs becomes markup, not even by a mistake.
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join("; "),
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
};

/** @returns undefined where nobody has built it */
export function readConsole(dir: string): ConsoleFiles | undefined {
  if (!existsSync(join(dir, "index.html"))) return undefined;
  const files = new Map<string, ConsoleFile>();
  for (const name of readdirSync(dir, { recursive: true, encoding: "utf8" })) {
    const type = TYPES[extname(name)];
    if (type === undefined) continue;
    const bytes = readFileSync(join(dir, name));
    const etag = `"${createHash("sha256").update(bytes).digest("base64url").slice(0, 22)}"`;
    files.set(name === "index.html" ? "/" : `/${name}`, { type, bytes, zipped: gzipSync(bytes), etag });
  }
  return files;
}

export function registerConsole(api: FastifyInstance, files: ConsoleFiles | undefined): void {
  if (files === undefined) {
    api.get("/", { schema: { hide: true } }, (_request, reply) =>
      reply.code(503).type("text/plain; charset=utf-8").send(`${NOT_BUILT}\n`),
    );
    return;
  }
  for (const [path, file] of files) {
    api.get(path, { schema: { hide: true } }, (request, reply) => send(request, reply, path, file));
  }
}

function send({ headers }: FastifyRequest, reply: FastifyReply, path: string, file: ConsoleFile): unknown {
  const { type, bytes, zipped, etag } = file;
  reply.headers(SECURITY);
  // Files beside the first one have their digest in their names.
  reply.header("cache-control", path === "/" ? "no-cache" : "public, max-age=31536000, immutable");
  reply.header("etag", etag);
  reply.header("vary", "accept-encoding");
  if (headers["if-none-match"] === etag) return reply.code(304).send();
  reply.type(type);
  if (!/\bgzip\b/.test(headers["accept-encoding"] ?? "")) return reply.send(bytes);
  return reply.header("content-encoding", "gzip").send(zipped);
}
