/**
 * A store in one file, by node:sqlite: for one control plane and no server.
 *
 * WAL with `synchronous = FULL`: a commit that returned is on the disk, and a kill at any byte leaves the commits before
 * it. Statements are synchronous and take well below a millisecond.
 */
import { backup as copyDatabase, DatabaseSync, type StatementSync } from "node:sqlite";
import { CHAIN_START, chained } from "./audit-chain.ts";
import { fillNewFile } from "./copy.ts";
import { LAYOUTS, pagesOf, quotedList, ROW_TABLES, type Value } from "./pages.ts";
import { SQLITE_MIGRATIONS } from "./sqlite-schema.ts";
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

/** Another process that has the file open is waited for so long (ms), and looked for so often. */
const BUSY = 2_000;
const LOOK_EVERY = 200;

export class SqliteStore implements Store {
  readonly where: string;
  readonly #db: DatabaseSync;
  readonly #now: () => number;
  readonly #statements = new Map<string, StatementSync>();
  readonly #listeners = new Set<() => void>();
  #looked = 0;
  #timer: NodeJS.Timeout | undefined;

  /**
   * @param now milliseconds since 1970, of leases
   * @throws Unavailable when the file cannot be opened, is no store, or was written by a newer version
   */
  constructor(file: string, now: () => number) {
    this.where = file;
    this.#now = now;
    this.#db = open(file);
    try {
      this.#migrate();
      this.#looked = this.#dataVersion();
    } catch (error) {
      this.#db.close();
      throw error;
    }
  }

  async commit(change: Commit): Promise<void> {
    this.#transaction(() => this.#write(change));
    this.#changed();
  }

  async head(): Promise<number> {
    return this.#head();
  }

  async revision(number: number): Promise<Revision | undefined> {
    return this.#get<Revision>("SELECT * FROM revisions WHERE number = ?", number);
  }

  async revisions(before: number | undefined, limit: number): Promise<Revision[]> {
    const below = before ?? Number.MAX_SAFE_INTEGER;
    return this.#all<Revision>(
      "SELECT * FROM revisions WHERE number < ? ORDER BY number DESC LIMIT ?",
      below,
      limit,
    );
  }

  async blob(digest: string): Promise<string | undefined> {
    return this.#get<{ content: string }>("SELECT content FROM blobs WHERE digest = ?", digest)?.content;
  }

  async document(kind: string, id: string): Promise<StoredDocument | undefined> {
    return this.#document(kind, id);
  }

  async documents(kind: string, after: string | undefined, limit: number): Promise<StoredDocument[]> {
    const sql = "SELECT * FROM documents WHERE kind = ? AND id > ? ORDER BY id LIMIT ?";
    return this.#all<StoredDocument>(sql, kind, after ?? "", limit);
  }

  async events(after: number, limit: number): Promise<StoredEvent[]> {
    const sql = "SELECT * FROM events WHERE number > ? ORDER BY number LIMIT ?";
    return this.#all<StoredEvent>(sql, after, limit);
  }

  async newestEvent(): Promise<number> {
    return this.#get<{ number: number }>("SELECT COALESCE(MAX(number), 0) AS number FROM events")!.number;
  }

  async audit(after: number, limit: number): Promise<AuditEntry[]> {
    const sql = "SELECT * FROM audit WHERE number > ? ORDER BY number LIMIT ?";
    return this.#all<AuditEntry>(sql, after, limit);
  }

  async lead(holder: string, milliseconds: number): Promise<Leadership | undefined> {
    return this.#transaction(() => {
      const now = this.#now();
      const current = this.#leadership();
      // Nobody leases for longer than this: what seems to last longer was leased before the clock was set back.
      const wasSetBack = (current?.until ?? 0) > now + milliseconds + 1 && current?.holder !== holder;
      const isOver = current !== undefined && (current.until <= now || wasSetBack);
      const isFree = current === undefined || current.holder === "" || isOver;
      if (!isFree && current.holder !== holder) return undefined;
      // Who kept it is the same leader; who comes back after it ran out is a new one.
      const epoch = !isFree ? current.epoch : (current?.epoch ?? 0) + 1;
      const sql = "INSERT OR REPLACE INTO leadership (one, epoch, holder, until) VALUES (1, ?, ?, ?)";
      this.#run(sql, epoch, holder, Math.ceil(now + milliseconds));
      return { epoch, holder, remaining: milliseconds };
    });
  }

  async resign(holder: string): Promise<void> {
    this.#run("UPDATE leadership SET holder = '', until = 0 WHERE holder = ?", holder);
  }

  async leader(): Promise<Leadership | undefined> {
    const current = this.#leadership();
    const remaining = (current?.until ?? 0) - this.#now();
    if (current === undefined || current.holder === "" || remaining <= 0) return undefined;
    return { epoch: current.epoch, holder: current.holder, remaining };
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    // Commands such as a restore write from another process.
    this.#timer ??= setInterval(() => this.#look(), LOOK_EVERY).unref();
    return () => this.#listeners.delete(listener);
  }

  async *dump(): AsyncGenerator<Page> {
    // A connection of its own: its transaction lasts while others write through this store.
    const db = open(this.where);
    try {
      db.exec("BEGIN");
      const row = db.prepare("SELECT epoch FROM leadership").get() as { epoch: number } | undefined;
      const select = (sql: string, values: readonly Value[]): unknown[] => db.prepare(sql).all(...values);
      yield* pagesOf(row?.epoch ?? 0, select, (table) => table);
    } catch (error) {
      throw this.#failure("read from", error);
    } finally {
      db.close();
    }
  }

  async load(pages: AsyncIterable<Page>): Promise<void> {
    const db = open(this.where);
    try {
      db.exec("BEGIN IMMEDIATE");
      this.#checkEmpty(db);
      for await (const page of pages) loadPage(db, page);
      db.exec("COMMIT");
    } catch (error) {
      throw this.#failure("write to", error);
    } finally {
      db.close(); // and rolls back what was not committed
    }
    this.#changed();
  }

  async backup(file: string): Promise<void> {
    await fillNewFile(file, () => copyDatabase(this.#db, file));
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    if (this.#db.isOpen) this.#db.close();
  }

  #write({
    expectHead,
    epoch,
    revision,
    blobs,
    puts = [],
    deletes = [],
    events = [],
    audit = [],
  }: Commit): void {
    if (epoch !== undefined) this.#checkEpoch(epoch);
    const head = this.#head();
    if (expectHead !== undefined && head !== expectHead) {
      throw new Conflict(`revision ${head} is the newest by now, and this was decided on ${expectHead}`);
    }
    for (const [digest, content] of blobs ?? []) {
      this.#run("INSERT OR IGNORE INTO blobs (digest, content) VALUES (?, ?)", digest, content);
    }
    if (revision !== undefined) {
      if (revision.number !== head + 1) throw new Conflict(`revision ${head} is the newest by now`);
      const { number, at, author, reason, cause, base, overlays, effective } = revision;
      const sql = "INSERT INTO revisions VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
      this.#run(sql, number, at, author, reason, cause, base, overlays, effective);
    }
    for (const { kind, id, body, expect } of puts) {
      const version = this.#expect(kind, id, expect);
      this.#run("INSERT OR REPLACE INTO documents VALUES (?, ?, ?, ?)", kind, id, version + 1, body);
    }
    for (const { kind, id, expect } of deletes) {
      this.#expect(kind, id, expect);
      this.#run("DELETE FROM documents WHERE kind = ? AND id = ?", kind, id);
    }
    for (const { at, type, body } of events) {
      this.#run("INSERT INTO events (at, type, body) VALUES (?, ?, ?)", at, type, body);
    }
    if (events.length > 0) {
      this.#run("DELETE FROM events WHERE number <= (SELECT MAX(number) FROM events) - ?", EVENTS_KEPT);
    }
    if (audit.length === 0) return;
    let last = this.#get<{ number: number; hash: string }>(
      "SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1",
    ) ?? { number: 0, hash: CHAIN_START };
    for (const line of audit) {
      const entry = chained(last.hash, last.number + 1, line);
      const { number, at, actor, from, action, target, reason, before, after, hash } = entry;
      const sql = "INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
      this.#run(sql, number, at, actor, from, action, target, reason, before, after, hash);
      last = entry;
    }
  }

  /** @returns the version that is there, 0 for none · @throws Conflict when it is another */
  #expect(kind: string, id: string, expect: number | undefined): number {
    const version = this.#document(kind, id)?.version ?? 0;
    if (expect !== undefined && version !== expect) {
      throw new Conflict(`${kind} ${id} was written meanwhile: version ${version}, expected ${expect}`);
    }
    return version;
  }

  #checkEpoch(epoch: number): void {
    const current = this.#leadership();
    if (current?.epoch !== epoch || current.holder === "" || current.until <= this.#now()) {
      throw new Deposed(`the lease of epoch ${epoch} has ended; the newest is ${current?.epoch ?? 0}`);
    }
  }

  #head(): number {
    return this.#get<{ head: number }>("SELECT COALESCE(MAX(number), 0) AS head FROM revisions")!.head;
  }

  #document(kind: string, id: string): StoredDocument | undefined {
    return this.#get<StoredDocument>("SELECT * FROM documents WHERE kind = ? AND id = ?", kind, id);
  }

  #leadership(): { epoch: number; holder: string; until: number } | undefined {
    return this.#get("SELECT epoch, holder, until FROM leadership");
  }

  #migrate(): void {
    this.#transaction(() => {
      const { user_version: version } = this.#get<{ user_version: number }>("PRAGMA user_version")!;
      if (version > SQLITE_MIGRATIONS.length) {
        throw new Unavailable(
          `${this.where} was written by a newer Tidegate (schema ${version}, this one knows ${SQLITE_MIGRATIONS.length})`,
        );
      }
      for (const step of SQLITE_MIGRATIONS.slice(version)) this.#db.exec(step);
      this.#db.exec(`PRAGMA user_version = ${SQLITE_MIGRATIONS.length}`);
    });
  }

  #transaction<T>(write: () => T): T {
    try {
      // At once, not at the first write: two processes that read first could not both write then.
      this.#db.exec("BEGIN IMMEDIATE");
    } catch (error) {
      throw this.#failure("write to", error);
    }
    try {
      const result = write();
      this.#db.exec("COMMIT");
      return result;
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
      throw this.#failure("write to", error);
    }
  }

  #checkEmpty(db: DatabaseSync): void {
    for (const table of ROW_TABLES) {
      if (db.prepare(`SELECT 1 FROM ${table} LIMIT 1`).get() !== undefined) {
        throw new Conflict(`${this.where} is not empty`);
      }
    }
    const lease = this.#leadership();
    if (lease !== undefined && lease.holder !== "" && lease.until > this.#now()) {
      throw new Conflict(`a control plane runs on ${this.where}; stop it first`);
    }
  }

  /** In the store's words. */
  #failure(doing: string, error: unknown): Error {
    if (error instanceof Conflict || error instanceof Deposed || error instanceof Unavailable) return error;
    return new Unavailable(`cannot ${doing} ${this.where}: ${(error as Error).message}`);
  }

  #changed(): void {
    this.#looked = this.#dataVersion();
    for (const listener of this.#listeners) listener();
  }

  #look(): void {
    let version: number;
    try {
      version = this.#dataVersion();
    } catch {
      return; // Whoever reads or writes hears why; a timer has nobody to tell, and must not end the process.
    }
    if (version === this.#looked) return;
    this.#looked = version;
    for (const listener of this.#listeners) listener();
  }

  /** Changes when another connection has written. */
  #dataVersion(): number {
    return this.#get<{ data_version: number }>("PRAGMA data_version")!.data_version;
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#db.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  #get<T>(sql: string, ...values: Value[]): T | undefined {
    return this.#ask(() => this.#prepare(sql).get(...values.map(clean)) as T | undefined);
  }

  #all<T>(sql: string, ...values: Value[]): T[] {
    return this.#ask(() => this.#prepare(sql).all(...values.map(clean)) as T[]);
  }

  #run(sql: string, ...values: Value[]): void {
    this.#ask(() => this.#prepare(sql).run(...values.map(clean)));
  }

  #ask<T>(act: () => T): T {
    try {
      return act();
    } catch (error) {
      throw this.#failure("use", error);
    }
  }
}

function clean(value: Value): Value {
  return typeof value === "string" ? storable(value) : value;
}

/** @throws Unavailable */
function open(file: string): DatabaseSync {
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(file, { timeout: BUSY });
    db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON");
    return db;
  } catch (error) {
    db?.close();
    throw new Unavailable(`cannot open ${file}: ${(error as Error).message}`);
  }
}

function loadPage(db: DatabaseSync, { table, rows }: Page): void {
  if (table === "leadership") {
    const sql = `INSERT INTO leadership VALUES (1, ?, '', 0)
      ON CONFLICT DO UPDATE SET epoch = MAX(epoch, excluded.epoch), holder = '', until = 0`;
    for (const { epoch } of rows) db.prepare(sql).run(epoch);
    return;
  }
  const { columns } = LAYOUTS[table];
  const places = columns.map(() => "?").join(", ");
  const insert = db.prepare(`INSERT INTO ${table} (${quotedList(columns)}) VALUES (${places})`);
  for (const row of rows as unknown as Record<string, Value>[]) {
    insert.run(...columns.map((column) => clean(row[column]!)));
  }
}
