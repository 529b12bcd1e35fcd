/** Moves what one store holds into another: a backup, a restore, or from one kind of store to the other. */
import { closeSync, openSync, rmSync } from "node:fs";
import { type BrokenChain, ChainCheck } from "./audit-chain.ts";
import { type Page, type Store, type Tables, Unavailable } from "./store.ts";

export interface Copied {
  readonly rows: Readonly<Record<keyof Tables, number>>;
  /** Hash of the last audit entry that was whole. */
  readonly hash: string;
  /** What is wrong with the audit log that was copied: it is copied as it is, for a copy is also evidence. */
  readonly broken: BrokenChain | undefined;
}

export interface CopyOptions {
  /** Epochs of the target begin above this one too: gateways may have seen a newer leader than a backup knows of. */
  readonly epoch?: number;
}

/**
 * Copies everything, as it was at one moment, into an empty store. Stop what writes to the source first: what is written
 * there later is not in the copy.
 *
 * @throws Conflict when the target is not empty · Unavailable; the target is empty then
 */
export async function copyStore(from: Store, to: Store, options: CopyOptions = {}): Promise<Copied> {
  const rows = { leadership: 0, revisions: 0, blobs: 0, documents: 0, events: 0, audit: 0 };
  const check = new ChainCheck();
  let broken: BrokenChain | undefined;
  async function* seen(): AsyncGenerator<Page> {
    for await (const page of from.dump()) {
      rows[page.table] += page.rows.length;
      if (page.table === "audit") {
        for (const entry of page.rows) broken ??= check.see(entry);
      }
      if (page.table !== "leadership") yield page;
      else yield { ...page, rows: page.rows.map(({ epoch }) => ({ epoch: above(epoch, options.epoch) })) };
    }
  }
  await to.load(seen());
  return { rows, hash: check.checked.hash, broken };
}

function above(epoch: number, least: number | undefined): number {
  return Math.max(epoch, least ?? 0);
}

/**
 * Makes a file that only this user can read, for tokens lie in it, and has it filled; what is half done is taken away.
 *
 * @throws Unavailable when it is there already, or cannot be written
 */
export async function fillNewFile(file: string, fill: () => Promise<unknown>): Promise<void> {
  try {
    // `wx`: of two backups to one name, one is refused.
    closeSync(openSync(file, "wx", 0o600));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new Unavailable(code === "EEXIST" ? `${file} is there already; expected a new file` : message);
  }
  try {
    await fill();
  } catch (error) {
    for (const end of ["", "-wal", "-shm", "-journal"]) rmSync(`${file}${end}`, { force: true });
    if (error instanceof Unavailable) throw error;
    throw new Unavailable(`cannot write ${file}: ${(error as Error).message}`);
  }
}
