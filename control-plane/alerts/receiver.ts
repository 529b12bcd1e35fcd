/** Alerts of other systems, as an Alertmanager's webhook brings them (version 4 of its payload). */
import { type Alert, alertId, type Labels } from "../../model/alerts/alert.ts";
import { SEVERITIES, type Severity } from "../../model/alerts/alerts.ts";
import { oneLine } from "../../model/alerts/template.ts";
import type { Book, Changes } from "./book.ts";
import { MOST_ALERTS, tell } from "./evaluation.ts";
import { OWN } from "./forms.ts";

export interface ReceivedAlert {
  readonly status: "firing" | "resolved";
  readonly labels: Labels;
  readonly annotations?: Labels;
  readonly startsAt?: string;
  readonly endsAt?: string;
}

export interface Received {
  readonly taken: number;
  /** Our own, that came back. */
  readonly own: number;
  /** That found no place. */
  readonly left: number;
}

const MOST_LABELS = 30;
const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,62}$/;
/** They have names of their own here, or mean nothing. */
const DROPPED = new Set(["alertname", "severity", "rule", "constructor", "__proto__"]);
const WORDS: Readonly<Record<string, Severity>> = { page: "critical", error: "critical", none: "info" };

/** @param now milliseconds since 1970 that do not jump */
export function receive(
  changes: Changes,
  book: Book,
  alerts: readonly ReceivedAlert[],
  now: number,
): Received {
  const table = book.table("alert");
  const turned: Alert[] = [];
  let [taken, own, left] = [0, 0, 0];
  for (const one of alerts) {
    if (one.labels.source === OWN) {
      own++;
      continue;
    }
    const made = alertOf(one, now);
    const before = table.get(made.id);
    if (one.status === "resolved") {
      if (before?.phase.state === "firing") {
        const { since, firedAt } = before.phase;
        const next: Alert = { ...before, phase: { state: "resolved", since, firedAt, resolvedAt: now } };
        changes.put("alert", made.id, next);
        turned.push(next);
      }
      taken++;
    } else if (before?.phase.state === "firing") {
      const { summary, seen, severity, endsAt } = made;
      const { endsAt: _, ...rest } = before;
      changes.put("alert", made.id, {
        ...{ ...rest, summary, seen, severity, heardAt: now },
        ...(endsAt === undefined ? {} : { endsAt }),
      });
      taken++;
    } else if (before === undefined && table.size >= MOST_ALERTS) left++;
    else {
      changes.put("alert", made.id, made);
      turned.push(made);
      taken++;
    }
  }
  tell(changes, turned, now);
  return { taken, own, left };
}

function alertOf(
  { labels: given, annotations = {}, startsAt = "", endsAt = "" }: ReceivedAlert,
  now: number,
): Alert {
  const labels = Object.fromEntries(
    Object.entries(given)
      .filter(([name]) => NAME.test(name) && !DROPPED.has(name))
      .slice(0, MOST_LABELS)
      .map(([name, value]) => [name, oneLine(value, 200)]),
  );
  const name = oneLine(given.alertname ?? "unnamed", 100);
  const rule = `alertmanager/${name}`;
  const word = (given.severity ?? "").toLowerCase();
  const began = Date.parse(startsAt);
  const ends = Date.parse(endsAt);
  return {
    id: alertId(rule, labels),
    rule,
    labels,
    severity: SEVERITIES.find((one) => one === word) ?? WORDS[word] ?? "warning",
    source: "alertmanager",
    phase: { state: "firing", since: Number.isNaN(began) ? now : Math.min(began, now), firedAt: now },
    summary: oneLine(annotations.summary ?? annotations.message ?? name),
    seen: oneLine(annotations.description ?? ""),
    heardAt: now,
    ...(Number.isNaN(ends) || ends <= now ? {} : { endsAt: ends }),
  };
}
