/**
 * Conditions over what is measured, such as `errors{unit=sh} < 1% and p99{route=cart} < 200ms`.
 *
 * `and` binds closer than `or`; there are no brackets, because nobody reads them well at three in the morning. What is not
 * known is neither true nor false, and a condition that rests on it is not known either.
 */
import { parseDuration, parsePercentage, parseRate } from "./configuration/quantity.ts";

const FIGURES = ["rps", "errors", "success", "p50", "p95", "p99"] as const;
const STATES = ["healthy", "serving", "gateways", "behind", "answer"] as const;
export const METRICS = [...FIGURES, ...STATES] as const;
export type Metric = (typeof METRICS)[number];
type Operator = "<" | "<=" | ">" | ">=" | "==" | "!=";

/** Labels that a metric is told apart by, and those that it needs. */
const LABELS: Readonly<Record<Metric, readonly [allowed: readonly string[], needed: readonly string[]]>> = {
  ...(Object.fromEntries(
    FIGURES.map((name) => [name, [["route", "unit", "version"], []]]),
  ) as unknown as Record<(typeof FIGURES)[number], [string[], string[]]>),
  healthy: [["unit"], ["unit"]],
  serving: [[], []],
  gateways: [[], []],
  behind: [[], []],
  answer: [
    ["step", "field"],
    ["step", "field"],
  ],
};

export interface Comparison {
  readonly metric: Metric;
  readonly labels: Readonly<Record<string, string>>;
  readonly operator: Operator;
  /** Shares from 0 to 1, milliseconds, requests per second, or a bare number. */
  readonly value: number;
  /** As it was written. */
  readonly text: string;
}

/** Any of these, each of which is all of those. */
export type Expression = readonly (readonly Comparison[])[];

/** What was seen of one comparison. */
export interface Sight {
  readonly text: string;
  /** Undefined: nobody knows. */
  readonly value: number | undefined;
  readonly holds: boolean | undefined;
}

export interface Evaluation {
  readonly holds: boolean | undefined;
  readonly seen: readonly Sight[];
}

const COMPARISON = /^([a-z0-9]+)\s*(?:\{([^{}]*)\})?\s*(<=|>=|==|!=|<|>)\s*(\S+)$/;

/** @returns what is wrong, as a text, where it cannot be understood */
export function parseExpression(text: string): Expression | string {
  const any: Comparison[][] = [];
  for (const alternative of text.split(/\s+or\s+/)) {
    const all: Comparison[] = [];
    for (const part of alternative.split(/\s+and\s+/)) {
      const comparison = parseComparison(part.trim());
      if (typeof comparison === "string") return comparison;
      all.push(comparison);
    }
    any.push(all);
  }
  return any;
}

function parseComparison(text: string): Comparison | string {
  const [, metric, labelText, operator, number] = COMPARISON.exec(text) ?? [];
  if (metric === undefined) {
    return `\`${text}\` is no comparison; expected one such as errors{unit=sh} < 1%`;
  }
  const known = METRICS.find((name) => name === metric);
  if (known === undefined) return `there is no metric ${metric}; expected one of ${METRICS.join(", ")}`;
  const labels: Record<string, string> = {};
  const [allowed, needed] = LABELS[known];
  for (const pair of (labelText ?? "").split(",").filter((part) => part.trim() !== "")) {
    const [name, value, ...more] = pair.split("=").map((part) => part.trim());
    if (name === undefined || value === undefined || value === "" || more.length > 0) {
      return `\`${pair.trim()}\` is no label; expected one such as unit=sh`;
    }
    if (!allowed.includes(name)) {
      return `${known} has no label ${name}; expected ${allowed.length === 0 ? "none" : allowed.join(", ")}`;
    }
    labels[name] = value;
  }
  const missing = needed.find((name) => labels[name] === undefined);
  if (missing !== undefined) return `${known} needs the label ${missing}, such as ${known}{${missing}=…}`;
  const value = parseNumber(number!);
  if (value === undefined) return `\`${number}\` is no number; expected one such as 1%, 200ms, 500rps or 3`;
  return { metric: known, labels, operator: operator as Operator, value, text };
}

function parseNumber(text: string): number | undefined {
  if (/^-?\d{1,15}(\.\d{1,9})?$/.test(text)) return Number(text);
  return parsePercentage(text) ?? parseDuration(text) ?? parseRate(text);
}

/** @param read what is known of a comparison's metric; undefined where nobody knows */
export function evaluate(
  expression: Expression,
  read: (comparison: Comparison) => number | undefined,
): Evaluation {
  const seen: Sight[] = [];
  let any: boolean | undefined = false;
  for (const all of expression) {
    let holds: boolean | undefined = true;
    for (const comparison of all) {
      const value = read(comparison);
      const one = value === undefined ? undefined : compare(value, comparison);
      seen.push({ text: comparison.text, value, holds: one });
      if (one === false) holds = false;
      else if (one === undefined && holds === true) holds = undefined;
    }
    if (holds === true) any = true;
    else if (holds === undefined && any === false) any = undefined;
  }
  return { holds: any, seen };
}

function compare(value: number, { operator, value: bound }: Comparison): boolean {
  switch (operator) {
    case "<":
      return value < bound;
    case "<=":
      return value <= bound;
    case ">":
      return value > bound;
    case ">=":
      return value >= bound;
    case "==":
      return value === bound;
    case "!=":
      return value !== bound;
  }
}

/** For people: `errors{unit=sh} < 1% (is 0.4 %)`. */
export function describeEvaluation({ seen }: Evaluation): string {
  return seen
    .map(
      ({ text, value }) =>
        `${text} (${value === undefined ? "no data" : `is ${Number(value.toPrecision(4))}`})`,
    )
    .join("; ");
}
