/**
 * What a control plane keeps: revisions, documents, events and the audit log, behind one small interface.
 *
 * Everything that belongs together is written in one `commit`, whole or not at all, and only where the writer saw what
 * is there now: the head revision, the documents' versions, and its own leadership. What was acknowledged is on disk.
 */

/** A numbered, immutable publication. Contents are blobs, named by their digest. */
export interface Revision {
  /** From 1, without gaps. */
  readonly number: number;
  /** Milliseconds since 1970, of the control plane that made it. */
  readonly at: number;
  readonly author: string;
  readonly reason: string;
  /** What made it: `apply`, `overlay`, `expiry`, `rollback`. */
  readonly cause: string;
  /** Digest of the base: the files as they were given. */
  readonly base: string;
  /** Digest of the overlays that lay on it. */
  readonly overlays: string;
  /** Digest of the effective configuration. */
  readonly effective: string;
}

/** The current state of one named thing: an overlay, a token, a gateway. */
export interface StoredDocument {
  readonly kind: string;
  readonly id: string;
  /** Raised by one with every write. */
  readonly version: number;
  /** JSON. */
  readonly body: string;
}

export interface PutDocument {
  readonly kind: string;
  readonly id: string;
  readonly body: string;
  /** The version that the writer saw; 0: there is none yet; undefined: whatever is there. */
  readonly expect?: number | undefined;
}

export interface DeleteDocument {
  readonly kind: string;
  readonly id: string;
  readonly expect?: number | undefined;
}

/** So many of the newest events are kept: who was away for longer reads what is there now instead. */
export const EVENTS_KEPT = 10_000;

/** Something that happened, for whoever watches. */
export interface StoredEvent {
  /** From 1, rising. */
  readonly number: number;
  readonly at: number;
  readonly type: string;
  /** JSON. */
  readonly body: string;
}

/** A line of the audit log, before it is chained. */
export interface AuditLine {
  readonly at: number;
  readonly actor: string;
  /** Address of the client. */
  readonly from: string;
  /** Such as `overlay.create`. */
  readonly action: string;
  readonly target: string;
  readonly reason: string;
  /** JSON of what was there before and after, `null` where there was nothing. */
  readonly before: string;
  readonly after: string;
}

export interface AuditEntry extends AuditLine {
  /** From 1, without gaps. */
  readonly number: number;
  /** Of the entry before it and this one: see audit-chain.ts. */
  readonly hash: string;
}

/** One atomic write. */
export interface Commit {
  /** The head revision that the writer saw; refused when there is a newer one. Undefined: it does not matter. */
  readonly expectHead?: number | undefined;
  /** The leadership under which it is written; refused when another leader has begun. */
  readonly epoch?: number | undefined;
  /** The next revision: its number must be the head's and one. */
  readonly revision?: Revision | undefined;
  /** Digest → content; one that is there already stays. */
  readonly blobs?: ReadonlyMap<string, string>;
  readonly puts?: readonly PutDocument[];
  readonly deletes?: readonly DeleteDocument[];
  readonly events?: readonly Omit<StoredEvent, "number">[];
  readonly audit?: readonly AuditLine[];
}

/** Who leads: only one at a time, and never again under the same epoch. */
export interface Leadership {
  /** Rises with every new leader: the fencing token. */
  readonly epoch: number;
  readonly holder: string;
  /** Milliseconds that the lease lasts from now on, by the store's clock. */
  readonly remaining: number;
}

/** A content by its digest. */
export interface StoredBlob {
  readonly digest: string;
  readonly content: string;
}

/** Everything that a store holds, table by table. A lease is not moved, its epoch is: epochs never go back. */
export interface Tables {
  readonly leadership: { readonly epoch: number };
  readonly revisions: Revision;
  readonly blobs: StoredBlob;
  readonly documents: StoredDocument;
  readonly events: StoredEvent;
  readonly audit: AuditEntry;
}

/** Some rows of one table, as they are. */
export type Page = {
  [T in keyof Tables]: { readonly table: T; readonly rows: readonly Tables[T][] };
}[keyof Tables];

/**
 * Text as every store can keep it: PostgreSQL takes no NUL, and half a surrogate pair has no form in UTF-8. Both become
 * U+FFFD before anything is hashed, so that what is read back is what was hashed.
 */
export function storable(text: string): string {
  return text.toWellFormed().replaceAll("\0", "\ufffd");
}

/** Something else was written meanwhile: read again, decide again. */
export class Conflict extends Error {
  override readonly name = "Conflict";
}

/** Another control plane leads now; this one's write was refused. */
export class Deposed extends Error {
  override readonly name = "Deposed";
}

/** The store cannot be reached, or cannot write; nothing was written, or it is not known whether it was. */
export class Unavailable extends Error {
  override readonly name = "Unavailable";
}

export interface Store {
  /** For people, without secrets: a path or a host. */
  readonly where: string;

  /** @throws Conflict · Deposed · Unavailable */
  commit(change: Commit): Promise<void>;

  /** Number of the newest revision; 0 when there is none. */
  head(): Promise<number>;
  revision(number: number): Promise<Revision | undefined>;
  /** Newest first, below `before`. */
  revisions(before: number | undefined, limit: number): Promise<Revision[]>;
  blob(digest: string): Promise<string | undefined>;

  document(kind: string, id: string): Promise<StoredDocument | undefined>;
  /** By id, above `after`. */
  documents(kind: string, after: string | undefined, limit: number): Promise<StoredDocument[]>;

  /** Oldest first, above `after`. */
  events(after: number, limit: number): Promise<StoredEvent[]>;
  /** Number of the newest event; 0 when there was none. */
  newestEvent(): Promise<number>;
  /** Oldest first, above `after`. */
  audit(after: number, limit: number): Promise<AuditEntry[]>;

  /**
   * Takes the leadership, or keeps it, for so long.
   *
   * @returns undefined when another holds it
   */
  lead(holder: string, milliseconds: number): Promise<Leadership | undefined>;
  /** Gives the leadership up, if it is the holder's. */
  resign(holder: string): Promise<void>;
  leader(): Promise<Leadership | undefined>;

  /** Called soon after any process wrote: at once where the store can tell, else by looking. @returns how to stop */
  onChange(listener: () => void): () => void;

  /** Everything as it was at one moment, in the order of their keys, whatever is written meanwhile. */
  dump(): AsyncIterable<Page>;
  /**
   * Takes the pages of another store, with their numbers, versions and hashes, whole or not at all.
   *
   * @throws Conflict when this store is not empty, or somebody leads on it
   */
  load(pages: AsyncIterable<Page>): Promise<void>;
  /** Writes a whole copy, consistent in itself, to a file that is not there yet: a store in SQLite. */
  backup(file: string): Promise<void>;
  close(): Promise<void>;
}
