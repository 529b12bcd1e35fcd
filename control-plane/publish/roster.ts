/**
 * Every gateway that may serve, by name, in the store: who was sent a snapshot goes on serving it, whether anybody can
 * ask it or not, and so does the one that only a control plane knew which is gone.
 *
 * A name is written before its first snapshot is sent. Whoever must know that all of them hold a fence reads the names
 * after the fence was written: who is not among them was not sent anything that is older than the fence.
 */
import type { PutDocument, Store } from "../store/store.ts";
import { FORGET, type KnownGateway } from "./gateways.ts";

const GATEWAY = "gateway";
/** A gateway that stays is written again after this (ms). */
const AGAIN = FORGET / 24;
const PAGE = 500;

export class Roster {
  readonly #store: Store;
  readonly #now: () => number;
  /** Written by this process, and when. */
  readonly #entered = new Map<string, number>();

  /** @param now milliseconds since 1970 */
  constructor(store: Store, now: () => number) {
    this.#store = store;
    this.#now = now;
  }

  /** @returns whether it is new: then what it is sent has to be read after this · @throws Unavailable */
  async enter(name: string): Promise<boolean> {
    if (!this.#isDue(name)) return false;
    const known = await this.#store.document(GATEWAY, name);
    const now = this.#now();
    await this.#store.commit({ puts: [entry(name, now)] });
    this.#entered.set(name, now);
    return known === undefined || isGone(known.body, now);
  }

  /** Gateways that are here for long do not become strangers. Cheap where nothing is due. @throws Unavailable */
  async stay(gateways: readonly KnownGateway[]): Promise<void> {
    const due = gateways.filter(({ connected, name }) => connected && this.#isDue(name));
    if (due.length === 0) return;
    const now = this.#now();
    await this.#store.commit({ puts: due.map(({ name }) => entry(name, now)) });
    for (const { name } of due) this.#entered.set(name, now);
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
    return Math.abs(this.#now() - (this.#entered.get(name) ?? Number.NEGATIVE_INFINITY)) >= AGAIN;
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

function entry(name: string, at: number): PutDocument {
  return { kind: GATEWAY, id: name, body: JSON.stringify({ at }) };
}

function isGone(body: string, now: number): boolean {
  return now - (JSON.parse(body) as { at: number }).at > FORGET;
}
