/** Reads `placement`: which unit each slot lives in. */
import type { Placement } from "../fleet.ts";
import type { Draft, DraftFile } from "./draft.ts";
import type { FleetShape } from "./fleet-schema.ts";
import { readKeySources } from "./key-sources.ts";
import { formatSlots, parseSlotRanges } from "./quantity.ts";

const DEFAULT_SLOTS = 1024;
const NOBODY = -1;

type PlacementDraft = NonNullable<Draft<FleetShape>["placement"]>;

/**
 * Without `placement` everything lives in the center unit, which is right for a fleet without sharded routes.
 * `units` are all names in the file, so that a unit with a problem of its own does not seem unknown here.
 */
export function readPlacement(
  file: DraftFile<FleetShape>,
  fleet: Draft<FleetShape>,
  units: ReadonlySet<string>,
  center: string,
): Placement {
  const draft = fleet.placement;
  const slots = draft?.slots ?? DEFAULT_SLOTS;
  if (draft === undefined) {
    return { key: [], slots, map: new Array<string>(slots).fill(center), pins: {}, epoch: 1 };
  }
  for (const [key, unit] of draft.pins ?? []) {
    if (!units.has(unit)) file.unknown(draft.pins!, key, "unit", unit, units);
  }
  return {
    key: readKeySources(file, draft.key ?? []),
    slots,
    map: readMap(file, draft, slots, units, center),
    // fromEntries defines `__proto__` as a key like any other.
    pins: Object.fromEntries(draft.pins ?? []),
    epoch: draft.epoch ?? 1,
  };
}

function readMap(
  file: DraftFile<FleetShape>,
  placement: PlacementDraft,
  slots: number,
  units: ReadonlySet<string>,
  center: string,
): string[] {
  const { map } = placement;
  if (map === undefined) return new Array<string>(slots).fill(center);
  const names = [...map.keys()];
  const owners = new Int32Array(slots).fill(NOBODY);
  for (const [index, name] of names.entries()) {
    if (!units.has(name)) {
      file.problemAtKey(map, name, "unknown-unit", () => `slots are given to \`${name}\`, which is no unit`);
    }
    claim(file, map, names, index, owners);
  }
  const free: number[] = [];
  for (let slot = 0; slot < slots; slot++) if (owners[slot] === NOBODY) free.push(slot);
  // Where an entry could not be read its slots seem free, and are not what has to be mended.
  const unread =
    file.keys(map).size > map.size || (file.has(placement, "slots") && placement.slots === undefined);
  if (free.length > 0 && !unread) {
    const message = `no unit is given slots ${formatSlots(free)}; expected every slot from 0 to ${slots - 1} once`;
    file.problem(placement, "map", "slots-missing", message);
  }
  return Array.from(owners, (owner) => names[owner] ?? center);
}

/** Gives a unit its slots, and reports those that are taken or do not exist. */
function claim(
  file: DraftFile<FleetShape>,
  map: NonNullable<PlacementDraft["map"]>,
  names: readonly string[],
  index: number,
  owners: Int32Array,
): void {
  const name = names[index]!;
  const value = map.get(name)!;
  const taken = new Map<number, number>();
  let beyond: number | undefined;
  // Ranges are counted off slot by slot, so a list of a hundred thousand whole ranges must be cut short.
  let budget = owners.length * 4 + 4096;
  for (const text of typeof value === "string" ? [value] : value) {
    for (const { first, last } of parseSlotRanges(text) ?? []) {
      if (last >= owners.length) beyond ??= Math.max(first, owners.length);
      for (let slot = first; slot <= last && slot < owners.length && budget-- > 0; slot++) {
        const owner = owners[slot]!;
        if (owner === NOBODY) owners[slot] = index;
        else if (!taken.has(slot)) taken.set(slot, owner);
      }
    }
  }
  if (beyond !== undefined) {
    const message = `\`${name}\` is given slot ${beyond}, and the last slot is ${owners.length - 1}`;
    file.problem(map, name, "slot-out-of-range", message);
  }
  if (taken.size === 0) return;
  const slots = [...taken.keys()].sort((a, b) => a - b);
  const first = [...new Set(taken.values())].slice(0, 3).map((owner) => `\`${names[owner]}\``);
  const message = `\`${name}\` is given slots ${formatSlots(slots)}, which ${first.join(" and ")} already has; expected every slot once`;
  file.problem(map, name, "slots-overlap", message);
}
