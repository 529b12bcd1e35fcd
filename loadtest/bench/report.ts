/** The benchmark's table, its ratios, and whether the figures that were promised hold. */
import Table from "cli-table3";
import type { Run } from "./load.ts";

export interface Measured extends Run {
  readonly peer: string;
  readonly case: string;
  readonly connections: number;
  readonly round: number;
}

export interface Missing {
  readonly name: string;
  readonly why: string;
}

export const OURS = "tidegate";
export const UNPROTECTED = "tidegate-unprotected";
export const PROTECTED = "tidegate-protected";

/** The same, where nothing is counted or recorded; with spans of 1 %; and with a collector that is not there. */
export const BARE = "tidegate-bare";
export const SEEN = "tidegate-traced";
export const SEEN_ALONE = "tidegate-traced-alone";

/** Metrics, the error ring and spans of 1 % together may cost this much more than none of them. */
const MOST_SEEING = 1.08;

/** Limits, breakers and the adaptive limit together may cost this much more than none of them. */
const MOST_PROTECTION = 1.15;

/** Promised for the small GET, on the route of any unit and on the sharded one. */
const PROMISED_CASES = ["small GET", "small GET, sharded"];

/** Tidegate's CPU per small GET may be at most this share of the peer's. */
const PROMISES: Readonly<Record<string, number>> = { "@fastify/http-proxy": 0.55, caddy: 0.75 };

export function report(
  measured: readonly Measured[],
  versions: readonly string[],
  missing: readonly Missing[],
): string {
  const out = [versions.join(", ")];
  const table = new Table({
    head: [
      "case",
      "conn",
      "peer",
      "CPU µs/request",
      "requests/s",
      "p50 ms",
      "p99 ms",
      "tidegate ÷ peer",
      "errors",
    ],
    style: { head: [], border: [] },
    colAligns: ["left", "right", "left", "right", "right", "right", "right", "right", "right"],
  });
  for (const [what, many] of groups(measured)) {
    const rows = measured.filter((m) => m.case === what && m.connections === many);
    for (const peer of new Set(rows.map((m) => m.peer))) {
      const runs = rows.filter((m) => m.peer === peer);
      const errors = runs.reduce((sum, m) => sum + m.errors, 0);
      table.push([
        what,
        many,
        peer,
        median(runs.map((m) => m.cpuMicros)).toFixed(1),
        Math.round(median(runs.map((m) => m.perSecond))),
        median(runs.map((m) => m.p50)).toFixed(2),
        median(runs.map((m) => m.p99)).toFixed(2),
        peer === OURS ? "" : (ratio(rows, OURS, peer)?.toFixed(2) ?? ""),
        errors === 0 ? "0" : `${errors} ERRORS`,
      ]);
    }
  }
  for (const { name, why } of missing) {
    table.push(["", "", name, { content: `missing: ${why.replace(/\s+/g, " ").slice(0, 120)}`, colSpan: 6 }]);
  }
  out.push(
    table.toString(),
    "CPU is the proxy's own, all its threads; medians of the rounds, and of the ratios within each round.",
  );
  const others = measured.map((m) => m.others * 100);
  if (others.length > 0) {
    const most = Math.max(...others).toFixed(0);
    out.push(
      `Others used ${median(others).toFixed(0)} % of the proxies' core (at most ${most} %): near 0 is quiet.`,
    );
  }
  for (const [peer, most] of Object.entries(PROMISES)) {
    for (const [what, many] of groups(measured).filter(([name]) => PROMISED_CASES.includes(name))) {
      const found = ratio(
        measured.filter((m) => m.case === what && m.connections === many),
        OURS,
        peer,
      );
      out.push(`CPU ≤ ${most} × ${peer}, ${what}, ${many} connections: ${verdict(found, most)}`);
    }
  }
  for (const [what, many] of groups(measured)) {
    const rows = measured.filter((m) => m.case === what && m.connections === many);
    const found = verdict(ratio(rows, PROTECTED, UNPROTECTED), MOST_PROTECTION);
    out.push(`all protection ≤ ${MOST_PROTECTION} × none, ${what}, ${many} connections: ${found}`);
    for (const [seen, words] of [
      [SEEN, "metrics, error ring and spans of 1 %"],
      [SEEN_ALONE, "the same without its collector"],
    ] as const) {
      const cost = verdict(ratio(rows, seen, BARE), MOST_SEEING);
      out.push(`${words} ≤ ${MOST_SEEING} × none, ${what}, ${many} connections: ${cost}`);
    }
  }
  return out.join("\n");
}

function verdict(found: number | undefined, most: number): string {
  return found === undefined ? "not measured" : `${found.toFixed(2)} ${found <= most ? "PASS" : "MISSED"}`;
}

function groups(measured: readonly Measured[]): [string, number][] {
  const seen = new Map<string, [string, number]>();
  for (const m of measured) seen.set(`${m.case} ${m.connections}`, [m.case, m.connections]);
  return [...seen.values()];
}

/** Median over the rounds of one's CPU ÷ the other's in the same round. */
function ratio(rows: readonly Measured[], one: string, other: string): number | undefined {
  const ratios: number[] = [];
  for (const theirs of rows.filter((m) => m.peer === other)) {
    const ours = rows.find((m) => m.peer === one && m.round === theirs.round);
    if (ours !== undefined) ratios.push(ours.cpuMicros / theirs.cpuMicros);
  }
  return ratios.length === 0 ? undefined : median(ratios);
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
