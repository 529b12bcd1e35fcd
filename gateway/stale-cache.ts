/**
 * The last good answers of one route, as one thread has seen them, for when no unit can answer.
 *
 * An answer is found by the host, the target, the user (partition key) and the request fields that any answer of the
 * page named in Vary. So what one user was given is never given to another, even where the unit said nothing about
 * caching; `stale-rules.ts` has what may be kept at all.
 */
import type { IncomingHttpHeaders } from "undici/types/header.js";
import type { Clock } from "../model/clock.ts";
import { isSafe } from "../model/decide.ts";
import type { StalePolicy } from "../model/route.ts";
import { LARGEST_SHARE, SegmentedLru } from "./segmented-lru.ts";
import {
  bytesOf,
  Entry,
  keyOf,
  type Page,
  type StaleQuestion,
  storedFields,
  union,
  variantOf,
} from "./stale-entry.ts";
import { Recorder, type RecorderHost } from "./stale-recorder.ts";
import {
  carriesCredentials,
  forbidsStoring,
  MOST_VARY,
  type Permission,
  permissionOf,
} from "./stale-rules.ts";

export interface StaleAnswer {
  readonly status: number;
  /** End-to-end fields, flat, with `content-length` and `age`; a name may come more than once. */
  readonly headers: readonly string[];
  /** Not to be sent in answer to HEAD. Shared: never to be written to. */
  readonly body: Buffer;
  /** Whole seconds since the unit made it. */
  readonly age: number;
}

/** An answer younger than this, in milliseconds, is not recorded anew: a busy page would be copied all the time. */
const FRESH = 1_000;

export class StaleCache implements RecorderHost {
  readonly #clock: Clock;
  readonly #pages = new Map<string, Page>();
  readonly #lru: SegmentedLru<Entry>;
  /** Under way, the one that began first in front; and of each variant the one that began last. */
  readonly #recorders = new Set<Recorder>();
  readonly #newest = new Map<string, Recorder>();
  #recording = 0;
  #policy: StalePolicy;

  /** @param policy its `size` is what this one cache may take */
  constructor(policy: StalePolicy, clock: Clock) {
    this.#policy = policy;
    this.#clock = clock;
    this.#lru = new SegmentedLru(policy.size, (entry) => this.#forget(entry));
  }

  /** Bytes in use, those of answers that are still being recorded included; never more than `size`. */
  get bytes(): number {
    return this.#lru.bytes + this.#recording;
  }

  /** Addresses and users of which there is an answer. */
  get pages(): number {
    return this.#pages.size;
  }

  /** Answers stored. */
  get entries(): number {
    let count = 0;
    for (const page of this.#pages.values()) count += page.entries.size;
    return count;
  }

  /** Takes up a changed policy. What is stored stays, as far as it fits; what is being recorded is let go. */
  configure(policy: StalePolicy): void {
    this.#policy = policy;
    for (const recorder of [...this.#recorders]) recorder.abandon();
    this.#lru.resize(policy.size);
  }

  /**
   * A request begins.
   *
   * @returns undefined when its answer need not be recorded: nothing that it asks for may be kept, or it was kept just now
   */
  record(question: StaleQuestion): Recorder | undefined {
    const { method, headers } = question;
    const now = this.#clock.now();
    if (method !== "GET") {
      // What an unsafe request changes, the stored page does not show (RFC 9111 §4.4).
      return isSafe(method) ? undefined : new Recorder(this, question, now, 0);
    }
    const page = this.#pages.get(keyOf(question));
    const entry = page?.entries.get(variantOf(page.vary, headers));
    if (entry !== undefined) {
      this.#lru.touch(entry, now);
      if (now - entry.storedAt < FRESH) return undefined;
    }
    if (!question.plain || forbidsStoring(headers)) return undefined;
    return new Recorder(this, question, now, this.#policy.largest);
  }

  /**
   * The last good answer to a GET; a HEAD is answered from it as well, without its body.
   *
   * What a request says in its own Cache-Control about freshness is advice (RFC 9111 §5.2.1) and not looked at: who
   * reloads while no unit can answer is better served by an answer that names its age than by an error.
   */
  find(question: StaleQuestion): StaleAnswer | undefined {
    const { method, headers } = question;
    if ((method !== "GET" && method !== "HEAD") || !question.plain) return undefined;
    const page = this.#pages.get(keyOf(question));
    const entry = page?.entries.get(variantOf(page.vary, headers));
    if (entry === undefined) return undefined;
    if (this.#isOver(entry)) {
      this.#remove(entry);
      return undefined;
    }
    // It was an answer to nobody in particular; whom the credentials name might have been told something else.
    if (!entry.isPublic && carriesCredentials(headers)) return undefined;
    const now = this.#clock.now();
    this.#lru.touch(entry, now);
    const age = Math.floor((now - entry.bornAt) / 1000);
    return { status: 200, headers: [...entry.fields, "age", `${age}`], body: entry.body, age };
  }

  /** @internal */
  judge(recorder: Recorder, status: number, headers: IncomingHttpHeaders): Permission | undefined {
    const { question, startedAt } = recorder;
    const key = keyOf(question);
    if (question.method !== "GET") {
      if (status < 400) this.#forgetPage(key);
      return undefined;
    }
    const permission = permissionOf(status, headers);
    const credentials = carriesCredentials(question.headers);
    if (permission === undefined || permission === "prohibited") {
      const over = permission === "prohibited" || status === 404 || status === 410;
      // What one user may not see, or not have kept, says nothing of what all others were shown.
      if (over && !credentials) this.#forgetPage(key);
      return undefined;
    }
    if (credentials && !permission.isPublic) return undefined;
    const variant = variantOf(union(this.#pages.get(key)?.vary ?? [], permission.vary), question.headers);
    recorder.name = key + variant;
    const other = this.#newest.get(recorder.name);
    if (other !== undefined && startedAt - other.startedAt < FRESH) return undefined;
    this.#newest.set(recorder.name, recorder);
    this.#recorders.add(recorder);
    recorder.fields = storedFields(headers);
    return this.reserve(recorder, bytesOf(key, variant, recorder.fields)) ? permission : undefined;
  }

  /** @internal */
  reserve(recorder: Recorder, bytes: number): boolean {
    if (recorder.reserved + bytes > this.#policy.size * LARGEST_SHARE) {
      recorder.abandon();
      return false;
    }
    this.#makeRoom(bytes);
    // Making room may have cost the recorder itself.
    if (!this.#recorders.has(recorder)) return false;
    recorder.reserved += bytes;
    this.#recording += bytes;
    return true;
  }

  /** @internal */
  release(recorder: Recorder): void {
    if (!this.#recorders.delete(recorder)) return;
    this.#recording -= recorder.reserved;
    recorder.reserved = 0;
    if (this.#newest.get(recorder.name) === recorder) this.#newest.delete(recorder.name);
  }

  /** @internal */
  keep(recorder: Recorder, permission: Permission, body: Buffer): void {
    const { question, startedAt, fields } = recorder;
    const now = this.#clock.now();
    const page = this.#pageFor(keyOf(question), permission.vary);
    if (page === undefined) return;
    const variant = variantOf(page.vary, question.headers);
    const before = page.entries.get(variant);
    const entry = new Entry({
      page,
      variant,
      fields: [...fields, "content-length", `${body.length}`],
      body,
      isPublic: permission.isPublic,
      // Counted from the request, as if it had been made at once: RFC 9111 §4.2.3 counts the answer's way as age too.
      bornAt: startedAt - permission.age,
      storedAt: now,
      bound: permission.bound,
    });
    if (before !== undefined) {
      // A request that began later may have ended sooner.
      if (before.bornAt > entry.bornAt) return;
      entry.uses = before.uses;
      this.#remove(before);
    }
    this.#lru.sweep((old) => this.#isOver(old));
    if (this.#isOver(entry) || entry.bytes > this.#policy.size * LARGEST_SHARE) return;
    this.#makeRoom(entry.bytes);
    // Only now: until here the page may have lost its last entry, and its place.
    this.#pages.set(page.key, page);
    page.entries.set(variant, entry);
    this.#lru.add(entry);
    if (before !== undefined) this.#lru.touch(entry, now);
  }

  /** @param bytes at most the share that no protected answer takes, so that there is always a way */
  #makeRoom(bytes: number): void {
    while (!this.#lru.makeRoom(this.#recording + bytes, this.#clock.now())) {
      const [slowest] = this.#recorders;
      if (slowest === undefined) return;
      // The slowest gives way: who lets answers trickle must not keep all others from being recorded.
      slowest.abandon();
    }
  }

  #isOver(entry: Entry): boolean {
    const age = this.#clock.now() - entry.bornAt;
    return age > this.#policy.for || age >= entry.bound;
  }

  /** The page as it must be after an answer with this Vary; undefined when it names too much. */
  #pageFor(key: string, vary: readonly string[]): Page | undefined {
    const known = this.#pages.get(key);
    const all = known === undefined ? vary : union(known.vary, vary);
    if (known !== undefined && all === known.vary) return known;
    // The stored answers' requests are not known any more, so nobody can say what they had in the new fields.
    this.#forgetPage(key);
    return all.length > MOST_VARY ? undefined : { key, vary: all, entries: new Map() };
  }

  #forgetPage(key: string): void {
    for (const entry of [...(this.#pages.get(key)?.entries.values() ?? [])]) this.#remove(entry);
  }

  #remove(entry: Entry): void {
    this.#lru.remove(entry);
    this.#forget(entry);
  }

  #forget({ page, variant }: Entry): void {
    page.entries.delete(variant);
    if (page.entries.size === 0) this.#pages.delete(page.key);
  }
}
