/** What is expected to be asked: the meaning of `forecast.csv`. Plain data. */
import type { Load } from "../projection.ts";

/** A rate holds from its time until the next one; the last for a minute. */
export interface Forecast {
  /** Minutes east of UTC in which the file's first row speaks, and answers do. */
  readonly zone: number;
  /** Milliseconds since 1970, whole minutes, ascending. */
  readonly times: readonly number[];
  /** Route → requests per second at each of the times. */
  readonly routes: Readonly<Record<string, readonly number[]>>;
}

export const MINUTE = 60_000;
/** A forecast says nothing about what lies between rows that are further apart. */
export const LONGEST_ROW = 60 * MINUTE;

/** Requests per second by route at one of the forecast's times. */
export function loadAt({ routes }: Forecast, index: number): Load {
  return new Map(Object.entries(routes).map(([route, rps]) => [route, rps[index]!]));
}

/** When the forecast's row ends. */
export function endOf({ times }: Forecast, index: number): number {
  return times[index + 1] ?? times[index]! + MINUTE;
}

/** Place of the time at which the whole fleet is asked the most; −1 of an empty forecast. */
export function peakOf(forecast: Forecast): number {
  const { times } = forecast;
  let [most, at] = [-1, -1];
  for (let i = 0; i < times.length; i++) {
    const rps = totalAt(forecast, i);
    if (rps > most) [most, at] = [rps, i];
  }
  return at;
}

export function totalAt({ routes }: Forecast, index: number): number {
  let sum = 0;
  for (const name in routes) sum += routes[name]![index]!;
  return sum;
}

/** The most that the whole fleet is asked between two times (ms); undefined where the forecast knows nothing of them. */
export function mostWithin(forecast: Forecast, from: number, to: number): number | undefined {
  let most: number | undefined;
  for (let i = 0; i < forecast.times.length; i++) {
    if (endOf(forecast, i) <= from || forecast.times[i]! >= to) continue;
    most = Math.max(most ?? 0, totalAt(forecast, i));
  }
  return most;
}

/** Place of the row that holds at a time; −1 where none does. */
export function rowAt(forecast: Forecast, at: number): number {
  const { times } = forecast;
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle]! <= at) low = middle + 1;
    else high = middle;
  }
  return low > 0 && at < endOf(forecast, low - 1) ? low - 1 : -1;
}

/** `2026-11-11T00:00+08:00`: as a forecast is written. */
export function formatTime(at: number, zone: number): string {
  return `${new Date(at + zone * MINUTE).toISOString().slice(0, 16)}${formatZone(zone)}`;
}

export function formatZone(zone: number): string {
  if (zone === 0) return "Z";
  const two = (n: number): string => `${n}`.padStart(2, "0");
  const minutes = Math.abs(zone);
  return `${zone < 0 ? "-" : "+"}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
}

const TIME = /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2})(?::00)?(Z|([+-])(\d{2}):(\d{2}))$/;

/** A whole minute with its zone; undefined for anything else, the 30th of February included. */
export function parseTime(text: string): { readonly at: number; readonly zone: number } | undefined {
  const [, local, zoned, sign, hours, minutes] = TIME.exec(text) ?? [];
  if (local === undefined) return undefined;
  const zone = zoned === "Z" ? 0 : (sign === "-" ? -1 : 1) * (Number(hours) * 60 + Number(minutes));
  const wall = Date.parse(`${local}Z`);
  if (Number.isNaN(wall) || Math.abs(zone) > 14 * 60 || Number(minutes ?? 0) > 59) return undefined;
  // `Date.parse` takes the 30th of February for the 2nd of March, and 24:00 for the next day.
  if (!new Date(wall).toISOString().startsWith(local)) return undefined;
  return { at: wall - zone * MINUTE, zone };
}
