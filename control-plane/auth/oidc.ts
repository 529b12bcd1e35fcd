/**
 * People by their identity provider's tokens (OpenID Connect): a JWT is checked here, with the issuer's public keys.
 *
 * The algorithms are pinned to signatures with a public key: `none` signs nothing, and under HS* the public key, which
 * everybody has, would be the secret. What the token says of keys (`jwk`, `jku`, `x5u`) is not looked at.
 */
import { errors, type JWTPayload, jwtVerify } from "jose";
import type { Logger } from "pino";
import { Refused } from "../refused.ts";
import { ROLES, type Role } from "../tokens.ts";
import { type Identity, NotProven } from "./identity.ts";
import { IssuerKeys, KeysUnavailable } from "./issuer-keys.ts";
import type { OidcSettings } from "./oidc-settings.ts";

const ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"];
/** Seconds that the issuer's clock may differ from ours. */
const TOLERANCE = 30;
/** Tokens that say what they are: an ID token or an access token, not a logout token or a proof of possession. */
const TYPES = /^(application\/)?(at\+)?jwt$/i;
/** Without what a terminal or a log would take for its own. */
const NAME = /^[\p{L}\p{M}\p{N}\p{P}\p{S}]{1,200}$/u;

export interface OidcOptions extends OidcSettings {
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly monotonic: () => number;
  readonly onChange: (reason: string | undefined) => void;
}

/** Undefined where no provider is configured; what becomes of its keys is logged. */
export function openOidc(
  settings: OidcSettings | undefined,
  { log, now, monotonic }: Pick<OidcOptions, "now" | "monotonic"> & { readonly log: Logger },
): Oidc | undefined {
  if (settings === undefined) return undefined;
  const { issuer } = settings;
  const onChange = (reason: string | undefined): void => {
    if (reason === undefined) log.info({ issuer }, "the identity provider answers again");
    else
      log.warn({ issuer, reason }, "the identity provider's keys cannot be had; tokens of our own work on");
  };
  return new Oidc({ ...settings, now, monotonic, onChange });
}

/** A JWT has three parts and begins with an object; tokens of our own begin with `tg_` and have no dots. */
export function looksLikeJwt(text: string): boolean {
  return /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$/.test(text) && !text.startsWith("tg_");
}

export class Oidc {
  readonly #options: OidcOptions;
  readonly #keys: IssuerKeys;
  readonly #audience: string[];

  constructor(options: OidcOptions) {
    this.#options = options;
    // An ID token that the console was given is for the console.
    this.#audience = [options.audience, options.clientId].filter((one) => one !== undefined);
    this.#keys = new IssuerKeys(options);
  }

  /** Fetches the keys, so that the first to come need not wait and a wrong issuer is said at the start. */
  start(): void {
    void this.#keys.warm();
  }

  stop(): void {
    this.#keys.stop();
  }

  /** @throws NotProven · Refused: no role, or the issuer's keys cannot be had */
  async identify(text: string): Promise<Identity> {
    const claims = await this.#verify(text);
    const name = nameOf(claims, this.#options.issuer);
    if (name === undefined) throw new NotProven("the token's sub is no name that can be logged", true);
    const role = this.#roleOf(claims);
    if (role === undefined) {
      const message = `${name} has no role here: nothing that the token's claim ${this.#options.roleClaim} says is mapped to one`;
      throw new Refused("forbidden", message);
    }
    const until = (claims.exp! + TOLERANCE) * 1_000;
    return { name, role, gateways: undefined, stands: () => this.#options.now() < until };
  }

  async #verify(text: string): Promise<JWTPayload> {
    const { issuer, now } = this.#options;
    try {
      const { payload, protectedHeader } = await jwtVerify(text, (...given) => this.#keys.find(...given), {
        algorithms: ALGORITHMS,
        issuer,
        audience: this.#audience,
        clockTolerance: TOLERANCE,
        requiredClaims: ["exp", "sub"],
        currentDate: new Date(now()),
      });
      const { typ } = protectedHeader;
      if (typ !== undefined && !TYPES.test(typ)) {
        throw new NotProven("the token is of another kind than ID and access tokens", true);
      }
      return payload;
    } catch (error) {
      if (error instanceof KeysUnavailable) {
        const message = `the keys of the identity provider cannot be had (${error.message}); tokens of Tidegate's own work on`;
        throw new Refused("identity-provider", message);
      }
      throw error instanceof NotProven ? error : problemOf(error as Error);
    }
  }

  /** The highest of those that the claim's values are mapped to. */
  #roleOf(claims: JWTPayload): Role | undefined {
    const { roleClaim, roles } = this.#options;
    const value = valueAt(claims, roleClaim);
    const values = Array.isArray(value) ? value : [value];
    const has = new Set(values.map((v) => (typeof v === "string" ? roles.get(v) : undefined)));
    return ROLES.findLast((role) => has.has(role));
  }
}

/** A claim by its name, which may have dots of its own, or by a path such as `realm_access.roles`. */
function valueAt(claims: JWTPayload, path: string): unknown {
  if (Object.hasOwn(claims, path)) return claims[path];
  let value: unknown = claims;
  for (const part of path.split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<string, unknown>)[part];
  }
  return value;
}

/** An address that the issuer vouches for, or else who it is to the issuer: never a name that Tidegate itself goes by. */
function nameOf({ email, email_verified: verified, sub }: JWTPayload, issuer: string): string | undefined {
  const isAddress = typeof email === "string" && /^[^@]+@[^@]+$/.test(email) && NAME.test(email);
  if (isAddress && verified !== false && verified !== "false") return email;
  if (typeof sub !== "string" || sub === "" || !NAME.test(sub)) return undefined;
  return `${sub}@${new URL(issuer).host}`;
}

/** What jose says, for whoever sent the token. Claims are only looked at when the signature was good. */
function problemOf(error: Error): NotProven {
  if (error instanceof errors.JWTExpired) return new NotProven("the token is over; sign in again", true);
  if (error instanceof errors.JWTClaimValidationFailed) {
    return new NotProven(`the token's ${error.claim} is missing or not what is wanted here`, true);
  }
  if (error instanceof errors.JOSEAlgNotAllowed) {
    return new NotProven(`the token is not signed with one of ${ALGORITHMS.join(", ")}`);
  }
  if (error instanceof errors.JWKSNoMatchingKey) {
    return new NotProven("the token is signed with a key that the identity provider does not list");
  }
  if (error instanceof errors.JWKSMultipleMatchingKeys) {
    return new NotProven("the token does not say which of the identity provider's keys signed it (kid)");
  }
  return new NotProven("the token is not one that the identity provider signed");
}
