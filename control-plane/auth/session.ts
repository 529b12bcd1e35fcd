/**
 * A person's session in a browser: their token, sealed into a cookie. What is inside is checked anew with every request, so
 * that a token which is revoked ends its sessions at once.
 */
import { SealedCookie, type SealOptions } from "./sealed-cookie.ts";

/** Milliseconds. */
export const SESSION_LASTS = 12 * 3_600_000;
/** Browsers keep cookies of 4096 bytes, with name and attributes. */
export const MOST_TOKEN = 2_800;
/**
 * A cookie is sent by whatever page makes the browser ask, also by one of another port of this host. This field is set by
 * our own page alone: a page of another origin would have to ask for leave first, and nobody gives it.
 */
export const CONSOLE_HEADER = "x-tidegate-console";

export class Sessions {
  readonly #cookie: SealedCookie<string>;

  constructor(options: SealOptions) {
    this.#cookie = new SealedCookie(options, {
      name: "tidegate-session",
      purpose: "tidegate console session 2",
      sameSite: "Strict",
      lasts: SESSION_LASTS,
    });
  }

  /** @returns the Set-Cookie field and when the session ends */
  begin(token: string): { readonly cookie: string; readonly expiresAt: number } {
    return this.#cookie.make(token);
  }

  /** @returns the Set-Cookie field that ends it */
  end(): string {
    return this.#cookie.end();
  }

  /** @returns undefined: there is none, or it was made by nobody of us, or it is over */
  open(cookies: string | undefined): { readonly token: string; readonly expiresAt: number } | undefined {
    const sealed = this.#cookie.open(cookies);
    return sealed === undefined ? undefined : { token: sealed.content, expiresAt: sealed.expiresAt };
  }
}
