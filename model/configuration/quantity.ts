/**
 * Quantities as people write them: `300ms`, `50/s`, `20%`, `64KiB`.
 *
 * Each parser answers undefined for what it does not understand, and never NaN; very long digits may give Infinity,
 * which every bound refuses.
 */

import type { SlotRange } from "../slots.ts";

/** JSON Schema patterns, for editors; the parsers below are what decides. */
export const DURATION_PATTERN = "^\\d+(\\.\\d+)?(ms|s|m|h)$";
export const RATE_PATTERN = "^\\d+(\\.\\d+)?(rps|/s|/m|/h)$";
export const PERCENTAGE_PATTERN = "^\\d+(\\.\\d+)?%$";
export const SIZE_PATTERN = "^\\d+(\\.\\d+)?(B|KB|MB|GB|KiB|MiB|GiB)$";

const DURATION = new RegExp(DURATION_PATTERN);
const RATE = new RegExp(RATE_PATTERN);
const PERCENTAGE = new RegExp(PERCENTAGE_PATTERN);
const SIZE = new RegExp(SIZE_PATTERN);

const MILLISECONDS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const;
const PER_SECOND = { rps: 1, "/s": 1, "/m": 60, "/h": 3600 } as const;
const BYTES = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
} as const;

/** Milliseconds, whole. */
export function parseDuration(text: string): number | undefined {
  const match = DURATION.exec(text);
  if (match === null) return undefined;
  return Math.round(Number.parseFloat(text) * MILLISECONDS[match[2] as keyof typeof MILLISECONDS]);
}

/** Per second. */
export function parseRate(text: string): number | undefined {
  const match = RATE.exec(text);
  if (match === null) return undefined;
  return Number.parseFloat(text) / PER_SECOND[match[2] as keyof typeof PER_SECOND];
}

/** A share: `20%` is 0.2. */
export function parsePercentage(text: string): number | undefined {
  return PERCENTAGE.test(text) ? Number.parseFloat(text) / 100 : undefined;
}

/** Bytes, whole. `KB` is 1000 and `KiB` 1024. */
export function parseSize(text: string): number | undefined {
  const match = SIZE.exec(text);
  if (match === null) return undefined;
  return Math.round(Number.parseFloat(text) * BYTES[match[2] as keyof typeof BYTES]);
}

/** `0-409` or `0-9,20,30-40`. */
export function parseSlotRanges(text: string): SlotRange[] | undefined {
  const ranges: SlotRange[] = [];
  for (const part of text.split(",")) {
    const match = /^\s*(\d{1,9})(?:\s*-\s*(\d{1,9}))?\s*$/.exec(part);
    if (match === null) return undefined;
    const first = Number(match[1]);
    const last = match[2] === undefined ? first : Number(match[2]);
    if (last < first) return undefined;
    ranges.push({ first, last });
  }
  return ranges;
}

export function formatDuration(milliseconds: number): string {
  for (const [unit, size] of [
    ["h", 3_600_000],
    ["m", 60_000],
    ["s", 1000],
  ] as const) {
    if (milliseconds >= size && milliseconds % size === 0) return `${milliseconds / size}${unit}`;
  }
  return `${milliseconds}ms`;
}

export function formatSize(bytes: number): string {
  for (const [unit, size] of [
    ["GiB", 2 ** 30],
    ["MiB", 2 ** 20],
    ["KiB", 2 ** 10],
  ] as const) {
    if (bytes >= size && bytes % size === 0) return `${bytes / size}${unit}`;
  }
  return `${bytes}B`;
}

/** `0-9, 20, 30-40` of ascending slot numbers; a long list ends in "and N more". */
export function formatSlots(slots: readonly number[]): string {
  const most = 8;
  const ranges: string[] = [];
  for (let i = 0; i < slots.length; ) {
    let j = i;
    while (j + 1 < slots.length && slots[j + 1] === slots[j]! + 1) j++;
    ranges.push(i === j ? `${slots[i]}` : `${slots[i]}-${slots[j]}`);
    i = j + 1;
  }
  if (ranges.length <= most) return ranges.join(", ");
  return `${ranges.slice(0, most).join(", ")} and ${ranges.length - most} more ranges`;
}
