/** What differs between two configurations, field by field, by the names that people gave. */

export interface Difference {
  /** Such as `units.sh.capacity`. */
  readonly field: string;
  /** Undefined where there was, or is, nothing. */
  readonly before: unknown;
  readonly after: unknown;
}

/** More than this is told as a number: nobody reads on. */
export const MOST_DIFFERENCES = 1_000;

/** Pure. Lists of named things are compared by name; their order counts as a field of its own. */
export function differences(before: unknown, after: unknown): Difference[] {
  const found: Difference[] = [];
  compare("", before, after, found);
  return found;
}

function compare(field: string, before: unknown, after: unknown, found: Difference[]): void {
  if (found.length >= MOST_DIFFERENCES) return;
  // What a change left as it was is the same object: most of a large fleet.
  if (before === after) return;
  const [was, is] = [fieldsOf(before), fieldsOf(after)];
  if (was === undefined || is === undefined) {
    if (JSON.stringify(before) !== JSON.stringify(after)) found.push({ field, before, after });
    return;
  }
  for (const name of new Set([...was.keys(), ...is.keys()])) {
    compare(field === "" ? name : `${field}.${name}`, was.get(name), is.get(name), found);
  }
  if (!Array.isArray(before) || !Array.isArray(after)) return;
  const kept = (own: Map<string, unknown>, other: Map<string, unknown>): string =>
    [...own.keys()].filter((name) => other.has(name)).join(" ");
  if (kept(was, is) !== kept(is, was)) {
    found.push({ field: `${field} (order)`, before: [...was.keys()], after: [...is.keys()] });
  }
}

/** The fields of a map, or of a list of things that have names; undefined for anything else. */
function fieldsOf(value: unknown): Map<string, unknown> | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  if (!Array.isArray(value)) return new Map(Object.entries(value));
  if (value.length === 0 || !value.every((item) => typeof item?.name === "string")) return undefined;
  return new Map(value.map((item: { name: string }) => [item.name, item]));
}
