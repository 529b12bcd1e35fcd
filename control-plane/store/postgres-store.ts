/**
 * A store in PostgreSQL: for several control planes, on several machines, one of which leads.
 *
 * Every commit locks the one row of `state` first, so commits follow each other and each decides on what the one before
 * it left; a fleet changes a few times a minute. The lease is checked in the same transaction, by the database's clock:
 * nobody can take the leadership while a commit under it is on its way.
 */
import { escapeIdentifier } from "pg";
import { CHAIN_START, chained } from "./audit-chain.ts";
import { copyStore, fillNewFile } from "./copy.ts";
import { pagesOf, ROW_TABLES, type RowTable } from "./pages.ts";
import { LONG, PostgresConnections, type Query } from "./postgres-connections.ts";
import { migratePostgres } from "./postgres-schema.ts";
import { PostgresWatch } from "./postgres-watch.ts";
import { SqliteStore } from "./sqlite-store.ts";
import {
  type AuditEntry,
  type Commit,
  Conflict,
  Deposed,
  EVENTS_KEPT,
  type Leadership,
  type Page,
  type Revision,
  type Store,
  type StoredDocument,
  type StoredEvent,
  storable,
  Unavailable,
} from "./store.ts";

export interface PostgresOptions {
  /** `postgres://user:password@host:port/database?sslmode=verify-full`. */
  readonly url: string;
  /** In which the tables lie; made when it is not there. */
  readonly schema?: string | undefined;
}

interface State {
  readonly writes: number;
  readonly event: number;
  readonly epoch: number;
  readonly leads: boolean;
}

interface Lease {
  readonly epoch: number;
  readonly holder: string;
  readonly remaining: number;
}

const WHETHER_LED = `("holder" <> '' AND "until" > clock_timestamp())`;

export class PostgresStore implements Store {
  readonly where: string;
  readonly #connections: PostgresConnections;
  readonly #schema: string;
  readonly #channel: string;
  readonly #listeners = new Set<() => void>();
  readonly #watch: PostgresWatch;

  /** @throws Unavailable when the server does not answer, or the schema was written by a newer version */
  static async open({ url, schema = "tidegate" }: PostgresOptions): Promise<PostgresStore> {
    // A channel's name has 63 bytes at most.
    if (!/^[A-Za-z_][A-Za-z0-9_]{0,47}$/.test(schema)) {
      throw new Unavailable(
        `${JSON.stringify(schema)} is no name of a schema; expected letters, digits and _`,
      );
    }
    const connections = new PostgresConnections(url);
    try {
      await migratePostgres(connections, schema);
      const sql = `SELECT "writes" FROM ${escapeIdentifier(schema)}."state"`;
      const [state] = await connections.read<{ writes: number }>(sql);
      return new PostgresStore(connections, schema, state?.writes ?? 0);
    } catch (error) {
      await connections.close();
      throw error;
    }
  }

  private constructor(connections: PostgresConnections, schema: string, writes: number) {
    this.where = `${connections.where} (schema ${schema})`;
    this.#connections = connections;
    this.#schema = escapeIdentifier(schema);
    this.#channel = `tidegate:${schema}`;
    const options = {
      connections,
      channel: escapeIdentifier(this.#channel),
      look: `SELECT "writes" FROM ${this.#table("state")}`,
      onChange: () => {
        for (const listener of this.#listeners) listener();
      },
    };
    this.#watch = new PostgresWatch(options, writes);
  }

  async commit(change: Commit): Promise<void> {
    const writes = await this.#connections.write((query) => this.#write(query, change));
    this.#watch.saw(writes);
  }

  async head(): Promise<number> {
    const sql = `SELECT COALESCE(MAX("number"), 0) AS "head" FROM ${this.#table("revisions")}`;
    return (await this.#connections.read<{ head: number }>(sql))[0]!.head;
  }

  async revision(number: number): Promise<Revision | undefined> {
    const sql = `SELECT * FROM ${this.#table("revisions")} WHERE "number" = ?`;
    return (await this.#connections.read<Revision>(sql, [whole(number)]))[0];
  }

  async revisions(before: number | undefined, limit: number): Promise<Revision[]> {
    const sql = `SELECT * FROM ${this.#table("revisions")} WHERE "number" < ? ORDER BY "number" DESC LIMIT ?`;
    return this.#connections.read(sql, [whole(before ?? Number.MAX_SAFE_INTEGER), whole(limit)]);
  }

  async blob(digest: string): Promise<string | undefined> {
    const sql = `SELECT "content" FROM ${this.#table("blobs")} WHERE "digest" = ?`;
    return (await this.#connections.read<{ content: string }>(sql, [digest]))[0]?.content;
  }

  async document(kind: string, id: string): Promise<StoredDocument | undefined> {
    const sql = `SELECT * FROM ${this.#table("documents")} WHERE "kind" = ? AND "id" = ?`;
    return (await this.#connections.read<StoredDocument>(sql, [kind, id]))[0];
  }

  async documents(kind: string, after: string | undefined, limit: number): Promise<StoredDocument[]> {
    const table = this.#table("documents");
    const sql = `SELECT * FROM ${table} WHERE "kind" = ? AND "id" > ? ORDER BY "id" LIMIT ?`;
    return this.#connections.read(sql, [kind, after ?? "", whole(limit)]);
  }

  async events(after: number, limit: number): Promise<StoredEvent[]> {
    return this.#following("events", after, limit);
  }

  async newestEvent(): Promise<number> {
    const sql = `SELECT COALESCE(MAX("number"), 0) AS "number" FROM ${this.#table("events")}`;
    return (await this.#connections.read<{ number: number }>(sql))[0]!.number;
  }

  async audit(after: number, limit: number): Promise<AuditEntry[]> {
    return this.#following("audit", after, limit);
  }

  async lead(holder: string, milliseconds: number): Promise<Leadership | undefined> {
    // Who kept it is the same leader; who comes back after it ran out is a new one.
    const sql = `UPDATE ${this.#table("state")} SET
      "epoch" = CASE WHEN ${WHETHER_LED} THEN "epoch" ELSE "epoch" + 1 END,
      "holder" = ?, "until" = clock_timestamp() + ? * interval '1 millisecond'
      WHERE "holder" = ? OR NOT ${WHETHER_LED} RETURNING "epoch"`;
    const values = [holder, whole(milliseconds), holder];
    const [row] = await this.#connections.write((query) => query<{ epoch: number }>(sql, values));
    return row === undefined ? undefined : { epoch: row.epoch, holder, remaining: milliseconds };
  }

  async resign(holder: string): Promise<void> {
    const sql = `UPDATE ${this.#table("state")} SET "holder" = '', "until" = to_timestamp(0) WHERE "holder" = ?`;
    await this.#connections.write((query) => query(sql, [holder]));
  }

  async leader(): Promise<Leadership | undefined> {
    const remaining = `floor(extract(epoch FROM "until" - clock_timestamp()) * 1000)::bigint AS "remaining"`;
    const sql = `SELECT "epoch", "holder", ${remaining} FROM ${this.#table("state")} WHERE "holder" <> ''`;
    const [lease] = await this.#connections.read<Lease>(sql);
    return lease === undefined || lease.remaining <= 0 ? undefined : lease;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    this.#watch.start();
    return () => this.#listeners.delete(listener);
  }

  dump(): AsyncIterable<Page> {
    const table = (name: RowTable | "state"): string => this.#table(name);
    return this.#connections.snapshot(async function* (query) {
      const [state] = await query<{ epoch: number }>(`SELECT "epoch" FROM ${table("state")}`);
      yield* pagesOf(state!.epoch, query, table);
    });
  }

  async load(pages: AsyncIterable<Page>): Promise<void> {
    const load = async (query: Query): Promise<number> => {
      const { writes, leads } = await this.#lock(query);
      const filled = ROW_TABLES.map((table) => `EXISTS (SELECT 1 FROM ${this.#table(table)})`).join(" OR ");
      const [row] = await query<{ filled: boolean }>(`SELECT ${filled} AS "filled"`);
      if (row!.filled) throw new Conflict(`${this.where} is not empty`);
      if (leads) throw new Conflict(`a control plane runs on ${this.where}; stop it first`);
      for await (const { table, rows } of pages) {
        if (table !== "leadership") await this.#insert(query, table, rows);
        else await this.#raiseEpoch(query, rows[0]!.epoch);
      }
      const last = `(SELECT COALESCE(MAX("number"), 0) FROM ${this.#table("events")})`;
      await query(`UPDATE ${this.#table("state")} SET "event" = ${last}, "holder" = ''`);
      await query("SELECT pg_notify(?, ?)", [this.#channel, `${writes}`]);
      return writes;
    };
    this.#watch.saw(await this.#connections.write(load, LONG));
  }

  async backup(file: string): Promise<void> {
    await fillNewFile(file, async () => {
      const target = new SqliteStore(file, () => 0);
      try {
        await copyStore(this, target);
      } finally {
        await target.close();
      }
    });
  }

  async close(): Promise<void> {
    await this.#watch.stop();
    await this.#connections.close();
  }

  /** @returns how often it was written by now */
  async #write(query: Query, change: Commit): Promise<number> {
    const { expectHead, epoch, revision, blobs, puts = [], deletes = [], events = [], audit = [] } = change;
    const state = await this.#lock(query);
    if (epoch !== undefined && (epoch !== state.epoch || !state.leads)) {
      throw new Deposed(`the lease of epoch ${epoch} has ended; the newest is ${state.epoch}`);
    }
    const { head, number, hash } = await this.#ends(query);
    if (expectHead !== undefined && head !== expectHead) {
      throw new Conflict(`revision ${head} is the newest by now, and this was decided on ${expectHead}`);
    }
    const contents = [...(blobs ?? [])].map(([digest, content]) => ({ digest, content }));
    await this.#insert(query, "blobs", contents, "ON CONFLICT DO NOTHING");
    if (revision !== undefined) {
      if (revision.number !== head + 1) throw new Conflict(`revision ${head} is the newest by now`);
      await this.#insert(query, "revisions", [revision]);
    }
    const documents = this.#table("documents");
    for (const { kind, id, body, expect } of puts) {
      const version = await this.#expect(query, kind, id, expect);
      const sql = `INSERT INTO ${documents} VALUES (?, ?, ?, ?)
        ON CONFLICT ("kind", "id") DO UPDATE SET "version" = excluded."version", "body" = excluded."body"`;
      await query(sql, [kind, id, version + 1, body]);
    }
    for (const { kind, id, expect } of deletes) {
      await this.#expect(query, kind, id, expect);
      await query(`DELETE FROM ${documents} WHERE "kind" = ? AND "id" = ?`, [kind, id]);
    }
    const numbered = events.map((event, i) => ({ ...event, number: state.event + 1 + i }));
    await this.#insert(query, "events", numbered);
    if (events.length > 0) await this.#countEvents(query, state.event + events.length);
    const entries: AuditEntry[] = [];
    let last = { number, hash };
    for (const line of audit) {
      const entry = chained(last.hash, last.number + 1, line);
      entries.push(entry);
      last = entry;
    }
    await this.#insert(query, "audit", entries);
    // Within the transaction: it is sent when the commit can be seen, and never without it.
    await query("SELECT pg_notify(?, ?)", [this.#channel, `${state.writes}`]);
    return state.writes;
  }

  /** Waits for the commit before this one. What is read in statements after this one is what that one left. */
  async #lock(query: Query): Promise<State> {
    const sql = `UPDATE ${this.#table("state")} SET "writes" = "writes" + 1
      RETURNING "writes", "event", "epoch", ${WHETHER_LED} AS "leads"`;
    return (await query<State>(sql))[0]!;
  }

  /** The newest revision, and the last audit entry. */
  async #ends(query: Query): Promise<{ head: number; number: number; hash: string }> {
    const sql = `SELECT (SELECT COALESCE(MAX("number"), 0) FROM ${this.#table("revisions")}) AS "head",
      (SELECT "number" FROM ${this.#table("audit")} ORDER BY "number" DESC LIMIT 1) AS "number",
      (SELECT "hash" FROM ${this.#table("audit")} ORDER BY "number" DESC LIMIT 1) AS "hash"`;
    const ends = (await query<{ head: number; number: number | null; hash: string | null }>(sql))[0]!;
    return { head: ends.head, number: ends.number ?? 0, hash: ends.hash ?? CHAIN_START };
  }

  /** @returns the version that is there, 0 for none · @throws Conflict when it is another */
  async #expect(query: Query, kind: string, id: string, expect: number | undefined): Promise<number> {
    const sql = `SELECT "version" FROM ${this.#table("documents")} WHERE "kind" = ? AND "id" = ?`;
    const version = (await query<{ version: number }>(sql, [kind, id]))[0]?.version ?? 0;
    if (expect !== undefined && version !== expect) {
      throw new Conflict(`${kind} ${id} was written meanwhile: version ${version}, expected ${expect}`);
    }
    return version;
  }

  async #countEvents(query: Query, last: number): Promise<void> {
    await query(`UPDATE ${this.#table("state")} SET "event" = ?`, [last]);
    await query(`DELETE FROM ${this.#table("events")} WHERE "number" <= ?`, [last - EVENTS_KEPT]);
  }

  async #raiseEpoch(query: Query, epoch: number): Promise<void> {
    await query(`UPDATE ${this.#table("state")} SET "epoch" = GREATEST("epoch", ?)`, [epoch]);
  }

  /** All rows in one statement, as one value: their names are those of the columns. */
  async #insert(query: Query, table: RowTable, rows: readonly object[], onConflict = ""): Promise<void> {
    if (rows.length === 0) return;
    const name = this.#table(table);
    const sql = `INSERT INTO ${name} SELECT * FROM json_populate_recordset(NULL::${name}, ?) ${onConflict}`;
    const clean = (_: string, value: unknown) => (typeof value === "string" ? storable(value) : value);
    await query(sql, [JSON.stringify(rows, clean)]);
  }

  async #following<R>(table: RowTable, after: number, limit: number): Promise<R[]> {
    const sql = `SELECT * FROM ${this.#table(table)} WHERE "number" > ? ORDER BY "number" LIMIT ?`;
    return this.#connections.read(sql, [whole(after), whole(limit)]);
  }

  #table(name: RowTable | "state"): string {
    return `${this.#schema}."${name}"`;
  }
}

/** A number as the server takes it: SQLite takes any, and finds nothing at 1e30. */
function whole(number: number): number {
  const bound = Number.MAX_SAFE_INTEGER;
  return Number.isNaN(number) ? 0 : Math.trunc(Math.min(bound, Math.max(-bound, number)));
}
