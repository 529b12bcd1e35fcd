/**
 * Reads a YAML tree by a schema: what fits becomes a *draft*, what does not becomes a problem.
 *
 * The schemas are TypeBox types, so one definition gives the JSON Schema for editors, the draft's TypeScript type and
 * the check. The walk is ours and not TypeBox's: it has to point at lines, to speak of fields instead of schema
 * paths, and to carry on after a problem with everything that does fit, so that one run finds all problems.
 */
import type { TSchema } from "typebox";
import type { Problem } from "../problem.ts";
import { didYouMean } from "./suggestion.ts";
import type { YamlFile, YamlList, YamlMap, YamlNode, YamlScalar } from "./yaml-file.ts";

/** What is left of a `T` when everything that did not fit is taken out; maps with free keys keep the file's order. */
export type Draft<T> = T extends readonly [number, number]
  ? T
  : T extends readonly (infer I)[]
    ? readonly Draft<I>[]
    : T extends object
      ? string extends keyof T
        ? ReadonlyMap<string, Draft<T[keyof T]>>
        : { readonly [K in keyof T]?: Draft<T[K]> | undefined }
      : T;

/** Why a scalar does not fit. `because` follows "`field` is `value`; " and ends without a full stop. */
export class Refusal {
  readonly code: string;
  readonly because: string;
  constructor(code: string, because: string) {
    this.code = code;
    this.because = because;
  }
}

// Symbols stay out of JSON, so that the printed schema is plain.
/** On the schema of a scalar: its parser. */
export const PARSE = Symbol("parse");
/** On any schema: what was expected, e.g. "a duration such as 2s". */
export const EXPECTED = Symbol("expected");
/** On the schema of a map: what it is, e.g. "a route". */
export const NOUN = Symbol("noun");
/** On the schema of a map with free keys: checks a key; returns what is wrong with it. */
export const KEY = Symbol("key");

interface Schema {
  readonly [PARSE]?: (scalar: YamlScalar) => unknown;
  readonly [EXPECTED]?: string;
  readonly [NOUN]?: string;
  readonly [KEY]?: (key: string) => Refusal | undefined;
  readonly anyOf?: readonly Schema[];
  readonly items?: Schema;
  readonly minItems?: number;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly patternProperties?: Readonly<Record<string, Schema>>;
}

/** A draft and its places. */
export class DraftFile<T> {
  readonly value: Draft<T> | undefined;
  /** Nothing but comments; no problem has been reported. */
  readonly isEmpty: boolean;
  readonly #file: YamlFile;
  readonly #nodes = new WeakMap<object, YamlNode>();

  constructor(file: YamlFile, schema: TSchema) {
    this.#file = file;
    this.isEmpty = file.isEmpty;
    if (file.root === undefined) this.value = undefined;
    else this.value = this.#read(schema as Schema, file.root, `\`${file.name}\``) as Draft<T> | undefined;
  }

  /**
   * Reports a problem at a draft's map or list (`owner`), or at what it holds under `key`. A field that is not
   * there is reported at the map that lacks it.
   */
  problem(
    owner: object,
    key: string | number | undefined,
    code: string,
    message: string | (() => string),
    severity: Problem["severity"] = "error",
  ): void {
    this.#file.problem(this.#offset(owner, key, "value"), code, message, severity);
  }

  /** As `problem`, at the key itself instead of its value. */
  problemAtKey(owner: object, key: string, code: string, message: string | (() => string)): void {
    this.#file.problem(this.#offset(owner, key, "key"), code, message);
  }

  /** All keys of a map in the file, also those whose values did not fit. */
  keys(owner: object | undefined): ReadonlySet<string> {
    const node = owner === undefined ? undefined : this.#nodes.get(owner);
    return new Set(node?.kind === "map" ? node.entries.keys() : []);
  }

  /** Whether the file gives the field, fitting or not. */
  has(owner: object, key: string): boolean {
    const node = this.#nodes.get(owner);
    return node?.kind === "map" && node.entries.has(key);
  }

  /** Reports a name that stands for nothing. `key` is the field or the list's index that holds it. */
  unknown(owner: object, key: string | number, noun: string, given: string, names: Iterable<string>): void {
    this.problem(owner, key, `unknown-${noun}`, () => unknownName(noun, given, names));
  }

  line(owner: object, key?: string): number {
    return this.#file.position(this.#offset(owner, key, "key")).line;
  }

  #offset(owner: object, key: string | number | undefined, side: "key" | "value"): number {
    const node = this.#nodes.get(owner);
    if (node === undefined) return 0;
    if (node.kind === "map" && typeof key === "string") {
      const entry = node.entries.get(key);
      if (entry !== undefined) return side === "key" ? entry.offset : entry.value.offset;
    }
    if (node.kind === "list" && typeof key === "number") return node.items[key]?.offset ?? node.offset;
    return node.offset;
  }

  /** Undefined when the node does not fit; the problem has been reported then. */
  #read(schema: Schema, node: YamlNode, label: string): unknown {
    const fitting = choose(schema, node);
    if (fitting === undefined) {
      const { code, because } = refusalOf(schema, node);
      this.#file.problem(node.offset, code, `${label} is ${shown(node)}; ${because}`);
      return undefined;
    }
    if (node.kind === "map") {
      return fitting.patternProperties === undefined
        ? this.#fields(fitting, node, label)
        : this.#record(fitting, node);
    }
    if (node.kind === "list") return this.#list(fitting, node, label);
    const value = parseScalar(fitting, node);
    if (!(value instanceof Refusal)) return value;
    this.#file.problem(node.offset, value.code, `${label} is ${shown(node)}; ${value.because}`);
    return undefined;
  }

  #fields(schema: Schema, node: YamlMap, label: string): object {
    const fields = schema.properties ?? {};
    const noun = schema[NOUN] ?? label;
    const draft: Record<string, unknown> = Object.create(null);
    for (const [key, entry] of node.entries) {
      const field = Object.hasOwn(fields, key) ? fields[key] : undefined;
      if (field !== undefined) {
        draft[key] = this.#read(field, entry.value, `\`${key}\``);
        continue;
      }
      this.#file.problem(entry.offset, "unknown-field", () => {
        const names = Object.keys(fields);
        const hint = didYouMean(key, names) || `; expected ${oneOf(names)}`;
        return `${quoted(key)} is not a field of ${noun}${hint}`;
      });
    }
    for (const key of schema.required ?? []) {
      if (node.entries.has(key)) continue;
      const what = expectation(fields[key]!);
      this.#file.problem(node.offset, "missing-field", `${noun} needs \`${key}\`; expected ${what}`);
    }
    this.#nodes.set(draft, node);
    return draft;
  }

  #record(schema: Schema, node: YamlMap): Map<string, unknown> {
    const values = Object.values(schema.patternProperties!)[0]!;
    const draft = new Map<string, unknown>();
    for (const [key, entry] of node.entries) {
      const refusal = schema[KEY]?.(key);
      if (refusal !== undefined) {
        this.#file.problem(entry.offset, refusal.code, `${quoted(key)} ${refusal.because}`);
      }
      const value = this.#read(values, entry.value, quoted(key));
      if (value !== undefined && refusal === undefined) draft.set(key, value);
    }
    this.#nodes.set(draft, node);
    return draft;
  }

  #list(schema: Schema, node: YamlList, label: string): unknown[] {
    const draft: unknown[] = [];
    const items: YamlNode[] = [];
    for (const item of node.items) {
      const value = this.#read(schema.items!, item, `an item of ${label}`);
      if (value === undefined) continue;
      draft.push(value);
      items.push(item);
    }
    if (node.items.length < (schema.minItems ?? 0)) {
      this.#file.problem(
        node.offset,
        "empty-list",
        `${label} is an empty list; expected ${expectation(schema)}`,
      );
    }
    // Items that did not fit are gone from the draft, so they must be gone from its places too.
    this.#nodes.set(draft, { kind: "list", offset: node.offset, items });
    return draft;
  }
}

/** The schema itself, or the alternative of a union that speaks of this kind of node. */
function choose(schema: Schema, node: YamlNode): Schema | undefined {
  if (schema.anyOf === undefined || schema[PARSE] !== undefined)
    return fits(schema, node) ? schema : undefined;
  return schema.anyOf.find(
    (alternative) =>
      fits(alternative, node) &&
      (node.kind !== "scalar" || !(parseScalar(alternative, node) instanceof Refusal)),
  );
}

/** Why no alternative took the node; a value that one of them understood but may not have is told so. */
function refusalOf(schema: Schema, node: YamlNode): Refusal {
  let code = "wrong-type";
  for (const alternative of schema.anyOf ?? []) {
    if (node.kind !== "scalar" || !fits(alternative, node)) continue;
    const refusal = parseScalar(alternative, node);
    if (!(refusal instanceof Refusal)) continue;
    if (refusal.code === "out-of-range") return refusal;
    // Words are one way among several here, so "unknown word" would say too little.
    if (refusal.code !== "unknown-word" && refusal.code !== "wrong-type") code = refusal.code;
  }
  return new Refusal(code, `expected ${expectation(schema)}`);
}

function fits(schema: Schema, node: YamlNode): boolean {
  if (node.kind === "scalar") return schema[PARSE] !== undefined && node.value !== null;
  if (node.kind === "list") return schema.items !== undefined;
  return schema.properties !== undefined || schema.patternProperties !== undefined;
}

function parseScalar(schema: Schema, node: YamlScalar): unknown {
  const value = schema[PARSE]!(node);
  return value === undefined ? new Refusal("wrong-type", `expected ${expectation(schema)}`) : value;
}

function expectation(schema: Schema): string {
  if (schema[EXPECTED] !== undefined) return schema[EXPECTED];
  if (schema.anyOf !== undefined) return schema.anyOf.map(expectation).join(", or ");
  if (schema.items !== undefined) return "a list";
  return "a map";
}

export function unknownName(noun: string, given: string, names: Iterable<string>): string {
  const known = [...names];
  const few = known.length > 0 && known.length <= 8 ? `; expected ${oneOf(known)}` : "";
  return `there is no ${noun} ${quoted(given)}${didYouMean(given, known) || few}`;
}

/** How a value is called in a message. */
export function shown(node: YamlNode): string {
  if (node.kind === "map") return "a map";
  if (node.kind === "list") return "a list";
  return node.value === null && node.text === "" ? "empty" : quoted(node.text);
}

/** In backticks, on one line, and not for ever. */
export function quoted(text: string): string {
  const short = text.length > 80 ? `${text.slice(0, 77)}...` : text;
  return `\`${short.replace(/[\x00-\x1f\x7f-\x9f\u2028\u2029]/g, (c) => JSON.stringify(c).slice(1, -1))}\``;
}

/** `a, b or c`. */
export function oneOf(words: readonly string[]): string {
  if (words.length < 2) return words.join("");
  return `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
}
