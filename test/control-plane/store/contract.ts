/** What every store does: the same tests for each kind. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import {
  type Commit,
  Conflict,
  Deposed,
  EVENTS_KEPT,
  type Store,
  Unavailable,
} from "../../../control-plane/store/store.ts";
import { checkModel } from "./model.ts";
import { checkChain, contents, line, nextChange, publication, publishNext, revision } from "./samples.ts";

/** One empty database. */
export interface Place {
  /** Opens a store of it, as another process would. It ends with the test. */
  open(): Promise<Store>;
  /** Past the store: somebody with a shell. */
  sql(text: string): Promise<void>;
  /** Lets the lease run out. */
  endLease(): Promise<void>;
  /** Pretends that a newer version wrote it. */
  makeNewer(): Promise<void>;
}

/** @param make a new place, that ends with the test */
export function testContract(make: (t: TestContext) => Promise<Place>): void {
  const withStore = (
    name: string,
    act: (store: Store, place: Place, t: TestContext) => Promise<void>,
  ): void => {
    test(name, { timeout: 30_000 }, async (t) => {
      const place = await make(t);
      await act(await place.open(), place, t);
    });
  };

  withStore("an empty store has nothing", async (store) => {
    assert.equal(await store.head(), 0);
    assert.equal(await store.revision(1), undefined);
    assert.deepEqual(await store.revisions(undefined, 10), []);
    assert.equal(await store.blob("x"), undefined);
    assert.equal(await store.document("k", "x"), undefined);
    assert.deepEqual(await store.documents("k", undefined, 10), []);
    assert.deepEqual(await store.events(0, 10), []);
    assert.deepEqual(await store.audit(0, 10), []);
    assert.equal(await store.leader(), undefined);
  });

  withStore("revisions are numbered without gaps, each on the one before it", async (store) => {
    await store.commit({ expectHead: 0, revision: revision(1) });
    await assert.rejects(store.commit({ expectHead: 0, revision: revision(2) }), Conflict);
    await assert.rejects(store.commit({ revision: revision(1) }), Conflict);
    await assert.rejects(store.commit({ revision: revision(3) }), Conflict);
    await store.commit({ revision: revision(2, { at: 2 ** 53 - 1, reason: "größer ☂ '\"\\" }) });
    await store.commit({ expectHead: 2, revision: revision(3) });
    assert.equal(await store.head(), 3);
    assert.deepEqual(
      { ...(await store.revision(2)) },
      revision(2, { at: 2 ** 53 - 1, reason: "größer ☂ '\"\\" }),
    );
    const numbers = async (before: number | undefined, limit: number): Promise<number[]> =>
      (await store.revisions(before, limit)).map(({ number }) => number);
    assert.deepEqual(await numbers(undefined, 2), [3, 2]);
    assert.deepEqual(await numbers(2, 2), [1]);
    assert.deepEqual(await numbers(1e30, 9), [3, 2, 1]);
  });

  withStore("documents are compared by version", async (store) => {
    const put = (expect: number | undefined, body = "{}"): Promise<void> =>
      store.commit({ puts: [{ kind: "token", id: "a", body, expect }] });
    await assert.rejects(put(1), Conflict);
    await put(0);
    await assert.rejects(put(0), Conflict);
    await put(1, "2");
    await put(undefined, "3");
    assert.deepEqual(
      { ...(await store.document("token", "a")) },
      { kind: "token", id: "a", version: 3, body: "3" },
    );
    const remove = (expect: number | undefined): Promise<void> =>
      store.commit({ deletes: [{ kind: "token", id: "a", expect }] });
    await assert.rejects(remove(2), Conflict);
    await remove(3);
    assert.equal(await store.document("token", "a"), undefined);
    await remove(undefined);
    await remove(0);
  });

  withStore("documents come by id, byte for byte, whatever the database's language", async (store) => {
    const ids = ["B", "a", "a-b", "aB", "ab", "ä", "z", "\u{1f600}", "\uff5e"];
    await store.commit({ puts: ids.map((id) => ({ kind: "k", id, body: id })) });
    await store.commit({ puts: [{ kind: "l", id: "a", body: "another kind" }] });
    const bytes = ids.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    const found: string[] = [];
    for (;;) {
      const page = await store.documents("k", found.at(-1), 2);
      found.push(...page.map(({ id }) => id));
      if (page.length < 2) break;
    }
    assert.deepEqual(found, bytes);
  });

  withStore("a blob that is there stays as it is", async (store) => {
    const long = "ü\\\"'\n".repeat(200_000);
    await store.commit({ blobs: new Map([["d", long]]) });
    await store.commit({
      blobs: new Map([
        ["d", "another"],
        ["e", ""],
      ]),
    });
    assert.equal(await store.blob("d"), long);
    assert.equal(await store.blob("e"), "");
  });

  withStore("a commit is written whole or not at all", async (store) => {
    await store.commit(publication(1));
    const before = await contents(store);
    const late = [{ kind: "other", id: "x", expect: 7 }];
    await assert.rejects(store.commit({ ...publication(2), deletes: late }), Conflict);
    await assert.rejects(store.commit({ ...publication(2), puts: [{ ...late[0]!, body: "" }] }), Conflict);
    await assert.rejects(store.commit({ ...publication(2), epoch: 1 }), Deposed);
    // No number: no store takes it, and says so at its very end.
    const odd: Commit = { ...publication(2), audit: [line(2), line(3, { at: 1.5 })] };
    await assert.rejects(store.commit(odd), Unavailable);
    assert.deepEqual(await contents(store), before);
    await store.commit(publication(2));
    assert.equal((await store.audit(0, 9)).length, 2);
    assert.deepEqual(
      (await store.events(0, 9)).map(({ number }) => number),
      [1, 2],
    );
  });

  withStore("who changes an audit entry past the store is found", async (store, place) => {
    for (let number = 1; number <= 4; number++)
      await store.commit({ audit: [line(number), line(100 + number)] });
    assert.deepEqual(await checkChain(store), { entries: 8, broken: undefined });
    await place.sql("UPDATE audit SET reason = 'another' WHERE number = 5");
    assert.equal((await checkChain(store)).broken?.number, 5);
    await place.sql("UPDATE audit SET reason = 'the 3th' WHERE number = 5");
    assert.equal((await checkChain(store)).broken, undefined);
    await place.sql("DELETE FROM audit WHERE number = 2");
    assert.equal((await checkChain(store)).broken?.number, 2);
  });

  withStore(
    "regression: a reason with NUL or half a character in it broke the audit chain",
    async (store) => {
      const odd = line(1, { reason: "half \ud83d of it", target: "nul \0", actor: "\udc00" });
      await store.commit({ audit: [odd, line(2)] });
      await store.commit({
        puts: [{ kind: "k\0", id: "\ud800", body: "\0" }],
        revision: revision(1, { reason: "\0" }),
      });
      assert.deepEqual(await checkChain(store), { entries: 2, broken: undefined });
      assert.equal((await store.audit(0, 1))[0]!.reason, "half \ufffd of it");
      assert.equal((await store.document("k\0", "\ud800"))?.body, "\ufffd");
    },
  );

  withStore("events are in the order of their numbers, and the newest are kept", async (store) => {
    const events = (count: number, from: number): Commit => ({
      events: Array.from({ length: count }, (_, i) => ({ at: from + i, type: "t", body: `${from + i}` })),
    });
    await store.commit(events(EVENTS_KEPT, 1));
    assert.equal((await store.events(0, 1))[0]!.number, 1);
    await store.commit(events(7, EVENTS_KEPT + 1));
    const first = await store.events(0, 2);
    assert.deepEqual(
      first.map(({ number, body }) => [number, body]),
      [
        [8, "8"],
        [9, "9"],
      ],
    );
    const last = await store.events(EVENTS_KEPT + 5, 10);
    assert.deepEqual(
      last.map(({ number }) => number),
      [EVENTS_KEPT + 6, EVENTS_KEPT + 7],
    );
  });

  withStore("one leads, keeps its epoch, and its successor has a higher one", async (store, place) => {
    const other = await place.open();
    const lease = (await store.lead("a", 60_000))!;
    assert.equal(lease.epoch, 1);
    assert.equal(await other.lead("b", 60_000), undefined);
    assert.equal((await store.lead("a", 60_000))!.epoch, 1);
    const seen = (await other.leader())!;
    assert.deepEqual([seen.epoch, seen.holder], [1, "a"]);
    assert.ok(seen.remaining > 50_000 && seen.remaining <= 60_000, `${seen.remaining}`);
    await store.commit({ ...publication(1), epoch: 1 });
    await place.endLease();
    assert.equal(await other.leader(), undefined);
    await assert.rejects(store.commit({ ...publication(2), epoch: 1 }), Deposed, "nobody leads");
    assert.equal((await other.lead("b", 60_000))!.epoch, 2);
    await assert.rejects(store.commit({ ...publication(2), epoch: 1 }), Deposed, "another leads");
    await assert.rejects(store.commit({ ...publication(2), epoch: 3 }), Deposed);
    assert.equal(await store.lead("a", 60_000), undefined);
    await other.commit({ ...publication(2), epoch: 2 });
    await place.endLease();
    assert.equal((await other.lead("b", 60_000))!.epoch, 3, "who lost it in between is a new leader");
  });

  withStore("who resigns makes room at once", async (store, place) => {
    const other = await place.open();
    await store.lead("a", 60_000);
    await other.resign("b");
    assert.equal((await store.leader())?.holder, "a");
    await store.resign("a");
    assert.equal(await store.leader(), undefined);
    await assert.rejects(store.commit({ epoch: 1 }), Deposed);
    assert.equal((await other.lead("b", 60_000))!.epoch, 2);
  });

  withStore("of two that want to lead at the same time, one does", async (store, place) => {
    const other = await place.open();
    for (let round = 1; round <= 10; round++) {
      const got = await Promise.all([store.lead("a", 60_000), other.lead("b", 60_000)]);
      const [leader, ...more] = got.filter((lease) => lease !== undefined);
      assert.deepEqual([leader?.epoch, more.length], [round, 0]);
      await store.resign(leader!.holder);
    }
  });

  withStore("others hear of a write", async (store, place) => {
    const other = await place.open();
    const own = nextChange(store);
    for (let number = 1; number <= 3; number++) {
      const heard = nextChange(other);
      await store.commit(
        number === 2 ? { puts: [{ kind: "k", id: "x", body: "" }] } : { audit: [line(number)] },
      );
      await heard;
    }
    await own;
    const back = nextChange(store);
    await other.commit({ audit: [line(4)] });
    await back;
  });

  withStore("two that write at the same time lose nothing", async (store, place) => {
    const other = await place.open();
    const write = async (by: Store): Promise<number[]> => {
      const numbers: number[] = [];
      for (let i = 0; i < 200; i++) numbers.push(await publishNext(by));
      return numbers;
    };
    const numbers = (await Promise.all([write(store), write(other)])).flat();
    const all = Array.from({ length: 400 }, (_, i) => i + 1);
    assert.deepEqual(
      numbers.toSorted((a, b) => a - b),
      all,
    );
    const tables = await contents(store);
    for (const table of ["revisions", "events", "audit"]) {
      assert.deepEqual(
        tables[table]!.map((row) => (row as { number: number }).number),
        all,
        table,
      );
    }
    assert.deepEqual(await checkChain(other), { entries: 400, broken: undefined });
    assert.equal((await store.document("counter", "one"))!.version, 400);
  });

  withStore("a store that is opened again has everything", async (store, place) => {
    await store.commit(publication(1));
    const before = await contents(store);
    await store.close();
    await assert.rejects(store.head(), Unavailable);
    await assert.rejects(store.commit(publication(2)), Unavailable);
    assert.deepEqual(await contents(await place.open()), before);
  });

  withStore("what a newer version wrote is refused", async (store, place) => {
    await store.close();
    await place.makeNewer();
    await assert.rejects(place.open(), (error: Error) => {
      assert.ok(error instanceof Unavailable);
      assert.match(error.message, /written by a newer Tidegate \(schema 99, this one knows 1\)/);
      return true;
    });
  });

  withStore("a dump is of one moment", async (store) => {
    for (let number = 1; number <= 3; number++) await store.commit(publication(number));
    const before = await contents(store);
    const seen: Record<string, object[]> = {};
    for await (const { table, rows } of store.dump()) {
      await publishNext(store); // while it is read
      seen[table] = [...(seen[table] ?? []), ...rows.map((row) => ({ ...row }))];
    }
    assert.deepEqual(seen, before);
  });

  test("any commits leave what a plain model has", { timeout: 60_000 }, (t) =>
    checkModel(async () => (await make(t)).open()),
  );
}
