/**
 * Header fields as they came: a flat list `[name, value, name, value, …]`, names in any case, duplicates kept.
 *
 * Both Node's `rawHeaders` and the tests speak it. Looking a name up costs a comparison of lengths per field, which
 * is cheaper than building a dictionary for the one or two names that a request is asked for.
 */
export type HeaderList = readonly string[];

/** Whether a field's name is `lower`, which must be in lower case. */
export function isHeader(name: string, lower: string): boolean {
  return name.length === lower.length && (name === lower || name.toLowerCase() === lower);
}

/** The first value of a field, or undefined. `lower` must be in lower case. */
export function headerValue(list: HeaderList, lower: string): string | undefined {
  for (let i = 0; i < list.length; i += 2) {
    if (isHeader(list[i]!, lower)) return list[i + 1];
  }
  return undefined;
}

/** The value of a field on which all readers agree: undefined where it comes twice with different values. */
export function soleValue(list: HeaderList, lower: string): string | undefined {
  let sole: string | undefined;
  for (let i = 0; i < list.length; i += 2) {
    if (!isHeader(list[i]!, lower)) continue;
    if (sole !== undefined && list[i + 1] !== sole) return undefined;
    sole = list[i + 1];
  }
  return sole;
}

/** Whether the field comes twice with different values, so that two readers could disagree about it. */
export function isContradictory(list: HeaderList, lower: string): boolean {
  let first: string | undefined;
  for (let i = 0; i < list.length; i += 2) {
    if (!isHeader(list[i]!, lower)) continue;
    if (first === undefined) first = list[i + 1]!;
    else if (list[i + 1] !== first) return true;
  }
  return false;
}
