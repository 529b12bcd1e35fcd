/** Sets of slots, as ranges: what is moved is thousands of slots and few ranges. */

/** Both ends are in it. */
export interface SlotRange {
  readonly first: number;
  readonly last: number;
}

export function countSlots(ranges: readonly SlotRange[]): number {
  return ranges.reduce((sum, { first, last }) => sum + last - first + 1, 0);
}

/** `0-9,20`. */
export function formatSlotRanges(ranges: readonly SlotRange[]): string {
  return ranges.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`)).join(",");
}

/** The fewest ranges that hold these slots. */
export function rangesOf(slots: Iterable<number>): SlotRange[] {
  const ranges: { first: number; last: number }[] = [];
  for (const slot of [...new Set(slots)].sort((a, b) => a - b)) {
    const end = ranges.at(-1);
    if (end !== undefined && end.last === slot - 1) end.last = slot;
    else ranges.push({ first: slot, last: slot });
  }
  return ranges;
}

export function* slotsOf(ranges: readonly SlotRange[]): Generator<number> {
  for (const { first, last } of ranges) for (let slot = first; slot <= last; slot++) yield slot;
}

/** Ranges of at most so many slots together, in order. */
export function batchesOf(ranges: readonly SlotRange[], size: number): SlotRange[][] {
  const batches: SlotRange[][] = [];
  let room = 0;
  for (const range of ranges) {
    for (let { first } = range; first <= range.last; ) {
      if (room === 0) {
        batches.push([]);
        room = size;
      }
      const last = Math.min(range.last, first + room - 1);
      batches.at(-1)!.push({ first, last });
      room -= last - first + 1;
      first = last + 1;
    }
  }
  return batches;
}
