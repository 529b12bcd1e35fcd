/** What the tests of stores write, and how they look at what is there. */
import { type BrokenChain, ChainCheck } from "../../../control-plane/store/audit-chain.ts";
import {
  type AuditLine,
  type Commit,
  Conflict,
  type Revision,
  type Store,
} from "../../../control-plane/store/store.ts";

export function revision(number: number, more: Partial<Revision> = {}): Revision {
  const digests = { base: `base-${number}`, overlays: "overlays", effective: `effective-${number}` };
  return {
    number,
    at: 1_700_000_000_000 + number,
    author: "ann",
    reason: "why",
    cause: "apply",
    ...digests,
    ...more,
  };
}

export function line(number: number, more: Partial<AuditLine> = {}): AuditLine {
  const words = {
    actor: "ann",
    from: "10.0.0.1",
    action: "apply",
    target: "configuration",
    reason: `the ${number}th`,
  };
  return { at: 1_700_000_000_000 + number, ...words, before: "null", after: `{"n":${number}}`, ...more };
}

/** Everything that belongs to one publication, as a control plane writes it. */
export function publication(number: number): Commit {
  return {
    expectHead: number - 1,
    revision: revision(number),
    blobs: new Map([
      [`base-${number}`, `content of ${number}`],
      ["overlays", "[]"],
    ]),
    puts: [{ kind: "counter", id: "one", body: `${number}`, expect: number - 1 }],
    events: [{ at: number, type: "revision", body: `{"revision":${number}}` }],
    audit: [line(number)],
  };
}

/** Publishes on whatever is the newest, as often as others are quicker. @returns its number */
export async function publishNext(store: Store): Promise<number> {
  for (;;) {
    const number = (await store.head()) + 1;
    try {
      await store.commit(publication(number));
      return number;
    } catch (error) {
      if (!(error instanceof Conflict)) throw error;
    }
  }
}

/** Everything that is in a store, table by table. */
export async function contents(store: Store): Promise<Record<string, object[]>> {
  const tables: Record<string, object[]> = {};
  for await (const { table, rows } of store.dump()) {
    tables[table] ??= [];
    tables[table].push(...rows.map((row) => ({ ...row })));
  }
  return tables;
}

/** Reads the audit log as the API does. */
export async function checkChain(
  store: Store,
): Promise<{ entries: number; broken: BrokenChain | undefined }> {
  const check = new ChainCheck();
  for (;;) {
    const page = await store.audit(check.checked.entries, 100);
    for (const entry of page) {
      const broken = check.see(entry);
      if (broken !== undefined) return { entries: check.checked.entries, broken };
    }
    if (page.length < 100) return { entries: check.checked.entries, broken: undefined };
  }
}

/** The next time that it tells of a change. */
export function nextChange(store: Store): Promise<void> {
  return new Promise((resolve) => {
    const stop = store.onChange(() => {
      stop();
      resolve();
    });
  });
}
