/** Fields of a written step: their parameters filled in, and read as what they are. */
import * as quantity from "./configuration/quantity.ts";
import { type Expression, parseExpression } from "./figure-expression.ts";
import type { WrittenStep } from "./plan.ts";
import type { SlotRange } from "./slots.ts";

/** @param field the field of the step that it is about */
export type StepReport = (step: WrittenStep, field: string, code: string, message: string) => void;

const PARAMETER = /\$\{([^${}]*)\}/g;

interface Bounds {
  readonly least?: number;
  readonly most?: number;
}

export class StepFields {
  readonly #step: WrittenStep;
  readonly #values: ReadonlyMap<string, string>;
  readonly #report: StepReport;

  constructor(step: WrittenStep, values: ReadonlyMap<string, string>, report: StepReport) {
    this.#step = step;
    this.#values = values;
    this.#report = report;
  }

  has(field: string): boolean {
    return this.#step[field] !== undefined;
  }

  problem(field: string, code: string, message: string): void {
    this.#report(this.#step, field, code, message);
  }

  /** Empty when it is not given. */
  text(field: string): string {
    const written = this.#step[field];
    if (typeof written !== "string") return "";
    return written.replace(PARAMETER, (_, name: string) => {
      const value = this.#values.get(name.trim());
      if (value === undefined) {
        const message = `\`\${${name}}\` is no parameter of this plan; expected one of its parameters`;
        this.problem(field, "unknown-parameter", message);
      }
      return value ?? "";
    });
  }

  /** One name or more, with commas between them. */
  names(field: string): string[] {
    const names = this.text(field)
      .split(",")
      .map((name) => name.trim())
      .filter((name) => name !== "");
    return [...new Set(names)];
  }

  word<const W extends string>(field: string, words: readonly W[], otherwise: W): W {
    if (!this.has(field)) return otherwise;
    const text = this.text(field);
    const word = words.find((one) => one === text);
    if (word === undefined) this.#unfit(field, text, `one of ${words.join(", ")}`);
    return word ?? otherwise;
  }

  /** Milliseconds. */
  duration<D extends number | undefined>(
    field: string,
    otherwise: D,
    most = 31 * 24 * 3_600_000,
  ): number | D {
    return this.#quantity(
      field,
      otherwise,
      quantity.parseDuration,
      { least: 0, most },
      "a duration such as 10s",
    );
  }

  rate<D extends number | undefined>(field: string, otherwise: D): number | D {
    return this.#quantity(field, otherwise, quantity.parseRate, { least: 0.001 }, "a rate such as 500/s");
  }

  /** 0 to 1. */
  share<D extends number | undefined>(field: string, otherwise: D, most = 1): number | D {
    const expected = most === 1 ? "a percentage such as 10%" : "a percentage such as 50% or 150%";
    return this.#quantity(field, otherwise, quantity.parsePercentage, { least: 0, most }, expected);
  }

  count<D extends number | undefined>(field: string, otherwise: D, least: number, most: number): number | D {
    const parse = (text: string): number | undefined => (/^\d{1,9}$/.test(text) ? Number(text) : undefined);
    return this.#quantity(
      field,
      otherwise,
      parse,
      { least, most },
      `a whole number from ${least} to ${most}`,
    );
  }

  flag(field: string): boolean {
    return this.word(field, ["true", "false"], "false") === "true";
  }

  slots(field: string): SlotRange[] {
    const text = this.text(field);
    const ranges = quantity.parseSlotRanges(text);
    if (ranges === undefined) this.#unfit(field, text, "slots such as 0-99,120");
    return ranges ?? [];
  }

  expression(field: string): Expression {
    const expression = parseExpression(this.text(field));
    if (typeof expression !== "string") return expression;
    this.problem(field, "invalid-condition", expression);
    return [];
  }

  #quantity<D extends number | undefined>(
    field: string,
    otherwise: D,
    parse: (text: string) => number | undefined,
    { least = 0, most = Number.MAX_SAFE_INTEGER }: Bounds,
    expected: string,
  ): number | D {
    if (!this.has(field)) return otherwise;
    const text = this.text(field);
    const value = parse(text);
    if (value !== undefined && value >= least && value <= most) return value;
    this.#unfit(field, text, value === undefined ? expected : `${expected}, within its bounds`);
    return otherwise;
  }

  #unfit(field: string, text: string, expected: string): void {
    this.problem(field, "invalid-value", `\`${field}\` is \`${text}\`; expected ${expected}`);
  }
}
