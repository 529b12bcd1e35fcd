/** The executions that the leader knows: read when it begins to lead, forgotten when it leads no longer. */
import type { Desk } from "../desk.ts";
import { Refused } from "../refused.ts";
import type { DeleteDocument, Store, StoredDocument } from "../store/store.ts";
import { isEnding } from "./ending.ts";
import { EXECUTION, type Execution, isLive } from "./execution.ts";
import { isActing } from "./program.ts";

/** Executions that live at once, and those that are kept after they ended. */
export const MOST_LIVE = 200;
export const MOST_ENDED = 1_000;
const PAGE = 200;
/** Forgotten in one commit, at most. */
const MOST_FORGOTTEN = 100;

export interface Held {
  execution: Execution;
  /** 0: it is not known to be written. */
  version: number;
  /** It is not known whether the last write was done. */
  inDoubt: boolean;
  queue: Promise<unknown>;
}

export interface BookOptions {
  readonly desk: Desk;
  readonly store: Store;
  readonly monotonic: () => number;
  /** The leadership to write under; undefined while this control plane does not lead. */
  readonly epoch: () => number | undefined;
}

export class Book {
  readonly #options: BookOptions;
  readonly #held = new Map<string, Held>();
  #epoch: number | undefined;
  #ledAt = Number.NEGATIVE_INFINITY;
  #newest = 0;
  #reading: Promise<void> | undefined;

  constructor(options: BookOptions) {
    this.#options = options;
  }

  /** The leadership under which it was read. */
  get epoch(): number | undefined {
    return this.#epoch;
  }

  /** Milliseconds that it has led. */
  get ledFor(): number {
    return this.#options.monotonic() - this.#ledAt;
  }

  get all(): Held[] {
    return [...this.#held.values()];
  }

  /** Those that may still write. */
  get live(): Execution[] {
    return this.all.map(({ execution }) => execution).filter(isActing);
  }

  /** Reads everything when it becomes the leader. @throws Unavailable */
  async lead(): Promise<void> {
    // Whoever comes meanwhile waits for the same reading: what is held twice would be driven twice.
    while (this.#reading !== undefined) await this.#reading.catch(() => {});
    if (this.#options.epoch() === this.#epoch) return;
    this.#reading = this.#read();
    try {
      await this.#reading;
    } finally {
      this.#reading = undefined;
    }
  }

  /** @throws Refused when it does not lead · Unavailable */
  async leading(): Promise<void> {
    await this.lead();
    if (this.#epoch === undefined) {
      throw new Refused("not-leader", "this control plane does not lead now; try again in a few seconds");
    }
  }

  /** @throws Refused */
  get(id: string): Held {
    const held = this.#held.get(id);
    if (held !== undefined) return held;
    throw new Refused("not-found", `there is no execution ${id}; tidegate plan status lists them`);
  }

  /** Of one that is added next. */
  get nextId(): string {
    return `ex-${this.#newest + 1}`;
  }

  add(execution: Execution): Held {
    const held: Held = { execution, version: 0, inDoubt: false, queue: Promise.resolve() };
    this.#held.set(execution.id, held);
    this.#newest = Math.max(this.#newest, numberOf(execution));
    return held;
  }

  drop({ id }: Execution): void {
    this.#held.delete(id);
  }

  /** Forgets the oldest of those that ended, where there are too many. @returns their ids · @throws Unavailable */
  async forget(): Promise<readonly string[]> {
    const epoch = this.#epoch;
    const old = this.#superfluous();
    if (old.length === 0 || epoch === undefined) return [];
    try {
      await this.#options.desk.write({ epoch, deletes: old.map(documentOf) });
      for (const { execution } of old) this.drop(execution);
      return old.map(({ execution }) => execution.id);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      for (const held of old) held.inDoubt = true;
      return [];
    }
  }

  /** Those of which nothing lies any more. */
  #superfluous(): Held[] {
    const ended = this.all.filter(({ execution, inDoubt }) => !inDoubt && isOver(execution));
    const isTooMany = ended.length - MOST_ENDED;
    if (isTooMany <= 0) return [];
    const lying = new Set(this.#options.desk.standing?.overlays.map(({ id }) => id));
    const gone = ended.filter(({ execution }) => !execution.overlays.some((id) => lying.has(id)));
    return gone
      .toSorted((a, b) => numberOf(a.execution) - numberOf(b.execution))
      .slice(0, Math.min(isTooMany, MOST_FORGOTTEN));
  }

  async #read(): Promise<void> {
    const { desk, store, epoch: leadership, monotonic } = this.#options;
    const epoch = leadership();
    this.#held.clear();
    this.#epoch = undefined;
    if (epoch === undefined) return;
    await desk.refresh();
    let after: string | undefined;
    let page: StoredDocument[];
    do {
      page = await store.documents(EXECUTION, after, PAGE);
      for (const { body, version } of page) {
        const held = this.add(JSON.parse(body) as Execution);
        held.version = version;
      }
      after = page.at(-1)?.id;
    } while (page.length === PAGE);
    this.#epoch = epoch;
    this.#ledAt = monotonic();
  }
}

/** Nothing of it will be driven any more. */
function isOver(execution: Execution): boolean {
  const { state, removed, plan, says } = execution;
  if (isActing(execution) || removed.length > 0) return false;
  return state !== "succeeded" || plan.expires === undefined || says !== undefined;
}

function documentOf({ execution: { id }, version }: Held): DeleteDocument {
  return { kind: EXECUTION, id, expect: version };
}

function numberOf({ id }: Execution): number {
  return Number(id.slice(3));
}

/** Nothing of it is to be driven: it has ended, or was not written. */
export function isAtRest({ execution, version }: Held): boolean {
  return version === 0 || (!isLive(execution) && !isEnding(execution));
}
