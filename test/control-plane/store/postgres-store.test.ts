/** The store in PostgreSQL: the contract, and moving to it and back. A server that fails is in postgres-outage.test.ts. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { Client } from "pg";
import { copyStore } from "../../../control-plane/store/copy.ts";
import { PostgresStore } from "../../../control-plane/store/postgres-store.ts";
import { SqliteStore } from "../../../control-plane/store/sqlite-store.ts";
import { Conflict, Unavailable } from "../../../control-plane/store/store.ts";
import { PASSWORD, startPostgres, type TestPostgres } from "../../support/postgres.ts";
import { type Place, testContract } from "./contract.ts";
import { checkChain, contents, nextChange, publication, publishNext } from "./samples.ts";

let server: TestPostgres;
let schemas = 0;

before(async () => {
  server = await startPostgres();
});
after(() => server?.close());

interface PostgresPlace extends Place {
  readonly schema: string;
  open(): Promise<PostgresStore>;
}

async function makePlace(t: TestContext): Promise<PostgresPlace> {
  const schema = `Test_${++schemas}`;
  const place: PostgresPlace = {
    schema,
    async open() {
      const store = await PostgresStore.open({ url: server.url, schema });
      t.after(() => store.close());
      return store;
    },
    async sql(text) {
      await server.sql(`SET search_path TO "${schema}"; ${text}`);
    },
    async endLease() {
      await place.sql("UPDATE state SET until = clock_timestamp()");
    },
    async makeNewer() {
      await place.sql("UPDATE tidegate_schema SET version = 99");
    },
  };
  return place;
}

testContract(makePlace);

test("a whole store moves from SQLite to PostgreSQL and back, the same", { timeout: 30_000 }, async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "tidegate-store-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const sqlite = (name: string): SqliteStore => {
    const store = new SqliteStore(join(dir, name), () => 0);
    t.after(() => store.close());
    return store;
  };
  const from = sqlite("from.db");
  for (let number = 1; number <= 1_203; number++) await from.commit(publication(number));
  await from.commit({ puts: [{ kind: "odd", id: "ü\"'\\{}", body: '{"a":"\\u0000\\\\"}' }] });
  await from.lead("a", 1_000);
  const all = await contents(from);
  const place = await makePlace(t);
  const middle = await place.open();
  const heard = nextChange(await place.open());
  const { rows, broken } = await copyStore(from, middle);
  await heard;
  assert.deepEqual([rows.revisions, rows.audit, broken], [1_203, 1_203, undefined]);
  assert.deepEqual(await contents(middle), all);
  assert.deepEqual(await checkChain(middle), { entries: 1_203, broken: undefined });
  await assert.rejects(copyStore(from, middle), Conflict);
  const to = sqlite("to.db");
  await copyStore(middle, to);
  assert.deepEqual(await contents(to), all);
  for (const store of [middle, to]) {
    await publishNext(store);
    assert.equal((await store.events(1_203, 9))[0]!.number, 1_204);
    assert.equal((await checkChain(store)).entries, 1_204);
    assert.equal((await store.lead("b", 1_000))!.epoch, 2, "above the epoch of the source");
  }
});

test("a backup is a store in SQLite, while others write", async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "tidegate-store-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const store = await (await makePlace(t)).open();
  for (let number = 1; number <= 30; number++) await store.commit(publication(number));
  const file = join(dir, "backup.db");
  const writing = (async () => {
    for (let i = 0; i < 30; i++) await publishNext(store);
  })();
  await Promise.all([store.backup(file), writing]);
  await assert.rejects(store.backup(file), /is there already/);
  const copy = new SqliteStore(file, () => 0);
  const head = await copy.head();
  assert.ok(head >= 30 && head <= 60);
  assert.deepEqual(await checkChain(copy), { entries: head, broken: undefined });
  assert.equal((await copy.document("counter", "one"))!.version, head);
  await copy.close();
});

test("several that start on an empty database make the tables once", async (t) => {
  const place = await makePlace(t);
  const stores = await Promise.all(Array.from({ length: 4 }, () => place.open()));
  await Promise.all(stores.map((store) => publishNext(store)));
  assert.equal(await stores[0]!.head(), 4);
});

test("a write that nobody was notified of is found by looking", async (t) => {
  const place = await makePlace(t);
  const store = await place.open();
  const heard = nextChange(store);
  await place.sql("UPDATE state SET writes = writes + 1");
  await heard;
});

test("a commit notifies when it is written, and never when it was refused", async (t) => {
  const place = await makePlace(t);
  const store = await place.open();
  const listener = new Client({ connectionString: server.url });
  await listener.connect();
  t.after(() => listener.end());
  await listener.query(`LISTEN "tidegate:${place.schema}"`);
  const heard: unknown[] = [];
  listener.on("notification", ({ payload }) => heard.push(payload));
  await store.commit(publication(1));
  await assert.rejects(store.commit(publication(1)), Conflict);
  await store.commit(publication(2));
  while (heard.length < 2) await once(listener, "notification");
  assert.deepEqual(heard, ["1", "2"]);
});

test("ids sort by their bytes where the database's language sorts otherwise", async (t) => {
  const [row] = await server.sql("SELECT current_setting('server_version_num')::int AS version");
  if ((row!.version as number) < 150_000) return t.skip("needs PostgreSQL 15 for a database with a language");
  await server.sql("CREATE DATABASE language TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en'");
  const store = await PostgresStore.open({ url: server.url.replace(/postgres$/, "language") });
  t.after(() => store.close());
  const ids = ["B", "Z", "a", "a-b", "ab", "z", "ä"];
  await store.commit({
    puts: ids.map((id) => ({ kind: "k", id, body: "" })),
    blobs: new Map(ids.map((id) => [id, ""])),
  });
  const found = await store.documents("k", "B", 10);
  assert.deepEqual(
    found.map(({ id }) => id),
    ids.slice(1),
  );
  assert.equal((await contents(store)).blobs!.length, ids.length);
});

test("who waits for a lock that another holds hears it in time, and nothing is written", async (t) => {
  const place = await makePlace(t);
  const store = await place.open();
  const other = new Client({ connectionString: server.url });
  await other.connect();
  t.after(() => other.end());
  await other.query(`BEGIN; SELECT * FROM "${place.schema}".state FOR UPDATE`);
  const start = performance.now();
  await assert.rejects(store.commit(publication(1)), (error: Error) => {
    assert.ok(error instanceof Unavailable);
    assert.match(error.message, /lock timeout/);
    assert.doesNotMatch(error.message, /not known/);
    return true;
  });
  assert.ok(performance.now() - start < 4_000);
  assert.equal(await store.head(), 0, "reads wait for nobody");
  await other.query("ROLLBACK");
  await store.commit(publication(1));
});

test("no message has the password in it", async () => {
  const open = (url: string): Promise<unknown> => PostgresStore.open({ url });
  const wrong = server.url.replace(`:${PASSWORD}@`, ":another-secret@");
  const urls = [
    wrong,
    server.url.replace("127.0.0.1", "127.0.0.1:1"),
    server.url.replace(`${server.port}`, "1"),
    `postgres://u:${PASSWORD}@:x:y/`,
    `${server.url}?sslmode=verify-full&sslrootcert=/${PASSWORD}`,
  ];
  for (const url of urls) {
    await assert.rejects(open(url), (error: Error) => {
      assert.ok(error instanceof Unavailable, `${error.stack}`);
      assert.doesNotMatch(`${error.stack}${JSON.stringify(error)}`, /s3cr3t|another-secret/);
      return true;
    });
  }
  await assert.rejects(PostgresStore.open({ url: server.url, schema: 'a"b' }), /no name of a schema/);
});

test("a role that may have no more connections, or no tables, hears it", async (t) => {
  await server.sql("CREATE ROLE few LOGIN PASSWORD 'few' CONNECTION LIMIT 1");
  const url = server.url.replace(/\/\/.*@/, "//few:few@");
  await assert.rejects(PostgresStore.open({ url, schema: "few" }), /permission denied/);
  const only = new Client({ connectionString: url });
  await only.connect();
  t.after(() => only.end());
  await assert.rejects(PostgresStore.open({ url, schema: "few" }), (error: Error) => {
    assert.ok(error instanceof Unavailable);
    assert.match(error.message, /too many connections/);
    return true;
  });
});
