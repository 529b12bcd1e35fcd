/**
 * The public keys that an identity provider signs with: found by its discovery document, kept, and fetched again now
 * and then, never for each request.
 *
 * A key that is not among them is looked for at most once in a cool-down, whoever asks. An issuer that does not answer
 * is left alone as long; meanwhile the keys that were had serve on, for an hour.
 */
import {
  createRemoteJWKSet,
  customFetch,
  type CryptoKey,
  type JWTVerifyGetKey,
  type RemoteJWKSet,
} from "jose";
import { Agent, fetch } from "undici";
import { isSafe } from "./oidc-settings.ts";

/** For the discovery document and the keys together (ms). */
const TIMEOUT = 2_000;
/** Between two fetches (ms), whether for a key that is unknown or for an issuer that did not answer. */
const COOL_DOWN = 5_000;
/** Keys of this age (ms) are fetched again, while they serve on. A key that the issuer withdrew is out by then. */
const OLD = 600_000;
/** Keys of this age (ms) serve no longer. */
const TOO_OLD = 3_600_000;
const MOST_BYTES = 512 * 1024;

/** The keys cannot be had, so that nothing can be said of a token. */
export class KeysUnavailable extends Error {
  override readonly name = "KeysUnavailable";
}

export interface IssuerKeysOptions {
  readonly issuer: string;
  readonly monotonic: () => number;
  /** Told once when the issuer stops answering, with the reason, and once when it answers again. */
  readonly onChange: (reason: string | undefined) => void;
}

export class IssuerKeys {
  readonly #options: IssuerKeysOptions;
  readonly #agent = new Agent({ connectTimeout: TIMEOUT, maxResponseSize: MOST_BYTES });
  readonly #keys: RemoteJWKSet;
  #fetchedAt = -Infinity;
  #triedAt = -Infinity;
  /** Why the last fetch failed. */
  #reason: string | undefined;

  constructor(options: IssuerKeysOptions) {
    this.#options = options;
    this.#keys = createRemoteJWKSet(new URL(discoveryOf(options.issuer)), {
      timeoutDuration: TIMEOUT,
      cooldownDuration: COOL_DOWN,
      cacheMaxAge: TOO_OLD,
      [customFetch]: (_url, { signal }) => this.#fetch(signal),
    });
  }

  /** @throws KeysUnavailable · JOSEError when no key fits */
  find(...[header, token]: Parameters<JWTVerifyGetKey>): Promise<CryptoKey> {
    const now = this.#options.monotonic();
    const isOld = this.#fetchedAt > -Infinity && now - this.#fetchedAt > OLD;
    if (isOld && now - this.#triedAt > COOL_DOWN) void this.warm();
    return this.#keys(header, token);
  }

  /** Fetches them before somebody waits for them. What fails is said by `onChange`. */
  async warm(): Promise<void> {
    await this.#keys.reload().catch(() => {});
  }

  stop(): void {
    void this.#agent.destroy().catch(() => {});
  }

  /** In the place of one GET of the keys: where they are may have changed too. */
  async #fetch(signal: AbortSignal): Promise<Response> {
    const now = this.#options.monotonic();
    if (this.#reason !== undefined && now - this.#triedAt < COOL_DOWN)
      throw new KeysUnavailable(this.#reason);
    this.#triedAt = now;
    try {
      const keys = await this.#keysText(signal);
      this.#fetchedAt = now;
      if (this.#reason !== undefined) this.#options.onChange(undefined);
      this.#reason = undefined;
      return new Response(keys);
    } catch (error) {
      const reason = signal.aborted ? `no answer in ${TIMEOUT / 1_000} s` : reasonOf(error as Error);
      if (this.#reason === undefined) this.#options.onChange(reason);
      this.#reason = reason;
      throw new KeysUnavailable(reason);
    }
  }

  async #keysText(signal: AbortSignal): Promise<string> {
    const { issuer } = this.#options;
    const discovery = object(JSON.parse(await this.#text(discoveryOf(issuer), signal)));
    if (discovery.issuer !== issuer) {
      throw new Error(`its discovery document is of another issuer than ${issuer}`);
    }
    const url = URL.parse(String(discovery.jwks_uri));
    if (url === null || !isSafe(url)) throw new Error("its jwks_uri is no https URL");
    const text = await this.#text(url.href, signal);
    const { keys } = object(JSON.parse(text));
    if (!Array.isArray(keys) || !keys.every((key) => typeof key === "object" && key !== null)) {
      throw new Error("what its jwks_uri answers is no set of keys");
    }
    return text;
  }

  async #text(url: string, signal: AbortSignal): Promise<string> {
    const headers = { accept: "application/json" };
    const answer = await fetch(url, { dispatcher: this.#agent, signal, headers, redirect: "error" });
    if (answer.status !== 200) {
      await answer.body?.cancel();
      throw new Error(`${new URL(url).pathname} answered ${answer.status}`);
    }
    return answer.text();
  }
}

function discoveryOf(issuer: string): string {
  return `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;
}

function object(value: unknown): Record<string, unknown> {
  if (typeof value !== "object" || value === null) throw new Error("it answered no JSON object");
  return value as Record<string, unknown>;
}

function reasonOf(error: Error): string {
  if (error instanceof SyntaxError) return "it answered no JSON";
  const { cause } = error as { cause?: NodeJS.ErrnoException };
  return cause?.code ?? cause?.message ?? error.message;
}
