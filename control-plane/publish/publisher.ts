/**
 * Tells gateways what holds: each has one stream, and gets over it the signed manifest and the sections that it lacks.
 *
 * Server-sent events, because only one side speaks, they pass every HTTP proxy, and curl shows them.
 */
import { createHash, type KeyObject } from "node:crypto";
import type { Config } from "../../model/config.ts";
import { type Manifest, type Publication, sectionsOf } from "../../model/snapshot.ts";
import { publicText } from "../../model/stress-mark.ts";
import { sign } from "./signing-key.ts";

/** A stream of this many unread bytes is cut: its gateway comes again and gets the newest. */
const MOST_UNREAD = 64 * 1024 * 1024;

/** What a stream is written to. */
export interface Outlet {
  write(text: string): boolean;
  readonly writableLength: number;
  destroy(): void;
}

interface Signed {
  readonly manifest: Manifest;
  readonly text: string;
  readonly signature: string;
  /** Digest → text. */
  readonly sections: ReadonlyMap<string, string>;
  readonly digests: ReadonlySet<string>;
}

class Stream {
  readonly outlet: Outlet;
  /** Digests that the gateway has. */
  has: ReadonlySet<string>;
  /** The one section that it is sent; undefined: all. */
  readonly only: string | undefined;

  constructor(outlet: Outlet, has: ReadonlySet<string>, only: string | undefined) {
    this.outlet = outlet;
    this.has = has;
    this.only = only;
  }
}

export class Publisher {
  readonly #key: KeyObject;
  readonly #now: () => number;
  readonly #streams = new Set<Stream>();
  #current: Signed | undefined;

  /** @param now milliseconds since 1970 */
  constructor(key: KeyObject, now: () => number) {
    this.#key = key;
    this.#now = now;
  }

  /** What gateways should serve; undefined before the first publication. */
  get manifest(): Manifest | undefined {
    return this.#current?.manifest;
  }

  get streams(): number {
    return this.#streams.size;
  }

  /** @param epoch leadership under which it holds */
  publish(config: Config, revision: number, epoch: number): void {
    const sections = new Map<string, string>();
    const named: Record<string, string> = {};
    for (const [name, text] of sectionsOf(this.#withStressKey(config))) {
      const digest = createHash("sha256").update(text).digest("base64url");
      named[name] = digest;
      sections.set(digest, text);
    }
    const manifest: Manifest = {
      fleet: config.fleet.name,
      epoch,
      revision,
      at: this.#now(),
      sections: named,
    };
    const text = JSON.stringify(manifest);
    const digests: ReadonlySet<string> = new Set(sections.keys());
    this.#current = { manifest, text, signature: sign(this.#key, text), sections, digests };
    // Most gateways have the same, and get the same: it is written out once.
    const messages = new Map<ReadonlySet<string>, string>();
    for (const stream of this.#streams) {
      const known = stream.only === undefined ? messages.get(stream.has) : undefined;
      const message = known ?? this.#message(this.#current, stream);
      if (stream.only === undefined) messages.set(stream.has, message);
      this.#send(stream, message);
    }
  }

  /** Gateways take the stress marks of this control plane: it signs them with the key that it signs this with. */
  #withStressKey(config: Config): Config {
    const { stress } = config.gateway;
    const keys = [...new Set([...(stress?.keys ?? []), publicText(this.#key)])];
    return { ...config, gateway: { ...config.gateway, stress: { limit: undefined, ...stress, keys } } };
  }

  /**
   * A gateway listens from now on.
   *
   * @param has digests of the sections that it has
   * @param only the one section that it wants; undefined: all
   * @returns how to stop
   */
  listen(outlet: Outlet, has: Iterable<string>, only?: string): () => void {
    const stream = new Stream(outlet, new Set(has), only);
    this.#streams.add(stream);
    if (this.#current !== undefined) this.#send(stream, this.#message(this.#current, stream));
    return () => this.#streams.delete(stream);
  }

  /** Keeps streams alive through proxies, and lets both sides notice that the other is gone. */
  beat(): void {
    for (const stream of this.#streams) this.#write(stream, ": beat\n\n");
  }

  /** Ends all streams: gateways go to another control plane. */
  close(): void {
    for (const { outlet } of this.#streams) outlet.destroy();
    this.#streams.clear();
  }

  #message({ manifest, text, signature, sections }: Signed, { has, only }: Stream): string {
    const lacking: Record<string, string> = {};
    for (const [digest, section] of sections) {
      if (has.has(digest) || (only !== undefined && manifest.sections[only] !== digest)) continue;
      lacking[digest] = section;
    }
    const publication: Publication = { manifest: text, signature, sections: lacking, now: this.#now() };
    const id = `${manifest.epoch}-${manifest.revision}`;
    return `event: snapshot\nid: ${id}\ndata: ${JSON.stringify(publication)}\n\n`;
  }

  #send(stream: Stream, message: string): void {
    // Exactly what it will keep: what is no longer named is forgotten on both sides.
    stream.has = this.#current!.digests;
    this.#write(stream, message);
  }

  #write(stream: Stream, text: string): void {
    if (stream.outlet.writableLength > MOST_UNREAD) {
      this.#streams.delete(stream);
      stream.outlet.destroy();
      return;
    }
    stream.outlet.write(text);
  }
}
