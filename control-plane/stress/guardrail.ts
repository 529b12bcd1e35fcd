/**
 * Whether a run of stress traffic harms users: those of its unit and of the units beside it, held against the time before
 * it. Pure.
 *
 * A plain harm shows within a moment, a slight one as soon as it is more than chance: each look asks for the last
 * seconds, for ten, and for a minute, how likely what was seen is if nothing had become worse than what is allowed. There
 * are hundreds of looks in a run, so that the doubt that is left has to be small.
 */
import type { Unit } from "../../model/fleet.ts";
import { type AbortOn, breaks } from "./abort-on.ts";
import { chanceOfMore } from "./chance.ts";
import type { Before } from "./run.ts";
import { p99Of, type Seen, slowerThan } from "./seen.ts";

/** Seconds that are looked at. */
export const WINDOWS = [2, 10, 58] as const;
const DOUBT = 1e-5;
/** Share of requests that may be ill beyond those of before. */
const WORSE = 0.005;
/** So many times what 99 in 100 requests took before, and some milliseconds of nobody's fault, are slow. */
const SLOWER = 2;
const SLACK = 25;
/** Fewer requests say nothing of what is usual. */
export const LEAST_BEFORE = 50;
/** Units that are watched, at most. */
const MOST_UNITS = 20;

export interface GuardOptions {
  readonly unit: string;
  readonly before: readonly Before[];
  readonly abortOn: AbortOn;
}

/** What was seen in the last seconds. */
export interface Window {
  readonly seconds: number;
  /** By unit. */
  readonly users: ReadonlyMap<string, Seen>;
  /** Of the run. */
  readonly own: Seen | undefined;
}

/** @returns why it has to end; undefined: it may go on */
export function harmOf(
  { unit, before, abortOn }: GuardOptions,
  windows: readonly Window[],
): string | undefined {
  for (const { seconds, users, own } of windows) {
    const lately = `in the last ${seconds} s`;
    for (const usual of before) {
      const seen = users.get(usual.unit);
      if (seen === undefined) continue;
      const whose = usual.unit === "" ? "users whom no unit served" : `users of ${usual.unit}`;
      const worse = illness(usual, seen) ?? slowness(usual, seen);
      if (worse !== undefined) return `${whose}: ${worse} ${lately}`;
      // The last window is for slight harm alone: who set a bound means now.
      const broken = seconds > 10 || usual.unit === "" ? undefined : breaks(abortOn, seen);
      if (broken !== undefined) return `${whose}: ${broken} ${lately}`;
    }
    const broken = own === undefined || seconds > 10 ? undefined : breaks(abortOn, own);
    if (broken !== undefined) return `what unit ${unit} answered the run: ${broken} ${lately}`;
  }
  return undefined;
}

function illness({ ill, requests }: Before, seen: Seen): string | undefined {
  const allowed = (requests < LEAST_BEFORE ? 0 : ill) + WORSE;
  if (chanceOfMore(seen.asked, seen.ill, allowed) >= DOUBT) return undefined;
  return `${seen.ill} of ${seen.asked} requests failed or were shed (${percent(ill)} before)`;
}

function slowness({ p99 }: Before, seen: Seen): string | undefined {
  if (p99 === null) return undefined;
  const bound = p99 * SLOWER + SLACK;
  const slow = slowerThan(seen, bound);
  if (chanceOfMore(seen.asked, slow, 0.01) >= DOUBT) return undefined;
  return `p99 was ${ms(p99Of(seen) ?? 0)} (${ms(p99)} before), ${slow} of ${seen.asked} requests took more than ${ms(bound)}`;
}

/** What is usual of a unit, from the time before. */
export function beforeOf(unit: string, seen: Seen | undefined): Before {
  const { asked = 0, ill = 0 } = seen ?? {};
  const p99 = seen === undefined || asked < LEAST_BEFORE ? null : p99Of(seen);
  return { unit, requests: asked, ill: asked === 0 ? 0 : ill / asked, p99 };
}

/** The unit, those that stand beside it or that its users go to, and those whose users come to it. */
export function watchedUnits(name: string, units: readonly Unit[]): string[] {
  const own = units.find((unit) => unit.name === name);
  if (own === undefined) return [name];
  const near = units.filter(
    (unit) => unit.name !== name && (unit.region === own.region || unit.center || unit.failover[0] === name),
  );
  const all = new Set([name, ...own.failover.slice(0, MOST_UNITS / 2), ...near.map((unit) => unit.name)]);
  return [...all].slice(0, MOST_UNITS);
}

function percent(share: number): string {
  return `${Number((share * 100).toPrecision(2))} %`;
}

function ms(milliseconds: number): string {
  return `${milliseconds.toFixed(0)} ms`;
}
