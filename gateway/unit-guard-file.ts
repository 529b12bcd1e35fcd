/** What a unit guard keeps on disk: the last good placement, signed as it came, and what was closed at catch-ups. */
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { replaceFile } from "../host/replace-file.ts";
import type { Publication } from "../model/snapshot.ts";
import type { Closing } from "../model/slot-ownership.ts";

export class GuardFile {
  readonly #placement: string;
  readonly #closings: string;

  /** @throws Error that names the directory when it cannot be made */
  constructor(dir: string) {
    this.#placement = join(dir, "placement.json");
    this.#closings = join(dir, "closings.json");
    try {
      mkdirSync(dir, { recursive: true, mode: 0o700 });
    } catch (error) {
      throw new Error(`the unit guard cannot use its state directory ${dir}: ${(error as Error).message}`);
    }
  }

  /** To be checked as if it came over the wire; undefined where there is none. @throws Error that names the file */
  readPlacement(): Publication | undefined {
    return read(this.#placement) as Publication | undefined;
  }

  /** @throws when the disk does not take it */
  writePlacement(publication: Publication): void {
    replaceFile(this.#placement, JSON.stringify(publication));
  }

  /** @throws Error that names the file: without it, slots would be open that were closed */
  readClosings(): readonly Closing[] {
    const found = read(this.#closings) ?? [];
    if (Array.isArray(found)) return found as Closing[];
    throw new Error(`${this.#closings} is damaged; remove it only if no move of slots is under way`);
  }

  /** @throws when the disk does not take it */
  writeClosings(closings: readonly Closing[]): void {
    replaceFile(this.#closings, JSON.stringify(closings));
  }
}

function read(file: string): unknown {
  if (!existsSync(file)) return undefined;
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw new Error(`${file} is damaged (${(error as Error).message}); remove it to begin without`);
  }
}
