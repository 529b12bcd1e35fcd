/** The tables of a store in SQLite, as steps from an empty file on: a step that was released is never changed. */
export const SQLITE_MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE revisions (
    number INTEGER PRIMARY KEY, at INTEGER NOT NULL, author TEXT NOT NULL, reason TEXT NOT NULL, cause TEXT NOT NULL,
    base TEXT NOT NULL, overlays TEXT NOT NULL, effective TEXT NOT NULL
  ) STRICT;
  CREATE TABLE blobs (digest TEXT PRIMARY KEY, content TEXT NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE documents (
    kind TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, id)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE events (
    number INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, type TEXT NOT NULL, body TEXT NOT NULL
  ) STRICT;
  CREATE TABLE audit (
    number INTEGER PRIMARY KEY, at INTEGER NOT NULL, actor TEXT NOT NULL, "from" TEXT NOT NULL, action TEXT NOT NULL,
    target TEXT NOT NULL, reason TEXT NOT NULL, before TEXT NOT NULL, after TEXT NOT NULL, hash TEXT NOT NULL
  ) STRICT;
  CREATE TABLE leadership (
    one INTEGER PRIMARY KEY CHECK (one = 1), epoch INTEGER NOT NULL, holder TEXT NOT NULL, until INTEGER NOT NULL
  ) STRICT;
  `,
];
