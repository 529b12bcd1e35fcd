/** An identity provider for tests: real HTTP on loopback, real keys, tokens of every kind. */
import { createHash } from "node:crypto";
import http from "node:http";
import { text } from "node:stream/consumers";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from "jose";

export const AUDIENCE = "tidegate";

/** How it answers. */
export type Mood = "well" | "broken" | "silent";

interface SigningKey {
  readonly kid: string;
  readonly alg: string;
  readonly privateKey: CryptoKey;
  readonly jwk: JWK;
}

export interface Given {
  readonly claims?: JWTPayload;
  /** Seconds from now. */
  readonly expires?: number;
  readonly key?: SigningKey;
  readonly header?: Readonly<Record<string, unknown>>;
}

export class TestIssuer {
  mood: Mood = "well";
  /** What was asked of it, path by path. */
  readonly asked: string[] = [];
  /** In the place of the address of the keys. */
  keysAt: string | undefined;
  /** Nobody agrees. */
  denies = false;
  /** In the ID tokens of those that sign in, over the usual ones. */
  idClaims: JWTPayload = {};
  readonly #codes = new Map<string, URLSearchParams>();
  #server: http.Server | undefined;
  #keys: SigningKey[] = [];
  #count = 0;
  #port = 0;

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Listens, again on the port that it had. */
  async start(): Promise<void> {
    const server = http.createServer((request, response) => this.#answer(request, response));
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(this.#port, "127.0.0.1", resolve));
    this.#port = (server.address() as AddressInfo).port;
  }

  stop(): void {
    this.#server?.closeAllConnections();
    this.#server?.close();
  }

  /** A key that it does not list. */
  async key(alg = "ES256"): Promise<SigningKey> {
    const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
    const kid = `k${++this.#count}`;
    return { kid, alg, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: "sig" } };
  }

  /** Signs with a new key from now on. @param keep whether the ones before are listed still */
  async rotate(alg = "ES256", keep = false): Promise<SigningKey> {
    const key = await this.key(alg);
    this.#keys = keep ? [key, ...this.#keys] : [key];
    return key;
  }

  get current(): SigningKey {
    return this.#keys[0]!;
  }

  /** A token of alice in the group sre, unless said otherwise. */
  async token({ claims = {}, expires = 300, key = this.current, header = {} }: Given = {}): Promise<string> {
    return new SignJWT(this.claims(claims, expires))
      .setProtectedHeader({ alg: key.alg, kid: key.kid, typ: "JWT", ...header })
      .sign(key.privateKey);
  }

  claims(claims: JWTPayload, expires = 300): JWTPayload {
    const now = Math.floor(Date.now() / 1000);
    const usual = { iss: this.url, aud: AUDIENCE, sub: "u-1", iat: now, exp: now + expires };
    return { ...usual, email: "alice@example.com", groups: ["sre"], ...claims };
  }

  /** How often the keys were fetched. */
  get fetches(): number {
    return this.asked.filter((path) => path === "/keys").length;
  }

  #answer(request: http.IncomingMessage, response: http.ServerResponse): void {
    this.asked.push(request.url ?? "");
    if (this.mood === "silent") return;
    if (this.mood === "broken") {
      response.writeHead(500).end("out of order");
      return;
    }
    response.setHeader("content-type", "application/json");
    if (request.url === "/.well-known/openid-configuration") {
      response.end(
        JSON.stringify({
          issuer: this.url,
          jwks_uri: this.keysAt ?? `${this.url}/keys`,
          authorization_endpoint: `${this.url}/authorize`,
          token_endpoint: `${this.url}/token`,
          response_types_supported: ["code"],
          code_challenge_methods_supported: ["S256"],
          id_token_signing_alg_values_supported: ["RS256", "PS256", "ES256", "EdDSA"],
        }),
      );
    } else if (request.url === "/keys") {
      response.end(JSON.stringify({ keys: this.#keys.map((key) => key.jwk) }));
    } else if (request.url?.startsWith("/authorize?") === true) {
      this.#authorize(new URL(request.url, this.url).searchParams, response);
    } else if (request.url === "/token") {
      void this.#give(request, response);
    } else {
      response.writeHead(404).end();
    }
  }

  /** Whoever comes is alice, and agrees; or `denies`. */
  #authorize(asked: URLSearchParams, response: http.ServerResponse): void {
    const back = new URL(asked.get("redirect_uri")!);
    back.searchParams.set("state", asked.get("state")!);
    if (this.denies) back.searchParams.set("error", "access_denied");
    else {
      const code = `code-${++this.#count}`;
      this.#codes.set(code, asked);
      back.searchParams.set("code", code);
    }
    response.writeHead(302, { location: back.href }).end();
  }

  /** A code is good once, for who began with its challenge. */
  async #give(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const body = new URLSearchParams(await text(request));
    const asked = this.#codes.get(body.get("code") ?? "");
    this.#codes.delete(body.get("code") ?? "");
    const proof = createHash("sha256")
      .update(body.get("code_verifier") ?? "")
      .digest("base64url");
    const isGood =
      asked?.get("code_challenge") === proof &&
      asked.get("redirect_uri") === body.get("redirect_uri") &&
      asked.get("client_id") === body.get("client_id");
    if (!isGood) {
      response.writeHead(400).end('{"error":"invalid_grant"}');
      return;
    }
    const claims = { aud: asked.get("client_id")!, nonce: asked.get("nonce")!, ...this.idClaims };
    const id = await this.token({ claims });
    response.end(JSON.stringify({ access_token: "opaque", token_type: "Bearer", id_token: id }));
  }
}

export async function startIssuer(t: TestContext, alg = "ES256"): Promise<TestIssuer> {
  const issuer = new TestIssuer();
  await issuer.rotate(alg);
  await issuer.start();
  t.after(() => issuer.stop());
  return issuer;
}
