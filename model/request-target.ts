/**
 * Decides whether a path can mean only one thing.
 *
 * The path that is matched is the path that is sent, byte for byte. So nothing is normalised here: what two servers
 * could read as two paths is refused instead. That covers dot segments, backslashes, empty segments, encoded
 * delimiters and encoded characters that need no encoding (RFC 3986 §2.3, §6.2.2: `/%61` and `/a` are one path), and
 * anything that becomes one of these when it is decoded twice.
 */

/** Why a path was refused, in words for the client; undefined when it can mean only one thing. */
export function ambiguityOf(path: string): string | undefined {
  let escapes = false;
  if (path.charCodeAt(0) !== SLASH) return "the path must begin with a slash";
  for (let i = 0; i < path.length; i++) {
    const c = path.charCodeAt(i);
    if (c === SLASH) {
      const next = path.charCodeAt(i + 1);
      if (next === SLASH) return "the path has an empty segment (//)";
      if (next === DOT && isDotSegment(path, i + 1)) return "the path has a dot segment (. or ..)";
    } else if (c === PERCENT) {
      const problem = escapeProblem(path, i);
      if (problem !== undefined) return problem;
      escapes ||= path.charCodeAt(i + 1) >= 0x38; // %80 and above
      i += 2;
    } else if (c === BACKSLASH) {
      return "the path has a backslash";
    } else if (c <= 0x20 || c >= 0x7f) {
      return "the path has a byte that must be percent-encoded";
    } else if (c === HASH) {
      return "the path has a fragment (#)";
    }
  }
  if (escapes && !isUtf8(path)) return "the path's escapes are not UTF-8";
  return undefined;
}

function isUtf8(path: string): boolean {
  try {
    decodeURIComponent(path);
    return true;
  } catch {
    return false;
  }
}

const SLASH = 0x2f;
const DOT = 0x2e;
const PERCENT = 0x25;
const BACKSLASH = 0x5c;
const HASH = 0x23;
const SEMICOLON = 0x3b;

/** `/.`, `/..`, and with path parameters, which some servers cut off before they resolve dots: `/..;x`. */
function isDotSegment(path: string, at: number): boolean {
  const end = path.charCodeAt(at + 1) === DOT ? at + 2 : at + 1;
  const after = path.charCodeAt(end);
  return end === path.length || after === SLASH || after === SEMICOLON;
}

function escapeProblem(path: string, at: number): string | undefined {
  const byte = hexByte(path, at + 1);
  if (byte < 0) return "the path has a % that is not followed by two hexadecimal digits";
  if (byte === SLASH || byte === BACKSLASH) return "the path has an encoded slash or backslash";
  if (byte < 0x20 || byte === 0x7f) return "the path has an encoded control character";
  if (isUnreserved(byte)) {
    return `the path encodes a character that needs no encoding (${path.slice(at, at + 3)} is ${String.fromCharCode(byte)})`;
  }
  if (byte === PERCENT) {
    const twice = hexByte(path, at + 3);
    if (twice >= 0) return "the path is encoded twice";
  }
  return undefined;
}

function isUnreserved(byte: number): boolean {
  return (
    (byte >= 0x61 && byte <= 0x7a) ||
    (byte >= 0x41 && byte <= 0x5a) ||
    (byte >= 0x30 && byte <= 0x39) ||
    byte === 0x2d ||
    byte === DOT ||
    byte === 0x5f ||
    byte === 0x7e
  );
}

/** The byte that two hexadecimal digits spell, or −1. */
function hexByte(text: string, at: number): number {
  const high = hexDigit(text.charCodeAt(at));
  const low = hexDigit(text.charCodeAt(at + 1));
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

function hexDigit(c: number): number {
  if (c >= 0x30 && c <= 0x39) return c - 0x30;
  if (c >= 0x41 && c <= 0x46) return c - 0x37;
  if (c >= 0x61 && c <= 0x66) return c - 0x57;
  return -1;
}

/** Lower-case host without its port; undefined when it is not a host that a request may name (RFC 9110 §7.2). */
export function hostOf(field: string): string | undefined {
  let end = field.length;
  if (end === 0 || end > 255 + 6) return undefined;
  let from = 0;
  if (field.charCodeAt(0) === 0x5b /* [ */) {
    const close = field.indexOf("]");
    if (close < 3) return undefined;
    for (let i = 1; i < close; i++) {
      const c = field.charCodeAt(i);
      if (hexDigit(c) < 0 && c !== 0x3a && c !== DOT) return undefined;
    }
    from = close + 1;
    end = from;
  } else {
    for (let i = 0; i < end; i++) {
      const c = field.charCodeAt(i);
      if (c === 0x3a) end = i;
      else if (!isUnreserved(c) || c === 0x7e) return undefined;
    }
    if (end === 0 || end > 253) return undefined;
    from = end;
  }
  return isPort(field, from) ? field.slice(0, end).toLowerCase() : undefined;
}

/** Nothing, or `:` and up to five digits. */
function isPort(field: string, at: number): boolean {
  if (at === field.length) return true;
  if (field.charCodeAt(at) !== 0x3a || field.length - at > 6) return false;
  for (let i = at + 1; i < field.length; i++) {
    const c = field.charCodeAt(i);
    if (c < 0x30 || c > 0x39) return false;
  }
  return true;
}
