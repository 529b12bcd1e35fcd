/** What a unit is asked under stress: its routes as users ask for them, or what somebody said, and users who live there. */
import type { Config } from "../config.ts";
import { parsePercentage } from "../configuration/quantity.ts";
import type { KeySource } from "../fleet.ts";
import { loadAt, peakOf, totalAt } from "../forecast/forecast.ts";
import { slotOf } from "../hash.ts";
import type { Route } from "../route.ts";
import type { Ask, Moment } from "./run-file.ts";

/** Users that are made up for one unit. */
export const MOST_KEYS = 500;
/** Tried for each: a unit with few slots has few of them. */
const TRIES = 200;
const METHODS = /^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)$/;

/**
 * Routes that the unit serves and that can be read, in the shares in which its users ask for them; evenly where nobody
 * knows. Writes are asked for only by whoever names them: not every unit knows which tables to write to.
 *
 * @param rates route → requests per second
 */
export function mixOf(config: Config, unit: string, rates: ReadonlyMap<string, number>): Ask[] {
  const readable = config.routes.filter((route) => isReadable(route) && isServed(config, route, unit));
  const isAsked = readable.some(({ name }) => (rates.get(name) ?? 0) > 0);
  return readable.flatMap((route) => {
    const share = isAsked ? (rates.get(route.name) ?? 0) : 1;
    return share > 0 ? [askOf(route, share)] : [];
  });
}

function isReadable({ match }: Route): boolean {
  const { methods, headers } = match;
  return headers.length === 0 && (methods.length === 0 || methods.includes("GET"));
}

function isServed({ fleet }: Config, { service }: Route, unit: string): boolean {
  return (fleet.services.find(({ name }) => name === service)?.pools[unit]?.stable.length ?? 0) > 0;
}

function askOf({ name, match }: Route, share: number): Ask {
  const { path, host } = match;
  const filled = path.replace(/\/\*$/, "/{n}").replaceAll(/\/:[^/]+/g, "/{n}");
  const named = host === undefined ? {} : { host: host.replace(/^\*/, "www") };
  return { name, method: "GET", path: filled, share, ...named };
}

/** On either side of the peak (ms). */
const AROUND = 30 * 60_000;

/** The forecast's busiest time: its mix, and the hour around it in less time. @param seconds that it is to take */
export function peakTraffic(
  config: Config,
  rate: number,
  seconds: number,
): { readonly mix: readonly Ask[]; readonly curve: readonly Moment[] } | undefined {
  const { forecast } = config;
  if (forecast === undefined) return undefined;
  const { times } = forecast;
  const peak = peakOf(forecast);
  const most = totalAt(forecast, peak);
  const load = loadAt(forecast, peak);
  const mix = config.routes.flatMap((route) => {
    const share = load.get(route.name) ?? 0;
    return share > 0 && isReadable(route) ? [askOf(route, share)] : [];
  });
  const near = times.flatMap((at, i) => (Math.abs(at - times[peak]!) <= AROUND ? [i] : []));
  const [from, to] = [times[near[0]!]!, times[near.at(-1)!]!];
  if (mix.length === 0 || to === from) return undefined;
  const curve = near.map((i) => ({
    at: ((times[i]! - from) / (to - from)) * seconds,
    rate: (totalAt(forecast, i) / most) * rate,
  }));
  return { mix, curve };
}

/** `GET /hall/{n} 70%`. @returns what is wrong with it, as a text */
export function parseAsk(text: string): Ask | string {
  const [method = "", path = "", share, ...more] = text.trim().split(/\s+/);
  const expected = "expected a method, a path and maybe a share, such as 'GET /hall/{n} 70%'";
  const of = share === undefined ? 1 : parsePercentage(share);
  if (!METHODS.test(method) || !/^\/[\x21-\x7e]*$/.test(path) || more.length > 0)
    return `${text}: ${expected}`;
  if (of === undefined || !(of > 0)) return `${text}: ${share} is no share; ${expected}`;
  return { name: path.split("/")[1] || "root", method, path, share: of };
}

/** For people: `GET /hall/{n} 70 %, …`. */
export function mixText(mix: readonly Ask[]): string {
  const total = mix.reduce((sum, { share }) => sum + share, 0);
  const shown = mix.map(
    ({ method, path, share }) => `${method} ${path} ${Math.round((share / total) * 100)} %`,
  );
  const most = 20;
  return shown.length > most
    ? `${shown.slice(0, most).join(", ")} and ${shown.length - most} more`
    : shown.join(", ");
}

/** Where a load generator names its users. */
export function keyPlaceOf({ fleet }: Config): Pick<KeySource, "from" | "name"> {
  return fleet.placement.key.find(({ from }) => from !== "path") ?? { from: "header", name: "x-user-id" };
}

/** Users who live in a unit; nobody where it has no slot. */
export function keysOf({ fleet }: Config, unit: string, most = MOST_KEYS): string[] {
  const { map, slots, pins } = fleet.placement;
  const keys: string[] = [];
  if (!map.includes(unit)) return keys;
  for (let i = 0; keys.length < most && i < most * TRIES; i++) {
    const key = `stress-${i}`;
    if (map[slotOf(key, slots)] === unit && pins[key] === undefined) keys.push(key);
  }
  return keys;
}
