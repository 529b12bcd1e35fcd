/** Which alerts a match, a silence or another alert speaks of. Pure. */
import { type Alert, allLabels, isFiring, type Labels } from "./alert.ts";
import type { Alerts, Match } from "./alerts.ts";

export function matches(match: Match, labels: Labels): boolean {
  return Object.entries(match).every(([name, values]) => values.includes(labels[name] ?? ""));
}

/** A time in which nobody is told of some alerts. One that begins later is a maintenance window. */
export interface Silence {
  readonly id: string;
  readonly match: Match;
  /** Milliseconds since 1970. */
  readonly from: number;
  readonly until: number;
  readonly reason: string;
  readonly by: string;
  readonly at: number;
}

export function silenceOf(alert: Alert, silences: readonly Silence[], now: number): Silence | undefined {
  const labels = allLabels(alert);
  return silences.find(({ match, from, until }) => from <= now && now < until && matches(match, labels));
}

/** Labels that say what an alert is about; those that a rule adds say whose it is. */
const ABOUT = ["unit", "route", "service", "limit", "gateway", "plan"];

/**
 * Alert → the one that it is quiet for. A cause that is silenced itself still keeps its effects quiet.
 *
 * Two alerts belong together where what both are about is the same: a dead unit speaks for its breakers, and not for those
 * of other units.
 */
export function inhibitions(alerts: readonly Alert[], rules: Alerts["rules"]): Map<string, Alert> {
  const found = new Map<string, Alert>();
  const firing = Map.groupBy(alerts.filter(isFiring), ({ rule }) => rule);
  for (const { name, inhibits } of rules) {
    const causes = firing.get(name) ?? [];
    for (const rule of inhibits) {
      const effects = firing.get(rule) ?? [];
      const shared = sharedLabels(causes, effects);
      // By value, so that a thousand times a thousand are not compared.
      const byKey = new Map(causes.map((cause) => [keyOf(cause.labels, shared), cause]));
      for (const effect of effects) {
        const cause = byKey.get(keyOf(effect.labels, shared));
        if (cause !== undefined && !found.has(effect.id)) found.set(effect.id, cause);
      }
    }
  }
  return found;
}

/** Alerts of one rule have labels of the same names. */
function sharedLabels([cause]: readonly Alert[], [effect]: readonly Alert[]): string[] {
  if (cause === undefined || effect === undefined) return [];
  return ABOUT.filter((name) => Object.hasOwn(cause.labels, name) && Object.hasOwn(effect.labels, name));
}

const keyOf = (labels: Labels, names: readonly string[]): string =>
  JSON.stringify(names.map((name) => labels[name]));
