/** What is kept for a while and then forgotten, so that nothing of it grows without end. */
import type { Alert } from "../../model/alerts/alert.ts";
import type { Book, Changes } from "./book.ts";
import { isOld } from "./history.ts";

const DAY = 24 * 3_600_000;
/** Alerts that are over stay for so long (ms), and so many of them. */
const RESOLVED_FOR = DAY;
export const MOST_RESOLVED = 500;
/** A group may speak of what is over for so long (ms). */
const STILL_TOLD = 120_000;
/** Deliveries that ended. */
export const MOST_LOGGED = 500;
/** Of other systems, that are not heard of again: their own systems repeat what fires every four hours. */
const FORGOTTEN_AFTER = 5 * 3_600_000;
/** Documents that are deleted in one go. */
const AT_ONCE = 1_000;

export function tidy(changes: Changes, book: Book, now: number): void {
  const over = [...book.table("alert").values()].filter(({ phase }) => phase.state === "resolved");
  const endOf = ({ phase }: Alert): number => (phase.state === "resolved" ? phase.resolvedAt : now);
  const old = over
    .toSorted((a, b) => endOf(b) - endOf(a))
    .filter((alert, i) => now - endOf(alert) > (i < MOST_RESOLVED ? RESOLVED_FOR : STILL_TOLD));
  for (const { id } of old.slice(0, AT_ONCE)) changes.delete("alert", id);
  for (const { id, until } of book.table("silence").values()) {
    if (now - until > DAY) changes.delete("silence", id);
  }
  const ended = [...book.table("alert-delivery").values()].filter(({ state }) => state !== "waiting");
  for (const { id } of ended.toSorted((a, b) => b.at - a.at).slice(MOST_LOGGED, MOST_LOGGED + AT_ONCE)) {
    changes.delete("alert-delivery", id);
  }
  const spoken = new Set([...book.table("alert-delivery").values()].map(({ message }) => message));
  for (const { id, at } of [...book.table("alert-message").values()].slice(0, AT_ONCE)) {
    if (!spoken.has(id) && now - at > STILL_TOLD) changes.delete("alert-message", id);
  }
  for (const cell of book.table("alert-figures").values()) {
    if (isOld(cell, now)) changes.delete("alert-figures", `${cell.at}`);
  }
}

/** What another system said, and did not say again. */
export function endUnheard(changes: Changes, book: Book, now: number): Alert[] {
  const ended: Alert[] = [];
  for (const alert of book.table("alert").values()) {
    const { phase, heardAt = now } = alert;
    if (alert.source !== "alertmanager" || phase.state !== "firing") continue;
    if (now - heardAt < FORGOTTEN_AFTER && (alert.endsAt === undefined || now < alert.endsAt)) continue;
    const { since, firedAt } = phase;
    const next: Alert = { ...alert, phase: { state: "resolved", since, firedAt, resolvedAt: now } };
    changes.put("alert", alert.id, next);
    ended.push(next);
  }
  return ended;
}
