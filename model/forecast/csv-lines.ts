/** A text that comes in pieces → its lines and their fields, whatever its size; a file of our own has no quotes in it. */
import type { ProblemList } from "../configuration/problem-list.ts";

/** Of one line: a file without line ends is no table. */
const LONGEST_LINE = 1_024;

export interface Field {
  readonly text: string;
  /** 1-based. */
  readonly column: number;
}

export class CsvLines {
  readonly #file: string;
  readonly #head: readonly string[];
  readonly #problems: ProblemList;
  /** @returns false when no more is wanted */
  readonly #take: (fields: readonly Field[], line: number) => boolean;
  #rest = "";
  #line = 0;
  /** Nothing further is looked at. */
  #over = false;
  /** Something was wrong. */
  isBroken = false;

  /** @param head what the first line says, to the letter */
  constructor(
    file: string,
    head: readonly string[],
    problems: ProblemList,
    take: (fields: readonly Field[], line: number) => boolean,
  ) {
    this.#file = file;
    this.#head = head;
    this.#problems = problems;
    this.#take = take;
  }

  get line(): number {
    return this.#line;
  }

  /** @returns false when no more is wanted */
  push(text: string): boolean {
    if (this.#over) return false;
    const whole = this.#rest + text;
    let from = 0;
    for (let end = whole.indexOf("\n"); end !== -1; end = whole.indexOf("\n", from)) {
      this.#read(whole.slice(from, end));
      from = end + 1;
      if (this.#over) return false;
    }
    this.#rest = whole.slice(from);
    if (this.#rest.length > LONGEST_LINE) this.#read(this.#rest);
    return !this.#over;
  }

  end(): void {
    if (!this.#over && this.#rest !== "") this.#read(this.#rest);
    if (this.#line > 0 || this.#over) return;
    const message = `${this.#file} is empty; expected a first line \`${this.#head.join(",")}\``;
    this.problem(1, 1, "empty-file", message);
  }

  problem(line: number, column: number, code: string, message: string): void {
    this.isBroken = true;
    this.#problems.add("error", () => ({ code, file: this.#file, line, column, message }));
  }

  #read(raw: string): void {
    this.#line++;
    let text = raw;
    // Spreadsheets write both, and neither means anything.
    if (this.#line === 1 && text.startsWith("\ufeff")) text = text.slice(1);
    if (text.endsWith("\r")) text = text.slice(0, -1);
    if (text.length > LONGEST_LINE) {
      const message = `the line has more than ${LONGEST_LINE} characters; expected ${this.#head.length} fields`;
      this.problem(this.#line, 1, "wrong-row", message);
      this.#over = true;
      return;
    }
    if (this.#line === 1) {
      if (text === this.#head.join(",")) return;
      const message = `the first line is ${quoted(text)}; expected \`${this.#head.join(",")}\``;
      this.problem(1, 1, "wrong-row", message);
      this.#over = true;
      return;
    }
    if (text === "") {
      this.problem(this.#line, 1, "wrong-row", "the line is empty; expected a row");
      return;
    }
    const fields: Field[] = [];
    let column = 1;
    for (const field of text.split(",")) {
      fields.push({ text: field, column });
      column += field.length + 1;
    }
    if (fields.length !== this.#head.length) {
      const message =
        `the row has ${fields.length} field${fields.length === 1 ? "" : "s"}; ` +
        `expected ${this.#head.length}, with commas between them: ${this.#head.join(",")}`;
      this.problem(this.#line, 1, "wrong-row", message);
      return;
    }
    if (!this.#take(fields, this.#line)) this.#over = true;
  }
}

/** As it stands in a message: short, and on one line. */
export function quoted(text: string): string {
  const shown = text.length > 40 ? `${text.slice(0, 40)}…` : text;
  return `\`${shown.replace(/[\x00-\x1f\x7f-\x9f\u2028\u2029]/g, "?")}\``;
}

const RPS = /^\d{1,10}(\.\d{1,9})?$/;
export const MOST_RPS = 1e9;

/** @returns what is wrong, and what was expected */
export function parseRps(text: string, least = 0): number | string {
  const expected = `expected requests per second, such as 1500 or 0.5, up to ${MOST_RPS}`;
  if (text.startsWith("-") && RPS.test(text.slice(1))) return `${quoted(text)} is negative; ${expected}`;
  if (!RPS.test(text)) return `${quoted(text)} is no number; ${expected}`;
  const rps = Number(text);
  return rps <= MOST_RPS && rps >= least ? rps : `${quoted(text)} is out of range; ${expected}`;
}
