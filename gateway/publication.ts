/** What a control plane sent, checked before anything is believed of it. */
import { createHash, type KeyObject, verify } from "node:crypto";
import type { Config } from "../model/config.ts";
import { configFrom, type Manifest, type Publication } from "../model/snapshot.ts";

/** A publication that is whole: signed by the key that this gateway was given, with every section that it names. */
export interface Verified {
  readonly manifest: Manifest;
  readonly text: string;
  readonly signature: string;
  /** Digest → text, exactly those that the manifest names. */
  readonly sections: ReadonlyMap<string, string>;
  readonly config: Config;
}

/**
 * @param has sections that are here already, by digest
 * @throws Error that says what is wrong
 */
export function verified(
  { manifest: text, signature, sections: sent }: Publication,
  has: ReadonlyMap<string, string>,
  key: KeyObject,
): Verified {
  if (
    typeof text !== "string" ||
    typeof signature !== "string" ||
    typeof sent !== "object" ||
    sent === null
  ) {
    throw new Error("it is no publication: manifest, signature or sections are missing");
  }
  if (!verify(null, Buffer.from(text), key, Buffer.from(signature, "base64"))) {
    throw new Error("its signature is not of the key that this gateway was given (--snapshot-key)");
  }
  const manifest = JSON.parse(text) as Manifest;
  const sections = new Map<string, string>();
  const named = new Map<string, string>();
  for (const [name, digest] of Object.entries(manifest.sections)) {
    const section = (Object.hasOwn(sent, digest) ? sent[digest] : undefined) ?? has.get(digest);
    if (section === undefined) throw new Error(`section ${name} is missing`);
    if (createHash("sha256").update(section).digest("base64url") !== digest) {
      throw new Error(`section ${name} is not what was signed`);
    }
    sections.set(digest, section);
    named.set(name, section);
  }
  return { manifest, text, signature, sections, config: configFrom(named) };
}
