/**
 * The last good snapshot on disk, so that a gateway starts with the control plane gone.
 *
 * Written aside, flushed and renamed, so that a kill at any byte leaves the one before it. A second file says how far
 * this gateway ever came: a snapshot that is older, put back by somebody's restore, is not served.
 */
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import type { KeyObject } from "node:crypto";
import { join } from "node:path";
import { replaceFile } from "../host/replace-file.ts";
import { isNewer, type Publication } from "../model/snapshot.ts";
import { type Verified, verified } from "./publication.ts";

interface Reached {
  readonly epoch: number;
  readonly revision: number;
}

export class SnapshotFile {
  readonly #file: string;
  readonly #reachedFile: string;

  /** @throws when the directory cannot be made */
  constructor(dir: string) {
    this.#file = join(dir, "snapshot.json");
    this.#reachedFile = join(dir, "reached.json");
    mkdirSync(dir, { recursive: true, mode: 0o700 });
  }

  /** How far this gateway ever came; epoch 0 where it never did. @throws Error that says what is wrong */
  reached(): Reached {
    if (!existsSync(this.#reachedFile)) return { epoch: 0, revision: 0 };
    try {
      const { epoch, revision } = JSON.parse(readFileSync(this.#reachedFile, "utf8")) as Reached;
      if (Number.isInteger(epoch) && Number.isInteger(revision)) return { epoch, revision };
    } catch {
      // Told below.
    }
    throw new Error(`${this.#reachedFile} is damaged; remove it only if no older snapshot can come back`);
  }

  /** Undefined when there is none. @throws Error that names the file and says what is wrong with it */
  read(key: KeyObject): Verified | undefined {
    if (!existsSync(this.#file)) return undefined;
    const refuse = (because: string): Error =>
      new Error(`${this.#file} is refused: ${because}; the control plane sends another one`);
    let found: Verified;
    try {
      const text = readFileSync(this.#file, "utf8");
      if (text === "") throw new Error("it is empty");
      found = verified(JSON.parse(text) as Publication, new Map(), key);
    } catch (error) {
      throw refuse((error as Error).message);
    }
    const { epoch, revision } = this.reached();
    if (isNewer({ ...found.manifest, epoch, revision }, found.manifest)) {
      throw refuse(
        `it is revision ${found.manifest.revision} of epoch ${found.manifest.epoch}, and this gateway served ` +
          `${revision} of epoch ${epoch}`,
      );
    }
    return found;
  }

  /** @throws when the disk does not take it */
  write({ manifest, text, signature, sections }: Verified): void {
    const publication: Publication = {
      manifest: text,
      signature,
      sections: Object.fromEntries(sections),
      now: manifest.at,
    };
    const { epoch, revision } = manifest;
    replaceFile(this.#file, JSON.stringify(publication));
    replaceFile(this.#reachedFile, JSON.stringify({ epoch, revision }));
  }
}
