/**
 * Hands on what gateways counted, and their failed requests, to the other control planes of the same store: each holds some of the streams, and all
 * of them decide by the figures of the whole fleet.
 *
 * Slices go on as they came. Whoever has one has its number, so that it may be sent again, and is counted once; what no
 * place was found for is time that nobody knows there, and `coverage` says so.
 */
import { promisify } from "node:util";
import { gunzip, gzip } from "node:zlib";
import type { Slice } from "../../model/report.ts";
import type { RequestTrace } from "../../model/request-trace.ts";
import type { Store } from "../store/store.ts";

const FIGURES = "figures";
/** Characters that wait to be handed on; the eldest are given up first. */
const MOST = 2 * 1024 * 1024;
/** Bytes of a document, compressed, and of what comes out of it. */
const MOST_BODY = 512 * 1024;
const MOST_OUT = 2 * MOST;
/** Each slice is in so many writes: whoever looks late has it all the same. */
const WRITES = 3;
/** A writer that is gone leaves its document for so long (ms). */
const GONE = 60_000;
/** More control planes than this are none. */
const MOST_PLANES = 50;

const [pack, unpack] = [promisify(gzip), promisify(gunzip)];

/** What a gateway's report brought. */
export interface Reported {
  readonly slice?: Slice | undefined;
  readonly errors?: readonly RequestTrace[] | undefined;
}

interface Waiting {
  readonly gateway: string;
  readonly said: Reported;
  readonly length: number;
  /** Monotonic. */
  readonly at: number;
  writes: number;
}

/** What another control plane has, and how long (ms) it had it when it wrote this. */
interface Handed extends Reported {
  readonly gateway: string;
  readonly waited: number;
}

export interface FigureRelayOptions {
  readonly store: Store;
  /** This process, unlike any other. */
  readonly holder: string;
  readonly monotonic: () => number;
  readonly add: (gateway: string, said: Reported) => void;
}

export class FigureRelay {
  readonly #options: FigureRelayOptions;
  #waiting: Waiting[] = [];
  #length = 0;
  /** Holder → the version that was heard last, and when. */
  #heard = new Map<string, { readonly version: number; readonly at: number }>();
  #isSaying = false;
  #isHearing = false;

  constructor(options: FigureRelayOptions) {
    this.#options = options;
  }

  /** What a gateway said that this process took, and nobody before it. */
  take(gateway: string, said: Reported): void {
    const length = JSON.stringify(said).length;
    this.#waiting.push({ gateway, said, length, at: this.#options.monotonic(), writes: 0 });
    this.#length += length;
    while (this.#length > MOST) this.#length -= this.#waiting.shift()!.length;
  }

  /** Call it often; it does nothing while the last call is under way. @throws Unavailable: what waits goes on waiting */
  async say(): Promise<void> {
    if (this.#isSaying || this.#waiting.length === 0) return;
    this.#isSaying = true;
    try {
      const said = [...this.#waiting];
      const now = this.#options.monotonic();
      const handed = said.map(
        ({ gateway, said: what, at }): Handed => ({ gateway, ...what, waited: now - at }),
      );
      const body = (await pack(JSON.stringify(handed))).toString("base64");
      if (body.length <= MOST_BODY) await this.#write(body);
      else for (const one of said.slice(0, Math.ceil(said.length / 2))) one.writes = WRITES;
      for (const one of said) one.writes++;
      this.#waiting = this.#waiting.filter(({ writes }) => writes < WRITES);
      this.#length = this.#waiting.reduce((sum, { length }) => sum + length, 0);
    } finally {
      this.#isSaying = false;
    }
  }

  /** Call it when anything was written, and now and then. @throws Unavailable */
  async hear(): Promise<void> {
    if (this.#isHearing) return;
    this.#isHearing = true;
    try {
      const { store, holder, monotonic } = this.#options;
      const heard = new Map<string, { version: number; at: number }>();
      const gone: { kind: string; id: string }[] = [];
      for (const { id, version, body } of await store.documents(FIGURES, undefined, MOST_PLANES)) {
        if (id === holder) continue;
        const before = this.#heard.get(id);
        const isNew = before?.version !== version;
        heard.set(id, isNew ? { version, at: monotonic() } : before!);
        if (isNew) await this.#count(body);
        else if (monotonic() - before!.at > GONE) gone.push({ kind: FIGURES, id });
      }
      this.#heard = heard;
      if (gone.length > 0) await store.commit({ deletes: gone });
    } finally {
      this.#isHearing = false;
    }
  }

  async stop(): Promise<void> {
    await this.#options.store.commit({ deletes: [{ kind: FIGURES, id: this.#options.holder }] });
  }

  async #write(body: string): Promise<void> {
    const { store, holder } = this.#options;
    await store.commit({ puts: [{ kind: FIGURES, id: holder, body: JSON.stringify({ handed: body }) }] });
  }

  /** What another version of Tidegate wrote may be something else: then it is not known. */
  async #count(text: string): Promise<void> {
    let handed: Handed[];
    try {
      const { handed: packed } = JSON.parse(text) as { handed: string };
      const out = await unpack(Buffer.from(packed, "base64"), { maxOutputLength: MOST_OUT });
      handed = JSON.parse(out.toString("utf8")) as Handed[];
    } catch {
      return;
    }
    for (const { gateway, slice, errors, waited } of handed) {
      const aged = slice === undefined ? undefined : { ...slice, age: slice.age + waited };
      this.#options.add(gateway, { slice: aged, errors });
    }
  }
}
