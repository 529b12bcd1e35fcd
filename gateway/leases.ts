/**
 * Looks after this gateway's leases of fleet limits, on the main thread: what to ask the store for, what to do with what
 * it grants, and what happens when it does not answer.
 *
 * Gateways lease tokens ahead of need, as much as they have used of late, so that no request waits for the store. One
 * command serves all keys, and commands come with the requests: one for some hundred of them, in bounds.
 *
 * Nothing here asks the time, the store or chance: the caller hands them in, and tests turn them by hand.
 */
import type { Limit } from "../model/limit.ts";
import type { LeaseAsk, LeaseReply } from "./lease-store.ts";
import type { LeaseTable } from "./lease-table.ts";
import { leaseCredit } from "./limiter.ts";

/** Between two commands (ms): where a bucket is small, leases are short. */
const SHORTEST = 100;
const LONGEST = 500;
/** A lease that runs low is renewed before its turn, but not within this (ms); what is owed waits a little longer. */
const SOONEST = 50;
const OWED = 150;
/** A lease holds so many times the use until the next command. */
const AHEAD = 1.5;
/** A key that nobody used for so long (ms) gives its tokens back, and is let go once its bucket is full. */
const IDLE = 2_000;
/** Most keys in one command, so that Redis is not held for long. */
const MOST_ASKS = 1_000;
/** Says that this gateway lives (ms). */
const PRESENT_EVERY = 1_500;
/** After a failure the store is asked again after this (ms). */
const RETRY_AFTER = 250;
/** Weight of the latest look where the use grows; of a few requests it is less, for they are no trend. */
const SMOOTHING = 0.4;
const TREND = 8;
/** Where it shrinks, it is forgotten in about this time (ms). */
const FORGET = 200;

class LeasedKey {
  readonly limit: LeasedLimit;
  readonly row: number;
  /** Its name in the store. */
  readonly name: string;
  used = 0;
  refused = 0;
  /** Tokens per millisecond that are asked of it, the refused ones too. */
  use = 0;
  lastUsed: number;
  askedAt = Number.NEGATIVE_INFINITY;
  /** What its use was then. */
  askedUse = 0;
  /** Of a limit that is used up more is asked for after so long (ms): soon where the load has just come, then less often. */
  patience = SHORTEST;
  starved = false;
  /** Of a lease that is less than is used, what was not yet let out: evenly over time, not at once and then nothing. */
  held = 0;
  /** When a slow bucket has its next token: then one request passes without asking first (ms). */
  nextAt = Number.POSITIVE_INFINITY;
  /** When its bucket is full again, if nobody uses it: until then it must not be forgotten here (ms). */
  fullAt: number;
  /** It has never been asked for. */
  isNew = true;

  constructor(limit: LeasedLimit, row: number, name: string, now: number) {
    this.limit = limit;
    this.row = row;
    this.name = name;
    this.lastUsed = now;
    this.fullAt = now + (limit.spec.burst / limit.spec.rate) * 1000;
  }
}

/** A fleet limit and this gateway's leases of it. */
export interface LeasedLimit {
  readonly spec: Limit;
  readonly table: LeaseTable;
}

/** What is asked in one command, to be answered by `granted` or `failed`. */
export interface LeasePlan {
  readonly asks: readonly LeaseAsk[];
  readonly keys: readonly LeasedKey[];
  readonly present: boolean;
}

export class Leases {
  #limits = new Map<string, LeasedLimit>();
  readonly #keys = new Map<string, LeasedKey>();
  /** Tokens of keys that were let go, by name in the store. */
  readonly #returns = new Map<string, { spec: Limit; tokens: number }>();
  #gateways = 1;
  #lookedAt: number;
  #askedAt = Number.NEGATIVE_INFINITY;
  #presentAt = Number.NEGATIVE_INFINITY;
  #failedAt = Number.NEGATIVE_INFINITY;
  /** Milliseconds from one command to the next. */
  #interval = LONGEST;
  #underWay = false;

  constructor(now: number) {
    this.#lookedAt = now;
  }

  /** Live gateways, as last known. */
  get gateways(): number {
    return this.#gateways;
  }

  /** Keys that are leased now, by limit. */
  keysOf(limit: string): number {
    let n = 0;
    for (const key of this.#keys.values()) if (key.limit.spec.name === limit) n++;
    return n;
  }

  /** A configuration was applied. Leases of limits that are gone, or that count otherwise now, run out unused. */
  install(limits: readonly LeasedLimit[]): void {
    const before = this.#limits;
    this.#limits = new Map(limits.map((l) => [l.spec.name, l]));
    for (const [id, key] of this.#keys) {
      const now = this.#limits.get(key.limit.spec.name);
      if (now?.table === key.limit.table) continue;
      if (now === undefined || before.get(now.spec.name)?.table !== now.table) this.#keys.delete(id);
    }
    // The rate may be another: keys look it up by their limit.
    for (const [id, key] of [...this.#keys]) {
      const limit = this.#limits.get(key.limit.spec.name)!;
      if (limit === key.limit) continue;
      const moved = new LeasedKey(limit, key.row, key.name, key.lastUsed);
      const { used, refused, use, held, fullAt } = key;
      Object.assign(moved, { used, refused, use, held, fullAt, isNew: false });
      this.#keys.set(id, moved);
    }
  }

  /** A thread saw a key for the first time. @param name its name in the store */
  seen(limit: string, row: number, name: string, now: number): void {
    const leased = this.#limits.get(limit);
    if (leased === undefined) return;
    this.#keys.set(idOf(leased, row), new LeasedKey(leased, row, name, now));
  }

  /**
   * Looks at what was used since the last time. Call it every 25 ms or so.
   *
   * @returns undefined when nothing need be asked now; else what to ask, one command at a time
   */
  look(now: number): LeasePlan | undefined {
    const elapsed = now - this.#lookedAt;
    // A hundred thousand keys take a few milliseconds to look at.
    if (elapsed <= 0 || elapsed < this.#keys.size / 1000) return undefined;
    this.#lookedAt = now;
    let low = false;
    let owed = false;
    let used = 0;
    let longest = LONGEST;
    for (const key of this.#keys.values()) {
      const taken = this.#lookAt(key, elapsed, now);
      used += taken;
      if (taken > 0) longest = Math.min(longest, horizonOf(key.limit.spec));
      if (this.#isLow(key, now)) low = true;
      else if (this.#owes(key)) owed = true;
    }
    this.#interval = Math.max(SHORTEST, longest);
    if (this.#underWay || now - this.#failedAt < RETRY_AFTER) return undefined;
    const since = now - this.#askedAt;
    const present = now - this.#presentAt >= PRESENT_EVERY;
    const due = since >= this.#interval && (used > 0 || this.#returns.size > 0 || this.#hasNeed());
    const early = (low && since >= SOONEST) || (owed && since >= OWED);
    if (!due && !early && !present) return undefined;
    return this.#plan(now, present);
  }

  /** @returns requests, more or less: a request may cost several tokens */
  #lookAt(key: LeasedKey, elapsed: number, now: number): number {
    const { table } = key.limit;
    const used = table.used(key.row);
    const refused = table.refused(key.row);
    // Counters go on and on within 32 bits; the difference wraps with them.
    const asked = ((used - key.used) | 0) + ((refused - key.refused) | 0);
    key.used = used;
    key.refused = refused;
    const rate = Math.max(0, asked) / elapsed;
    // Up at once, down slowly: a lease that is too small refuses, one that is too large only waits.
    const grows = SMOOTHING * Math.min(1, asked / TREND);
    key.use += (rate - key.use) * (rate > key.use ? grows : 1 - Math.exp(-elapsed / FORGET));
    if (asked > 0) key.lastUsed = now;
    if (now >= key.nextAt) {
      key.nextAt = Number.POSITIVE_INFINITY;
      key.starved = false;
      table.add(key.row, 0, 0, 0);
    }
    if (key.held > 0) {
      const left = Math.max(elapsed, key.askedAt + key.patience - now);
      const out = Math.min(key.held, Math.ceil((key.held * elapsed) / left));
      key.held -= out;
      table.move(key.row, out);
    }
    return Math.max(0, asked);
  }

  /** Less is left, the credit with it, than is used until the next command would have come and gone. */
  #isLow(key: LeasedKey, now: number): boolean {
    if (key.starved) return this.#hasMoved(key) || (key.use > 0 && now - key.askedAt >= key.patience);
    const { spec, table } = key.limit;
    const credit = key.isNew ? this.#creditOf(spec, spec.burst) : table.credit(key.row);
    return table.balance(key.row) + credit < key.use * SOONEST * 2;
  }

  /** The load came here, or went away, since the store was asked. */
  #hasMoved(key: LeasedKey): boolean {
    return key.use > 2 * key.askedUse || (key.held > 0 && key.use < key.askedUse / 2);
  }

  /** It took more on credit than others should not know of. */
  #owes(key: LeasedKey): boolean {
    const { table } = key.limit;
    return key.isNew || table.balance(key.row) < -table.credit(key.row) / 2;
  }

  /** A sudden burst may take this gateway's part of what is left before anybody is asked. */
  #creditOf(limit: Limit, remaining: number): number {
    return Math.max(leaseCredit(limit), Math.floor(remaining / this.#gateways));
  }

  #hasNeed(): boolean {
    for (const key of this.#keys.values()) {
      if (key.isNew || key.limit.table.balance(key.row) < 0) return true;
    }
    return false;
  }

  #plan(now: number, present: boolean): LeasePlan | undefined {
    const asks: LeaseAsk[] = [];
    const keys: LeasedKey[] = [];
    for (const [id, key] of this.#keys) {
      if (asks.length >= MOST_ASKS) break;
      const idle = now - key.lastUsed >= IDLE;
      if (idle && now >= key.fullAt) {
        this.#keys.delete(id);
        this.#letGo(key);
        continue;
      }
      const { spec, table } = key.limit;
      const balance = table.balance(key.row) + key.held;
      const debt = Math.max(0, -balance);
      const target = idle
        ? 0
        : Math.min(spec.burst, Math.floor(key.use * Math.min(this.#interval, horizonOf(spec)) * AHEAD));
      const spare = Math.max(0, balance) - target;
      // Small differences stay: a command for each would be one for every few requests of a user.
      const returns = idle ? spare > 0 : spare > Math.max(2, target);
      const want = returns || spare < -target / 2 ? -spare : 0;
      const isDue = now - key.askedAt >= LONGEST || this.#owes(key);
      if (want === 0 && !(debt > 0 && isDue) && !key.isNew) continue;
      key.patience =
        key.starved && !this.#hasMoved(key) ? Math.min(this.#interval, key.patience * 2) : SHORTEST;
      key.askedAt = now;
      key.askedUse = key.use;
      if (want < 0) {
        table.move(key.row, key.held + want);
        key.held = 0;
      }
      asks.push({ key: key.name, rate: spec.rate, burst: spec.burst, debt, want });
      keys.push(key);
    }
    // To the back of the line: where there are more keys than one command takes, everybody has a turn.
    if (asks.length >= MOST_ASKS) {
      for (const key of keys) {
        const id = idOf(key.limit, key.row);
        this.#keys.delete(id);
        this.#keys.set(id, key);
      }
    }
    for (const [name, { spec, tokens }] of this.#returns) {
      if (asks.length >= MOST_ASKS) break;
      asks.push({
        key: name,
        rate: spec.rate,
        burst: spec.burst,
        debt: Math.max(0, -tokens),
        want: -Math.max(0, tokens),
      });
      this.#returns.delete(name);
    }
    if (asks.length === 0 && !present) return undefined;
    this.#underWay = true;
    this.#askedAt = now;
    return { asks, keys, present };
  }

  /** A thread died: what it took rows for and could not say any more is freed. */
  threadDied(): void {
    for (const limit of this.#limits.values()) {
      for (const row of limit.table.rows()) {
        if (!this.#keys.has(idOf(limit, row))) limit.table.free(row);
      }
    }
  }

  #letGo(key: LeasedKey): void {
    const { spec, table } = key.limit;
    const left = table.free(key.row) + key.held;
    if (left === 0) return;
    const before = this.#returns.get(key.name)?.tokens ?? 0;
    // What an attacker's many keys would give back need not all be remembered.
    if (this.#returns.size < 10_000) this.#returns.set(key.name, { spec, tokens: before + left });
  }

  /** The store answered. */
  granted(plan: LeasePlan, reply: LeaseReply, now: number): void {
    this.#underWay = false;
    this.#failedAt = Number.NEGATIVE_INFINITY;
    if (reply.gateways !== undefined) {
      this.#gateways = Math.max(1, reply.gateways);
      this.#presentAt = now;
    }
    plan.keys.forEach((key, i) => {
      const { debt } = plan.asks[i]!;
      const { granted, wait, remaining, full } = reply.grants[i]!;
      key.isNew = false;
      if (this.#keys.get(idOf(key.limit, key.row)) !== key) return; // let go meanwhile
      const before = key.starved;
      key.starved = wait > 0;
      key.fullAt = now + full;
      key.nextAt = wait >= LONGEST ? now + wait : Number.POSITIVE_INFINITY;
      const credit = this.#creditOf(key.limit.spec, remaining);
      // The first lease that is too small is a burst's, and passes at once.
      const out = key.starved && before ? 0 : key.held + granted;
      key.held += granted - out;
      key.limit.table.add(key.row, debt + out, key.starved ? wait : 0, credit);
    });
  }

  /** The store did not answer, or said no. What it may have granted is not counted on. */
  failed(now: number): void {
    this.#underWay = false;
    this.#failedAt = now;
  }
}

/** Milliseconds that leases may reach ahead: together they must leave something in the bucket. */
function horizonOf({ rate, burst }: Limit): number {
  return (burst / rate) * 400;
}

function idOf(limit: LeasedLimit, row: number): string {
  return `${limit.spec.name} ${row}`;
}
