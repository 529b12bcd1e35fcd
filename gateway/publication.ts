/** What a control plane sent, checked before anything is believed of it. */
import { createHash, type KeyObject, verify } from "node:crypto";
import type { Config } from "../model/config.ts";
import { configFrom, type Manifest, type Publication } from "../model/snapshot.ts";
import type { Sourced } from "./source.ts";

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
  const manifest = signedManifest(text, signature, key);
  const sections = new Map<string, string>();
  const named = new Map<string, string>();
  for (const [name, digest] of Object.entries(manifest.sections)) {
    const section = (Object.hasOwn(sent, digest) ? sent[digest] : undefined) ?? has.get(digest);
    if (section === undefined) throw new Error(`section ${name} is missing`);
    checkSection(name, section, digest);
    sections.set(digest, section);
    named.set(name, section);
  }
  return { manifest, text, signature, sections, config: configFrom(named) };
}

/** @throws Error when it was signed by another key */
export function signedManifest(text: string, signature: string, key: KeyObject): Manifest {
  if (!verify(null, Buffer.from(text), key, Buffer.from(signature, "base64"))) {
    throw new Error("its signature is not of the key that was given (--snapshot-key)");
  }
  return JSON.parse(text) as Manifest;
}

/** @throws Error when it is not what the manifest names */
export function checkSection(name: string, text: string, digest: string): void {
  if (createHash("sha256").update(text).digest("base64url") !== digest) {
    throw new Error(`section ${name} is not what was signed`);
  }
}

/** @param now milliseconds since 1970, by the control plane's clock */
export function sourced({ manifest, config }: Verified, now: number): Sourced {
  return { config, epoch: manifest.epoch, revision: manifest.revision, now };
}

export function sameSections(a: Verified, b: Verified): boolean {
  return JSON.stringify(a.manifest.sections) === JSON.stringify(b.manifest.sections);
}

/** For the log. */
export function standing({ manifest }: Verified): object {
  return { epoch: manifest.epoch, revision: manifest.revision, at: new Date(manifest.at).toISOString() };
}
