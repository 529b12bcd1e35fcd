/** The tables of a store in PostgreSQL, and how a database gets them. */
import { escapeIdentifier } from "pg";
import type { PostgresConnections, Query } from "./postgres-connections.ts";
import { Unavailable } from "./store.ts";

/**
 * Steps from an empty schema on: a step that was released is never changed. They run with the store's schema as the
 * search path.
 *
 * Ids sort by their bytes (`COLLATE "C"`), as in SQLite, whatever the database's language is. The one row of `state` is
 * what every commit locks: so events and audit entries are numbered in the order in which they can be seen.
 */
export const POSTGRES_MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE "revisions" (
    "number" bigint PRIMARY KEY, "at" bigint NOT NULL, "author" text NOT NULL, "reason" text NOT NULL,
    "cause" text NOT NULL, "base" text NOT NULL, "overlays" text NOT NULL, "effective" text NOT NULL
  );
  CREATE TABLE "blobs" ("digest" text COLLATE "C" PRIMARY KEY, "content" text NOT NULL);
  CREATE TABLE "documents" (
    "kind" text COLLATE "C" NOT NULL, "id" text COLLATE "C" NOT NULL, "version" bigint NOT NULL, "body" text NOT NULL,
    PRIMARY KEY ("kind", "id")
  );
  CREATE TABLE "events" (
    "number" bigint PRIMARY KEY, "at" bigint NOT NULL, "type" text NOT NULL, "body" text NOT NULL
  );
  CREATE TABLE "audit" (
    "number" bigint PRIMARY KEY, "at" bigint NOT NULL, "actor" text NOT NULL, "from" text NOT NULL,
    "action" text NOT NULL, "target" text NOT NULL, "reason" text NOT NULL, "before" text NOT NULL,
    "after" text NOT NULL, "hash" text NOT NULL
  );
  CREATE TABLE "state" (
    "one" integer PRIMARY KEY CHECK ("one" = 1),
    "writes" bigint NOT NULL, "event" bigint NOT NULL,
    "epoch" bigint NOT NULL, "holder" text NOT NULL, "until" timestamptz NOT NULL
  );
  INSERT INTO "state" VALUES (1, 0, 0, 0, '', to_timestamp(0));
  `,
];

/** @throws Unavailable when it was written by a newer version */
export async function migratePostgres(connections: PostgresConnections, schema: string): Promise<void> {
  const name = escapeIdentifier(schema);
  const newest = POSTGRES_MIGRATIONS.length;
  const versionOf = async (query: Query): Promise<number> => {
    // Not by `to_regclass`: that may answer from before the lock, for waiting for it refreshes no cache of names.
    const tables = `SELECT FROM pg_catalog.pg_class AS "c"
      JOIN pg_catalog.pg_namespace AS "n" ON "n"."oid" = "c"."relnamespace"
      WHERE "n"."nspname" = ? AND "c"."relname" = 'tidegate_schema'`;
    const [found] = await query<{ table: boolean; encoding: string }>(
      `SELECT EXISTS (${tables}) AS "table", current_setting('server_encoding') AS "encoding"`,
      [schema],
    );
    if (found!.encoding !== "UTF8") {
      throw new Unavailable(
        `the database at ${connections.where} is encoded in ${found!.encoding}; expected UTF8`,
      );
    }
    if (!found!.table) return 0;
    const [row] = await query<{ version: number }>(`SELECT "version" FROM ${name}."tidegate_schema"`);
    const version = row?.version ?? 0;
    if (version > newest) {
      throw new Unavailable(
        `${connections.where} was written by a newer Tidegate (schema ${version}, this one knows ${newest})`,
      );
    }
    return version;
  };
  // Most starts find everything there: that asks for no lock, and for no right to make tables.
  if ((await versionOf((sql, values) => connections.read(sql, values))) === newest) return;
  await connections.write(async (query) => {
    // Of several control planes that start on an empty database, one makes the tables.
    await query("SELECT pg_advisory_xact_lock(hashtext(?))", [`tidegate:${schema}`]);
    const version = await versionOf(query);
    const schemas = await query("SELECT FROM pg_catalog.pg_namespace WHERE nspname = ?", [schema]);
    if (schemas.length === 0) await query(`CREATE SCHEMA ${name}`);
    await query(`SET LOCAL search_path TO ${name}`);
    for (const step of POSTGRES_MIGRATIONS.slice(version)) await query(step);
    await query(`CREATE TABLE IF NOT EXISTS "tidegate_schema" ("version" integer NOT NULL)`);
    await query(`DELETE FROM "tidegate_schema"`);
    await query(`INSERT INTO "tidegate_schema" VALUES (?)`, [newest]);
  });
}
