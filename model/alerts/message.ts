/** What one message says, whoever it is sent to: plain data, of which each channel makes its own form. Pure. */
import { type Alert, allLabels, type Labels, type PlanRun, type SuggestedPlan } from "./alert.ts";
import { SEVERITIES, type Severity } from "./alerts.ts";
import { fill, oneLine } from "./template.ts";

export type MessageKind = "news" | "reminder" | "escalation" | "test";

export interface ToldAlert {
  readonly id: string;
  readonly rule: string;
  readonly severity: Severity;
  readonly labels: Labels;
  readonly summary: string;
  readonly seen: string;
  readonly firedAt: number;
  /** Missing: it fires. */
  readonly resolvedAt?: number;
  readonly plan?: SuggestedPlan;
  readonly run?: PlanRun;
}

export interface Message {
  /** The same for the same message, however often it is sent. */
  readonly id: string;
  readonly kind: MessageKind;
  readonly group: string;
  readonly labels: Labels;
  /** Milliseconds since 1970. */
  readonly at: number;
  /** The worst first; what began or ended since the message before, and for a reminder everything. */
  readonly firing: readonly ToldAlert[];
  readonly resolved: readonly ToldAlert[];
  /** Of all; more than are listed where there are too many. */
  readonly counts: { readonly firing: number; readonly resolved: number; readonly active: number };
}

/** Alerts that one message lists, and those that a text shows. */
export const MOST_TOLD = 500;
const MOST_LINES = 20;

export function told({ id, rule, severity, labels, summary, seen, phase, plan, run }: Alert): ToldAlert {
  const firedAt = phase.state === "pending" ? phase.since : phase.firedAt;
  return {
    ...{ id, rule, severity, labels, summary, seen, firedAt },
    ...(phase.state === "resolved" ? { resolvedAt: phase.resolvedAt } : {}),
    ...(plan === undefined ? {} : { plan }),
    ...(run === undefined ? {} : { run }),
  };
}

export function worstFirst<T extends Pick<Alert, "severity" | "id">>(alerts: readonly T[]): T[] {
  const rank = ({ severity }: T): number => SEVERITIES.indexOf(severity);
  return alerts.toSorted((a, b) => rank(a) - rank(b) || (a.id < b.id ? -1 : 1));
}

/** `3 firing, critical: unit-down`. */
export function titleOf({ kind, firing, resolved, counts }: Message): string {
  const [worst] = firing;
  const what = [...new Set([...firing, ...resolved].map(({ rule }) => rule))];
  const rules =
    what.length > 3 ? `${what.slice(0, 3).join(", ")} and ${what.length - 3} more` : what.join(", ");
  const prefix = kind === "news" ? "" : `${kind}: `;
  if (kind === "test") return `test: ${rules}`;
  if (worst === undefined) return oneLine(`${prefix}${counts.resolved} resolved: ${rules}`);
  return oneLine(`${prefix}${counts.firing} firing, ${worst.severity}: ${rules}`);
}

/**
 * The lines of a text, each of one line.
 *
 * @param line how an alert is said; undefined: the usual way
 */
export function linesOf({ firing, resolved, counts }: Message, line: string | undefined): string[] {
  const shown = [...firing, ...resolved].slice(0, MOST_LINES);
  const left = counts.firing + counts.resolved - shown.length;
  const others = counts.active - counts.firing;
  return [
    ...shown.map((alert) => (line === undefined ? usual(alert) : oneLine(fill(line, valuesOf(alert)), 500))),
    ...(left > 0 ? [`and ${left} more`] : []),
    ...(others > 0 ? [`${others} more of them fire on`] : []),
  ];
}

function usual({ severity, rule, labels, summary, seen, resolvedAt, plan, run }: ToldAlert): string {
  const state = resolvedAt === undefined ? severity : "resolved";
  const names = Object.entries(labels).map(([name, value]) => `${name}=${value}`);
  const of = names.length === 0 ? "" : ` {${names.join(", ")}}`;
  const more = seen === "" || summary.includes(seen) ? "" : ` (${seen})`;
  const now = resolvedAt === undefined ? `${suggestion(plan, run)}` : "";
  return oneLine(`${state} ${rule}${of}: ${summary}${more}${now}`, 500);
}

function suggestion(plan: SuggestedPlan | undefined, run: PlanRun | undefined): string {
  if (plan === undefined) return "";
  if (run?.state === "started") return `; plan ${plan.name} runs as ${run.execution}`;
  const sets = Object.entries(plan.values).map(([name, value]) => ` --set ${name}=${value}`);
  const refused = run?.state === "refused" ? `; plan ${plan.name} was not run: ${run.says}` : "";
  return `${refused}; suggested: tidegate plan dry-run ${plan.name}${sets.join("")}`;
}

/** What a channel's own line may name. */
export function valuesOf(alert: ToldAlert): Labels {
  const { id, severity, rule, summary, seen, resolvedAt } = alert;
  const state = resolvedAt === undefined ? "firing" : "resolved";
  return { ...allLabels({ rule, severity, labels: alert.labels }), id, summary, seen, state };
}
