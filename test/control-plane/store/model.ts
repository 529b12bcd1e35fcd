/** A store as plain maps and lists, and random commits that compare it with a real one. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { CHAIN_START, chained } from "../../../control-plane/store/audit-chain.ts";
import {
  type AuditEntry,
  type Commit,
  Conflict,
  Deposed,
  type Store,
} from "../../../control-plane/store/store.ts";
import { contents, line, revision } from "./samples.ts";

const RUNS = 12;

class Model {
  epoch = 0;
  leads = false;
  revisions: object[] = [];
  blobs = new Map<string, string>();
  documents = new Map<string, { version: number; body: string }>();
  events: object[] = [];
  audit: AuditEntry[] = [];

  /** @returns what it is refused as; nothing is changed then */
  commit(change: Commit): typeof Conflict | typeof Deposed | undefined {
    if (change.epoch !== undefined && (!this.leads || change.epoch !== this.epoch)) return Deposed;
    const head = this.revisions.length;
    if (change.expectHead !== undefined && change.expectHead !== head) return Conflict;
    if (change.revision !== undefined && change.revision.number !== head + 1) return Conflict;
    const documents = new Map(this.documents);
    for (const { kind, id, body, expect } of change.puts ?? []) {
      const version = documents.get(`${kind}/${id}`)?.version ?? 0;
      if (expect !== undefined && expect !== version) return Conflict;
      documents.set(`${kind}/${id}`, { version: version + 1, body });
    }
    for (const { kind, id, expect } of change.deletes ?? []) {
      const version = documents.get(`${kind}/${id}`)?.version ?? 0;
      if (expect !== undefined && expect !== version) return Conflict;
      documents.delete(`${kind}/${id}`);
    }
    this.documents = documents;
    if (change.revision !== undefined) this.revisions.push(change.revision);
    for (const [digest, content] of change.blobs ?? []) {
      if (!this.blobs.has(digest)) this.blobs.set(digest, content);
    }
    for (const event of change.events ?? []) this.events.push({ number: this.events.length + 1, ...event });
    for (const entry of change.audit ?? []) {
      this.audit.push(chained(this.audit.at(-1)?.hash ?? CHAIN_START, this.audit.length + 1, entry));
    }
    return undefined;
  }

  contents(): Record<string, object[]> {
    const keys = [...this.documents.keys()].sort();
    const documents = keys.map((key) => {
      const [kind, id] = key.split("/");
      return { kind, id, ...this.documents.get(key) };
    });
    const blobs = [...this.blobs].map(([digest, content]) => ({ digest, content }));
    blobs.sort((a, b) => (a.digest < b.digest ? -1 : 1));
    const all = { revisions: this.revisions, blobs, documents, events: this.events, audit: this.audit };
    const filled = Object.entries(all).filter(([, rows]) => rows.length > 0);
    return { leadership: [{ epoch: this.epoch }], ...Object.fromEntries(filled) };
  }
}

const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const text = fc.string({ unit: "grapheme", maxLength: 8 }).map((s) => s.replaceAll("\0", ""));
/** Few ids, and few versions: so that they meet. */
const named = {
  kind: fc.constantFrom("a", "b"),
  id: fc.constantFrom("1", "2"),
  expect: optional(fc.integer({ min: 0, max: 3 })),
};
const few = <T>(arbitrary: fc.Arbitrary<T>) => fc.array(arbitrary, { maxLength: 2 });

/** `head`: a revision's number, and what is expected, from the head that is there when it is written. */
const commit = fc.record({
  head: optional(fc.integer({ min: -1, max: 1 }).map((n) => (n === 1 ? 0 : n))),
  next: optional(fc.constantFrom(1, 1, 1, 0, 2)),
  epoch: optional(fc.constantFrom(0, 0, -1)),
  reason: text,
  blobs: few(fc.tuple(fc.constantFrom("x", "y", "z"), text)),
  puts: few(fc.record({ ...named, body: text })),
  deletes: few(fc.record(named)),
  events: few(fc.record({ at: fc.maxSafeNat(), type: text, body: text })),
  audit: few(text),
});
const step = fc.oneof(
  { weight: 8, arbitrary: commit },
  { weight: 1, arbitrary: fc.constant("lead" as const) },
  { weight: 1, arbitrary: fc.constant("resign" as const) },
);

/** @param open a new, empty store */
export async function checkModel(open: () => Promise<Store>): Promise<void> {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
      const store = await open();
      const model = new Model();
      for (const given of steps) await take(given, store, model);
      assert.deepEqual(await contents(store), model.contents());
      await store.close();
    }),
    { numRuns: RUNS, seed: 20_251 },
  );
}

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

async function take(given: Step, store: Store, model: Model): Promise<void> {
  if (given === "lead") {
    if (!model.leads) model.epoch++;
    model.leads = true;
    assert.equal((await store.lead("me", 3_600_000))?.epoch, model.epoch);
    return;
  }
  if (given === "resign") {
    model.leads = false;
    return store.resign("me");
  }
  const { head, next, epoch, reason, blobs, audit, ...rest } = given;
  const number = model.revisions.length;
  const change: Commit = {
    ...rest,
    expectHead: head === undefined ? undefined : number + head,
    revision: next === undefined ? undefined : revision(number + next, { reason }),
    epoch: epoch === undefined ? undefined : model.epoch + epoch,
    blobs: new Map(blobs),
    audit: audit.map((why, i) => line(i, { reason: why })),
  };
  const refused = model.commit(change);
  if (refused === undefined) await store.commit(change);
  else await assert.rejects(store.commit(change), refused);
}
