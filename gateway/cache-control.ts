/** Reads Cache-Control (RFC 9111 §5.2) and Vary, so that what cannot be read is never taken for a permission. */

/** Field values of one name: none, one, or one for each time that the field came. */
export type FieldValues = string | readonly string[] | undefined;

/** Lower-case directive → its arguments, one for each time that it came; "" where it had none. */
export type Directives = ReadonlyMap<string, readonly string[]>;

const DIRECTIVE =
  /^([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?:=(?:([!#$%&'*+.^_`|~0-9A-Za-z-]+)|"((?:[^"\\]|\\.)*)"))?$/;
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** About 68 years, what RFC 9111 §1.2.2 asks for at least. */
const LONGEST = 2 ** 31;

/** @returns undefined when a part is malformed: it may have been meant as a prohibition */
export function readDirectives(values: FieldValues): Directives | undefined {
  const directives = new Map<string, string[]>();
  for (const field of listOf(values)) {
    for (const element of elementsOf(field)) {
      if (element === "") continue;
      const match = DIRECTIVE.exec(element);
      if (match === null) return undefined;
      const name = match[1]!.toLowerCase();
      const argument = match[2] ?? match[3]?.replace(/\\(.)/g, "$1") ?? "";
      const before = directives.get(name);
      if (before === undefined) directives.set(name, [argument]);
      else before.push(argument);
    }
  }
  return directives;
}

/**
 * The seconds of a directive: the smallest where it came more than once, 0 where it cannot be read, because RFC 9111
 * §4.2.1 has such an answer taken for stale.
 *
 * @returns undefined when there is no such directive
 */
export function secondsOf(directives: Directives, name: string): number | undefined {
  const given = directives.get(name);
  if (given === undefined) return undefined;
  return given.reduce((least, text) => Math.min(least, secondsIn(text) ?? 0), Number.POSITIVE_INFINITY);
}

/** Delta-seconds; undefined for anything but digits. */
export function secondsIn(text: string): number | undefined {
  return /^\d+$/.test(text) ? Math.min(Number(text), LONGEST) : undefined;
}

/** @returns lower-case names in order, each once; undefined for `*` and for what cannot be read */
export function readVary(values: FieldValues): string[] | undefined {
  const names = new Set<string>();
  for (const field of listOf(values)) {
    for (const part of field.split(",")) {
      const name = trimmed(part);
      if (name === "") continue;
      if (name === "*" || !TOKEN.test(name)) return undefined;
      names.add(name.toLowerCase());
    }
  }
  return [...names].sort();
}

export function listOf(values: FieldValues): readonly string[] {
  return values === undefined ? [] : typeof values === "string" ? [values] : values;
}

/** Splits at the commas that no quotes enclose. A quote that is not closed takes the rest, which is no directive then. */
function elementsOf(field: string): string[] {
  const elements: string[] = [];
  let from = 0;
  let quoted = false;
  for (let i = 0; i < field.length; i++) {
    const c = field[i];
    if (quoted && c === "\\") i++;
    else if (c === '"') quoted = !quoted;
    else if (c === "," && !quoted) {
      elements.push(trimmed(field.slice(from, i)));
      from = i + 1;
    }
  }
  elements.push(trimmed(field.slice(from)));
  return elements;
}

/** Without the blanks and tabs around it. `trim` would take more away, and so read what no other cache reads. */
function trimmed(text: string): string {
  let from = 0;
  let to = text.length;
  while (from < to && isBlank(text.charCodeAt(from))) from++;
  while (to > from && isBlank(text.charCodeAt(to - 1))) to--;
  return text.slice(from, to);
}

function isBlank(c: number): boolean {
  return c === 0x20 || c === 0x09;
}
