/**
 * What is stored of alerts: the leader reads it when it begins to lead, changes it one commit at a time, and reads it again
 * where it is not known what was written. What others read comes from the store.
 */
import type { Alert } from "../../model/alerts/alert.ts";
import type { Group } from "../../model/alerts/grouping.ts";
import type { Silence } from "../../model/alerts/matching.ts";
import type { Message } from "../../model/alerts/message.ts";
import type { Desk } from "../desk.ts";
import { Refused } from "../refused.ts";
import type {
  AuditLine,
  DeleteDocument,
  PutDocument,
  Store,
  StoredDocument,
  StoredEvent,
} from "../store/store.ts";
import type { StoredCell } from "./history.ts";

/** One message on its way to one channel. */
export interface Delivery {
  /** The same however often it is sent: receivers know it again by this. */
  readonly id: string;
  readonly message: string;
  readonly channel: string;
  readonly state: "waiting" | "sent" | "dead";
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly attempts: number;
  readonly nextAt: number;
  readonly endedAt?: number;
  /** Why the last attempt failed. */
  readonly says?: string;
}

/** Document kinds, and what they hold. */
export interface Kinds {
  readonly alert: Alert;
  readonly "alert-group": Group;
  readonly silence: Silence;
  readonly "alert-message": Message;
  readonly "alert-delivery": Delivery;
  readonly "alert-figures": StoredCell;
  readonly "alert-key": { readonly key: string };
}
export type Kind = keyof Kinds;
const KINDS: readonly Kind[] = [
  "alert",
  "alert-group",
  "silence",
  "alert-message",
  "alert-delivery",
  "alert-figures",
  "alert-key",
];
const PAGE = 500;

export interface BookOptions {
  readonly desk: Pick<Desk, "write">;
  readonly store: Store;
  readonly epoch: () => number | undefined;
}

/** One change: what is written together. What it puts is seen by what follows in the same change. */
export class Changes {
  readonly puts = new Map<string, PutDocument>();
  readonly deletes = new Map<string, DeleteDocument>();
  readonly events: Omit<StoredEvent, "number">[] = [];
  readonly audit: AuditLine[] = [];
  /** Of a command that may be sent again. */
  readonly also: PutDocument[] = [];
  readonly #tables: ReadonlyMap<Kind, Map<string, unknown>>;
  readonly #undo: (() => void)[] = [];

  constructor(tables: ReadonlyMap<Kind, Map<string, unknown>>) {
    this.#tables = tables;
  }

  put<K extends Kind>(kind: K, id: string, value: Kinds[K]): void {
    this.#remember(kind, id);
    this.#tables.get(kind)!.set(id, value);
    this.deletes.delete(`${kind} ${id}`);
    this.puts.set(`${kind} ${id}`, { kind, id, body: JSON.stringify(value) });
  }

  delete(kind: Kind, id: string): void {
    this.#remember(kind, id);
    this.#tables.get(kind)!.delete(id);
    this.puts.delete(`${kind} ${id}`);
    this.deletes.set(`${kind} ${id}`, { kind, id });
  }

  get isEmpty(): boolean {
    return (
      this.puts.size + this.deletes.size + this.events.length + this.audit.length + this.also.length === 0
    );
  }

  /** As if nothing had been said. */
  undo(): void {
    for (const back of this.#undo.reverse()) back();
  }

  #remember(kind: Kind, id: string): void {
    const table = this.#tables.get(kind)!;
    const had = table.has(id);
    const before = table.get(id);
    this.#undo.push(() => (had ? table.set(id, before) : table.delete(id)));
  }
}

export class Book {
  readonly #options: BookOptions;
  readonly #tables = new Map<Kind, Map<string, unknown>>(KINDS.map((kind) => [kind, new Map()]));
  #queue: Promise<unknown> = Promise.resolve();
  #epoch: number | undefined;

  constructor(options: BookOptions) {
    this.#options = options;
  }

  /** Of the leader; whoever does not lead holds what it knew. */
  table<K extends Kind>(kind: K): Map<string, Kinds[K]> {
    return this.#tables.get(kind) as Map<string, Kinds[K]>;
  }

  get isRead(): boolean {
    return this.#epoch !== undefined && this.#epoch === this.#options.epoch();
  }

  /**
   * One after the other, each on what the one before it left.
   *
   * @throws Refused when this control plane does not lead, or the store did not take it; nothing holds of it then
   */
  change<T>(build: (changes: Changes) => T): Promise<T> {
    return this.alone(async () => {
      const changes = new Changes(this.#tables);
      let made: T;
      try {
        made = build(changes);
      } catch (error) {
        changes.undo();
        throw error;
      }
      if (changes.isEmpty) return made;
      const { puts, deletes, also, events, audit } = changes;
      try {
        await this.#options.desk.write({
          epoch: this.#epoch!,
          puts: [...puts.values(), ...also],
          deletes: [...deletes.values()],
          events,
          audit,
        });
      } catch (error) {
        changes.undo();
        this.#epoch = undefined;
        throw error;
      }
      return made;
    });
  }

  /** Something else that writes what is kept here, in turn with what is written here. @throws Refused */
  alone<T>(act: () => Promise<T>): Promise<T> {
    const turn = this.#queue.then(async () => {
      await this.#lead();
      return await act();
    });
    this.#queue = turn.catch(() => {});
    return turn;
  }

  /** It is not known what was written. */
  doubt(): void {
    this.#epoch = undefined;
  }

  /** As the store has it, for whoever does not lead. @throws Unavailable */
  async stored<K extends Kind>(kind: K): Promise<Kinds[K][]> {
    const found: Kinds[K][] = [];
    let after: string | undefined;
    for (;;) {
      const page: StoredDocument[] = await this.#options.store.documents(kind, after, PAGE);
      for (const { body } of page) found.push(JSON.parse(body) as Kinds[K]);
      if (page.length < PAGE) return found;
      after = page.at(-1)!.id;
    }
  }

  async #lead(): Promise<void> {
    const epoch = this.#options.epoch();
    if (epoch === undefined) {
      throw new Refused("not-leader", "this control plane does not lead now; try again in a few seconds");
    }
    if (epoch === this.#epoch) return;
    this.#epoch = undefined;
    const read = new Map<Kind, Map<string, unknown>>();
    for (const kind of KINDS) read.set(kind, await this.#readKind(kind));
    for (const [kind, rows] of read) {
      const table = this.#tables.get(kind)!;
      table.clear();
      for (const [id, value] of rows) table.set(id, value);
    }
    this.#epoch = epoch;
  }

  async #readKind(kind: Kind): Promise<Map<string, unknown>> {
    const rows = new Map<string, unknown>();
    let after: string | undefined;
    for (;;) {
      const page: StoredDocument[] = await this.#options.store.documents(kind, after, PAGE);
      for (const { id, body } of page) rows.set(id, JSON.parse(body) as unknown);
      if (page.length < PAGE) return rows;
      after = page.at(-1)!.id;
    }
  }
}
