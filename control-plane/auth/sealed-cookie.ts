/**
 * A cookie that no script can read and nobody can make or change: JSON under AES-256-GCM, with its end inside.
 *
 * Nothing of it is kept here: every control plane with the same signing key opens it, before and after a restart.
 */
import { createCipheriv, createDecipheriv, hkdfSync, type KeyObject } from "node:crypto";

export interface SealOptions {
  /** Of the control plane; the cookie's key is derived from it. */
  readonly signingKey: KeyObject;
  /** The listener speaks TLS. */
  readonly secure: boolean;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** So many random bytes. */
  readonly random: (bytes: number) => Buffer;
}

export interface CookieKind {
  readonly name: string;
  /** So that one kind is never taken for another. */
  readonly purpose: string;
  /** `Lax`: it comes along when another site sends the browser here. */
  readonly sameSite: "Strict" | "Lax";
  /** Milliseconds. */
  readonly lasts: number;
}

const CIPHER = "aes-256-gcm";
const [NONCE, TAG] = [12, 16];

export class SealedCookie<T> {
  readonly #options: SealOptions;
  readonly #kind: CookieKind;
  readonly #key: Buffer;
  readonly #name: string;

  constructor(options: SealOptions, kind: CookieKind) {
    this.#options = options;
    this.#kind = kind;
    const secret = options.signingKey.export({ type: "pkcs8", format: "der" });
    this.#key = Buffer.from(hkdfSync("sha256", secret, "", kind.purpose, 32));
    // A browser takes a name with this prefix from the host itself and over TLS only.
    this.#name = options.secure ? `__Host-${kind.name}` : kind.name;
  }

  /** @returns the Set-Cookie field and when it ends */
  make(content: T): { readonly cookie: string; readonly expiresAt: number } {
    const expiresAt = this.#options.now() + this.#kind.lasts;
    const nonce = this.#options.random(NONCE);
    const cipher = createCipheriv(CIPHER, this.#key, nonce);
    const text = Buffer.concat([
      cipher.update(JSON.stringify({ content, expiresAt }), "utf8"),
      cipher.final(),
    ]);
    const value = Buffer.concat([nonce, cipher.getAuthTag(), text]).toString("base64url");
    return { cookie: this.#cookie(value, this.#kind.lasts / 1000), expiresAt };
  }

  /** @returns the Set-Cookie field that ends it */
  end(): string {
    return this.#cookie("", 0);
  }

  /** @returns undefined: there is none, or it was made by nobody of us, or it is over */
  open(cookies: string | undefined): { readonly content: T; readonly expiresAt: number } | undefined {
    const value = this.#valueOf(cookies ?? "");
    if (value === undefined) return undefined;
    const sealed = this.#unseal(Buffer.from(value, "base64url"));
    return sealed === undefined || sealed.expiresAt <= this.#options.now() ? undefined : sealed;
  }

  #unseal(bytes: Buffer): { readonly content: T; readonly expiresAt: number } | undefined {
    if (bytes.length <= NONCE + TAG) return undefined;
    const decipher = createDecipheriv(CIPHER, this.#key, bytes.subarray(0, NONCE));
    decipher.setAuthTag(bytes.subarray(NONCE, NONCE + TAG));
    try {
      const text = Buffer.concat([decipher.update(bytes.subarray(NONCE + TAG)), decipher.final()]);
      return JSON.parse(text.toString("utf8")) as { content: T; expiresAt: number };
    } catch {
      // Somebody else's, or changed on its way.
      return undefined;
    }
  }

  #valueOf(cookies: string): string | undefined {
    for (const cookie of cookies.split(";")) {
      const [name, value] = cookie.trim().split("=", 2);
      if (name === this.#name && value !== undefined && value !== "") return value;
    }
    return undefined;
  }

  #cookie(value: string, seconds: number): string {
    const attributes = `Path=/; Max-Age=${seconds}; HttpOnly; SameSite=${this.#kind.sameSite}`;
    return `${this.#name}=${value}; ${attributes}${this.#options.secure ? "; Secure" : ""}`;
  }
}
