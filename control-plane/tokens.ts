/** Bearer tokens: who may do what. Stored hashed, shown once, expiring, revocable. */
import { createHash, timingSafeEqual } from "node:crypto";
import type { Store } from "./store/store.ts";

/** Each may what those before it may; a gateway is apart. */
export const ROLES = ["viewer", "operator", "approver", "admin"] as const;
export type Role = (typeof ROLES)[number] | "gateway";

export interface Token {
  /** Its public part, by which it is revoked. */
  readonly id: string;
  /** Whose it is. */
  readonly name: string;
  readonly role: Role;
  /** With the role gateway: the one gateway that it may speak for; undefined: any. */
  readonly gateway?: string;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  readonly expiresAt: number;
  /** SHA-256 of the secret, hex: 32 random bytes need no slow hash. */
  readonly hash: string;
}

/** Document kind. */
export const TOKEN = "token";
export const LONGEST_TOKEN = 366 * 24 * 3_600_000;

export interface MadeToken {
  readonly token: Token;
  /** `tg_ID_SECRET`: shown once, kept nowhere. */
  readonly text: string;
}

/** @param random so many random bytes */
export function makeToken(
  given: {
    readonly name: string;
    readonly role: Role;
    readonly expiresIn: number;
    readonly gateway?: string | undefined;
  },
  now: number,
  random: (bytes: number) => Buffer,
): MadeToken {
  const id = random(6).toString("hex");
  const secret = random(32).toString("base64url");
  const { name, role, expiresIn, gateway } = given;
  const bound = gateway === undefined ? {} : { gateway };
  const expiresAt = now + expiresIn;
  const token: Token = { id, name, role, ...bound, createdAt: now, expiresAt, hash: hashOf(secret) };
  return { token, text: `tg_${id}_${secret}` };
}

/** Whether one role may do what another is needed for. */
export function mayAct(has: Role, needed: Role): boolean {
  if (needed === "gateway" || has === "gateway")
    return has === needed || (needed === "gateway" && has === "admin");
  return ROLES.indexOf(has) >= ROLES.indexOf(needed);
}

export class Tokens {
  readonly #store: Store;
  readonly #now: () => number;
  #byId = new Map<string, Token>();

  constructor(store: Store, now: () => number) {
    this.#store = store;
    this.#now = now;
  }

  /** Reads what is stored. @throws Unavailable: what was known stays */
  async refresh(): Promise<void> {
    const byId = new Map<string, Token>();
    let after: string | undefined;
    for (;;) {
      const page = await this.#store.documents(TOKEN, after, 500);
      for (const { id, body } of page) byId.set(id, JSON.parse(body) as Token);
      if (page.length < 500) break;
      after = page.at(-1)!.id;
    }
    this.#byId = byId;
  }

  list(): Token[] {
    return [...this.#byId.values()];
  }

  get(id: string): Token | undefined {
    return this.#byId.get(id);
  }

  /** @returns undefined when it is unknown, wrong, revoked or over */
  check(text: string): Token | undefined {
    const [, id, secret] = /^tg_([0-9a-f]{12})_([A-Za-z0-9_-]{43})$/.exec(text) ?? [];
    const token = id === undefined ? undefined : this.#byId.get(id);
    if (token === undefined || token.expiresAt <= this.#now()) return undefined;
    return timingSafeEqual(Buffer.from(hashOf(secret!)), Buffer.from(token.hash)) ? token : undefined;
  }
}

function hashOf(secret: string): string {
  return createHash("sha256").update(secret).digest("hex");
}
