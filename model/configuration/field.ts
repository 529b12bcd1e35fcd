/** The vocabulary of the file schemas: each function is one kind of value. */
import Type, { type TSchema, type TUnsafe } from "typebox";
import { EXPECTED, KEY, NOUN, oneOf, PARSE, Refusal } from "./draft.ts";
import * as quantity from "./quantity.ts";
import { didYouMean } from "./suggestion.ts";
import type { YamlScalar } from "./yaml-file.ts";

type Parsed<T> = T | Refusal | undefined;

interface Leaf<T> {
  /** JSON Schema keywords. */
  readonly json: object;
  readonly expected: string;
  /** Undefined says only "expected …". */
  readonly parse: (scalar: YamlScalar) => Parsed<T>;
}

function leaf<T>(description: string | undefined, { json, expected, parse }: Leaf<T>): TUnsafe<T> {
  const described = description === undefined ? {} : { description };
  return Type.Unsafe<T>({ ...json, ...described, [EXPECTED]: expected, [PARSE]: parse } as never);
}

export const NAME_PATTERN = "^[a-z0-9][a-z0-9._-]{0,62}$";
const NAME = new RegExp(NAME_PATTERN);
const NAME_EXPECTED =
  "up to 63 lower-case letters, digits, `.`, `_` and `-`, beginning with a letter or digit";

/** A key of a map of units, services, … */
function checkName(name: string): Refusal | undefined {
  // Names are keys of plain objects further on, and `constructor` is the one word that fits and every object has.
  if (name === "constructor") return new Refusal("invalid-name", "is reserved; expected another name");
  return NAME.test(name) ? undefined : new Refusal("invalid-name", `is no name; expected ${NAME_EXPECTED}`);
}

/** The name of a thing, as a value. */
export function name(description: string): TUnsafe<string> {
  return leaf(description, {
    json: { type: "string", pattern: NAME_PATTERN },
    expected: "a name",
    parse(scalar) {
      if (typeof scalar.value !== "string") return needsQuotes(scalar);
      const refusal = checkName(scalar.value);
      return refusal === undefined
        ? scalar.value
        : new Refusal(refusal.code, refusal.because.replace(/^is no name; /, "").replace(/^is/, "it is"));
    },
  });
}

/** The name of a thing that stands elsewhere; whether it does is checked later. */
export function reference(noun: string, description?: string): TUnsafe<string> {
  return leaf(description, {
    json: { type: "string" },
    expected: `the name of a ${noun}`,
    parse: (scalar) => (typeof scalar.value === "string" ? scalar.value : needsQuotes(scalar)),
  });
}

interface TextOptions {
  readonly expected?: string;
  readonly pattern?: RegExp;
  readonly code?: string;
  /** Numbers are taken as they are written. */
  readonly numbers?: boolean;
  readonly most?: number;
}

export function text(description: string | undefined, options: TextOptions = {}): TUnsafe<string> {
  const { expected = "a text", pattern, code = "invalid-text", numbers = false, most = 4096 } = options;
  return leaf(description, {
    json: {
      type: numbers ? ["string", "number"] : "string",
      ...(pattern === undefined ? {} : { pattern: pattern.source }),
    },
    expected,
    parse(scalar) {
      const isNumber = typeof scalar.value === "number";
      if (typeof scalar.value !== "string" && !(numbers && isNumber)) return needsQuotes(scalar);
      if (scalar.text.length > most)
        return new Refusal("out-of-range", `expected at most ${most} characters`);
      if (pattern !== undefined && !pattern.test(scalar.text))
        return new Refusal(code, `expected ${expected}`);
      return scalar.text;
    },
  });
}

/** Whatever stands on one line, as it is written. */
export function plain(description: string, most = 4096): TUnsafe<string> {
  return leaf(description, {
    json: { type: ["string", "number", "boolean"] },
    expected: "a value",
    parse: (scalar) => {
      if (scalar.value === null) return undefined;
      return scalar.text.length <= most
        ? scalar.text
        : new Refusal("out-of-range", `expected at most ${most} characters`);
    },
  });
}

function needsQuotes(scalar: YamlScalar): Refusal | undefined {
  if (scalar.value === null) return undefined;
  return new Refusal(
    "wrong-type",
    `YAML reads it as a ${typeof scalar.value}; put it in quotes to make it a text`,
  );
}

/** A field name of HTTP, a cookie's name: RFC 9110 §5.6.2 `token`. */
export const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$/;

export function headerName(description: string): TUnsafe<string> {
  return leaf(description, {
    json: { type: "string", pattern: TOKEN.source },
    expected: "a header's name",
    parse: (scalar) =>
      typeof scalar.value === "string" && TOKEN.test(scalar.value)
        ? scalar.value.toLowerCase()
        : new Refusal("invalid-header", "expected a header's name such as x-user-id"),
  });
}

/** One of a few words. Words made of digits may be written as numbers. */
export function word<const W extends string>(
  description: string | undefined,
  words: readonly W[],
): TUnsafe<W> {
  const numbers = words.filter((w) => /^\d+$/.test(w)).map(Number);
  return leaf<W>(description, {
    json: { enum: [...words, ...numbers] },
    expected: oneOf(words),
    parse: (scalar) =>
      words.find((w) => w === scalar.text) ??
      new Refusal("unknown-word", `expected ${oneOf(words)}${didYouMean(scalar.text, words)}`),
  });
}

export function boolean(description: string): TUnsafe<boolean> {
  return leaf(description, {
    json: { type: "boolean" },
    expected: "true or false",
    parse: (scalar) => (typeof scalar.value === "boolean" ? scalar.value : undefined),
  });
}

/** The word `true`, where nothing else makes sense. */
export function present(description: string): TUnsafe<true> {
  return leaf(description, {
    json: { const: true },
    expected: "true",
    parse: (scalar) => (scalar.value === true ? (true as const) : undefined),
  });
}

interface Bounds {
  readonly min: number;
  readonly max: number;
  /** Follows "expected …, ": why a value outside hurts. */
  readonly why?: string;
}

function bounded(value: number, { min, max, why }: Bounds, format: (n: number) => string): number | Refusal {
  if (value >= min && value <= max) return value;
  const reason = why === undefined ? "" : `, ${why}`;
  return new Refusal("out-of-range", `expected ${format(min)} to ${format(max)}${reason}`);
}

export function integer(description: string, bounds: Bounds): TUnsafe<number> {
  return leaf(description, {
    json: { type: "integer", minimum: bounds.min, maximum: bounds.max },
    expected: `a whole number from ${bounds.min} to ${bounds.max}`,
    parse: ({ value }) =>
      typeof value === "number" && Number.isInteger(value) ? bounded(value, bounds, String) : undefined,
  });
}

const DECIMAL = /^-?\d{1,15}(\.\d{1,15})?(e-?\d{1,2})?$/;

/** Any number. */
export function decimal(description: string): TUnsafe<number> {
  return leaf(description, {
    json: { type: "number" },
    expected: "a number",
    parse(scalar) {
      return DECIMAL.test(scalar.text)
        ? Number(scalar.text)
        : new Refusal("invalid-number", "expected a number");
    },
  });
}

export const HOUR = 3_600_000;
const DURATION_EXPECTED = "a duration such as 500ms, 2s or 5m";

export function duration(description: string, bounds: Partial<Bounds> = {}): TUnsafe<number> {
  return leaf(description, {
    json: { type: "string", pattern: quantity.DURATION_PATTERN },
    expected: DURATION_EXPECTED,
    parse(scalar) {
      const value = quantity.parseDuration(scalar.text);
      if (value === undefined) return new Refusal("invalid-duration", `expected ${DURATION_EXPECTED}`);
      return bounded(value, { min: 1, max: HOUR, ...bounds }, quantity.formatDuration);
    },
  });
}

const RATE_EXPECTED = "a rate such as 50/s, 3000/m or 20000rps";
const MOST_PER_SECOND = 1e9;

/** Per second. */
export function rate(description: string): TUnsafe<number> {
  return leaf(description, {
    json: { type: "string", pattern: quantity.RATE_PATTERN },
    expected: RATE_EXPECTED,
    parse(scalar) {
      const value = quantity.parseRate(scalar.text);
      if (value === undefined) return new Refusal("invalid-rate", `expected ${RATE_EXPECTED}`);
      if (value > 0 && value <= MOST_PER_SECOND) return value;
      return new Refusal("out-of-range", `expected a rate above 0 and up to ${MOST_PER_SECOND}/s`);
    },
  });
}

const PERCENTAGE_EXPECTED = "a percentage such as 20%";

/** 0 to 1. */
export function percentage(description: string, bounds: Partial<Bounds> = {}): TUnsafe<number> {
  return leaf(description, {
    json: { type: "string", pattern: quantity.PERCENTAGE_PATTERN },
    expected: PERCENTAGE_EXPECTED,
    parse(scalar) {
      const value = quantity.parsePercentage(scalar.text);
      if (value === undefined) return new Refusal("invalid-percentage", `expected ${PERCENTAGE_EXPECTED}`);
      return bounded(value, { min: 0, max: 1, ...bounds }, (share) => `${share * 100}%`);
    },
  });
}

const SIZE_EXPECTED = "a size such as 64KiB, 1MiB, 10GB or a number of bytes";

/** Bytes. */
export function size(description: string, bounds: Bounds): TUnsafe<number> {
  return leaf(description, {
    json: {
      anyOf: [
        { type: "string", pattern: quantity.SIZE_PATTERN },
        { type: "integer", minimum: bounds.min, maximum: bounds.max },
      ],
    },
    expected: SIZE_EXPECTED,
    parse({ value, text }) {
      const bytes = typeof value === "number" && Number.isInteger(value) ? value : quantity.parseSize(text);
      if (bytes === undefined) return new Refusal("invalid-size", `expected ${SIZE_EXPECTED}`);
      return bounded(bytes, bounds, quantity.formatSize);
    },
  });
}

/** A status `200` or a range `200-299`, as an inclusive range. */
export function statusRange(description?: string): TUnsafe<readonly [number, number]> {
  return leaf<readonly [number, number]>(description, {
    json: {
      anyOf: [
        { type: "integer", minimum: 100, maximum: 599 },
        { type: "string", pattern: "^[1-5]\\d\\d(-[1-5]\\d\\d)?$" },
      ],
    },
    expected: "a status such as 200 or a range such as 200-299",
    parse(scalar) {
      const match = /^([1-5]\d\d)(?:-([1-5]\d\d))?$/.exec(scalar.text);
      const first = Number(match?.[1]);
      const last = Number(match?.[2] ?? match?.[1]);
      return match !== null && first <= last
        ? [first, last]
        : new Refusal("invalid-status", "expected a status such as 200 or a range such as 200-299");
    },
  });
}

/** Text or number; parsed where the number of slots is known. */
export function slotRanges(): TUnsafe<string> {
  const expected = "slots such as 0-409, or 0-9,20,30-40";
  return leaf(undefined, {
    json: {
      anyOf: [
        { type: "integer", minimum: 0 },
        { type: "string", pattern: "^[\\d\\s,-]+$" },
      ],
    },
    expected,
    parse: (scalar) =>
      quantity.parseSlotRanges(scalar.text) === undefined
        ? new Refusal("invalid-slots", `expected ${expected}`)
        : scalar.text,
  });
}

/** A map with the given fields and no others. `noun` has its article: "a route". */
export function map<P extends Record<string, TSchema>>(noun: string, description: string, fields: P) {
  const options = {
    additionalProperties: false,
    description,
    [NOUN]: noun,
    [EXPECTED]: /^an? /.test(noun) ? `a map (${noun})` : "a map with its fields",
  };
  return Type.Object(fields, options as never);
}

/** A map from names to values. */
export function named<V extends TSchema>(noun: string, description: string, values: V) {
  const options = {
    additionalProperties: false,
    description,
    [EXPECTED]: `a map from the name of each ${noun} to its fields`,
    [KEY]: checkName,
  };
  return Type.Record(Type.String({ pattern: NAME_PATTERN }), values, options as never);
}

/** A map whose keys `checkKey` judges. */
export function keyed<V extends TSchema>(
  description: string,
  expected: string,
  values: V,
  checkKey?: (key: string) => Refusal | undefined,
) {
  const options = { description, [EXPECTED]: expected, [KEY]: checkKey };
  return Type.Record(Type.String(), values, options as never);
}

export function list<V extends TSchema>(description: string, expected: string, items: V, minItems = 0) {
  const options = { description, [EXPECTED]: expected, ...(minItems > 0 ? { minItems } : {}) };
  return Type.Array(items, options as never);
}

/** One of several kinds of value, told apart by being a scalar, a list or a map. */
export function either<const A extends TSchema[]>(
  description: string,
  expected: string,
  alternatives: [...A],
) {
  return Type.Union(alternatives, { description, [EXPECTED]: expected } as never);
}
