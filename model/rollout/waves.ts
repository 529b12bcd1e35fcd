/** Rules and names → units, in the order in which a rollout comes to them. Pure. */
import type { Config } from "../config.ts";
import type { Rollout, WaveRule } from "./rollout.ts";

export interface WavesProblem {
  readonly code: "unknown-service" | "unknown-unit" | "no-canary" | "unit-twice";
  readonly message: string;
}

/**
 * @param rps unit → requests per second now; a unit of which nobody knows counts as quiet
 * @returns the units of each wave; or why not: what is not there, or (`canary`) what has no canary to roll, now
 */
export function wavesOf(
  { waves, service: name }: Pick<Rollout, "waves" | "service">,
  { fleet }: Config,
  rps: ReadonlyMap<string, number>,
): string[][] | WavesProblem {
  const service = fleet.services.find((one) => one.name === name);
  if (service === undefined && name !== undefined)
    return { code: "unknown-service", message: `there is no service ${name}` };
  const isReady = (unit: string): boolean =>
    service === undefined || (service.pools[unit]?.canary ?? []).length > 0;
  const named = waves.flatMap((wave) => (typeof wave === "string" ? [] : wave));
  for (const unit of named) {
    if (!fleet.units.some((one) => one.name === unit))
      return { code: "unknown-unit", message: `there is no unit ${unit}` };
    if (!isReady(unit))
      return { code: "no-canary", message: `${name} has no canary endpoints in unit ${unit}` };
  }
  const twice = named.find((unit, i) => named.indexOf(unit) !== i);
  if (twice !== undefined) return { code: "unit-twice", message: `unit ${twice} is in two waves` };
  // What cannot be sharded is the last to be tried with, where nobody says otherwise.
  const left = fleet.units
    .filter((unit) => isReady(unit.name) && !named.includes(unit.name))
    .sort((a, b) => Number(a.center) - Number(b.center) || (rps.get(a.name) ?? 0) - (rps.get(b.name) ?? 0))
    .map((unit) => unit.name);
  const all = waves.flatMap((wave) => (typeof wave === "string" ? take(wave, left) : [[...wave]]));
  const found = all.filter((wave) => wave.length > 0);
  return found.length === 0
    ? { code: "no-canary", message: `no unit has canary endpoints of ${name}` }
    : found;
}

/** @param left what no wave has yet, quietest first; what is taken is gone */
function take(rule: WaveRule, left: string[]): string[][] {
  switch (rule) {
    case "quietest":
      return [left.splice(0, 1)];
    case "pairs":
      return chunksOf(left.splice(0), 2);
    case "each":
      return chunksOf(left.splice(0), 1);
    case "rest":
      return [left.splice(0)];
  }
}

export function chunksOf<T>(list: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(list.length / size) }, (_, i) =>
    list.slice(i * size, (i + 1) * size),
  );
}
