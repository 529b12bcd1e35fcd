/**
 * Requests of a log, decided before and after a change: who moves, and what each unit would carry. Pure, and as large as
 * its bounds, however long the log.
 */
import { type Decision, decide, type Health, place, type Refusal } from "../decide.ts";
import { slotOf } from "../hash.ts";
import { healthOf } from "../projection.ts";
import type { CompiledRoute, Table } from "../table.ts";
import { Distinct } from "./distinct.ts";
import { LONGEST_LINE, type LoggedRequest, parseLine } from "./logged-request.ts";

export interface ReplayedUnit {
  readonly unit: string;
  /** Requests of the log. */
  readonly before: number;
  readonly after: number;
  /** Most in one minute, a second: logs are in order within ten minutes. */
  readonly peak: number;
}

export interface Replayed {
  readonly lines: number;
  readonly requests: number;
  /** A gateway of ours wrote it, at least in part. */
  readonly isOwn: boolean;
  /** Lines that mean nothing. */
  readonly garbage: number;
  /** The first of them: the line's number, and why. */
  readonly examples: readonly { readonly line: number; readonly text: string }[];
  /** Stress traffic, and what no route took. */
  readonly others: number;
  /** Requests that no route of the configuration takes, or whose slot is none. */
  readonly unplaced: number;
  /** Requests whose user the log does not name; their client stands in. */
  readonly byClient: number;
  /** Milliseconds since 1970; undefined of a log without a request. */
  readonly from: number | undefined;
  readonly to: number | undefined;
  readonly units: readonly ReplayedUnit[];
  /** No healthy unit may serve them. */
  readonly failing: { readonly before: number; readonly after: number };
  readonly moved: {
    readonly requests: number;
    readonly ways: readonly { readonly from: string; readonly to: string; readonly requests: number }[];
  };
  readonly users: { readonly all: number; readonly moved: number; readonly isExact: boolean };
}

export interface ReplayOptions {
  readonly before: Table;
  readonly after: Table;
  readonly unhealthy: ReadonlySet<string>;
  /** Users that are counted one by one. */
  readonly mostUsers?: number;
}

const MOST_EXAMPLES = 5;
const MOST_WAYS = 20;
/** Minutes that late lines may still belong to. */
const OPEN_MINUTES = 10;
const NO_HEADERS: readonly string[] = [];

interface Side {
  readonly table: Table;
  readonly health: Health;
  readonly routes: ReadonlyMap<string, CompiledRoute>;
  readonly counts: Float64Array;
  failing: number;
}

export class Replay {
  readonly #before: Side;
  readonly #after: Side;
  readonly #users: Distinct;
  readonly #movers: Distinct;
  readonly #ways: Float64Array;
  /** Minute → requests by unit. */
  readonly #minutes = new Map<number, Float64Array>();
  readonly #peaks: Float64Array;
  readonly #examples: { line: number; text: string }[] = [];
  /** Slot → a key that lives there, of those that were needed. */
  #keys: (string | undefined)[] | undefined;
  #rest = "";
  /** The line is longer than any that means something. */
  #skips = false;
  #line = 0;
  #requests = 0;
  #garbage = 0;
  #others = 0;
  #unplaced = 0;
  #byClient = 0;
  #isOwn = false;
  #moved = 0;
  #from = Number.POSITIVE_INFINITY;
  #to = Number.NEGATIVE_INFINITY;

  constructor({ before, after, unhealthy, mostUsers }: ReplayOptions) {
    const side = (table: Table): Side => ({
      table,
      health: healthOf(table, unhealthy),
      routes: new Map(table.routes.map((route) => [route.name, route])),
      counts: new Float64Array(table.units.length),
      failing: 0,
    });
    this.#before = side(before);
    this.#after = side(after);
    this.#users = new Distinct(mostUsers);
    this.#movers = new Distinct(mostUsers);
    // One place more for what fails.
    this.#ways = new Float64Array((before.units.length + 1) * (after.units.length + 1));
    this.#peaks = new Float64Array(after.units.length);
  }

  push(text: string): void {
    const whole = this.#rest + text;
    let from = 0;
    for (let end = whole.indexOf("\n"); end !== -1; end = whole.indexOf("\n", from)) {
      this.#take(whole.slice(from, whole.charCodeAt(end - 1) === 13 && end > from ? end - 1 : end));
      from = end + 1;
    }
    this.#rest = whole.slice(from);
    if (this.#rest.length > LONGEST_LINE) {
      this.#skips = true;
      this.#rest = this.#rest.slice(0, 80);
    }
  }

  end(): Replayed {
    if (this.#rest !== "") this.#take(this.#rest);
    this.#rest = "";
    this.#close(Number.POSITIVE_INFINITY);
    const { units } = this.#after.table;
    const was = new Map(this.#before.table.units.map(({ name }, i) => [name, this.#before.counts[i]!]));
    return {
      lines: this.#line,
      requests: this.#requests,
      isOwn: this.#isOwn,
      garbage: this.#garbage,
      examples: this.#examples,
      others: this.#others,
      unplaced: this.#unplaced,
      byClient: this.#byClient,
      from: this.#requests === 0 ? undefined : this.#from,
      to: this.#requests === 0 ? undefined : this.#to,
      units: units.map(({ name }, i) => ({
        unit: name,
        before: was.get(name) ?? 0,
        after: this.#after.counts[i]!,
        peak: this.#peaks[i]! / 60,
      })),
      failing: { before: this.#before.failing, after: this.#after.failing },
      moved: { requests: this.#moved, ways: this.#waysMoved() },
      users: {
        all: this.#users.size,
        moved: this.#movers.size,
        isExact: this.#users.isExact,
      },
    };
  }

  #take(text: string): void {
    this.#line++;
    const isLong = this.#skips || text.length > LONGEST_LINE;
    this.#skips = false;
    const parsed = isLong ? undefined : parseLine(text);
    if (parsed === undefined) {
      this.#garbage++;
      if (this.#examples.length < MOST_EXAMPLES) {
        const shown = text.slice(0, 60).replace(/[\x00-\x1f\x7f-\x9f\u2028\u2029]/g, "?");
        this.#examples.push({ line: this.#line, text: text.length > 60 ? `${shown}…` : shown });
      }
      return;
    }
    if (parsed === "not-user") this.#others++;
    else this.#replay(parsed);
  }

  #replay(request: LoggedRequest): void {
    this.#isOwn ||= request.route !== undefined;
    const was = this.#decide(this.#before, request);
    const is = this.#decide(this.#after, request);
    if (was === undefined || is === undefined) {
      this.#unplaced++;
      return;
    }
    this.#requests++;
    this.#from = Math.min(this.#from, request.at);
    this.#to = Math.max(this.#to, request.at);
    const isNamed =
      request.slot !== undefined || (!was.decision.refused && was.decision.keySource !== undefined);
    const user =
      !was.decision.refused && was.decision.keySource !== undefined
        ? `k ${was.decision.key}`
        : `c ${request.client}`;
    if (!isNamed) this.#byClient++;
    // A gateway's log has no keys: of one client, users in different slots are different.
    const name = request.slot === undefined ? user : `s ${request.slot} ${request.client}`;
    this.#users.add(name);
    const [from, to] = [unitOf(was.decision), unitOf(is.decision)];
    if (from === -1) this.#before.failing++;
    else this.#before.counts[from]!++;
    if (to === -1) this.#after.failing++;
    else {
      this.#after.counts[to]!++;
      this.#count(request.at, to);
    }
    const [a, b] = [this.#before.table.units[from]?.name, this.#after.table.units[to]?.name];
    if (a === b) return;
    this.#moved++;
    this.#movers.add(name);
    this.#ways[(from + 1) * (this.#after.table.units.length + 1) + to + 1]!++;
  }

  /** Undefined where no route takes it, or its slot is none of this placement. */
  #decide(side: Side, request: LoggedRequest): { decision: Decision | Refusal } | undefined {
    const { table, health } = side;
    const { method, host, path, query, client, slot } = request;
    const asked = { method, host, path, query, headers: NO_HEADERS, client };
    const named = request.route === undefined ? undefined : side.routes.get(request.route);
    const match = named ?? table.router.find(asked)?.route;
    if (match === undefined) return undefined;
    if (slot !== undefined) {
      if (slot >= table.slots || slot >= this.#before.table.slots) return undefined;
      return { decision: place(table, health, match, asked, this.#keyOf(slot), undefined) };
    }
    if (named === undefined) {
      const decision = decide(table, health, asked);
      if (match.scope !== "sharded" || (!decision.refused && decision.keySource !== undefined))
        return { decision };
    }
    // Headers and cookies are not logged: a client is taken for one user.
    return { decision: place(table, health, match, asked, client, undefined) };
  }

  /** A key of that slot which nobody has placed by hand: logs keep slots, and `place` wants a key. */
  #keyOf(slot: number): string {
    const { slots, pins } = this.#before.table;
    if (this.#keys === undefined) {
      const keys = new Array<string | undefined>(slots).fill(undefined);
      for (let i = 0, left = slots; left > 0 && i < slots * 64; i++) {
        const key = `user-${i}`;
        const own = slotOf(key, slots);
        if (keys[own] !== undefined || pins.has(key) || this.#after.table.pins.has(key)) continue;
        keys[own] = key;
        left--;
      }
      this.#keys = keys;
    }
    return this.#keys[slot] ?? `${slot}`;
  }

  #count(at: number, unit: number): void {
    const minute = Math.floor(at / 60_000);
    let counts = this.#minutes.get(minute);
    if (counts === undefined) {
      counts = new Float64Array(this.#peaks.length);
      this.#minutes.set(minute, counts);
      if (this.#minutes.size > OPEN_MINUTES) this.#close(minute);
    }
    counts[unit]!++;
  }

  /** The oldest of the open minutes; all with Infinity. */
  #close(newest: number): void {
    const done =
      newest === Number.POSITIVE_INFINITY ? [...this.#minutes.keys()] : [Math.min(...this.#minutes.keys())];
    for (const minute of done) {
      const counts = this.#minutes.get(minute)!;
      for (let u = 0; u < counts.length; u++) this.#peaks[u] = Math.max(this.#peaks[u]!, counts[u]!);
      this.#minutes.delete(minute);
    }
  }

  #waysMoved(): Replayed["moved"]["ways"] {
    const width = this.#after.table.units.length + 1;
    const name = (table: Table, at: number): string => (at === 0 ? "" : table.units[at - 1]!.name);
    return [...this.#ways]
      .map((requests, i) => ({
        from: name(this.#before.table, Math.floor(i / width)),
        to: name(this.#after.table, i % width),
        requests,
      }))
      .filter(({ requests }) => requests > 0)
      .sort((a, b) => b.requests - a.requests)
      .slice(0, MOST_WAYS);
  }
}

/** −1 where no healthy unit may serve it. */
function unitOf(decision: Decision | Refusal): number {
  return decision.refused || decision.panic ? -1 : decision.candidates[decision.first]!.unit.index;
}
