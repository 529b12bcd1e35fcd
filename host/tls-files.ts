/** Certificates and keys on disk: read whole, checked, and named by their flag when something is wrong with them. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";

/** A file and the flag that named it. */
export interface NamedFile {
  readonly flag: string;
  readonly file: string;
}

export interface KeyPair {
  /** Chain, PEM. */
  readonly cert: string;
  /** Private key, PEM. */
  readonly key: string;
}

/** @throws Error with a sentence for people: unreadable, no PEM, or not a pair */
export function readKeyPair(certFile: NamedFile, keyFile: NamedFile): KeyPair {
  const cert = read(certFile);
  const key = read(keyFile);
  const leaf = parse(certFile, "certificate", () => new X509Certificate(cert));
  const secret = parse(keyFile, "private key", () => createPrivateKey(key));
  if (!leaf.checkPrivateKey(secret)) {
    throw new Error(`${say(keyFile)} is not the key of ${say(certFile)}`);
  }
  return { cert, key };
}

/** @throws Error with a sentence for people: unreadable, or a part of it is no certificate */
export function readAuthorities(named: NamedFile): string {
  const text = read(named);
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) throw new Error(`${say(named)} holds no certificate in PEM`);
  for (const block of blocks) parse(named, "certificate", () => new X509Certificate(block));
  return text;
}

function read(named: NamedFile): string {
  try {
    return readFileSync(named.file, "utf8");
  } catch (error) {
    throw new Error(`${say(named)} cannot be read: ${(error as NodeJS.ErrnoException).code ?? "unknown"}`);
  }
}

function parse<T>(named: NamedFile, what: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw new Error(`${say(named)} holds no ${what} in PEM that can be used: ${(error as Error).message}`);
  }
}

function say({ flag, file }: NamedFile): string {
  return `${flag} ${file}`;
}
