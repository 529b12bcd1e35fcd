/** W3C Trace Context (https://www.w3.org/TR/trace-context/): a valid `traceparent` is passed on, else one is begun. */
import type { Random } from "../model/clock.ts";

const HEX = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, "0"));

/** `00-<32 hex>-<16 hex>-<2 hex>`, lower-case, ids not all zero. Later versions may be longer; the front is the same. */
export function isTraceparent(value: string): boolean {
  if (
    value.length < 55 ||
    (value.length > 55 && (value.startsWith("00-") || value.charCodeAt(55) !== 0x2d))
  ) {
    return false;
  }
  if (value.startsWith("ff")) return false;
  let traceBits = 0;
  let spanBits = 0;
  for (let i = 0; i < 55; i++) {
    const c = value.charCodeAt(i);
    if (i === 2 || i === 35 || i === 52) {
      if (c !== 0x2d) return false;
      continue;
    }
    if (!((c >= 0x30 && c <= 0x39) || (c >= 0x61 && c <= 0x66))) return false;
    if (i > 2 && i < 35) traceBits |= c ^ 0x30;
    else if (i > 35 && i < 52) spanBits |= c ^ 0x30;
  }
  return traceBits !== 0 && spanBits !== 0;
}

/** A new trace; unless it is sampled it asks nobody to record it. */
export function newTraceparent(random: Random, sampled = false): string {
  return `00-${hex64(random)}${hex64(random)}-${hex64(random)}-0${sampled ? 1 : 0}`;
}

export function newSpanId(random: Random): string {
  return hex64(random);
}

/** What everybody has to pass on; longer lists are dropped whole, since half of one says something else. */
const MOST_STATE = 512;
const MOST_STATE_MEMBERS = 32;

/** `tracestate` fields, flat with their names, together as one value; undefined where that is too much. */
export function tracestateOf(fields: readonly string[]): string | undefined {
  let text = "";
  let members = 0;
  for (let i = 1; i < fields.length; i += 2) {
    const value = fields[i]!;
    // Looked at before anything is copied: one field may be as long as a whole header.
    if (text.length + value.length >= MOST_STATE + 1) return undefined;
    for (const member of value.split(",")) if (member.trim() !== "") members++;
    if (members > MOST_STATE_MEMBERS) return undefined;
    text = text === "" ? value : `${text},${value}`;
  }
  return text.length > MOST_STATE ? undefined : text;
}

/** Sixteen hexadecimal digits of chance, never all zero. */
function hex64(random: Random): string {
  const high = Math.floor(random.next() * 4_294_967_296);
  const low = Math.floor(random.next() * 4_294_967_296) | 1;
  return (
    HEX[high >>> 24]! +
    HEX[(high >>> 16) & 255]! +
    HEX[(high >>> 8) & 255]! +
    HEX[high & 255]! +
    HEX[low >>> 24]! +
    HEX[(low >>> 16) & 255]! +
    HEX[(low >>> 8) & 255]! +
    HEX[low & 255]!
  );
}
