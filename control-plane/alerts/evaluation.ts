/** Rules against the facts: which alerts begin, go on and end. What changes is written; what was only seen is kept in memory. */
import { type Alert, alertId, isFiring, type Labels, type SuggestedPlan } from "../../model/alerts/alert.ts";
import type { AlertRule, Alerts } from "../../model/alerts/alerts.ts";
import type { Facts } from "../../model/alerts/facts.ts";
import { type Observation, observe } from "../../model/alerts/observe.ts";
import { advance, type Phase } from "../../model/alerts/phase.ts";
import { fill, oneLine } from "../../model/alerts/template.ts";
import type { Watch } from "../../model/alerts/watch.ts";
import type { Config } from "../../model/config.ts";
import type { Book, Changes } from "./book.ts";

/** Alerts that are known at once. */
export const MOST_ALERTS = 5_000;
/** What has to hold as long as this (ms) is not begun anew by a restart. */
const WORTH_WRITING = 10_000;
/** Events of one look; more are told as a number. */
const MOST_EVENTS = 50;

/** What was seen last, for whoever looks: not stored. */
export interface Seen {
  readonly says: string;
  readonly holds: boolean | undefined;
}

export interface Evaluated {
  /** Alert → what was seen last. */
  readonly seen: ReadonlyMap<string, Seen>;
  /** Alerts that found no place. */
  readonly left: number;
}

/** @param watches of each rule */
export function evaluateRules(
  changes: Changes,
  book: Book,
  alerts: Alerts,
  watches: ReadonlyMap<string, readonly Watch[]>,
  config: Config,
  facts: Facts,
): Evaluated {
  const table = book.table("alert");
  const byRule = Map.groupBy(
    [...table.values()].filter(({ source }) => source === "rule"),
    ({ rule }) => rule,
  );
  const seen = new Map<string, Seen>();
  const turned: Alert[] = [];
  let left = 0;
  const set = (alert: Alert, before: Phase | undefined, hold: number): void => {
    const isWritten = alert.phase.state !== "pending" || hold >= WORTH_WRITING;
    if (before?.state !== alert.phase.state && isWritten) changes.put("alert", alert.id, alert);
    else table.set(alert.id, alert);
    const { state } = alert.phase;
    if (state !== before?.state && (state === "firing" || before?.state === "firing")) turned.push(alert);
  };
  /** What was pending for a moment was never written. */
  const drop = ({ id }: Alert, hold: number): void => {
    if (hold >= WORTH_WRITING) changes.delete("alert", id);
    else table.delete(id);
  };
  for (const rule of alerts.rules) {
    const { seen: found, others } = observe(rule, watches.get(rule.name) ?? [], facts);
    const unseen = new Map((byRule.get(rule.name) ?? []).map((alert) => [alert.id, alert]));
    for (const one of found) {
      const labels = { ...rule.labels, ...one.labels };
      const id = alertId(rule.name, labels);
      const before = unseen.get(id);
      unseen.delete(id);
      const phase = advance(before?.phase, one.holds, rule, facts.now);
      if (phase !== undefined || one.holds === undefined) seen.set(id, { says: one.says, holds: one.holds });
      if (phase === undefined) {
        if (before !== undefined) drop(before, rule.hold);
      } else if (before === undefined && table.size >= MOST_ALERTS) left++;
      else set(next(before, phase, id, rule, labels, one, config), before?.phase, rule.hold);
    }
    for (const alert of unseen.values()) {
      const phase = advance(alert.phase, others, rule, facts.now);
      seen.set(alert.id, { says: others === undefined ? "no data" : alert.seen, holds: others });
      if (phase === undefined) drop(alert, rule.hold);
      else if (phase !== alert.phase) set({ ...alert, phase }, alert.phase, rule.hold);
    }
    byRule.delete(rule.name);
  }
  // Of rules that are gone nobody asks any more.
  for (const alert of [...byRule.values()].flat()) {
    const phase = advance(alert.phase, false, { hold: 0, keepFiring: 0, onNoData: "ok" }, facts.now);
    if (phase === undefined) drop(alert, WORTH_WRITING);
    else if (phase !== alert.phase) set({ ...alert, phase }, alert.phase, 0);
  }
  tell(changes, turned, facts.now);
  return { seen, left };
}

export function tell(changes: Changes, turned: readonly Alert[], now: number): void {
  for (const { id, rule, labels, severity, phase, summary } of turned.slice(0, MOST_EVENTS)) {
    const body = JSON.stringify({ alert: id, rule, state: phase.state, severity, labels, summary });
    changes.events.push({ at: now, type: "alert", body });
  }
  if (turned.length <= MOST_EVENTS) return;
  const firing = turned.filter(isFiring).length;
  const body = JSON.stringify({ firing, resolved: turned.length - firing, listed: MOST_EVENTS });
  changes.events.push({ at: now, type: "alerts", body });
}

function next(
  before: Alert | undefined,
  phase: Phase,
  id: string,
  rule: AlertRule,
  labels: Labels,
  { holds, says }: Observation,
  config: Config,
): Alert {
  const seen = holds === false && before !== undefined ? before.seen : oneLine(says);
  const begins = phase.state === "firing" && before?.phase.state !== "firing";
  if (before !== undefined && !begins && before.phase.state === phase.state && before.seen === seen) {
    return before.phase === phase ? before : { ...before, phase };
  }
  if (before !== undefined && !begins && before.phase.state === "firing") return { ...before, phase, seen };
  const { name, severity, summary } = rule;
  const values = { ...labels, rule: name, severity, id, seen, state: phase.state };
  const plan = planOf(rule, labels, config);
  const ran = before?.run?.state === "started" ? before.run : before?.ran;
  const run = begins && rule.run && plan !== undefined;
  return {
    ...{ id, rule: name, labels, severity, source: "rule", phase, seen },
    summary: oneLine(summary === undefined ? says : fill(summary, values)),
    ...(plan === undefined ? {} : { plan }),
    ...(ran === undefined ? {} : { ran }),
    ...(run && phase.state === "firing" ? { run: { state: "wanted", at: phase.firedAt } } : {}),
  };
}

/** The rule's own, or one that says of itself that this alert suggests it. */
function planOf(
  { name: rule, plan }: AlertRule,
  labels: Labels,
  { plans = [] }: Config,
): SuggestedPlan | undefined {
  if (plan !== undefined) {
    const values = Object.entries(plan.values).map(([key, text]) => [key, fill(text, labels)]);
    return { name: plan.name, values: Object.fromEntries(values) };
  }
  const suggested = plans.find(({ trigger }) => trigger.alerts.includes(rule));
  if (suggested === undefined) return undefined;
  const values = suggested.parameters.flatMap(({ name }) =>
    Object.hasOwn(labels, name) ? [[name, labels[name]!]] : [],
  );
  return { name: suggested.name, values: Object.fromEntries(values) };
}
