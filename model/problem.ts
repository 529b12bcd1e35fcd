/**
 * One thing wrong in a configuration file.
 *
 * Problems are collected, never thrown one by one: a person who fixes a file at three in the morning
 * wants the whole list at once.
 */
export interface Problem {
  /** Stable code, kebab-case, for scripts and for the page docs/configuration-problems.md. */
  readonly code: string;
  /** An error refuses the configuration; a warning is printed and the configuration is applied. */
  readonly severity: "error" | "warning";
  /** File name relative to the configuration directory, e.g. `fleet.yaml`. */
  readonly file: string;
  /** 1-based. */
  readonly line: number;
  /** 1-based. */
  readonly column: number;
  /** What is wrong, then what was expected. One sentence, no trailing newline. */
  readonly message: string;
}

/** `fleet.yaml:7:9: unknown-unit: what is wrong …` — the form editors and CI systems link to. */
export function formatProblem(problem: Problem): string {
  const kind = problem.severity === "warning" ? "warning: " : "";
  return `${problem.file}:${problem.line}:${problem.column}: ${kind}${problem.code}: ${problem.message}`;
}
