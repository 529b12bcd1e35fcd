/** The store in one file: the contract, and what a kill leaves. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type TestContext, test } from "node:test";
import { copyStore } from "../../../control-plane/store/copy.ts";
import { SqliteStore } from "../../../control-plane/store/sqlite-store.ts";
import { Conflict, Unavailable } from "../../../control-plane/store/store.ts";
import { type Place, testContract } from "./contract.ts";
import { checkChain, contents, line, publication, publishNext } from "./samples.ts";

const WRITER = new URL("./writer.ts", import.meta.url).pathname;

function directory(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "tidegate-store-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

function run(file: string, sql: string): void {
  const db = new DatabaseSync(file);
  db.exec(sql);
  db.close();
}

async function makePlace(t: TestContext): Promise<Place> {
  const file = join(directory(t), "tidegate.db");
  let now = 1_000_000;
  return {
    async open() {
      const store = new SqliteStore(file, () => now);
      t.after(() => store.close());
      return store;
    },
    async sql(text) {
      run(file, text);
    },
    async endLease() {
      now += 60_000;
    },
    async makeNewer() {
      run(file, "PRAGMA user_version = 99");
    },
  };
}

testContract(makePlace);

test("a kill at any moment leaves every acknowledged commit", { timeout: 60_000 }, async (t) => {
  const file = join(directory(t), "tidegate.db");
  let seed = 7;
  let acknowledged = 0;
  for (let round = 0; round < 10; round++) {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    const until = acknowledged + 1 + (seed % 60);
    const child = spawn(process.execPath, [WRITER, file, "100000"], { stdio: ["ignore", "pipe", "inherit"] });
    acknowledged = await lastNumber(child, (number) => {
      // It is in the midst of a later one by now.
      if (number === until) child.kill("SIGKILL");
    });
    assert.equal(child.signalCode, "SIGKILL");
    assert.ok(acknowledged >= until);
    const store = new SqliteStore(file, () => 0);
    const head = await store.head();
    // One may have been written without a word of it.
    assert.ok(
      head === acknowledged || head === acknowledged + 1,
      `${head} is there, ${acknowledged} was said`,
    );
    assert.deepEqual(await checkChain(store), { entries: head, broken: undefined });
    assert.equal((await store.document("counter", "one"))!.version, head);
    assert.equal((await store.events(0, 10_000)).length, head);
    assert.equal(await store.blob(`base-${head}`), `content of ${head}`);
    acknowledged = head;
    await store.close();
  }
});

test("processes that begin and write at the same time lose nothing", { timeout: 30_000 }, async (t) => {
  const file = join(directory(t), "tidegate.db");
  const children = Array.from({ length: 4 }, () =>
    spawn(process.execPath, [WRITER, file, "50"], { stdio: ["ignore", "pipe", "inherit"] }),
  );
  const said: number[] = [];
  await Promise.all(children.map((child) => lastNumber(child, (number) => said.push(number))));
  assert.deepEqual(
    children.map((child) => child.exitCode),
    [0, 0, 0, 0],
  );
  const all = Array.from({ length: 200 }, (_, i) => i + 1);
  assert.deepEqual(
    said.toSorted((a, b) => a - b),
    all,
  );
  const store = new SqliteStore(file, () => 0);
  assert.deepEqual(await checkChain(store), { entries: 200, broken: undefined });
  await store.close();
});

/** Hears every number that a writer says. @returns the last one */
async function lastNumber(child: ChildProcess, onNumber: (number: number) => void): Promise<number> {
  let last = 0;
  createInterface(child.stdout!).on("line", (text) => {
    last = Number(text);
    onNumber(last);
  });
  await once(child, "close");
  return last;
}

test("a backup is whole, for this user only, and never over another file", async (t) => {
  const dir = directory(t);
  const store = new SqliteStore(join(dir, "tidegate.db"), () => 0);
  for (let number = 1; number <= 20; number++) await store.commit(publication(number));
  const file = join(dir, "backup.db");
  await store.backup(file);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  await assert.rejects(store.backup(file), /is there already/);
  await assert.rejects(store.backup(join(dir, "nowhere", "backup.db")), Unavailable);
  await publishNext(store);
  const copy = new SqliteStore(file, () => 0);
  assert.equal(await copy.head(), 20);
  assert.deepEqual(await checkChain(copy), { entries: 20, broken: undefined });
  await copy.close();
  await store.close();
  await assert.rejects(store.backup(join(dir, "late.db")), Unavailable);
  assert.equal(existsSync(join(dir, "late.db")), false, "nothing half done is left");
});

test("a copy goes into an empty store only, and epochs never go back", async (t) => {
  const dir = directory(t);
  const open = (name: string): SqliteStore => {
    const store = new SqliteStore(join(dir, name), () => 0);
    t.after(() => store.close());
    return store;
  };
  const [from, to, used, led] = [open("from"), open("to"), open("used"), open("led")];
  await from.commit(publication(1));
  for (const holder of ["a", "b", "c"]) {
    await from.lead(holder, 1_000);
    if (holder !== "c") await from.resign(holder);
  }
  const copied = await copyStore(from, to);
  assert.deepEqual(copied.rows, { leadership: 1, revisions: 1, blobs: 2, documents: 1, events: 1, audit: 1 });
  assert.equal(copied.broken, undefined);
  assert.deepEqual(await contents(to), await contents(from));
  assert.equal(await to.leader(), undefined);
  assert.equal((await to.lead("d", 1_000))!.epoch, 4);
  await used.commit({ audit: [line(1)] });
  await assert.rejects(copyStore(from, used), Conflict);
  await led.lead("x", 1_000);
  await assert.rejects(copyStore(from, led), Conflict);
  await led.resign("x");
  await copyStore(from, led, { epoch: 41 });
  assert.equal((await led.lead("x", 1_000))!.epoch, 42);
});

test("a copy that fails leaves the target empty", async (t) => {
  const dir = directory(t);
  const [from, to] = [new SqliteStore(join(dir, "from"), () => 0), new SqliteStore(join(dir, "to"), () => 0)];
  for (let number = 1; number <= 3; number++) await from.commit(publication(number));
  const broken = {
    ...from,
    async *dump() {
      for await (const page of from.dump()) {
        if (page.table === "audit") throw new Error("the source is gone");
        yield page;
      }
    },
  };
  await assert.rejects(copyStore(broken as unknown as SqliteStore, to), /the source is gone/);
  assert.deepEqual(await contents(to), { leadership: [{ epoch: 0 }] });
  await copyStore(from, to);
  assert.deepEqual(await contents(to), await contents(from));
  await from.close();
  await to.close();
});

test("a file that is no store is refused with its name", async (t) => {
  const file = join(directory(t), "notes.txt");
  writeFileSync(file, "not a database, but long enough to be looked at as one".repeat(100));
  assert.throws(
    () => new SqliteStore(file, () => 0),
    (error: Error) => {
      assert.ok(error instanceof Unavailable);
      assert.match(error.message, /notes\.txt/);
      return true;
    },
  );
  assert.throws(() => new SqliteStore(join(file, "x"), () => 0), Unavailable);
});

test("a lease from before the clock was set back an hour holds nobody up", async (t) => {
  const file = join(directory(t), "tidegate.db");
  let now = 10_000_000;
  const [store, other] = [new SqliteStore(file, () => now), new SqliteStore(file, () => now)];
  t.after(() => Promise.all([store.close(), other.close()]));
  assert.equal((await store.lead("a", 3_000))!.epoch, 1);
  assert.equal(await other.lead("b", 3_000), undefined);
  now -= 3_600_000;
  assert.equal((await store.lead("a", 3_000))!.epoch, 1, "who renews it leads on");
  now -= 3_600_000;
  assert.equal((await other.lead("b", 3_000))!.epoch, 2, "who does not is gone");
});
