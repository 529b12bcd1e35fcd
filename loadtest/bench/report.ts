/** The benchmark's table, its ratios, and whether the figures that were promised hold. */
import Table from "cli-table3";
import type { Run } from "./load.ts";

export interface Measured extends Run {
  readonly peer: string;
  readonly case: string;
  readonly connections: number;
  readonly round: number;
}

const OURS = "tidegate";

/** Tidegate's CPU per small GET may be at most this share of the peer's. */
const PROMISES: Readonly<Record<string, number>> = { "@fastify/http-proxy": 0.55, caddy: 0.75 };

export function report(
  measured: readonly Measured[],
  versions: readonly string[],
  missing: readonly { name: string; why: string }[],
): string {
  const out = [`peers: ${versions.join(", ")}`];
  for (const { name, why } of missing) out.push(`missing: ${name}: ${why}`);
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
        peer === OURS ? "" : (ratio(rows, peer)?.toFixed(2) ?? ""),
        errors === 0 ? "0" : `${errors} ERRORS`,
      ]);
    }
  }
  out.push(
    table.toString(),
    "CPU is the proxy's own, all its threads; medians of the rounds, ratios of the rounds' ratios.",
  );
  for (const [peer, most] of Object.entries(PROMISES)) {
    for (const many of new Set(measured.map((m) => m.connections))) {
      const rows = measured.filter((m) => m.case === "small GET" && m.connections === many);
      const found = ratio(rows, peer);
      const verdict =
        found === undefined ? "not measured" : `${found.toFixed(2)} ${found <= most ? "held" : "MISSED"}`;
      out.push(`small GET, ${many} connections, CPU ≤ ${most} × ${peer}: ${verdict}`);
    }
  }
  return out.join("\n");
}

function groups(measured: readonly Measured[]): [string, number][] {
  const seen = new Map<string, [string, number]>();
  for (const m of measured) seen.set(`${m.case} ${m.connections}`, [m.case, m.connections]);
  return [...seen.values()];
}

/** Median over the rounds of our CPU ÷ the peer's in the same round. */
function ratio(rows: readonly Measured[], peer: string): number | undefined {
  const ratios: number[] = [];
  for (const theirs of rows.filter((m) => m.peer === peer)) {
    const ours = rows.find((m) => m.peer === OURS && m.round === theirs.round);
    if (ours !== undefined) ratios.push(ours.cpuMicros / theirs.cpuMicros);
  }
  return ratios.length === 0 ? undefined : median(ratios);
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
