/** `tidegate validate`: everything that is wrong with a directory of YAML, in one go. */
import { statSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { readConfigDir } from "../host/config-dir.ts";
import type { Config } from "../model/config.ts";
import { formatProblem, type Problem } from "../model/problem.ts";

export function registerValidate(program: Command): void {
  program
    .command("validate")
    .description("check a directory of YAML, and report all problems at once")
    .argument("<dir>", "directory with fleet.yaml and routes.yaml")
    .option("--json", "print { valid, problems } to standard output")
    .addHelpText(
      "after",
      `
Prints one problem per line as file:line:column: code: what is wrong, what was expected.
Exits with 0 when the configuration can be applied (warnings allowed), 1 when it cannot, 2 for a wrong command line.

Examples:
  tidegate validate configs/demo
  tidegate validate configs/demo --json | jq '.problems[].code'`,
    )
    .action((dir: string, options: { json?: boolean }) => {
      process.exitCode = validate(dir, options.json ?? false);
    });
}

function validate(dir: string, json: boolean): number {
  if (!statSync(dir, { throwIfNoEntry: false })?.isDirectory()) {
    process.stderr.write(`tidegate validate: there is no directory ${dir}\n`);
    return 2;
  }
  const { config, problems } = readConfigDir(dir);
  // With the directory in front, terminals and editors make links of them.
  const placed = problems.map((problem) => ({ ...problem, file: join(dir, problem.file) }));
  if (json) {
    process.stdout.write(`${JSON.stringify({ valid: config !== undefined, problems: placed }, null, 2)}\n`);
  } else {
    const lines = placed.map(formatProblem);
    lines.push(
      `${dir}: ${config === undefined ? `invalid: ${counts(problems)}` : `valid: ${summary(config, problems)}`}`,
    );
    process.stderr.write(`${lines.join("\n")}\n`);
  }
  return config === undefined ? 1 : 0;
}

function summary({ fleet, routes }: Config, problems: readonly Problem[]): string {
  const parts = [
    count(fleet.units.length, "unit"),
    count(fleet.placement.slots, "slot"),
    count(fleet.services.length, "service"),
    count(routes.length, "route"),
  ];
  if (problems.length > 0) parts.push(counts(problems));
  return parts.join(", ");
}

function counts(problems: readonly Problem[]): string {
  const errors = problems.filter((problem) => problem.severity === "error").length;
  const warnings = problems.length - errors;
  const parts = errors > 0 ? [count(errors, "error")] : [];
  if (warnings > 0) parts.push(count(warnings, "warning"));
  return parts.join(", ");
}

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}
