/**
 * A YAML text as a tree of maps, lists and scalars that know where they stand.
 *
 * The tree is made here and not by the library's `toJS`, because keys such as `__proto__` must be harmless, every
 * value must keep its place for the problems found later, and repeated keys and aliases must cost linear time.
 */
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument } from "yaml";
import type { Problem } from "../problem.ts";
import type { ProblemList } from "./problem-list.ts";

export interface YamlMap {
  readonly kind: "map";
  readonly offset: number;
  readonly entries: ReadonlyMap<string, YamlEntry>;
}
export interface YamlEntry {
  /** Of the key. */
  readonly offset: number;
  readonly value: YamlNode;
}
export interface YamlList {
  readonly kind: "list";
  readonly offset: number;
  readonly items: readonly YamlNode[];
}
export interface YamlScalar {
  readonly kind: "scalar";
  readonly offset: number;
  readonly value: string | number | boolean | null;
  /** As it stands in the file, without quotes: `0123` stays `0123`. */
  readonly text: string;
}
export type YamlNode = YamlMap | YamlList | YamlScalar;

/** Nodes that aliases may add to those written out; beyond lies the "billion laughs". */
const MOST_ALIASED = 200_000;
const DEEPEST = 64;
/** After a few, syntax errors are echoes of the first. */
const MOST_SYNTAX_ERRORS = 20;

export class YamlFile {
  readonly name: string;
  /** Undefined when the file is empty, or no YAML, which has been reported then. */
  readonly root: YamlNode | undefined;
  isEmpty = false;
  readonly #lines = new LineCounter();
  readonly #problems: ProblemList;

  constructor(name: string, text: string, problems: ProblemList) {
    this.name = name;
    this.#problems = problems;
    this.root = this.#parse(text);
  }

  problem(
    offset: number,
    code: string,
    message: string | (() => string),
    severity: Problem["severity"] = "error",
  ): void {
    this.#problems.add(severity, () => {
      const { line, column } = this.position(offset);
      return {
        code,
        file: this.name,
        line,
        column,
        message: typeof message === "string" ? message : message(),
      };
    });
  }

  /** 1-based. */
  position(offset: number): { line: number; column: number } {
    if (this.#lines.lineStarts.length === 0) return { line: 1, column: 1 };
    const { line, col } = this.#lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  }

  #parse(text: string): YamlNode | undefined {
    // A file of nothing but errors makes an error of each byte, and their stacks, which nobody reads, make gigabytes.
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    try {
      const document = parseDocument(text, {
        lineCounter: this.#lines,
        prettyErrors: false,
        uniqueKeys: false, // The library compares each key with each other; TreeBuilder does it in linear time.
        resolveKnownTags: false,
        logLevel: "error", // "silent" would pass over a second document.
      });
      const wrong = [...document.errors, ...document.warnings];
      for (const error of wrong.slice(0, MOST_SYNTAX_ERRORS)) {
        this.problem(error.pos[0], "yaml-syntax", explain(error.message));
      }
      if (wrong.length > 0) return undefined;
      this.isEmpty = document.contents === null;
      return this.isEmpty ? undefined : new TreeBuilder(this).build(document.contents);
    } catch (error) {
      this.problem(0, "yaml-syntax", `the file cannot be read as YAML: ${explain(String(error))}`);
      return undefined;
    } finally {
      Error.stackTraceLimit = stackTraceLimit;
    }
  }
}

class TreeBuilder {
  readonly #file: YamlFile;
  readonly #anchors = new Map<string, { node: YamlNode; size: number }>();
  #aliased = 0;
  #stopped = false;

  constructor(file: YamlFile) {
    this.#file = file;
  }

  build(contents: unknown): YamlNode | undefined {
    const made = this.#node(contents, 0, 0);
    return this.#stopped ? undefined : made.node;
  }

  /** `size` counts what an alias stands for as often as it is used. */
  #node(source: unknown, fallback: number, depth: number): { node: YamlNode; size: number } {
    const offset = rangeStart(source) ?? fallback;
    if (depth > DEEPEST) return this.#stop(offset, "yaml-too-deep", `more than ${DEEPEST} levels are nested`);
    if (isAlias(source)) return this.#alias(source.source, offset);
    const made = isMap(source)
      ? this.#map(source.items, offset, depth)
      : isSeq(source)
        ? this.#list(source.items, offset, depth)
        : { node: scalar(source, offset, fallback), size: 1 };
    const anchor = (source as { anchor?: string } | null)?.anchor;
    if (anchor !== undefined) this.#anchors.set(anchor, made);
    return made;
  }

  #alias(name: string, offset: number): { node: YamlNode; size: number } {
    const target = this.#anchors.get(name);
    if (target === undefined) {
      return this.#stop(
        offset,
        "yaml-alias",
        `\`*${name}\` stands for nothing; no \`&${name}\` ends before it`,
      );
    }
    this.#aliased += target.size;
    if (this.#aliased > MOST_ALIASED) {
      return this.#stop(
        offset,
        "yaml-alias",
        `the aliases up to here stand for more than ${MOST_ALIASED} values`,
      );
    }
    return target;
  }

  #map(items: readonly { key: unknown; value: unknown }[], offset: number, depth: number) {
    const entries = new Map<string, YamlEntry>();
    let size = 1;
    for (const item of items) {
      const keyOffset = rangeStart(item.key) ?? offset;
      if (!isScalar(item.key)) {
        this.#file.problem(keyOffset, "yaml-key", "a map or a list stands where a field's name was expected");
        continue;
      }
      const key = scalar(item.key, keyOffset, keyOffset).text;
      const made = this.#node(item.value, keyOffset, depth + 1);
      size += made.size;
      const first = entries.get(key);
      if (first === undefined) {
        entries.set(key, { offset: keyOffset, value: made.node });
        continue;
      }
      const line = this.#file.position(first.offset).line;
      this.#file.problem(
        keyOffset,
        "duplicate-key",
        `\`${key}\` is here twice; the first is in line ${line}`,
      );
    }
    return { node: { kind: "map" as const, offset, entries }, size };
  }

  #list(items: readonly unknown[], offset: number, depth: number) {
    let size = 1;
    const nodes = items.map((item) => {
      const made = this.#node(item, offset, depth + 1);
      size += made.size;
      return made.node;
    });
    return { node: { kind: "list" as const, offset, items: nodes }, size };
  }

  /** The first of these ends the reading of the file: what follows would be noise. */
  #stop(offset: number, code: string, message: string): { node: YamlNode; size: number } {
    if (!this.#stopped) this.#file.problem(offset, code, message);
    this.#stopped = true;
    return { node: { kind: "scalar", offset, value: null, text: "" }, size: 1 };
  }
}

/** `fallback` is where to point for a value that is not written at all (`key:`). */
function scalar(source: unknown, offset: number, fallback: number): YamlScalar {
  const value = isScalar(source) ? source.value : null;
  const written = isScalar(source) ? source.source : undefined;
  if (value === null || value === undefined) {
    return { kind: "scalar", offset: written ? offset : fallback, value: null, text: written ?? "" };
  }
  if (typeof value === "string") return { kind: "scalar", offset, value, text: value };
  const plain = typeof value === "number" || typeof value === "boolean" ? value : String(value);
  return { kind: "scalar", offset, value: plain, text: written ?? String(value) };
}

function rangeStart(source: unknown): number | undefined {
  return (source as { range?: readonly number[] } | null | undefined)?.range?.[0];
}

/** The library's sentence, without its excerpt of the file. */
function explain(message: string): string {
  // A text of a thousand brackets exhausts the parser's stack.
  if (message.includes("Maximum call stack")) return "the file is nested too deeply";
  if (message.includes("multiple documents"))
    return "a second document begins here; expected one document per file";
  return message.split("\n", 1)[0]!;
}
