/** Turns a unit's response header into the client's: hop-by-hop fields out, our `Via` in. */
import type { IncomingHttpHeaders } from "undici/types/header.js";
import { connectionNames } from "./request-head.ts";

/** Hop-by-hop (RFC 9110 §7.6.1), and what speaks of the hop to the unit only. */
const DROPPED: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "proxy-authenticate",
  "proxy-authentication-info",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** Flat fields for HTTP/1. `headers` has lower-case names and a list where a field came more than once. */
export function http1Head(headers: IncomingHttpHeaders, status: number): string[] {
  const named = headers.connection === undefined ? undefined : namesOf(headers.connection);
  const out: string[] = [];
  for (const name in headers) {
    if (DROPPED.has(name) || named?.has(name) === true) continue;
    if (status === 204 && name === "content-length") continue;
    const value = headers[name]!;
    if (typeof value === "string") {
      if (name === "via") out.push("via", `${value}, 1.1 tidegate`);
      else out.push(name, value);
    } else for (const one of value) out.push(name, one);
  }
  if (typeof headers.via !== "string") out.push("via", "1.1 tidegate");
  return out;
}

/** The same for HTTP/2, which takes an object. */
export function http2Head(headers: IncomingHttpHeaders, status: number): Record<string, string | string[]> {
  const flat = http1Head(headers, status);
  const out: Record<string, string | string[]> = Object.create(null);
  for (let i = 0; i < flat.length; i += 2) {
    const name = flat[i]!;
    const before = out[name];
    out[name] =
      before === undefined ? flat[i + 1]! : [...(Array.isArray(before) ? before : [before]), flat[i + 1]!];
  }
  return out;
}

/** Trailer fields that may be passed on: none that frame or route a message (RFC 9110 §6.5.1). */
export function trailersOf(trailers: IncomingHttpHeaders): [string, string][] {
  const out: [string, string][] = [];
  for (const [name, value] of Object.entries(trailers)) {
    if (value === undefined || DROPPED.has(name) || name === "content-length" || name === "host") continue;
    for (const one of Array.isArray(value) ? value : [value]) out.push([name, one]);
  }
  return out;
}

function namesOf(connection: string | string[]): Set<string> | undefined {
  let named: Set<string> | undefined;
  for (const field of Array.isArray(connection) ? connection : [connection])
    named = connectionNames(field, named);
  return named;
}
