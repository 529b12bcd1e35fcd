/** Reads a configuration directory from the disk. */
import { closeSync, constants, fstatSync, openSync, readdirSync, readSync } from "node:fs";
import { join } from "node:path";
import { isConfined } from "../model/configuration/referenced-files.ts";
import { type ReadConfig, readConfig } from "../model/configuration/read-config.ts";
import type { Problem } from "../model/problem.ts";

const MOST_BYTES = 16 * 1024 * 1024;

export interface ConfigDir extends ReadConfig {
  /** Every name that was read or looked for, relative to the directory, so that a watcher can follow them all. */
  readonly files: readonly string[];
}

/**
 * Never throws: what cannot be read is a problem. Symbolic links are followed, also out of the directory, because
 * Kubernetes mounts a ConfigMap as links; names in the files themselves cannot lead out.
 */
export function readConfigDir(dir: string): ConfigDir {
  const files = new Set<string>();
  const unreadable: Problem[] = [];
  const read = (name: string): string | undefined => {
    // readConfig has checked the names that stand in files; this holds whatever becomes of that.
    if (!isConfined(name)) return undefined;
    files.add(name);
    const text = readText(join(dir, name));
    if (typeof text === "string" || text === undefined) return text;
    unreadable.push({
      code: "unreadable-file",
      severity: "error",
      file: name,
      line: 1,
      column: 1,
      message: text.because,
    });
    return undefined;
  };
  const { config, problems } = readConfig(read, () => FOLDERS.flatMap((folder) => filesIn(dir, folder)));
  if (unreadable.length === 0) return { config, problems, files: [...files] };
  // A file that is there and cannot be read is told once, and not also as missing.
  const names = new Set(unreadable.map((problem) => problem.file));
  const others = problems.filter(({ code, file }) => !(code === "missing-file" && names.has(file)));
  return { config: undefined, problems: [...unreadable, ...others].sort(byPlace), files: [...files] };
}

/** Folders whose files no other file names. */
const FOLDERS = ["plans", "rollouts"];

function filesIn(dir: string, folder: string): string[] {
  try {
    return readdirSync(join(dir, folder)).map((name) => `${folder}/${name}`);
  } catch {
    return [];
  }
}

/** Undefined when there is no such file. */
function readText(path: string): string | undefined | { because: string } {
  let file: number | undefined;
  try {
    // A named pipe would block an ordinary open until somebody writes.
    file = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    const stat = fstatSync(file);
    if (!stat.isFile()) return { because: "it is no regular file; expected a text file" };
    if (stat.size > MOST_BYTES) return { because: `it has ${stat.size} bytes; expected at most 16 MiB` };
    return readBounded(file);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    if (error instanceof TypeError) return { because: "it is not UTF-8; expected a text file" };
    return { because: `it cannot be read (${code ?? message}); expected a readable file` };
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/** By the bytes that come and not by the size that was promised: the file may grow meanwhile. */
function readBounded(file: number): string | { because: string } {
  const chunks: Buffer[] = [];
  let length = 0;
  for (;;) {
    const chunk = Buffer.allocUnsafe(64 * 1024);
    const count = readSync(file, chunk, 0, chunk.length, null);
    if (count === 0) break;
    length += count;
    if (length > MOST_BYTES) return { because: "it has more than 16 MiB; expected at most that" };
    chunks.push(chunk.subarray(0, count));
  }
  return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks, length));
}

function byPlace(a: Problem, b: Problem): number {
  const file = a.file < b.file ? -1 : a.file > b.file ? 1 : 0;
  return file || a.line - b.line || a.column - b.column;
}
