/**
 * Who asks, and may they: by a bearer token, ours or an identity provider's, in a field or in a session of the console, or
 * by a client certificate.
 *
 * A token that is sent decides alone; what is sent is never logged. Whoever guesses is told so by address, and whoever is
 * right is served all the same: 256 random bits are not guessed, and one wrong token in a loop behind the address that a
 * fleet's gateways share must not lock them out.
 */
import type { FastifyRequest } from "fastify";
import { type IRateLimiterOptions, RateLimiterMemory } from "rate-limiter-flexible";
import { Refused } from "../refused.ts";
import { mayAct, type Tokens } from "../tokens.ts";
import { clientCertificate } from "./client-certificate.ts";
import { type Identity, NotProven } from "./identity.ts";
import { looksLikeJwt, type Oidc } from "./oidc.ts";
import { CONSOLE_HEADER, type Sessions } from "./session.ts";

export interface AuthenticatorOptions {
  readonly tokens: Tokens;
  /** Undefined: only tokens of our own. */
  readonly oidc?: Oidc | undefined;
  /** Of people in browsers. */
  readonly sessions: Sessions;
  /** Loopback only: whoever comes is an admin. */
  readonly dev: boolean;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** Wrong tokens from one address, in so many seconds. */
const GUESSES: IRateLimiterOptions = { points: 10, duration: 60 };
/** A JWT with many groups is long; the header section as a whole ends at 16 KiB. */
const BEARER = /^Bearer +(\S{1,12000})$/i;
const DEV: Identity = { name: "dev", role: "admin", gateways: undefined, stands: () => true };

export class Authenticator {
  readonly #options: AuthenticatorOptions;
  readonly #guesses = new RateLimiterMemory(GUESSES);

  constructor(options: AuthenticatorOptions) {
    this.#options = options;
  }

  /** Says who asks; undefined where the route is for everybody. @throws Refused */
  async authenticate(request: FastifyRequest): Promise<Identity | undefined> {
    const needed = request.routeOptions.config.role;
    if (needed === undefined) return undefined;
    const identity = await this.#identify(request);
    const { name, role, gateways } = identity;
    if (!mayAct(role, needed)) {
      throw new Refused("forbidden", `${name} is ${role}; this is for ${needed}`);
    }
    const { gateway } = request.params as { gateway?: string };
    if (gateways !== undefined && !gateways.includes(gateway ?? "")) {
      const message = `${name} may speak for the gateway ${gateways.join(", ") || "(none)"} only, not for ${gateway ?? "any"}`;
      throw new Refused("forbidden", message);
    }
    return identity;
  }

  async #identify(request: FastifyRequest): Promise<Identity> {
    if (this.#options.dev) return DEV;
    const { authorization, [CONSOLE_HEADER]: isConsole } = request.headers;
    if (authorization === undefined && isConsole !== undefined) return await this.#bySession(request);
    if (authorization === undefined) return this.#byCertificate(request);
    const [, text] = BEARER.exec(authorization) ?? [];
    if (text === undefined) throw new Refused("unauthenticated", WANTED);
    return await this.prove(text, request.ip);
  }

  /** @param text a token, however it was shown @throws Refused */
  async prove(text: string, from: string): Promise<Identity> {
    try {
      return await this.#byToken(text);
    } catch (error) {
      if (!(error instanceof NotProven)) throw error;
      if (!error.genuine) await this.#countGuess(from);
      throw new Refused("unauthenticated", error.message);
    }
  }

  /** A token that was good when it was sealed, and is over or revoked by now, is no guess. */
  async #bySession({ headers }: FastifyRequest): Promise<Identity> {
    const { sessions, now } = this.#options;
    const sealed = sessions.open(headers.cookie);
    if (sealed === undefined) throw new Refused("unauthenticated", "there is no session; sign in");
    try {
      const identity = await this.#byToken(sealed.token);
      return { ...identity, stands: () => identity.stands() && sealed.expiresAt > now() };
    } catch (error) {
      if (!(error instanceof NotProven)) throw error;
      throw new Refused("unauthenticated", `the session is over: ${error.message}`);
    }
  }

  /** @throws Refused when there were too many */
  async #countGuess(from: string): Promise<void> {
    const isOneTooMany = await this.#guesses.consume(from).then(
      () => false,
      () => true,
    );
    if (!isOneTooMany) return;
    const message =
      "this token is wrong, as were too many from this address; a right one is taken at any time";
    throw new Refused("too-many", message);
  }

  /** @throws NotProven · Refused */
  async #byToken(text: string): Promise<Identity> {
    const { tokens, oidc, now } = this.#options;
    if (oidc !== undefined && looksLikeJwt(text)) return oidc.identify(text);
    const token = tokens.check(text);
    if (token === undefined) {
      throw new NotProven("the token is unknown, revoked or over; ask an admin for another");
    }
    const { id, name, role, gateway, expiresAt } = token;
    return {
      name,
      role,
      gateways: gateway === undefined ? undefined : [gateway],
      stands: () => tokens.get(id) !== undefined && expiresAt > now(),
    };
  }

  #byCertificate(request: FastifyRequest): Identity {
    const certificate = clientCertificate(request.raw.socket);
    if (certificate === undefined) throw new Refused("unauthenticated", WANTED);
    if (typeof certificate === "string") {
      throw new Refused("unauthenticated", `the client certificate is not believed: ${certificate}`);
    }
    const { gateways, until } = certificate;
    if (gateways.length === 0) {
      throw new Refused(
        "forbidden",
        "the client certificate names no gateway; expected tidegate:gateway:NAME",
      );
    }
    // A connection may outlive the certificate that it began with.
    const stands = (): boolean => this.#options.now() < until;
    if (!stands()) throw new Refused("unauthenticated", "the client certificate is over");
    return { name: gateways[0]!, role: "gateway", gateways, stands };
  }
}

const WANTED = "a token is needed: Authorization: Bearer tg_… (TIDEGATE_TOKEN)";
