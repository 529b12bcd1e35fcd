/**
 * Every gateway that may serve, by name, in the store: who was sent a snapshot goes on serving it, whether anybody can
 * ask it or not, and so does the one that only a control plane knew which is gone.
 *
 * One that ends, and says so when it has answered its last request, is taken off; one that was killed is not.
 *
 * A name is written before its first snapshot is sent. Whoever must know that all of them hold a fence reads the names
 * after the fence was written: who is not among them was not sent anything that is older than the fence.
 */
import { Conflict, type PutDocument, type Store } from "../store/store.ts";
import { FORGET, type Gateways, type KnownGateway } from "./gateways.ts";

const GATEWAY = "gateway";
/** A gateway that stays is written again after this (ms). */
const AGAIN = FORGET / 24;
const PAGE = 500;
/** How often (ms) it is looked whether those that are not connected have ended. */
const LOOK_EVERY = 5_000;

interface Entry {
  readonly at: number;
  /** Of the process: a new one may have the name of one that is ending. */
  readonly instance?: string;
}

export class Roster {
  readonly #store: Store;
  readonly #now: () => number;
  /** Written by this process. */
  readonly #entered = new Map<string, Entry>();
  #lookedAt = 0;

  /** @param now milliseconds since 1970 */
  constructor(store: Store, now: () => number) {
    this.#store = store;
    this.#now = now;
  }

  /**
   * @param instance of its process; missing: it does not say
   * @returns whether it is new: then what it is sent has to be read after this
   * @throws Unavailable
   */
  async enter(name: string, instance = ""): Promise<boolean> {
    if (!this.#isDue(name) && this.#entered.get(name)!.instance === instance) return false;
    const known = await this.#store.document(GATEWAY, name);
    const entry: Entry = { at: this.#now(), instance };
    await this.#store.commit({ puts: [put(name, entry)] });
    this.#entered.set(name, entry);
    return known === undefined || isGone(known.body, entry.at);
  }

  /**
   * It serves no more.
   *
   * @returns whether it is taken off: not where another process has its name by now
   * @throws Unavailable
   */
  async leave(name: string, instance: string): Promise<boolean> {
    const known = await this.#store.document(GATEWAY, name);
    if (known === undefined || entryOf(known.body).instance !== instance) return false;
    try {
      await this.#store.commit({ deletes: [{ kind: GATEWAY, id: name, expect: known.version }] });
    } catch (error) {
      // Its successor has just entered.
      if (error instanceof Conflict) return false;
      throw error;
    }
    this.#entered.delete(name);
    return true;
  }

  /** Keeps those that stay, and forgets those that have ended, whichever control plane they told. @throws Unavailable */
  async look(gateways: Pick<Gateways, "own" | "left">): Promise<void> {
    const own = gateways.own();
    await this.stay(own);
    const now = this.#now();
    if (Math.abs(now - this.#lookedAt) < LOOK_EVERY) return;
    this.#lookedAt = now;
    const gone = own.filter(({ connected }) => !connected);
    if (gone.length === 0) return;
    const names = new Set(await this.names());
    for (const { name } of gone) if (!names.has(name)) gateways.left(name);
  }

  /** Gateways that are here for long do not become strangers. Cheap where nothing is due. @throws Unavailable */
  async stay(gateways: readonly KnownGateway[]): Promise<void> {
    const due = gateways.filter(({ connected, name }) => connected && this.#isDue(name));
    if (due.length === 0) return;
    const at = this.#now();
    const entries = due.map(({ name }) => [name, { ...this.#entered.get(name), at }] as const);
    await this.#store.commit({ puts: entries.map(([name, entry]) => put(name, entry)) });
    for (const [name, entry] of entries) this.#entered.set(name, entry);
  }

  /** @throws Unavailable */
  async names(): Promise<string[]> {
    const now = this.#now();
    const names: string[] = [];
    for await (const { id, body } of this.#all()) {
      if (!isGone(body, now)) names.push(id);
    }
    return names;
  }

  /** Those that nobody has heard of for long. @throws Unavailable */
  async superfluous(): Promise<{ readonly kind: string; readonly id: string; readonly expect: number }[]> {
    const now = this.#now();
    const gone: { kind: string; id: string; expect: number }[] = [];
    for await (const { id, body, version } of this.#all()) {
      if (!isGone(body, now)) continue;
      gone.push({ kind: GATEWAY, id, expect: version });
      this.#entered.delete(id);
    }
    return gone;
  }

  #isDue(name: string): boolean {
    // Whichever way the clock was set.
    return Math.abs(this.#now() - (this.#entered.get(name)?.at ?? Number.NEGATIVE_INFINITY)) >= AGAIN;
  }

  async *#all(): AsyncGenerator<{ id: string; body: string; version: number }> {
    let after: string | undefined;
    for (;;) {
      const page = await this.#store.documents(GATEWAY, after, PAGE);
      yield* page;
      if (page.length < PAGE) return;
      after = page.at(-1)!.id;
    }
  }
}

function put(name: string, entry: Entry): PutDocument {
  return { kind: GATEWAY, id: name, body: JSON.stringify(entry) };
}

function entryOf(body: string): Entry {
  return JSON.parse(body) as Entry;
}

function isGone(body: string, now: number): boolean {
  return now - entryOf(body).at > FORGET;
}
