/**
 * A person's session in a browser: their token, sealed into a cookie that no script of any page can read.
 *
 * Nothing of it is kept here: every control plane with the same signing key opens it, before and after a restart. What is
 * inside is checked anew with every request, so that a token which is revoked ends its sessions at once.
 */
import { createCipheriv, createDecipheriv, hkdfSync, type KeyObject } from "node:crypto";

export interface SessionOptions {
  /** Of the control plane; the cookie's key is derived from it. */
  readonly signingKey: KeyObject;
  /** The listener speaks TLS. */
  readonly secure: boolean;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** So many random bytes. */
  readonly random: (bytes: number) => Buffer;
}

/** Milliseconds. */
export const SESSION_LASTS = 12 * 3_600_000;
/** Browsers keep cookies of 4096 bytes, with name and attributes. */
export const MOST_TOKEN = 2_800;
/**
 * A cookie is sent by whatever page makes the browser ask, also by one of another port of this host. This field is set by
 * our own page alone: a page of another origin would have to ask for leave first, and nobody gives it.
 */
export const CONSOLE_HEADER = "x-tidegate-console";

const CIPHER = "aes-256-gcm";
const [NONCE, TAG] = [12, 16];

interface Sealed {
  readonly token: string;
  readonly expiresAt: number;
}

export class Sessions {
  readonly #options: SessionOptions;
  readonly #key: Buffer;
  readonly #name: string;

  constructor(options: SessionOptions) {
    this.#options = options;
    const secret = options.signingKey.export({ type: "pkcs8", format: "der" });
    this.#key = Buffer.from(hkdfSync("sha256", secret, "", "tidegate console session 1", 32));
    // A browser takes a name with this prefix from the host itself and over TLS only.
    this.#name = options.secure ? "__Host-tidegate-session" : "tidegate-session";
  }

  /** @returns the Set-Cookie field and when the session ends */
  begin(token: string): { readonly cookie: string; readonly expiresAt: number } {
    const expiresAt = this.#options.now() + SESSION_LASTS;
    const sealed: Sealed = { token, expiresAt };
    const nonce = this.#options.random(NONCE);
    const cipher = createCipheriv(CIPHER, this.#key, nonce);
    const text = Buffer.concat([cipher.update(JSON.stringify(sealed), "utf8"), cipher.final()]);
    const value = Buffer.concat([nonce, cipher.getAuthTag(), text]).toString("base64url");
    return { cookie: this.#cookie(value, SESSION_LASTS / 1000), expiresAt };
  }

  /** @returns the Set-Cookie field that ends it */
  end(): string {
    return this.#cookie("", 0);
  }

  /** @returns undefined: there is none, or it was made by nobody of us, or it is over */
  open(cookies: string | undefined): Sealed | undefined {
    const value = this.#valueOf(cookies ?? "");
    if (value === undefined) return undefined;
    const sealed = this.#unseal(Buffer.from(value, "base64url"));
    return sealed === undefined || sealed.expiresAt <= this.#options.now() ? undefined : sealed;
  }

  #unseal(bytes: Buffer): Sealed | undefined {
    if (bytes.length <= NONCE + TAG) return undefined;
    const decipher = createDecipheriv(CIPHER, this.#key, bytes.subarray(0, NONCE));
    decipher.setAuthTag(bytes.subarray(NONCE, NONCE + TAG));
    try {
      const text = Buffer.concat([decipher.update(bytes.subarray(NONCE + TAG)), decipher.final()]);
      return JSON.parse(text.toString("utf8")) as Sealed;
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
    const attributes = `Path=/; Max-Age=${seconds}; HttpOnly; SameSite=Strict`;
    return `${this.#name}=${value}; ${attributes}${this.#options.secure ? "; Secure" : ""}`;
  }
}
