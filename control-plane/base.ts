/** The base configuration as people wrote it: the files of a directory, comments and all. */
import { createHash } from "node:crypto";
import { isConfined } from "../model/configuration/referenced-files.ts";
import { type ReadConfig, readConfig } from "../model/configuration/read-config.ts";

/** File name → text. */
export type Base = ReadonlyMap<string, string>;

/** Most bytes of all files together, and most files. */
export const MOST_BASE_BYTES = 16 * 1024 * 1024;
export const MOST_BASE_FILES = 1_000;
/**
 * Of what is read as YAML, much less: a parser makes half a kilobyte of two bytes such as `1,`. The signs are those that
 * begin or end a value; 65,536 endpoints and 10,000 routes with all their policies have fewer.
 */
export const MOST_YAML_BYTES = 4 * 1024 * 1024;
export const MOST_YAML_SIGNS = 1_000_000;
const SIGN = /[,:[\]{}\n&*!"'#|>%?]|- /g;

/** One form for the same files, so that the same base has the same digest. */
export function encodeBase(base: Base): string {
  return JSON.stringify([...base].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
}

export function decodeBase(text: string): Base {
  return new Map(JSON.parse(text) as [string, string][]);
}

/** @returns what is wrong with the files as files; what they say is `readBase`'s */
export function refusedFiles(files: Readonly<Record<string, string>>): string | undefined {
  const names = Object.keys(files);
  if (names.length > MOST_BASE_FILES)
    return `there are ${names.length} files; expected at most ${MOST_BASE_FILES}`;
  const odd = names.find((name) => !isConfined(name));
  if (odd !== undefined) return `${JSON.stringify(odd)} is no name of a file below a directory`;
  const bytes = names.reduce((sum, name) => sum + Buffer.byteLength(files[name]!), 0);
  if (bytes > MOST_BASE_BYTES) return `the files have ${bytes} bytes; expected at most ${MOST_BASE_BYTES}`;
  return refusedYaml(names.filter((name) => /\.ya?ml$/.test(name)).map((name) => files[name]!));
}

function refusedYaml(texts: readonly string[]): string | undefined {
  const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  if (bytes > MOST_YAML_BYTES) {
    return `the YAML files have ${bytes} bytes; expected at most ${MOST_YAML_BYTES}`;
  }
  let signs = 0;
  for (const text of texts) {
    for (const _ of text.matchAll(SIGN)) {
      if (++signs > MOST_YAML_SIGNS)
        return `the YAML files have more than ${MOST_YAML_SIGNS} values and signs`;
    }
  }
  return undefined;
}

/** What was read of a base: a change reads it for its preview, its commit and its warnings. */
const READ = new WeakMap<Base, ReadConfig>();

/** Blocks the thread for seconds where a base is large: `BaseReader` reads it elsewhere first, and this finds it then. */
export function readBase(base: Base): ReadConfig {
  const known = rememberedRead(base);
  if (known !== undefined) return known;
  const read = readConfig(
    (name) => base.get(name),
    () => base.keys(),
  );
  rememberRead(base, read);
  return read;
}

/** Undefined when nobody has read it. */
export function rememberedRead(base: Base): ReadConfig | undefined {
  return READ.get(base);
}

export function rememberRead(base: Base, read: ReadConfig): void {
  READ.set(base, read);
}

export function digestOf(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
