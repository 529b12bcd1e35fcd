/**
 * Signing in at the identity provider from the console: the authorization code flow with PKCE (OpenID Connect Core 1.0,
 * RFC 7636, RFC 9700), by openid-client.
 *
 * What has to be remembered between leaving and coming back is sealed into a cookie of the browser that left. The ID token that
 * comes of it is the session's token, checked like any other with every request.
 */
import * as client from "openid-client";
import type { Logger } from "pino";
import { CALLBACK, isSafe, type OidcSettings } from "./oidc-settings.ts";
import { SealedCookie, type SealOptions } from "./sealed-cookie.ts";

/** Milliseconds for a person at the identity provider. */
const LASTS = 600_000;
/** Seconds, of one question to the identity provider. */
const TIMEOUT = 5;

export type SignInOptions = SealOptions &
  Pick<OidcSettings, "issuer" | "clientSecret" | "redirectUrl"> & { readonly clientId: string };

/** Undefined where nobody signs in at an identity provider. */
export function openSignIn(oidc: OidcSettings | undefined, options: SealOptions): SignIn | undefined {
  if (oidc?.clientId === undefined) return undefined;
  const { issuer, clientId, clientSecret, redirectUrl } = oidc;
  const { signingKey, secure, now, random } = options;
  return new SignIn({ issuer, clientId, clientSecret, redirectUrl, signingKey, secure, now, random });
}

interface Leaving {
  readonly verifier: string;
  readonly state: string;
  readonly nonce: string;
  readonly redirectUrl: string;
}

export class SignIn {
  readonly #options: SignInOptions;
  readonly #cookie: SealedCookie<Leaving>;
  #provider: Promise<client.Configuration> | undefined;

  constructor(options: SignInOptions) {
    this.#options = options;
    this.#cookie = new SealedCookie(options, {
      name: "tidegate-sign-in",
      purpose: "tidegate console sign-in 1",
      // The provider sends the browser back here.
      sameSite: "Lax",
      lasts: LASTS,
    });
  }

  /** Whom people sign in at. */
  get host(): string {
    return new URL(this.#options.issuer).host;
  }

  /** @param own address of this control plane, as the browser has it @throws Error when the provider does not answer */
  async leave(own: string): Promise<{ readonly location: string; readonly cookie: string }> {
    const { random, redirectUrl = new URL(CALLBACK, own).href } = this.#options;
    const secret = (): string => random(32).toString("base64url");
    const leaving: Leaving = { verifier: secret(), state: secret(), nonce: secret(), redirectUrl };
    const location = client.buildAuthorizationUrl(await this.#discovered(), {
      redirect_uri: redirectUrl,
      scope: "openid email profile",
      code_challenge: await client.calculatePKCECodeChallenge(leaving.verifier),
      code_challenge_method: "S256",
      state: leaving.state,
      nonce: leaving.nonce,
    });
    return { location: location.href, cookie: this.#cookie.make(leaving).cookie };
  }

  /**
   * @param query of the address to which the browser came back
   * @returns the ID token
   * @throws Error when it did not leave from here, when the provider says no, or when it does not answer
   */
  async comeBack(query: string, cookies: string | undefined): Promise<string> {
    const leaving = this.#cookie.open(cookies)?.content;
    if (leaving === undefined) throw new Error("the browser did not leave from here, or too long ago");
    const { verifier: pkceCodeVerifier, state: expectedState, nonce: expectedNonce, redirectUrl } = leaving;
    const url = new URL(redirectUrl);
    url.search = query;
    const checks = { pkceCodeVerifier, expectedState, expectedNonce, idTokenExpected: true };
    const { id_token: token } = await client.authorizationCodeGrant(await this.#discovered(), url, checks);
    return token!;
  }

  /** The Set-Cookie field that forgets who left. */
  forget(): string {
    return this.#cookie.end();
  }

  /** Once; what failed is asked again by the next. */
  #discovered(): Promise<client.Configuration> {
    const { issuer, clientId, clientSecret } = this.#options;
    const proof = clientSecret === undefined ? client.None() : client.ClientSecretPost(clientSecret);
    const url = new URL(issuer);
    // Plain HTTP on loopback only.
    const execute = url.protocol === "http:" && isSafe(url) ? [client.allowInsecureRequests] : [];
    this.#provider ??= client
      .discovery(url, clientId, undefined, proof, { execute, timeout: TIMEOUT })
      .catch((error: Error) => {
        this.#provider = undefined;
        throw error;
      });
    return this.#provider;
  }
}

/** What the provider and its library say of a failure has no secrets: codes and names of claims. */
export function logSignIn(log: Pick<Logger, "info" | "warn">, who: string | Error): void {
  if (typeof who === "string") log.info({ name: who }, "signed in at the identity provider");
  else log.warn({ reason: reasonOf(who) }, "somebody was not signed in at the identity provider");
}

/** The library says what it did, and why it did not go as the cause of that. */
function reasonOf({ message, cause }: Error): string {
  return cause instanceof Error ? `${message}: ${cause.message}` : message;
}
