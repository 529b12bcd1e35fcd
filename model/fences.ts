/** Fences, compiled: whether a write is held while its slot moves. */
import { type Decision, isSafe } from "./decide.ts";
import type { Placement } from "./fleet.ts";
import { slotsOf } from "./slots.ts";

export interface Fences {
  /** Slot → milliseconds that its writes are held; 0: it is not fenced. */
  readonly slots: Float64Array;
  /** The same for keys that are placed by hand. */
  readonly keys: ReadonlyMap<string, number>;
}

/** What a fence looks at. */
export type Placed = Pick<Decision, "slot" | "key" | "pinned">;

/** Undefined where nothing is fenced, so that a request without fences pays one comparison. */
export function compileFences({ fences, slots }: Placement): Fences | undefined {
  if (fences === undefined || fences.length === 0) return undefined;
  const held = new Float64Array(slots);
  const keys = new Map<string, number>();
  for (const { slots: ranges, keys: own, hold } of fences) {
    // A hold of nothing is still a fence: its writes are refused at once.
    const milliseconds = Math.max(1, hold);
    for (const slot of slotsOf(ranges)) held[slot] = milliseconds;
    for (const key of own) keys.set(key, milliseconds);
  }
  return { slots: held, keys };
}

/** Whether it may change what a user's unit keeps. Nobody knows what goes through a tunnel, so it is taken for a write. */
export function isWrite(method: string, isUpgrade: boolean): boolean {
  return isUpgrade || !isSafe(method);
}

/** Milliseconds that a write is held; 0 where it may go on. Only what is placed by its user has an owner. */
export function holdOf({ slots, keys }: Fences, { slot, key, pinned }: Placed): number {
  if (slot === -1) return 0;
  return pinned ? (keys.get(key!) ?? 0) : slots[slot]!;
}
