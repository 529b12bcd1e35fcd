/**
 * An access log as traffic that can be made again: its mix of requests, its arrivals second by second, and how often each
 * user asks, under names that lead back to nobody. Streaming, in memory that does not grow. Pure: the secret is handed in.
 */
import { createHmac } from "node:crypto";
import type { Ask, Moment } from "../load/run-file.ts";
import { Distinct } from "./distinct.ts";
import { LONGEST_LINE, type LoggedRequest, parseLine } from "./logged-request.ts";

export interface Recorded {
  readonly lines: number;
  readonly requests: number;
  /** Lines that mean nothing. */
  readonly garbage: number;
  /** Stress traffic, and what no route took. */
  readonly others: number;
  /** Requests more than a day from the first: a clock that was wrong. */
  readonly strays: number;
  /** Milliseconds since 1970; undefined of a log without a request. */
  readonly from: number | undefined;
  readonly to: number | undefined;
  /** Different users, as far as the log names them; their clients otherwise. */
  readonly users: number;
  readonly mix: readonly Ask[];
  /** Pseudonyms, the most frequent first, and each one's share of the requests. */
  readonly keys: readonly string[];
  readonly weights: readonly number[];
  /** Steps: the requests of each stretch of time, a second each where the log is no longer than an hour. */
  readonly curve: readonly Moment[];
  /** Of the curve. */
  readonly seconds: number;
  readonly rate: number;
}

export interface RecordingOptions {
  /** Pseudonyms are made with it: whoever does not have it cannot tell whose they are. */
  readonly secret: string | Buffer;
  /** Query parameter that names the user, where a log has queries. */
  readonly key: string;
}

const MOST_SHAPES = 2_000;
const MOST_ASKS = 200;
const MOST_USERS = 20_000;
/** Users that are written out; the rest share what is left. */
const MOST_KEYS = 2_000;
const MOST_TAIL = 3_000;
const MOST_STEPS = 3_600;
const DAY = 86_400_000;
/** Numbers, hashes and other names that are one of many. */
const ONE_OF_MANY =
  /^(\d+|[0-9a-f]{8,}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|.{25,}|.*%[0-9a-f]{2}.*|.*@.*)$/i;

export class Recording {
  readonly #options: RecordingOptions;
  readonly #shapes = new Frequent(MOST_SHAPES);
  readonly #users = new Frequent(MOST_USERS);
  readonly #distinct = new Distinct();
  /** Stretch of time → requests. */
  #arrivals = new Map<number, number>();
  /** Milliseconds of a stretch. */
  #step = 1_000;
  #rest = "";
  #skips = false;
  #lines = 0;
  #requests = 0;
  #garbage = 0;
  #others = 0;
  #strays = 0;
  #first: number | undefined;
  #from = Number.POSITIVE_INFINITY;
  #to = Number.NEGATIVE_INFINITY;

  constructor(options: RecordingOptions) {
    this.#options = options;
  }

  push(text: string): void {
    const whole = this.#rest + text;
    let from = 0;
    for (let end = whole.indexOf("\n"); end !== -1; end = whole.indexOf("\n", from)) {
      this.#take(whole.slice(from, whole.charCodeAt(end - 1) === 13 && end > from ? end - 1 : end));
      from = end + 1;
    }
    this.#rest = whole.slice(from);
    if (this.#rest.length <= LONGEST_LINE) return;
    this.#skips = true;
    this.#rest = "";
  }

  end(): Recorded {
    if (this.#rest !== "" || this.#skips) this.#take(this.#rest);
    this.#rest = "";
    const { keys, weights } = this.#population();
    const curve = this.#curve();
    return {
      ...{ lines: this.#lines, requests: this.#requests, garbage: this.#garbage },
      ...{ others: this.#others, strays: this.#strays, users: this.#distinct.size },
      from: this.#requests === 0 ? undefined : this.#from,
      to: this.#requests === 0 ? undefined : this.#to,
      ...{ mix: this.#mix(), keys, weights, curve },
      seconds: curve.at(-1)?.at ?? 0,
      rate: curve.reduce((most, { rate }) => Math.max(most, rate), 0),
    };
  }

  #take(line: string): void {
    this.#lines++;
    const parsed = this.#skips ? undefined : parseLine(line);
    this.#skips = false;
    if (parsed === undefined) this.#garbage++;
    else if (parsed === "not-user") this.#others++;
    else this.#record(parsed);
  }

  #record(request: LoggedRequest): void {
    const { at } = request;
    this.#first ??= at;
    if (Math.abs(at - this.#first) > DAY) {
      this.#strays++;
      return;
    }
    this.#requests++;
    this.#from = Math.min(this.#from, at);
    this.#to = Math.max(this.#to, at);
    this.#arrive(at);
    const user = this.#userOf(request);
    this.#distinct.add(user);
    this.#users.add(user);
    this.#shapes.add(shapeOf(request, user));
  }

  #arrive(at: number): void {
    const place = Math.floor(at / this.#step);
    this.#arrivals.set(place, (this.#arrivals.get(place) ?? 0) + 1);
    // Stretches twice as long, so that there are half as many of them.
    while (this.#to - this.#from >= MOST_STEPS * this.#step) {
      this.#step *= 2;
      const longer = new Map<number, number>();
      for (const [old, n] of this.#arrivals) {
        const place = Math.floor(old / 2);
        longer.set(place, (longer.get(place) ?? 0) + n);
      }
      this.#arrivals = longer;
    }
  }

  /** The key, where a query names it; the slot and the client, which our log has; or the client. */
  #userOf({ query, client, slot }: LoggedRequest): string {
    const key = query === "" ? null : new URLSearchParams(query).get(this.#options.key);
    if (key !== null && key !== "") return `k ${key}`;
    return slot === undefined ? `c ${client}` : `s ${slot} ${client}`;
  }

  #mix(): Ask[] {
    const shapes = this.#shapes.top(MOST_ASKS);
    const total = shapes.reduce((sum, [, n]) => sum + n, 0);
    return shapes.map(([shape, n]) => {
      const [method = "GET", host = "", path = "/", name = ""] = shape.split("\n");
      return { name, method, path, share: n / total, ...(host === "" ? {} : { host }) };
    });
  }

  #population(): { keys: string[]; weights: number[] } {
    const top = this.#users.top(MOST_KEYS);
    const keys = top.map(([user]) => this.#pseudonym(user));
    const weights = top.map(([, n]) => n / this.#requests);
    const tail = Math.min(MOST_TAIL, Math.max(0, this.#distinct.size - top.length));
    const left = 1 - weights.reduce((sum, weight) => sum + weight, 0);
    for (let i = 0; i < tail && left > 0; i++) {
      keys.push(this.#pseudonym(`tail ${i}`));
      weights.push(left / tail);
    }
    return { keys, weights };
  }

  #pseudonym(user: string): string {
    return `u-${createHmac("sha256", this.#options.secret).update(user).digest("hex").slice(0, 16)}`;
  }

  #curve(): Moment[] {
    if (this.#requests === 0) return [];
    const [first, last] = [Math.floor(this.#from / this.#step), Math.floor(this.#to / this.#step)];
    const seconds = this.#step / 1_000;
    const curve: Moment[] = [];
    for (let place = first; place <= last; place++) {
      const rate = (this.#arrivals.get(place) ?? 0) / seconds;
      // Two moments at once: a step, not a slope.
      curve.push({ at: (place - first) * seconds, rate }, { at: (place - first + 1) * seconds, rate });
    }
    return curve;
  }
}

/** What requests of one kind have in common; what names one of many things is another number each time. */
function shapeOf({ method, host, path, route }: LoggedRequest, user: string): string {
  const key = user.startsWith("k ") ? user.slice(2) : undefined;
  const segments = path.split("/").map((part) => {
    if (part === key) return "{key}";
    // Braces are ours.
    return ONE_OF_MANY.test(part) || /[{}]/.test(part) ? "{n}" : part;
  });
  return [method, host, segments.join("/"), route ?? segments[1] ?? ""].join("\n");
}

/** The most frequent of many texts, exactly while there are few, and nearly so beyond: the rarest make room. */
class Frequent {
  readonly #most: number;
  #counts = new Map<string, number>();

  constructor(most: number) {
    this.#most = most;
  }

  add(text: string): void {
    this.#counts.set(text, (this.#counts.get(text) ?? 0) + 1);
    if (this.#counts.size >= 2 * this.#most) this.#counts = new Map(this.top(this.#most));
  }

  /** The most frequent first. */
  top(most: number): [text: string, n: number][] {
    return [...this.#counts].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1)).slice(0, most);
  }
}
