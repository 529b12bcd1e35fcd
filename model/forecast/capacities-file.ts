/** Reads `unit,rps,date`: what units were measured to bear, and when. */
import type { ProblemList } from "../configuration/problem-list.ts";
import { didYouMean } from "../configuration/suggestion.ts";
import { CsvLines, parseRps, quoted } from "./csv-lines.ts";

export interface Measured {
  readonly rps: number;
  /** `2026-10-30`. */
  readonly date: string;
}

const HEAD = ["unit", "rps", "date"] as const;
const MOST_ROWS = 10_000;

/** Unit → its newest measurement. A unit may be there several times, on different days. */
export class CapacitiesFile {
  readonly #lines: CsvLines;
  readonly #units: ReadonlySet<string>;
  readonly #found = new Map<string, Measured>();
  readonly #seen = new Map<string, number>();

  constructor(file: string, problems: ProblemList, units: ReadonlySet<string>) {
    this.#units = units;
    this.#lines = new CsvLines(file, HEAD, problems, (fields, line) => {
      const [unit, rps, date] = fields as [(typeof fields)[0], (typeof fields)[0], (typeof fields)[0]];
      const problem = (column: number, code: string, message: string): void => {
        this.#lines.problem(line, column, code, message);
      };
      if (this.#seen.size >= MOST_ROWS) {
        problem(1, "out-of-range", `there are more than ${MOST_ROWS} rows; expected at most that`);
        return false;
      }
      const rate = parseRps(rps.text, Number.MIN_VALUE);
      if (typeof rate === "string") problem(rps.column, "invalid-rate", rate);
      if (!isDate(date.text)) {
        problem(
          date.column,
          "invalid-time",
          `${quoted(date.text)} is no day; expected one such as 2026-10-30`,
        );
      }
      if (!this.#units.has(unit.text)) {
        const near = didYouMean(unit.text, this.#units);
        const message = `there is no unit ${quoted(unit.text)}${near === "" ? "; expected one of fleet.yaml" : near}`;
        problem(unit.column, "unknown-unit", message);
      }
      const key = `${unit.text} ${date.text}`;
      const other = this.#seen.get(key);
      if (other === undefined) this.#seen.set(key, line);
      else
        problem(
          1,
          "duplicate-row",
          `${quoted(unit.text)} was measured that day on line ${other}, too; expected one row`,
        );
      const known = this.#found.get(unit.text);
      if (typeof rate === "number" && (known === undefined || known.date < date.text)) {
        this.#found.set(unit.text, { rps: rate, date: date.text });
      }
      return true;
    });
  }

  push(text: string): boolean {
    return this.#lines.push(text);
  }

  /** Undefined when something was wrong. */
  end(): ReadonlyMap<string, Measured> | undefined {
    this.#lines.end();
    return this.#lines.isBroken ? undefined : this.#found;
  }
}

function isDate(text: string): boolean {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text)) return false;
  const day = new Date(`${text}T00:00:00Z`);
  return !Number.isNaN(day.getTime()) && day.toISOString().startsWith(text);
}
