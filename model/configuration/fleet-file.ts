/** Reads `fleet.yaml`: fills in the defaults and checks what the shape alone cannot say. */
import type { Fleet, Region, Unit } from "../fleet.ts";
import type { Draft, DraftFile } from "./draft.ts";
import type { FleetShape } from "./fleet-schema.ts";
import { readPlacement } from "./placement.ts";
import type { ReferencedFiles } from "./referenced-files.ts";
import { readServices } from "./services.ts";

type File = DraftFile<FleetShape>;
type FleetDraft = Draft<FleetShape>;

/** Default failover lists name every other unit, so their length grows with the square of this. */
const MOST_UNITS = 2048;

/** As good as the file is; it is only a fleet when no errors were reported. */
export function readFleet(file: File, files: ReferencedFiles): Fleet | undefined {
  const draft = file.value;
  if (draft === undefined) return undefined;
  const names = file.keys(draft.units);
  const regions = readRegions(file, draft);
  const units = readUnits(file, draft, regions, names);
  const center = units.find((unit) => unit.center)?.name ?? units[0]?.name ?? "";
  return {
    name: draft.fleet ?? "",
    regions,
    units,
    placement: readPlacement(file, draft, names, center),
    services: readServices(file, draft, names, files),
  };
}

function readRegions(file: File, fleet: FleetDraft): Region[] {
  const names = file.keys(fleet.regions);
  const regions: Region[] = [];
  for (const [name, draft] of fleet.regions ?? []) {
    const near = draft.near ?? [];
    checkNames(file, near, "region", name, names);
    regions.push({ name, near });
  }
  return regions;
}

/** A list that names others of the same kind: known, not itself, none twice. */
function checkNames(
  file: File,
  list: readonly string[],
  noun: string,
  self: string,
  names: ReadonlySet<string>,
): void {
  const seen = new Set<string>();
  for (const [i, name] of list.entries()) {
    if (!names.has(name)) file.unknown(list, i, noun, name, names);
    else if (name === self) {
      file.problem(list, i, `${noun}-itself`, `\`${self}\` names itself; expected other ${noun}s`);
    } else if (seen.has(name)) {
      file.problem(
        list,
        i,
        `duplicate-${noun}`,
        `\`${name}\` is in this list twice; expected each ${noun} once`,
      );
    }
    seen.add(name);
  }
}

function readUnits(
  file: File,
  fleet: FleetDraft,
  regions: readonly Region[],
  names: ReadonlySet<string>,
): Unit[] {
  const drafts = fleet.units;
  if (drafts === undefined) return [];
  if (names.size === 0) file.problem(fleet, "units", "no-units", "there are no units; expected at least one");
  if (names.size > MOST_UNITS) {
    file.problem(
      fleet,
      "units",
      "too-many-units",
      `there are ${names.size} units; expected at most ${MOST_UNITS}`,
    );
    return [];
  }
  const regionNames = file.keys(fleet.regions);
  const defaultFailover = defaultFailovers(drafts, regions);
  const centers: string[] = [];
  const units: Unit[] = [];
  for (const [name, draft] of drafts) {
    const { region, failover } = draft;
    if (region !== undefined && fleet.regions !== undefined && !regionNames.has(region)) {
      file.unknown(draft, "region", "region", region, regionNames);
    }
    if (failover !== undefined) checkNames(file, failover, "unit", name, names);
    if (draft.center === true) centers.push(name);
    if (draft.center === true && centers.length > 1) {
      const message = `\`${name}\` is a second center unit after \`${centers[0]}\`; expected exactly one`;
      file.problem(draft, "center", "second-center", message);
    }
    units.push({
      name,
      region: region ?? "",
      center: draft.center ?? false,
      capacity: draft.capacity,
      failover: failover ?? defaultFailover(name, region ?? ""),
      concurrency: draft.concurrency ?? "adaptive",
      inflight: draft.inflight ?? 8192,
      queue: { size: draft.queue?.size ?? 256, wait: draft.queue?.wait ?? 500 },
    });
  }
  if (centers.length === 0 && units.length > 0 && units.length === names.size) {
    file.problem(
      fleet,
      "units",
      "no-center",
      "no unit is the center; expected `center: true` on exactly one unit",
    );
  }
  return units;
}

/** Units of the same region first, then those of near regions in order, then the rest, each in file order. */
function defaultFailovers(
  units: NonNullable<FleetDraft["units"]>,
  regions: readonly Region[],
): (unit: string, region: string) => string[] {
  const byRegion = new Map<string, string[]>();
  for (const [name, { region }] of units) {
    const list = byRegion.get(region ?? "");
    if (list === undefined) byRegion.set(region ?? "", [name]);
    else list.push(name);
  }
  const near = new Map(regions.map((region) => [region.name, region.near]));
  const orders = new Map<string, readonly string[]>();
  const orderFrom = (region: string): readonly string[] => {
    const known = orders.get(region);
    if (known !== undefined) return known;
    const first = new Set([region, ...(near.get(region) ?? [])]);
    const order = [...first].flatMap((r) => byRegion.get(r) ?? []);
    for (const [name, unit] of units) if (!first.has(unit.region ?? "")) order.push(name);
    orders.set(region, order);
    return order;
  };
  return (unit, region) => orderFrom(region).filter((name) => name !== unit);
}
