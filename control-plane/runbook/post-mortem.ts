/** An execution's record for people: what happened, when, by whom, with the figures of each moment. */
import { eachStep } from "../../model/plan-step.ts";
import type { Execution, TimelineEntry } from "./execution.ts";

export function markdownOf(execution: Execution): string {
  const { id, plan, values, reason, owner, at, endedAt, state, says, steps, runs, timeline, proof } =
    execution;
  const took = endedAt === undefined ? "it has not ended" : `${((endedAt - at) / 1000).toFixed(1)} s`;
  const given = Object.entries(values).map(([name, value]) => `${name}=${value}`);
  const lines = [
    `# ${plan.name} ${id}: ${state}`,
    "",
    `${plan.summary}`,
    "",
    `- Run by ${owner.name} at ${time(at)}: ${reason}`,
    `- With ${given.length === 0 ? "no parameters" : given.join(", ")}`,
    `- Took: ${took}${says === undefined ? "" : `; ${says}`}`,
    ...(proof === undefined
      ? []
      : [`- Reverted; ${proof.effective === proof.without ? "exactly" : "NOT exactly"}`]),
    "",
    "## Steps",
    "",
    "| step | what | state | took | says |",
    "|---|---|---|---|---|",
    ...[...eachStep(steps)].map(({ path, title }) => {
      const run = runs[path];
      const seconds = run?.until === undefined ? "" : `${((run.until - run.since) / 1000).toFixed(1)} s`;
      return `| ${path} | ${cell(title)} | ${run?.state ?? "not begun"} | ${seconds} | ${cell(run?.says ?? "")} |`;
    }),
    "",
    "## Timeline",
    "",
    "| when | who | step | what | requests per second | errors |",
    "|---|---|---|---|---|---|",
    ...timeline.map(row),
    "",
    "## What went well",
    "",
    "## What did not",
    "",
    "## What we change",
    "",
  ];
  return lines.join("\n");
}

function row({ at, by, step, what, figures }: TimelineEntry): string {
  const rps = Object.entries(figures?.rps ?? {}).map(([unit, value]) => `${unit} ${value}`);
  const errors = figures?.errors ?? null;
  const share = errors === null ? (figures === undefined ? "" : "no data") : `${(errors * 100).toFixed(2)} %`;
  return `| ${time(at)} | ${cell(by)} | ${step ?? ""} | ${cell(what)} | ${rps.join(", ")} | ${share} |`;
}

function time(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}

/** In a table, a bar and a line break would be markup. */
function cell(text: string): string {
  return text.replace(/[\r\n]+/g, " ").replaceAll("|", "\\|");
}
