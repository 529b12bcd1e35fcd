/** One stored answer, and what it is found by. */
import type { IncomingHttpHeaders } from "undici/types/header.js";
import type { HeaderList } from "../model/header-list.ts";
import type { Question } from "./question.ts";
import { http1Head } from "./response-head.ts";
import { Item } from "./segmented-lru.ts";
import { valuesOf } from "./stale-rules.ts";

export interface StaleQuestion {
  readonly method: string;
  /** The host as the unit is told it, port included: a unit may write it into its links. */
  readonly host: string;
  /** Path and query as they came. */
  readonly target: string;
  /** Fields as the unit is sent them. */
  readonly headers: HeaderList;
  /** The partition key; undefined when the request has none. */
  readonly user: string | undefined;
  /** Has neither a body nor an Upgrade: these may shape the answer, and are no part of what it is found by. */
  readonly plain: boolean;
}

export function staleQuestion({ identity, decision, body, upgradeHead }: Question): StaleQuestion {
  const { method, target, head } = identity;
  return {
    method,
    host: head.authority ?? "",
    target,
    headers: head.out,
    user: decision.key,
    plain: body === undefined && upgradeHead === undefined,
  };
}

/** All answers of one host, target and user. */
export interface Page {
  readonly key: string;
  /** Every name that an answer of the page had in Vary, in order: it only grows, so no answer is ever told apart less. */
  readonly vary: readonly string[];
  readonly entries: Map<string, Entry>;
}

export class Entry extends Item {
  readonly page: Page;
  /** What its request had in the fields of `page.vary`. */
  readonly variant: string;
  /** End-to-end fields, flat, with the length and without the age. */
  readonly fields: readonly string[];
  readonly body: Buffer;
  readonly isPublic: boolean;
  /** When the unit made it, and when it was stored: milliseconds of the clock. */
  readonly bornAt: number;
  readonly storedAt: number;
  /** Milliseconds of age from which the unit forbids it. */
  readonly bound: number;

  constructor(options: Omit<Entry, keyof Item>) {
    const { page, variant, fields, body } = options;
    super(bytesOf(page.key, variant, fields) + body.length);
    this.page = page;
    this.variant = variant;
    this.fields = fields;
    this.body = body;
    this.isPublic = options.isPublic;
    this.bornAt = options.bornAt;
    this.storedAt = options.storedAt;
    this.bound = options.bound;
  }
}

/** Bytes that an entry costs beside its texts and its body: objects, maps, buffer. Generous. */
const ENTRY_BYTES = 512;
/** Bytes of a text beside its letters. */
const TEXT_BYTES = 32;

/** Bytes of an entry without its body. A letter counts two: a text that has one letter beyond Latin-1 takes that. */
export function bytesOf(key: string, variant: string, fields: readonly string[]): number {
  let bytes = ENTRY_BYTES + 2 * (key.length + variant.length);
  for (const text of fields) bytes += TEXT_BYTES + 2 * text.length;
  return bytes;
}

/** What a page is found by. Lengths in front, so that no user's name can be read as the end of a target. */
export function keyOf({ host, target, user }: StaleQuestion): string {
  const whose = user === undefined ? "" : `=${user}`;
  return `${host.length} ${target.length} ${host.toLowerCase()}${target}${whose}`;
}

/** What an answer of a page is found by: what the request has in the fields that Vary named. */
export function variantOf(vary: readonly string[], headers: HeaderList): string {
  let variant = "";
  for (const name of vary) {
    const values = valuesOf(headers, name);
    const text = values.join(", ");
    variant += values.length === 0 ? "-" : `${text.length} ${text}`;
  }
  return variant;
}

/** Both in order, each name once; `a` itself when it has all. */
export function union(a: readonly string[], b: readonly string[]): readonly string[] {
  if (b.every((name) => a.includes(name))) return a;
  return [...new Set([...a, ...b])].sort();
}

/** The fields to store: what the client was sent, but for the two that are said anew. */
export function storedFields(headers: IncomingHttpHeaders): string[] {
  const fields: string[] = [];
  const flat = http1Head(headers, 200);
  for (let i = 0; i < flat.length; i += 2) {
    if (flat[i] !== "age" && flat[i] !== "content-length") fields.push(flat[i]!, flat[i + 1]!);
  }
  return fields;
}
