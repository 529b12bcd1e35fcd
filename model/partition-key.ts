/**
 * Finds the partition key of a request.
 *
 * What counts as the key's text, so that every language agrees:
 * header: the field's bytes read as UTF-8 · cookie: the value as sent, without surrounding double quotes ·
 * query: percent-decoded as UTF-8, `+` is a space · path: percent-decoded as UTF-8.
 * An empty value is an absent one. Of several cookies or query parameters of one name the first counts; a header
 * that comes twice with different values is a contradiction, and the request is refused.
 */
import type { KeySource } from "./fleet.ts";
import { type HeaderList, headerValue, isContradictory, isHeader } from "./header-list.ts";

export interface KeyRequest {
  readonly headers: HeaderList;
  /** Without the leading `?`; empty when there is none. */
  readonly query: string;
}

export type PathParams = Readonly<Record<string, string | undefined>>;

/** Thrown away by the caller: says that two readers could see two keys. */
export const CONTRADICTORY_KEY = Symbol("contradictory key");

/** The value of one source, undefined when absent or empty. */
export function keyFrom(
  source: KeySource,
  request: KeyRequest,
  params: PathParams,
): string | undefined | typeof CONTRADICTORY_KEY {
  switch (source.from) {
    case "header": {
      const value = headerValue(request.headers, source.name);
      if (value === undefined) return undefined;
      if (isContradictory(request.headers, source.name)) return CONTRADICTORY_KEY;
      return utf8(value) || undefined;
    }
    case "cookie":
      return cookie(request.headers, source.name) || undefined;
    case "query":
      return request.query === "" ? undefined : queryParameter(request.query, source.name) || undefined;
    case "path":
      return params[source.name] || undefined;
  }
}

/** Node hands header bytes over as latin1; a key is UTF-8. ASCII, the usual case, is left as it is. */
function utf8(value: string): string {
  for (let i = 0; i < value.length; i++) {
    if (value.charCodeAt(i) > 0x7f) return Buffer.from(value, "latin1").toString("utf8");
  }
  return value;
}

function cookie(headers: HeaderList, name: string): string | undefined {
  for (let i = 0; i < headers.length; i += 2) {
    if (!isHeader(headers[i]!, "cookie")) continue;
    const value = pairValue(headers[i + 1]!, name, 0x3b /* ; */);
    if (value !== undefined) return utf8(unquote(value));
  }
  return undefined;
}

function unquote(value: string): string {
  return value.length >= 2 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value;
}

function queryParameter(query: string, name: string): string | undefined {
  const raw = pairValue(query, name, 0x26 /* & */);
  if (raw === undefined) return undefined;
  if (raw.indexOf("%") === -1 && raw.indexOf("+") === -1) return raw;
  try {
    return decodeURIComponent(raw.replaceAll("+", " "));
  } catch {
    return raw; // Not percent-encoding: the text itself is the key, the same for everybody.
  }
}

/** Value of the first `name=value` in a list divided by `separator`; spaces before the name are passed over. */
function pairValue(text: string, name: string, separator: number): string | undefined {
  let at = 0;
  while (at < text.length) {
    while (text.charCodeAt(at) === 0x20) at++;
    let end = at;
    while (end < text.length && text.charCodeAt(end) !== separator) end++;
    if (text.charCodeAt(at + name.length) === 0x3d /* = */ && text.startsWith(name, at)) {
      const from = at + name.length + 1;
      if (from <= end) return text.slice(from, end).trimEnd();
    }
    at = end + 1;
  }
  return undefined;
}
