/** A run as a page that stands alone. Pure: what is on it is what was handed in. */
import { CHART_STYLE, escaped, type Line, lineChart } from "./line-chart.ts";
import { answersText, ms, percent, type RunResult } from "./run-result.ts";

export function reportPage(result: RunResult): string {
  const { scenario, title, slots, units, rules, passed, asked, dropped } = result;
  const middle = (from: number, to: number): number => (from + to) / 2;
  const line = (
    name: string,
    colour: string,
    of: (slot: RunResult["slots"][number]) => number | null,
  ): Line => ({
    name,
    colour,
    points: slots.map((slot) => [middle(slot.from, slot.to), slot.asked === 0 ? null : of(slot)]),
  });
  const bound = p99Bound(result);
  const charts = [
    lineChart({
      title: "Requests per second",
      unit: "/s",
      lines: [
        line("asked", "#1565c0", ({ asked: n, from, to }) => n / (to - from)),
        line(
          "answered well",
          "#2e7d32",
          ({ asked: n, success, from, to }) => (n * (success ?? 0)) / (to - from),
        ),
      ],
    }),
    lineChart({
      title: "Answers take",
      unit: "ms",
      lines: [
        line("p50", "#00838f", ({ p50 }) => p50),
        line("p95", "#6a1b9a", ({ p95 }) => p95),
        line("p99", "#ef6c00", ({ p99 }) => p99),
      ],
      ...(bound === undefined ? {} : { bound }),
    }),
    lineChart({
      title: "Answered well",
      unit: "%",
      lines: [line("success", "#2e7d32", ({ success }) => (success ?? 0) * 100)],
      to: 100,
    }),
  ];
  const unitRows = units.map((unit) => [
    unit.unit,
    `${unit.asked}`,
    percent(unit.success),
    ms(unit.p50),
    ms(unit.p95),
    ms(unit.p99),
    ms(unit.max),
  ]);
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>${escaped(`${scenario}: ${title}`)}</title>
<style>:root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;max-width:760px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.3rem;margin:0}table{border-collapse:collapse;margin:1rem 0}td,th{padding:.2rem .8rem .2rem 0;text-align:right}
td:first-child,th:first-child{text-align:left}.passed{color:#2e7d32}.failed{color:#c62828}
${CHART_STYLE}</style></head><body>
<h1>${escaped(title)}</h1>
<p>${escaped(scenario)}: <strong class="${passed ? "passed" : "failed"}">${passed ? "passed" : "failed"}</strong>,
${asked} requests in ${result.seconds.toFixed(1)} s, ${percent(result.success)} answered well${
    dropped > 0 ? `; ${dropped} could not be made` : ""
  }</p>
${charts.join("\n")}
${table(["unit", "requests", "answered well", "p50", "p95", "p99", "slowest"], unitRows)}
<p>Answers: ${escaped(answersText(result))}</p>
${table(
  ["what had to hold", "", ""],
  rules.map(({ metric, rule, holds }) => [metric, rule, holds ? "holds" : "MISSED"]),
)}
</body></html>
`;
}

function p99Bound({ rules }: RunResult): number | undefined {
  for (const { rule } of rules) {
    const bound = /^p\(99\)<=?(\d+(?:\.\d+)?)$/.exec(rule)?.[1];
    if (bound !== undefined) return Number(bound);
  }
  return undefined;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return "";
  const cells = (tag: string, row: readonly string[]): string =>
    `<tr>${row.map((cell) => `<${tag}>${escaped(cell)}</${tag}>`).join("")}</tr>`;
  return `<table>${cells("th", head)}${rows.map((row) => cells("td", row)).join("")}</table>`;
}
