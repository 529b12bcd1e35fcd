/** Alerts to messages: who is quiet for what, which groups have something to say, and to whom. */
import type { Alert } from "../../model/alerts/alert.ts";
import { isFiring } from "../../model/alerts/alert.ts";
import type { Alerts } from "../../model/alerts/alerts.ts";
import { begun, groupsOf, type Member, turn } from "../../model/alerts/grouping.ts";
import { inhibitions, type Silence, silenceOf } from "../../model/alerts/matching.ts";
import type { Book, Changes } from "./book.ts";
import { enqueue } from "./outbox.ts";

export interface Quiet {
  /** Alert → the silence that it falls under. */
  readonly silenced: ReadonlyMap<string, Silence>;
  /** Alert → the one that it is quiet for. */
  readonly inhibited: ReadonlyMap<string, Alert>;
}

export function quietOf(
  known: readonly Alert[],
  silences: readonly Silence[],
  { rules }: Pick<Alerts, "rules">,
  now: number,
): Quiet {
  const silenced = new Map<string, Silence>();
  for (const alert of known) {
    const silence = silences.length === 0 ? undefined : silenceOf(alert, silences, now);
    if (silence !== undefined) silenced.set(alert.id, silence);
  }
  return { silenced, inhibited: inhibitions(known, rules) };
}

/** Messages are stored with what they speak of, and sent afterwards. */
export function notify(changes: Changes, book: Book, alerts: Alerts, quiet: Quiet, now: number): void {
  const members: Member[] = [...book.table("alert").values()]
    .flatMap((alert) => {
      if (alert.phase.state !== "pending") return [alert];
      // It may fire again; what ended before is told all the same.
      return alert.phase.last === undefined ? [] : [{ ...alert, phase: alert.phase.last }];
    })
    .map((alert) => ({ alert, muted: quiet.silenced.has(alert.id) || quiet.inhibited.has(alert.id) }));
  const groups = groupsOf(members, alerts.notify);
  const table = book.table("alert-group");
  for (const [id, { route, labels, members: own }] of groups) {
    const before = table.get(id);
    if (before === undefined && !own.some(({ alert, muted }) => isFiring(alert) && !muted)) continue;
    const group = before ?? begun(id, labels);
    const { group: next, message, to } = turn(group, own, route, now);
    if (next === undefined) changes.delete("alert-group", id);
    else if (message !== undefined || (before !== undefined && next !== before)) {
      changes.put("alert-group", id, next);
    }
    if (message === undefined) continue;
    changes.put("alert-message", message.id, message);
    for (const channel of new Set(to)) enqueue(changes, book, message.id, channel, now);
  }
  // Their route is written otherwise now, or all of their alerts are forgotten.
  for (const id of [...table.keys()]) if (!groups.has(id)) changes.delete("alert-group", id);
}
