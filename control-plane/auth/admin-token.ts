/** The admin token that nobody made with another: the first one, and the one for whoever lost theirs. */
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Store } from "../store/store.ts";
import { makeToken, TOKEN } from "../tokens.ts";

const DAY = 24 * 3_600_000;
const LASTS = 30 * DAY;

export interface AdminTokenOptions {
  readonly store: Store;
  /** Where the token is left, for this user alone to read. */
  readonly dir: string;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly random: (bytes: number) => Buffer;
}

/** Nobody can make a token without one. @returns the file that it is in; undefined: there are tokens already */
export async function firstAdminToken(options: AdminTokenOptions): Promise<string | undefined> {
  if ((await options.store.documents(TOKEN, undefined, 1)).length > 0) return undefined;
  return leave(options, "first-admin", "token.create", "tidegate", "the first token");
}

/**
 * Whoever may write the store's files may do this; the audit log says that it was done, and by which user.
 *
 * @param user of the system · @returns the file that the token is in
 */
export function resetAdminToken(options: AdminTokenOptions, user: string): Promise<string> {
  const reason = "made on the machine itself with --reset-admin-token, without proof of who asked";
  return leave(options, "reset-admin", "token.break-glass", `tidegate (user ${user})`, reason);
}

async function leave(
  { store, dir, now, random }: AdminTokenOptions,
  name: string,
  action: string,
  actor: string,
  reason: string,
): Promise<string> {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const { token, text } = makeToken({ name, role: "admin", expiresIn: LASTS }, now(), random);
  const { hash: _, ...shown } = token;
  const audit = { at: now(), actor, from: "", action, target: token.id, reason, before: "null" };
  await store.commit({
    puts: [{ kind: TOKEN, id: token.id, body: JSON.stringify(token), expect: 0 }],
    audit: [{ ...audit, after: JSON.stringify(shown) }],
  });
  const file = join(dir, "admin.token");
  writeFileSync(file, `${text}\n`, { mode: 0o600 });
  // One that is there already keeps its mode.
  chmodSync(file, 0o600);
  return file;
}
