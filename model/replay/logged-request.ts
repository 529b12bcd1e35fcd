/** A line of an access log → a request: our own JSON lines, and nginx's `combined`. */

export interface LoggedRequest {
  readonly method: string;
  /** Empty where the log does not say. */
  readonly host: string;
  readonly path: string;
  /** Without the leading `?`. */
  readonly query: string;
  readonly client: string;
  /** The route that took it, where a gateway says so. */
  readonly route: string | undefined;
  /** Its user's slot, where a gateway says so: the log keeps no keys. */
  readonly slot: number | undefined;
  /** Milliseconds since 1970. */
  readonly at: number;
}

/** `not-user`: stress traffic, or a request that no route took. Undefined: this is no line of a log. */
export type ParsedLine = LoggedRequest | "not-user" | undefined;

/** Longer lines are none. */
export const LONGEST_LINE = 64 * 1_024;
const METHOD = /^[A-Z][A-Z-]{0,31}$/;
const COMBINED =
  /^(\S{1,64}) \S+ .{0,256}? \[(\d{2})\/([A-Z][a-z]{2})\/(\d{4}):(\d{2}):(\d{2}):(\d{2}) ([+-])(\d{2})(\d{2})\] "([A-Z][A-Z-]{0,31}) (\S+)(?: HTTP\/[\d.]+)?" \d{3} (?:\d+|-)/;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** Never throws: a log that was cut off, or is none, has lines that mean nothing. */
export function parseLine(line: string): ParsedLine {
  return line.startsWith("{") ? parseOwn(line) : parseCombined(line);
}

function parseOwn(line: string): ParsedLine {
  let value: Readonly<Record<string, unknown>>;
  try {
    value = JSON.parse(line) as typeof value;
  } catch {
    return undefined;
  }
  const { time, method, path, host, client, route, slot, stress } = value;
  const at = typeof time === "string" ? Date.parse(time) : Number.NaN;
  const isLine =
    !Number.isNaN(at) &&
    typeof method === "string" &&
    METHOD.test(method) &&
    typeof path === "string" &&
    path.startsWith("/") &&
    typeof client === "string" &&
    typeof route === "string" &&
    typeof slot === "number" &&
    Number.isInteger(slot);
  if (!isLine) return undefined;
  if (route === "" || stress !== undefined) return "not-user";
  return {
    method,
    host: typeof host === "string" ? host : "",
    path,
    query: "",
    client,
    route,
    slot: slot < 0 ? undefined : slot,
    at,
  };
}

function parseCombined(line: string): ParsedLine {
  const found = COMBINED.exec(line);
  if (found === null) return undefined;
  const [
    ,
    client = "",
    day,
    month = "",
    year,
    hour,
    minute,
    second,
    sign,
    hours,
    minutes,
    method = "",
    target = "",
  ] = found;
  const wall = Date.UTC(
    Number(year),
    MONTHS.indexOf(month),
    Number(day),
    Number(hour),
    Number(minute),
    Number(second),
  );
  const offset = (sign === "-" ? -1 : 1) * (Number(hours) * 60 + Number(minutes)) * 60_000;
  if (MONTHS.indexOf(month) < 0 || Number.isNaN(wall)) return undefined;
  // A proxy's request line has the whole URL.
  const local = /^https?:\/\/([^/?]+)(.*)$/i.exec(target);
  const path = local === null ? target : local[2] === "" ? "/" : local[2]!;
  if (!path.startsWith("/")) return undefined;
  const mark = path.indexOf("?");
  return {
    method,
    host: local?.[1]?.toLowerCase().replace(/:\d+$/, "") ?? "",
    path: mark === -1 ? path : path.slice(0, mark),
    query: mark === -1 ? "" : path.slice(mark + 1),
    client,
    route: undefined,
    slot: undefined,
    at: wall - offset,
  };
}
