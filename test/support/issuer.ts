/** An identity provider for tests: real HTTP on loopback, real keys, tokens of every kind. */
import http from "node:http";
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
      response.end(JSON.stringify({ issuer: this.url, jwks_uri: this.keysAt ?? `${this.url}/keys` }));
    } else if (request.url === "/keys") {
      response.end(JSON.stringify({ keys: this.#keys.map((key) => key.jwk) }));
    } else {
      response.writeHead(404).end();
    }
  }
}

export async function startIssuer(t: TestContext, alg = "ES256"): Promise<TestIssuer> {
  const issuer = new TestIssuer();
  await issuer.rotate(alg);
  await issuer.start();
  t.after(() => issuer.stop());
  return issuer;
}
