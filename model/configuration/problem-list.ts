import type { Problem } from "../problem.ts";

/** A broken generator can write a million wrong lines; nobody reads more than this many of either severity. */
const MOST = 1000;

/** Collects what is wrong, over all files. */
export class ProblemList {
  readonly #kept: Record<Problem["severity"], Problem[]> = { error: [], warning: [] };
  readonly #leftOut: Record<Problem["severity"], number> = { error: 0, warning: 0 };

  /** `problem` is only called while there is room, so that a costly message costs nothing when nobody reads it. */
  add(severity: Problem["severity"], problem: () => Omit<Problem, "severity">): void {
    const kept = this.#kept[severity];
    if (kept.length < MOST) kept.push({ severity, ...problem() });
    else this.#leftOut[severity]++;
  }

  get hasErrors(): boolean {
    return this.#kept.error.length > 0;
  }

  /** By file, line and column. */
  sorted(): Problem[] {
    const all = [...this.#kept.error, ...this.#kept.warning];
    all.sort((a, b) => compareText(a.file, b.file) || a.line - b.line || a.column - b.column);
    for (const severity of ["error", "warning"] as const) {
      const count = this.#leftOut[severity];
      const last = all.at(-1);
      if (count === 0 || last === undefined) continue;
      const { file, line, column } = last;
      const message = `${count} more ${severity}s are not shown; the first ${MOST} are above`;
      all.push({ code: "too-many-problems", severity, file, line, column, message });
    }
    return all;
  }
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
