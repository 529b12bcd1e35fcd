/** A PostgreSQL server that is killed, frozen, cut off from its standby, or out of disk: what the store then does. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { PostgresStore } from "../../../control-plane/store/postgres-store.ts";
import { Unavailable } from "../../../control-plane/store/store.ts";
import { PASSWORD, startPostgres, type TestPostgres, unmount } from "../../support/postgres.ts";
import { checkChain, nextChange, publication, publishNext } from "./samples.ts";

let server: TestPostgres;
let schemas = 0;

before(async () => {
  server = await startPostgres();
});
after(() => server?.close());

async function openStore(t: TestContext, schema = `test_${++schemas}`): Promise<PostgresStore> {
  const store = await PostgresStore.open({ url: server.url, schema });
  t.after(() => store.close());
  return store;
}

/** Every kind of command fails as it should, within seconds. */
async function assertUnavailable(store: PostgresStore): Promise<void> {
  const start = performance.now();
  const commands = [
    store.head(),
    store.audit(0, 10),
    store.commit(publication(1_000_000)),
    store.lead("a", 1_000),
    store.leader(),
    store.dump()[Symbol.asyncIterator]().next(),
    store.backup(join(tmpdir(), `tidegate-never-${process.pid}.db`)),
  ];
  for (const result of await Promise.allSettled(commands)) {
    assert.equal(result.status, "rejected");
    assert.ok(result.reason instanceof Unavailable, result.reason.stack);
    assert.ok(!result.reason.message.includes(PASSWORD));
  }
  assert.ok(performance.now() - start < 7_000, `${performance.now() - start} ms`);
}

test("a server that is killed and comes back has every acknowledged commit", {
  timeout: 60_000,
}, async (t) => {
  const store = await openStore(t, "killed");
  const watcher = await openStore(t, "killed");
  watcher.onChange(() => {});
  let acknowledged = 0;
  let seed = 11;
  for (let round = 0; round < 3; round++) {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    const until = acknowledged + 20 + (seed % 100);
    let killing: Promise<void> | undefined;
    const write = async (): Promise<never> => {
      for (;;) {
        acknowledged = await publishNext(store);
        if (acknowledged === until) killing = server.kill();
      }
    };
    await assert.rejects(write(), Unavailable);
    await killing;
    await assertUnavailable(store);
    await server.start();
    const head = await store.head();
    assert.ok(head === acknowledged || head === acknowledged + 1, `${head}, ${acknowledged} was said`);
    assert.deepEqual(await checkChain(store), { entries: head, broken: undefined });
    assert.equal((await store.document("counter", "one"))!.version, head);
    const heard = nextChange(watcher);
    acknowledged = await publishNext(store);
    await heard;
  }
});

test("a server that is frozen is given up within seconds", { timeout: 30_000 }, async (t) => {
  const store = await openStore(t);
  store.onChange(() => {});
  await publishNext(store);
  server.freeze();
  try {
    await assertUnavailable(store);
  } finally {
    server.thaw();
  }
  await publishNext(store);
  assert.equal((await checkChain(store)).broken, undefined);
});

test("a store closes while its server is frozen", { timeout: 30_000 }, async (t) => {
  const store = await openStore(t);
  store.onChange(() => {});
  await publishNext(store);
  server.freeze();
  try {
    const pending = assert.rejects(store.head(), Unavailable);
    const start = performance.now();
    await store.close();
    assert.ok(performance.now() - start < 2_000);
    await pending;
  } finally {
    server.thaw();
  }
});

test("connections that the server ends are replaced", async (t) => {
  const store = await openStore(t);
  const watcher = await openStore(t);
  watcher.onChange(() => {});
  for (let round = 0; round < 3; round++) {
    await Promise.all([store.head(), store.head(), publishNext(store)]);
    await server.sql(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tidegate'",
    );
    // The one that is sent on a connection whose end has not been heard of yet may fail; never more than those.
    for (let tries = 0; ; tries++) {
      try {
        await publishNext(store);
        break;
      } catch (error) {
        assert.ok(error instanceof Unavailable && tries < 5, `${(error as Error).stack}`);
      }
    }
  }
});

test("a commit that its standby did not confirm may be lost, and is not acknowledged", {
  timeout: 30_000,
}, async (t) => {
  const store = await openStore(t);
  const standbys = async (names: string): Promise<void> => {
    await server.sql(`ALTER SYSTEM SET synchronous_standby_names TO '${names}'`);
    await server.sql("SELECT pg_reload_conf()");
    while ((await server.sql("SHOW synchronous_standby_names"))[0]!.synchronous_standby_names !== names);
  };
  const assertUnknown = (committing: Promise<void>): Promise<void> =>
    assert.rejects(committing, (error: Error) => {
      assert.ok(error instanceof Unavailable);
      assert.match(error.message, /not known whether this was written/);
      return true;
    });
  const waiting = "FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
  await standbys("nobody");
  try {
    const first = assertUnknown(store.commit(publication(1)));
    while ((await server.sql(`SELECT pid ${waiting}`)).length === 0);
    // Somebody ends the wait: the server says COMMIT then, with a warning.
    await server.sql(`SELECT pg_cancel_backend(pid) ${waiting}`);
    await first;
    await assertUnknown(store.commit(publication(2))); // the answer does not come in time
  } finally {
    await standbys("");
  }
  assert.equal(await publishNext(store), 3, "here they were written");
});

test("a server whose disk is full refuses, and goes on when there is room", {
  timeout: 60_000,
}, async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "tidegate-small-"));
  const walDir = mkdtempSync(join(tmpdir(), "tidegate-wal-"));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=64m", "tmpfs", dir], { stdio: "pipe" });
  } catch {
    rmSync(dir, { recursive: true });
    rmSync(walDir, { recursive: true });
    return t.skip("this user may mount nothing");
  }
  let small: TestPostgres | undefined;
  let store: PostgresStore | undefined;
  try {
    small = await startPostgres(dir, walDir);
    const ballast = join(dir, "ballast");
    writeFileSync(ballast, Buffer.alloc(16 * 1024 * 1024));
    store = await PostgresStore.open({ url: small.url });
    const full = store;
    let acknowledged = 0;
    const fill = async (): Promise<never> => {
      for (;;) {
        // Random, so that the server cannot make it smaller.
        const content = randomBytes(1024 * 1024).toString("base64");
        const number = acknowledged + 1;
        await full.commit({ ...publication(number), blobs: new Map([[`base-${number}`, content]]) });
        acknowledged = number;
      }
    };
    await assert.rejects(fill(), (error: Error) => {
      assert.ok(error instanceof Unavailable);
      assert.match(error.message, /No space left on device|could not extend file/);
      assert.doesNotMatch(error.message, /not known/);
      return true;
    });
    assert.ok(acknowledged > 3);
    assert.equal(await store.head(), acknowledged);
    assert.deepEqual(await checkChain(store), { entries: acknowledged, broken: undefined });
    rmSync(ballast);
    assert.equal(await publishNext(store), acknowledged + 1);
  } finally {
    await store?.close();
    await small?.kill();
    await unmount(dir);
    rmSync(dir, { recursive: true });
    rmSync(walDir, { recursive: true });
  }
});
