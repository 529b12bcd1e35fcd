/** The tables of the overload benchmark, and its verdict. */
import Table from "cli-table3";
import { type Figure, isBlurred, isMissed, missedOf, type Outcome, show } from "./outcome.ts";

/** One table; all outcomes have the same figures. */
export function tableOf(outcomes: readonly Outcome[]): string {
  const names = outcomes[0]!.figures.map((f) => f.name);
  const table = new Table({
    head: ["case", "protection", ...names, "lag"],
    style: { head: [], border: [] },
    colAligns: ["left", "left", ...names.map(() => "right" as const), "right"],
    wordWrap: true,
  });
  for (const outcome of outcomes) {
    const cells = outcome.figures.map((f) => (outcome.protect && isMissed(f) ? `${show(f)} !` : show(f)));
    const lag = `${outcome.lag.toFixed(0)} ms${isBlurred(outcome) ? " ?" : ""}`;
    table.push([outcome.case, outcome.protect ? "on" : "off", ...cells, lag]);
  }
  return table.toString();
}

/** What was promised and did not hold, a line each. */
export function verdictOf(outcomes: readonly Outcome[]): string[] {
  return outcomes.flatMap((outcome) => {
    const blurred = isBlurred(outcome) ? " (the generator lagged: measure again)" : "";
    return missedOf(outcome).map(
      (f) =>
        `${outcome.scenario}, ${outcome.case}: ${f.name} is ${show(f)}, promised ${promise(f)}${blurred}`,
    );
  });
}

function promise(figure: Figure): string {
  if (figure.least !== undefined) return `at least ${show({ ...figure, value: figure.least })}`;
  return `at most ${show({ ...figure, value: figure.most! })}`;
}
