/** The key that signs what gateways are told, and what gateways check it with. */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign as signBytes,
  verify as verifyBytes,
} from "node:crypto";

/** An Ed25519 pair as PEM: the private one as PKCS #8, the public one as SPKI. */
export interface KeyPair {
  readonly privateKey: string;
  readonly publicKey: string;
}

export function makeKeyPair(): KeyPair {
  return generateKeyPairSync("ed25519", {
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
    publicKeyEncoding: { type: "spki", format: "pem" },
  });
}

/** @throws Error when it is no Ed25519 private key */
export function signingKey(pem: string): KeyObject {
  const key = createPrivateKey(pem);
  if (key.asymmetricKeyType !== "ed25519") {
    throw new Error(`it is a key of type ${key.asymmetricKeyType}; expected Ed25519`);
  }
  return key;
}

export function publicKeyOf(key: KeyObject): string {
  return createPublicKey(key).export({ type: "spki", format: "pem" }) as string;
}

/** @returns base64 */
export function sign(key: KeyObject, text: string): string {
  return signBytes(null, Buffer.from(text), key).toString("base64");
}

export function isSignedBy(key: KeyObject, text: string, signature: string): boolean {
  return verifyBytes(null, Buffer.from(text), key, Buffer.from(signature, "base64"));
}
