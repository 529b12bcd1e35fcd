/**
 * What a unit knows of the slots that it owns, and which writes it may take: the pure half of the unit guard.
 *
 * A write says under which epoch of the placement a gateway sent it. One that is newer than what is known here is taken:
 * gateways may hear first. One that is older is taken where the slot has been this unit's since then, so that a gateway
 * which is cut off from its control plane goes on serving whom nobody moved. A slot that is fenced, that lives elsewhere,
 * or that was closed at a catch-up, takes nothing; what was closed opens again only by a later revision.
 */
import type { Placement } from "./fleet.ts";
import { slotOf } from "./hash.ts";
import { type SlotRange, slotsOf } from "./slots.ts";

/** A placement, and which publication said so. */
export interface KnownPlacement {
  /** Leadership under which it was published; 0 where it comes from no control plane. */
  readonly leadership: number;
  readonly revision: number;
  readonly placement: Placement;
}

/** What a catch-up asks to close: a transfer, as the hook is told of it. */
export interface Closing {
  readonly slots: readonly SlotRange[];
  readonly keys: readonly string[];
  /** Writes under this epoch, and under older ones, are not taken any more. */
  readonly epoch: number;
  /** The revision that fenced them. */
  readonly revision: number;
}

/** What a write says of itself. */
export interface Stamp {
  /** −1: it belongs to no slot. */
  readonly slot: number;
  readonly epoch: number;
  /** The key, where it is placed by hand. */
  readonly pin: string | undefined;
}

export type Misdirection = "elsewhere" | "older" | "fenced" | "closed" | "unknown";

/** Most slots that a placement may have. */
export const MOST_SLOTS = 65_536;
/** Keys that are closed at once; beyond it the oldest is forgotten. */
const MOST_KEYS = 65_536;

const NONE = -1;

interface Closed {
  readonly epoch: number;
  readonly revision: number;
}

export class SlotOwnership {
  readonly unit: string;
  #known: KnownPlacement | undefined;
  /** Slot → the oldest epoch under which it has been this unit's; infinite where it is not. */
  #since = new Float64Array(0);
  /** The same for keys that are placed here by hand. */
  #sinceKeys = new Map<string, number>();
  /** Slot → its keys that are placed by hand elsewhere. */
  #strangers: ReadonlyMap<number, string> = new Map();
  #fenced = new Uint8Array(0);
  #fencedKeys: ReadonlySet<string> = new Set();
  /** Slot → epoch up to which it is closed. */
  readonly #closed = new Float64Array(MOST_SLOTS).fill(NONE);
  /** Slot → the revision that fenced what is closed. */
  readonly #closedAt = new Float64Array(MOST_SLOTS);
  readonly #closedKeys = new Map<string, Closed>();

  constructor(unit: string) {
    this.unit = unit;
  }

  get known(): KnownPlacement | undefined {
    return this.#known;
  }

  /** The placement's epoch as far as it is known; −1 before. */
  get epoch(): number {
    return this.#known?.placement.epoch ?? NONE;
  }

  /** @returns false where it is not newer than what is known */
  learn(next: KnownPlacement): boolean {
    const before = this.#known;
    if (before !== undefined && !isNewer(next, before)) return false;
    this.#known = next;
    this.#compile(next.placement, before?.placement);
    this.#reopen(next, before);
    return true;
  }

  /**
   * From now on no write of these slots and keys under this epoch, or an older one, is taken. Asked late, after the fence was
   * lifted, it closes nothing.
   *
   * @returns how many slots and keys it closed
   */
  close({ slots, keys, epoch, revision }: Closing): number {
    const isLate = (this.#known?.revision ?? 0) > revision;
    let closed = 0;
    for (const slot of slotsOf(slots)) {
      if (isLate && this.#fenced[slot] !== 1) continue;
      if (slot >= MOST_SLOTS || this.#closed[slot]! > epoch) continue;
      this.#closed[slot] = epoch;
      this.#closedAt[slot] = revision;
      closed++;
    }
    for (const key of keys) {
      if (isLate && !this.#fencedKeys.has(key)) continue;
      if ((this.#closedKeys.get(key)?.epoch ?? NONE) > epoch) continue;
      if (this.#closedKeys.size >= MOST_KEYS) this.#closedKeys.delete(this.#closedKeys.keys().next().value!);
      this.#closedKeys.set(key, { epoch, revision });
      closed++;
    }
    return closed;
  }

  /** What is closed now, as few closings say it: to be kept on a disk. */
  closings(): Closing[] {
    const found = new Map<string, { epoch: number; revision: number; slots: SlotRange[]; keys: string[] }>();
    const of = ({ epoch, revision }: Closed) => {
      const name = `${epoch} ${revision}`;
      const one = found.get(name) ?? { epoch, revision, slots: [], keys: [] };
      found.set(name, one);
      return one;
    };
    for (let slot = 0; slot < MOST_SLOTS; slot++) {
      if (this.#closed[slot] === NONE) continue;
      const { slots } = of({ epoch: this.#closed[slot]!, revision: this.#closedAt[slot]! });
      const last = slots.at(-1);
      if (last?.last === slot - 1) slots[slots.length - 1] = { first: last.first, last: slot };
      else slots.push({ first: slot, last: slot });
    }
    for (const [key, closed] of this.#closedKeys) of(closed).keys.push(key);
    return [...found.values()];
  }

  /** Why a write may not be taken here; undefined: it may. On the way of every write: it makes nothing. */
  misdirection(slot: number, epoch: number, pin: string | undefined): Misdirection | undefined {
    const known = this.#known;
    if (pin !== undefined) return this.#keyMisdirection(pin, epoch, known);
    if (slot === NONE) return undefined;
    if (epoch <= this.#closed[slot]!) return "closed";
    if (known === undefined) return "unknown";
    if (epoch > known.placement.epoch) return undefined;
    if (epoch >= this.#since[slot]!) return this.#fenced[slot] === 0 ? undefined : "fenced";
    return known.placement.map[slot] === this.unit ? "older" : "elsewhere";
  }

  /** Who owns it, as far as is known here. */
  ownerOf({ slot, pin }: Pick<Stamp, "slot" | "pin">): string | undefined {
    const placement = this.#known?.placement;
    if (placement === undefined) return undefined;
    const pinned = pin !== undefined && Object.hasOwn(placement.pins, pin) ? placement.pins[pin] : undefined;
    return pinned ?? placement.map[slot];
  }

  #keyMisdirection(key: string, epoch: number, known: KnownPlacement | undefined): Misdirection | undefined {
    const closed = this.#closedKeys.get(key);
    if (closed !== undefined && epoch <= closed.epoch) return "closed";
    if (known === undefined) return "unknown";
    if (epoch > known.placement.epoch) return undefined;
    const since = this.#sinceKeys.get(key);
    if (since === undefined) return "elsewhere";
    if (epoch < since) return "older";
    return this.#fencedKeys.has(key) ? "fenced" : undefined;
  }

  #compile({ slots, map, epoch, pins, fences = [] }: Placement, before: Placement | undefined): void {
    const strangers = strangersOf(pins, slots, this.unit);
    const since = new Float64Array(slots).fill(Number.POSITIVE_INFINITY);
    for (let slot = 0; slot < slots; slot++) {
      if (map[slot] !== this.unit) continue;
      // A gateway that does not know yet that a key was placed by hand, or is no longer, says its slot.
      const isQuiet = this.#strangers.get(slot) === strangers.get(slot);
      if (before === undefined) since[slot] = isQuiet ? 0 : epoch;
      else if (isQuiet && before.slots === slots && before.map[slot] === this.unit)
        since[slot] = this.#since[slot]!;
      else since[slot] = epoch;
    }
    const sinceKeys = new Map<string, number>();
    for (const [key, unit] of Object.entries(pins)) {
      if (unit !== this.unit) continue;
      sinceKeys.set(key, before === undefined ? 0 : (this.#sinceKeys.get(key) ?? epoch));
    }
    this.#fenced = new Uint8Array(slots);
    for (const fence of fences)
      for (const slot of slotsOf(fence.slots)) if (slot < slots) this.#fenced[slot] = 1;
    this.#fencedKeys = new Set(fences.flatMap(({ keys }) => keys));
    [this.#since, this.#sinceKeys, this.#strangers] = [since, sinceKeys, strangers];
  }

  /** What a later revision shows as this unit's own, and not fenced, is open again. */
  #reopen({ revision, placement }: KnownPlacement, before: KnownPlacement | undefined): void {
    // A store that was put back counts its revisions from before.
    const isBack = before !== undefined && revision < before.revision;
    const isLater = (at: number): boolean => isBack || at < revision;
    for (let slot = 0; slot < placement.slots; slot++) {
      if (this.#closed[slot] === NONE || placement.map[slot] !== this.unit || this.#fenced[slot] === 1)
        continue;
      if (isLater(this.#closedAt[slot]!)) this.#closed[slot] = NONE;
    }
    for (const [key, { revision: at }] of this.#closedKeys) {
      const isOwn = this.#sinceKeys.has(key) && !this.#fencedKeys.has(key);
      if (isOwn && isLater(at)) this.#closedKeys.delete(key);
    }
  }
}

function isNewer(next: KnownPlacement, than: KnownPlacement): boolean {
  if (next.leadership !== than.leadership) return next.leadership > than.leadership;
  return next.revision > than.revision;
}

/** Slot → its keys that are placed by hand in another unit, as one text. */
function strangersOf(pins: Placement["pins"], slots: number, unit: string): Map<number, string> {
  const found = new Map<number, string>();
  for (const key of Object.keys(pins).sort()) {
    if (pins[key] === unit) continue;
    const slot = slotOf(key, slots);
    found.set(slot, `${found.get(slot) ?? ""}${JSON.stringify(key)}`);
  }
  return found;
}
