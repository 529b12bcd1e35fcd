/** A forecast's check as tables for people, on a terminal and on a page. */
import { endOf, type Forecast, formatTime } from "../model/forecast/forecast.ts";
import type { ByPriority } from "../model/forecast/by-priority.ts";
import type { Measured } from "../model/forecast/capacities-file.ts";
import type { Outlook } from "../model/forecast/outlook.ts";
import type { Proposal } from "../model/forecast/proposal.ts";
import { chartOf, escaped } from "./forecast-chart.ts";
import { paint, table } from "./tables.ts";

export interface Check {
  readonly holds: boolean;
  /** Whether it has to hold with any one unit lost. */
  readonly losing: "one" | "none";
  /** Where the forecast came from. */
  readonly source: string;
  readonly fleet: string;
  readonly forecast: Forecast;
  readonly outlook: Outlook;
  readonly proposal: Proposal;
  readonly measured: ReadonlyMap<string, Measured>;
  /** Routes of the fleet that the forecast does not know. */
  readonly unknown: readonly string[];
  readonly assumed: readonly string[];
}

interface Section {
  readonly title: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** Rows that are bad news. */
  readonly bad: ReadonlySet<number>;
}

/** What people read; JSON has the rest. */
const MOST_ROWS = 40;

export function textOf(check: Check): string {
  const lines = [headline(check)];
  for (const { title, head, rows, bad } of sectionsOf(check)) {
    const shown = rows
      .slice(0, MOST_ROWS)
      .map((row, i) => (bad.has(i) ? row.map((cell) => paint("red", cell)) : row));
    lines.push("", paint("bold", title), table(head, shown));
    if (rows.length > MOST_ROWS) lines.push(`and ${rows.length - MOST_ROWS} more; --json has them all`);
  }
  lines.push("", ...notesOf(check).map((note) => paint("dim", note)), verdictText(check));
  return lines.join("\n");
}

/** A page that needs nothing beside itself. */
export function pageOf(check: Check): string {
  const title = `${check.fleet}: ${check.source}`;
  const sections = sectionsOf(check).map(({ title: caption, head, rows, bad }) => {
    const cells = (row: readonly string[]): string =>
      row
        .map((cell, i) => (i === 0 ? `<th scope="row">${escaped(cell)}</th>` : `<td>${escaped(cell)}</td>`))
        .join("");
    const body = rows.map((row, i) => `<tr${bad.has(i) ? ' class="bad"' : ""}>${cells(row)}</tr>`).join("\n");
    const heads = head.map((cell) => `<th scope="col">${escaped(cell)}</th>`).join("");
    return `<h2>${escaped(caption)}</h2><div class="wide"><table><thead><tr>${heads}</tr></thead><tbody>\n${body}\n</tbody></table></div>`;
  });
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark"><title>${escaped(title)}</title>
<style>body{font:15px/1.5 system-ui,sans-serif;max-width:1000px;margin:2rem auto;padding:0 1rem;background:#fff;color:#1b1f24}
.wide{overflow-x:auto}table{border-collapse:collapse}th,td{padding:.25rem .8rem .25rem 0;text-align:left;border-bottom:1px solid #d0d7de;white-space:nowrap}
.bad th,.bad td,.verdict.bad{color:#b31d28}.bad th::before{content:"! "}svg{width:100%;height:auto}
@media(prefers-color-scheme:dark){body{background:#0d1117;color:#e6edf3}th,td{border-color:#30363d}.bad th,.bad td,.verdict.bad{color:#ff7b72}}</style></head>
<body><main><h1>${escaped(title)}</h1><p>${escaped(headline(check))}</p>
<p class="verdict${check.holds ? "" : " bad"}"><strong>${escaped(verdict(check))}</strong></p>
${chartOf(check.forecast, check.outlook, title)}
${sections.join("\n")}
<h2>Taken for granted</h2><ul>${notesOf(check)
    .map((note) => `<li>${escaped(note)}</li>`)
    .join("")}</ul></main></body></html>
`;
}

function headline({ source, forecast, outlook }: Check): string {
  const { times, zone, routes } = forecast;
  const span = `${formatTime(times[0]!, zone)} to ${formatTime(endOf(forecast, times.length - 1), zone)}`;
  const { peak, capacity } = outlook;
  const bears = capacity === undefined ? "" : `; the fleet bears ${rate(capacity)}`;
  return `${source}: ${span}, ${Object.keys(routes).length} routes; the most is ${rate(peak.rps)} at ${formatTime(peak.at, zone)}${bears}`;
}

function verdict({ outlook, holds, losing }: Check): string {
  const { stretches, limits, losses } = outlook;
  if (holds) return losing === "one" ? "it holds, with any one unit lost, too" : "it holds";
  const because: string[] = [];
  const minutes = stretches.reduce((sum, { from, to }) => sum + (to - from) / 60_000, 0);
  if (minutes > 0) because.push(`for ${minutes} minute${minutes === 1 ? "" : "s"} it does not fit`);
  for (const { limit } of limits.filter(({ refuses }) => refuses))
    because.push(`limit ${limit} refuses what is expected`);
  const shedding = losses.filter(({ shed }) => Object.keys(shed).length > 0).map(({ unit }) => unit);
  if (losing === "one" && shedding.length > 0) because.push(`something is shed without ${names(shedding)}`);
  return `it does not hold: ${because.join("; ")}`;
}

function verdictText(check: Check): string {
  return paint(check.holds ? "green" : "red", verdict(check));
}

function sectionsOf(check: Check): Section[] {
  return [unitsSection(check), stretchSection(check), lossSection(check), limitSection(check)].filter(
    ({ rows }) => rows.length > 0,
  );
}

function unitsSection({ forecast, outlook, proposal, measured }: Check): Section {
  const rows = outlook.units.map(({ unit, capacity, peak, headroom }, i) => {
    const when = measured.get(unit)?.date;
    const { slots, proposed } = proposal.units[i]!;
    return [
      unit,
      capacity === undefined ? "not said" : `${rate(capacity)}${when === undefined ? "" : `, of ${when}`}`,
      rate(peak.rps),
      formatTime(peak.at, forecast.zone),
      headroom === undefined ? "nobody knows" : `${(headroom * 100).toFixed(1)} %`,
      `${slots}`,
      proposed === slots ? "the same" : `${proposed}`,
    ];
  });
  const bad = new Set(outlook.units.flatMap(({ headroom }, i) => ((headroom ?? 0) < 0 ? [i] : [])));
  const head = ["unit", "bears", "most asked", "at", "headroom", "slots", "proposed"];
  return { title: "Units at their fullest", head, rows, bad };
}

function stretchSection({ forecast, outlook }: Check): Section {
  const time = (at: number): string => formatTime(at, forecast.zone);
  const rows = outlook.stretches.map(({ from, to, units, worst, shed, failing }) => [
    time(from),
    time(to),
    names(units),
    `${priorities(shed)} at ${time(worst).slice(11, 16)}`,
    failing === 0 ? "nothing" : rate(failing),
  ]);
  const head = ["from", "to", "units", "sheds", "no unit may serve"];
  return { title: "Does not fit", head, rows, bad: new Set(rows.keys()) };
}

function lossSection({ forecast, outlook }: Check): Section {
  const sheds = outlook.losses.map(({ shed }) => Object.keys(shed).length > 0);
  const rows = outlook.losses.map(({ unit, at, shed, where, failing, short }) => [
    unit,
    formatTime(at, forecast.zone),
    priorities(shed),
    where.length === 0 ? "nowhere" : where.map((one) => `${one.unit} ${rate(one.rps)}`).join(", "),
    priorities(failing),
    short === undefined ? "nobody knows" : short === 0 ? "nothing" : rate(short),
  ]);
  const head = ["without", "worst at", "sheds", "where", "fails until its slots move", "too much then"];
  return { title: "With one unit less", head, rows, bad: new Set(rows.keys().filter((i) => sheds[i])) };
}

function limitSection({ forecast, outlook, proposal }: Check): Section {
  const rows = outlook.limits.map(({ limit, rate: own, asked, bucket, at, scope, refuses, lost }) => {
    const proposed = proposal.limits.find((one) => one.limit === limit);
    const judged = scope === "gateway" ? "each gateway has its own" : refuses ? "refuses" : "lets it through";
    const of = bucket === "" ? "" : ` of ${bucket}`;
    const less = lost === undefined ? "" : `; ${rate(lost.asked)} of ${lost.bucket} without ${lost.unit}`;
    const most = `${rate(asked)}${of} at ${formatTime(at, forecast.zone).slice(11, 16)}${less}`;
    return [limit, rate(own), most, judged, proposed === undefined ? "the same" : rate(proposed.rate)];
  });
  const bad = new Set(outlook.limits.flatMap(({ refuses }, i) => (refuses ? [i] : [])));
  return { title: "Limits", head: ["limit", "is", "most asked", "so it", "proposed"], rows, bad };
}

function notesOf({ assumed, unknown, outlook }: Check): string[] {
  const notes = [...assumed];
  if (unknown.length > 0)
    notes.push(`the forecast says nothing of ${names(unknown)}: counted as asked for nothing`);
  if (outlook.degraded > 0) notes.push(`${rate(outlook.degraded)} of the peak are answered by fallbacks`);
  return notes;
}

function priorities(shed: ByPriority): string {
  const parts = Object.entries(shed).map(([priority, rps]) => `${rate(rps)} ${priority}`);
  return parts.length === 0 ? "nothing" : parts.reverse().join(", ");
}

function names(all: readonly string[]): string {
  return all.length > 6 ? `${all.slice(0, 5).join(", ")} and ${all.length - 5} more` : all.join(", ");
}

export function rate(rps: number): string {
  return `${rps < 10 ? Number(rps.toFixed(1)) : Math.round(rps)}/s`;
}
