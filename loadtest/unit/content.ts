/**
 * The bytes of `/bytes/N`: byte number i is i mod 251.
 *
 * 251 is prime and so no power of two divides it: a chunk that is lost, doubled or out of order shows.
 */
import { Readable } from "node:stream";

const PERIOD = 251;
const BLOCK = Buffer.from(Uint8Array.from({ length: PERIOD * 256 }, (_, i) => i % PERIOD));

/** `length` bytes, made as they are read: every block is the same memory. */
export function contentStream(length: number): Readable {
  let left = length;
  return new Readable({
    highWaterMark: BLOCK.length,
    read() {
      if (left === 0) {
        this.push(null);
        return;
      }
      const block = left >= BLOCK.length ? BLOCK : BLOCK.subarray(0, left);
      left -= block.length;
      this.push(block);
    },
  });
}

/** Where a part of the content, beginning at `offset`, differs first: an absolute offset, or −1. */
export function firstDifference(part: Uint8Array, offset: number): number {
  let checked = 0;
  while (checked < part.length) {
    const from = (offset + checked) % PERIOD;
    const length = Math.min(part.length - checked, BLOCK.length - from);
    if (BLOCK.compare(part, checked, checked + length, from, from + length) !== 0) {
      for (let i = 0; i < length; i++) if (part[checked + i] !== BLOCK[from + i]) return offset + checked + i;
    }
    checked += length;
  }
  return -1;
}
