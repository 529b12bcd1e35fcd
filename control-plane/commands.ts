/**
 * Commands that were done, by the key that their sender gave them: whoever heard no answer sends the same again, and it is
 * answered without being done again.
 *
 * A command is recorded in the commit of what it changed, never before and never after. What was refused changed nothing,
 * and is not recorded: sent again, it is tried again.
 */
import { createHash } from "node:crypto";
import type { DeleteDocument, PutDocument, Store, StoredDocument } from "./store/store.ts";

/** Document kind. */
export const COMMAND = "command";
/** Records are kept for so long (ms), and so many of them; the newest stay. */
export const COMMAND_LASTS = 24 * 3_600_000;
export const MOST_COMMANDS = 10_000;
const PAGE = 500;

/** What was answered, to be answered again. */
export interface CommandAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
}

/** The command was done, and its answer cannot be given twice. */
export interface Untold {
  /** For people: what to do instead. */
  readonly untold: string;
}

export interface DoneCommand {
  /** Of what was asked. */
  readonly digest: string;
  /** Milliseconds since 1970; rising, whatever the clock does. */
  readonly at: number;
  readonly answer: CommandAnswer | Untold;
}

/** @returns the id under which a command is kept: keys of different people are different keys */
export function commandId(actor: string, key: string): string {
  return createHash("sha256")
    .update(JSON.stringify([actor, key]))
    .digest("hex");
}

export class Commands {
  readonly #store: Store;
  readonly #now: () => number;
  #newest = 0;

  /** @param now milliseconds since 1970 */
  constructor(store: Store, now: () => number) {
    this.#store = store;
    this.#now = now;
  }

  /** @throws Unavailable */
  async find(id: string): Promise<DoneCommand | undefined> {
    const stored = await this.#store.document(COMMAND, id);
    return stored === undefined ? undefined : (JSON.parse(stored.body) as DoneCommand);
  }

  /** To be written with what the command changes; of two at once, the store refuses one. */
  record(id: string, digest: string, answer: CommandAnswer | Untold): PutDocument {
    this.#newest = Math.max(this.#now(), this.#newest + 1);
    const done: DoneCommand = { digest, at: this.#newest, answer };
    return { kind: COMMAND, id, body: JSON.stringify(done), expect: 0 };
  }

  /** Records that are too old, and the oldest of those that are too many. @throws Unavailable */
  async superfluous(most = MOST_COMMANDS): Promise<DeleteDocument[]> {
    const all: { readonly id: string; readonly at: number }[] = [];
    let after: string | undefined;
    let page: StoredDocument[];
    do {
      page = await this.#store.documents(COMMAND, after, PAGE);
      for (const { id, body } of page) all.push({ id, at: (JSON.parse(body) as DoneCommand).at });
      after = page.at(-1)?.id;
    } while (page.length === PAGE);
    all.sort((a, b) => b.at - a.at);
    this.#newest = Math.max(this.#newest, all[0]?.at ?? 0);
    const tooOld = this.#now() - COMMAND_LASTS;
    return all.filter(({ at }, i) => i >= most || at < tooOld).map(({ id }) => ({ kind: COMMAND, id }));
  }
}
