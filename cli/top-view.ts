/** What `tidegate top` draws. Pure: the same fleet gives the same lines. */
import { clean } from "./tables.ts";
import type { Alert } from "../model/alerts/alert.ts";
import {
  type FedFigure,
  type FedUnit,
  type FleetNow,
  stateOf,
  type UnitState,
} from "../control-plane/fleet-now.ts";

export type SortKey = "worst" | "rate" | "name";

export interface TopState {
  readonly fleet: FleetNow | undefined;
  /** Rates of late by unit, the oldest first. */
  readonly history: ReadonlyMap<string, readonly number[]>;
  readonly alerts: readonly TopAlert[];
  readonly executions: readonly TopExecution[];
  /** Why it is not live; undefined: it is. */
  readonly lost: string | undefined;
  readonly sort: SortKey;
  readonly columns: number;
  readonly rows: number;
  readonly paint: (colour: Colour, text: string) => string;
}

export type Colour = "red" | "green" | "yellow" | "dim" | "bold";

export interface TopAlert extends Pick<Alert, "rule" | "severity" | "summary"> {
  readonly state: string;
  readonly ack: { readonly by: string } | null;
}

export interface TopExecution {
  readonly id: string;
  readonly plan: string;
  readonly state: string;
  readonly says?: string;
}

/** The worst first. */
const ORDER: readonly UnitState[] = ["down", "busy", "fenced", "draining", "unknown", "drained", "well"];
const COLOURS: Readonly<Record<UnitState, Colour>> = {
  ...{ down: "red", busy: "yellow", fenced: "yellow", draining: "yellow" },
  ...{ unknown: "dim", drained: "dim", well: "green" },
};
const STEPS = "▁▂▃▄▅▆▇█";
/** Cells of the course of a rate. */
export const COURSE = 20;
const WIDTHS = [12, 10, 9, 8, COURSE, 9, 9, 8] as const;
/** Lines of alerts and of executions that are shown at most. */
const FEW = 5;

export function topView(state: TopState): string {
  const { fleet, paint, lost } = state;
  if (fleet === undefined) return lost ?? "waiting for the control plane …";
  const head = headLines(fleet, state);
  const foot = footLines(state);
  const units = [...fleet.units].sort(orderOf(state.sort));
  const room = Math.max(1, state.rows - head.length - foot.length - 2);
  const shown = units.length <= room ? units : units.slice(0, room - 1);
  const titles = ["unit", "state", "req/s", "of cap.", "the last 20 s", "success", "p99", "inflight"];
  const table = [
    paint("dim", titles.map((title, i) => cell(title, i)).join(" ")),
    ...shown.map((unit) => unitLine(unit, state)),
    ...(shown.length < units.length ? [paint("dim", `and ${units.length - shown.length} more units`)] : []),
  ];
  return [...head, "", ...table, ...foot].join("\n");
}

function headLines(
  { fleet, revision, leads, total, gateways, units }: FleetNow,
  { lost, paint, sort }: TopState,
): string[] {
  const live = gateways.filter((one) => one.live).length;
  const refusing = gateways.filter((one) => one.refused !== null).length;
  const down = units.filter(({ healthy, drain }) => healthy === false && drain === null).length;
  const word = lost === undefined ? paint("green", "live") : paint("red", lost);
  return [
    `${paint("bold", fleet ?? "no configuration yet")}  revision ${revision ?? "–"}  ` +
      `${leads ? "leader" : "follower"}  ${word}  ${paint("dim", `sorted by ${sort}; w r n sort, q quits`)}`,
    `${figureText(total)}  gateways ${live} of ${gateways.length}` +
      `${refusing > 0 ? `  ${paint("red", `${refusing} refuse the newest`)}` : ""}` +
      `${down > 0 ? `  ${paint("red", `${down} of ${units.length} units down`)}` : `  ${units.length} units`}`,
  ];
}

function figureText(figure: FedFigure | null): string {
  if (figure === null) return "no data";
  return `${rate(figure.rps)} req/s  success ${percent(figure.successShare)}  p50 ${milliseconds(figure.p50)}  p99 ${milliseconds(figure.p99)}`;
}

function unitLine(unit: FedUnit, { history, paint }: TopState): string {
  const state = stateOf(unit);
  const { figure, capacity, drained } = unit;
  const word = state === "draining" ? `drains ${percent(drained)}` : state === "unknown" ? "no data" : state;
  const cells = [
    cell(`${unit.unit}${unit.center ? "*" : ""}`, 0),
    paint(COLOURS[state], cell(word, 1)),
    cell(rate(unit.rate), 2),
    cell(capacity === null || unit.rate === null ? "–" : percent(unit.rate / capacity), 3),
    cell(course(history.get(unit.unit) ?? []), 4),
    cell(percent(figure?.successShare), 5),
    cell(milliseconds(figure?.p99), 6),
    cell(unit.inflight === null ? "–" : `${unit.inflight}`, 7),
  ];
  return cells.join(" ");
}

function footLines({ fleet, alerts, executions, paint }: TopState): string[] {
  const flows = (fleet?.flows ?? []).map(
    ({ from, to, share, cause }) => `${from} → ${to} ${percent(share)} (${cause})`,
  );
  const firing = alerts.filter(({ state }) => state === "firing");
  return [
    ...(flows.length === 0
      ? []
      : ["", `${paint("dim", "goes elsewhere")}  ${flows.slice(0, FEW).join("   ")}`]),
    ...listed("alert", firing, ({ rule, severity, summary, ack }) => {
      const colour = severity === "critical" && ack === null ? "red" : "yellow";
      return `${paint(colour, `${severity} ${clean(rule)}`)}  ${clean(summary)}${ack === null ? "" : paint("dim", `  ${clean(ack.by)} looks after it`)}`;
    }),
    ...listed("execution", executions, ({ id, plan, state, says }) => {
      const colour = state === "held" ? "red" : "bold";
      return `${paint(colour, `${id} ${clean(plan)} ${state}`)}${says === undefined ? "" : `  ${clean(says)}`}`;
    }),
  ];
}

function listed<T>(what: string, all: readonly T[], line: (one: T) => string): string[] {
  if (all.length === 0) return [];
  const more = all.length > FEW ? [`and ${all.length - FEW} more ${what}s`] : [];
  return ["", ...all.slice(0, FEW).map(line), ...more];
}

function orderOf(sort: SortKey): (a: FedUnit, b: FedUnit) => number {
  const byName = (a: FedUnit, b: FedUnit): number => (a.unit < b.unit ? -1 : 1);
  if (sort === "name") return byName;
  if (sort === "rate") return (a, b) => (b.rate ?? -1) - (a.rate ?? -1) || byName(a, b);
  return (a, b) => ORDER.indexOf(stateOf(a)) - ORDER.indexOf(stateOf(b)) || byName(a, b);
}

/** Pure. The course of a figure, its highest value full. */
export function course(values: readonly number[]): string {
  const most = Math.max(...values, 0);
  return values
    .slice(-COURSE)
    .map((value) => STEPS[most === 0 ? 0 : Math.min(7, Math.floor((value / most) * 7.99))])
    .join("")
    .padStart(COURSE);
}

function cell(text: string, column: number): string {
  const width = WIDTHS[column]!;
  const cut = text.length > width ? `${text.slice(0, width - 1)}…` : text;
  return column === 0 || column === 1 ? cut.padEnd(width) : cut.padStart(width);
}

function rate(value: number | null | undefined): string {
  if (value === null || value === undefined) return "–";
  return value < 10 ? value.toFixed(1) : `${Math.round(value)}`;
}

function percent(share: number | null | undefined): string {
  if (share === null || share === undefined) return "–";
  // What is not all is never shown as all.
  const shown = Math.floor(share * 10_000) / 100;
  return `${shown >= 99.99 && share < 1 ? "99.99" : Number(shown.toFixed(2))} %`;
}

function milliseconds(value: number | null | undefined): string {
  if (value === null || value === undefined) return "–";
  return value < 10 ? `${value.toFixed(1)} ms` : `${Math.round(value)} ms`;
}
