/**
 * One thread's part in tracing. Before the units are asked it gives a request its place in a trace; at its end it
 * decides, knowing how it went, whether anybody is told of it. Of the other requests nothing is made.
 */
import type { Clock, Random } from "../../model/clock.ts";
import { DEFAULT_TRACING, type GatewaySettings, type TracingSettings } from "../../model/gateway-settings.ts";
import { OUTCOME } from "../../model/outcome.ts";
import type { CompiledRoute, Table } from "../../model/table.ts";
import type { Exchange } from "../exchange.ts";
import type { Identity } from "../identify.ts";
import type { Shown } from "../redact.ts";
import type { RequestHead } from "../request-head.ts";
import { newSpanId, newTraceparent } from "../trace-context.ts";
import { type Ended, recordOf, recordOfRefused } from "./record.ts";
import type { Recorded, TraceDelta } from "./recorded.ts";
import { SeriesMarks } from "./series-marks.ts";

/** Requests that wait to be handed over; more are dropped and counted. */
export const MOST_WAITING = 1_000;
/** The slowest requests are looked for in windows of so long (ms), so many of each route and unit, and of all. */
const WINDOW = 10_000;
const SLOWEST = 3;
const MOST_SLOWEST = 200;
/** Only what takes this share of `slow` can be among the slowest: quick answers are nobody's problem. */
const WORTH = 0.1;

export interface TracerOptions {
  readonly clock: Clock;
  readonly wallClock: () => number;
  readonly random: Random;
  /** Spans go to a collector. */
  readonly exports: boolean;
  readonly threads: number;
  /** Pseudonyms of users are made with it. */
  readonly salt: string;
}

export class Tracer {
  readonly #options: TracerOptions;
  readonly #marks = new SeriesMarks();
  readonly #slowest = new Map<string, { took: number; recorded: Recorded }[]>();
  #slowestCount = 0;
  #windowFrom: number;
  #settings: TracingSettings = DEFAULT_TRACING;
  #waiting: Recorded[] = [];
  #dropped = 0;
  /** Requests that may yet be recorded for their parent's sake, and since when (ms). */
  #parents = 0;
  #parentsAt = Number.NEGATIVE_INFINITY;
  shown: Shown;
  revision = 0;

  constructor(options: TracerOptions) {
    this.#options = options;
    this.#windowFrom = options.clock.now();
    this.shown = { also: new Set(), users: new Set(), salt: options.salt };
  }

  /** The units and the main thread hear of spans. */
  get exports(): boolean {
    return this.#options.exports;
  }
  get wallClock(): () => number {
    return this.#options.wallClock;
  }

  install(table: Table, settings: GatewaySettings, revision: number): void {
    this.#flushSlowest();
    this.revision = revision;
    this.#settings = settings.tracing ?? DEFAULT_TRACING;
    this.#marks.install(table.units.length, this.#settings.slow * WORTH);
    const keys = [...table.fleet.placement.key, ...settings.identity.tenant];
    for (const route of table.routes) keys.push(...route.key);
    const users = keys.filter(({ from }) => from === "header").map(({ name }) => name.toLowerCase());
    const also = this.#settings.headers.filter((name) => name !== settings.identity.apiKey?.toLowerCase());
    this.shown = { also: new Set(also), users: new Set(users), salt: this.#options.salt };
  }

  /** Gives the request its `traceparent`: the client's as it came where no spans are made here, else one of its own span. */
  begin(head: RequestHead): void {
    const { random, exports } = this.#options;
    const given = head.traceparent;
    const isGiven = given !== undefined && given !== "";
    if (!exports) {
      if (!isGiven) head.traceparent = newTraceparent(random);
    } else if (isGiven) {
      const bits = Number.parseInt(given[54]!, 16);
      head.parent = given;
      // A client that asks for every request to be recorded does not get more than its share.
      head.sampled = (bits & 1) === 1 && (this.#mayFollow() || random.next() < this.#settings.sample);
      const flags = (bits & 2) | (head.sampled ? 1 : 0);
      head.traceparent = `00-${given.slice(3, 35)}-${newSpanId(random)}-0${flags}`;
    } else {
      head.sampled = random.next() < this.#settings.sample;
      head.traceparent = newTraceparent(random, head.sampled);
    }
    head.traceAt = head.out.length;
    head.out.push("traceparent", head.traceparent!);
  }

  /** What the next attempt tells its unit. @returns the attempt's span */
  attempt(head: RequestHead): string {
    if (!this.#options.exports) return "";
    const span = newSpanId(this.#options.random);
    const own = head.traceparent!;
    head.out[head.traceAt + 1] = `${own.slice(0, 36)}${span}${own.slice(52)}`;
    return span;
  }

  #mayFollow(): boolean {
    const { clock, threads } = this.#options;
    const now = clock.now();
    const rate = this.#settings.parents / threads;
    // Whole seconds: what a second did not use is gone.
    if (now - this.#parentsAt >= 1_000) {
      this.#parentsAt = now;
      this.#parents = Math.max(1, Math.round(rate));
    }
    if (this.#parents <= 0) return false;
    this.#parents--;
    return true;
  }

  /** An exchange with units is over. @param outcome its place in `OUTCOMES` */
  settle(exchange: Exchange, now: number, outcome: number): void {
    const { identity, decision, status, isStress } = exchange;
    const { head } = identity;
    const { startedAt } = identity;
    const headAt = exchange.last?.headAt ?? -1;
    // A long answer is not a slow one: what counts is how long its client knew nothing.
    const took = (headAt === -1 || outcome === OUTCOME.error ? now : headAt) - startedAt;
    const unit = exchange.candidates.unit?.index ?? -1;
    const failed = isFailure(outcome, status);
    const slow = took > this.#settings.slow;
    if (!failed && !slow) {
      if (unit !== -1 && took > this.#marks.floor(decision.route, unit))
        this.#slow(exchange, now, took, unit);
      if (!head.sampled) return;
    }
    const soft = isStress || isDeliberate(outcome, exchange.problem);
    const mark = soft ? "soft" : failed ? "failed" : "slow";
    const isKept = (failed || slow) && this.#marks.take(decision.route, unit, mark);
    // Stress may not take the room of users' requests: beyond a few it is told of by `sample`.
    const isExported = this.exports && (head.sampled || isKept || ((failed || slow) && !soft));
    if (!isKept && !isExported) return;
    const kind = isKept ? (failed ? "failed" : "slow") : undefined;
    const spans = isExported ? 1 + exchange.attempts : 0;
    this.#add(spans, () => recordOf(this, exchange, this.#ended(now, kind, isExported)));
  }

  /** It never had a unit. @param outcome as above · @param route undefined where none was found */
  refused(
    identity: Identity,
    now: number,
    status: number,
    problem: string,
    route: CompiledRoute | undefined,
    outcome: number,
  ): void {
    const failed = isFailure(outcome, status);
    const { sampled } = identity.head;
    if (!failed && !sampled) return;
    const soft = identity.mark !== undefined || isDeliberate(outcome, problem);
    const isKept = failed && route !== undefined && this.#marks.take(route, -1, soft ? "soft" : "failed");
    const isExported = this.exports && (sampled || (failed && (!soft || isKept)));
    if (!isKept && !isExported) return;
    const ended = this.#ended(now, isKept ? "failed" : undefined, isExported);
    this.#add(isExported ? 1 : 0, () => recordOfRefused(this, identity, status, problem, route, ended));
  }

  #ended(now: number, kind: Recorded["kind"], isExported: boolean): Ended {
    return { now, wall: this.#options.wallClock(), kind, isExported };
  }

  spanId(): string {
    return newSpanId(this.#options.random);
  }

  /** @param spans that are lost where there is no place for it */
  #add(spans: number, make: () => Recorded): void {
    if (this.#waiting.length < MOST_WAITING) this.#waiting.push(make());
    else this.#dropped += spans;
  }

  /** Among the slowest of its route and unit until slower ones come. */
  #slow(exchange: Exchange, now: number, took: number, unit: number): void {
    const { route } = exchange.decision;
    const key = `${route.index} ${route.isStaged} ${unit}`;
    let slowest = this.#slowest.get(key);
    if (slowest === undefined) {
      slowest = [];
      this.#slowest.set(key, slowest);
    }
    if (slowest.length < SLOWEST) {
      if (this.#slowestCount >= MOST_SLOWEST) return;
      this.#slowestCount++;
    } else slowest.pop();
    const ended = this.#ended(now, "slow", false);
    slowest.push({ took, recorded: recordOf(this, exchange, ended) });
    slowest.sort((a, b) => b.took - a.took);
    if (slowest.length === SLOWEST) this.#marks.raise(route, unit, slowest[SLOWEST - 1]!.took);
  }

  #flushSlowest(): void {
    for (const slowest of this.#slowest.values()) {
      for (const { recorded } of slowest) this.#add(0, () => recorded);
    }
    this.#slowest.clear();
    this.#slowestCount = 0;
    this.#windowFrom = this.#options.clock.now();
  }

  /** Hands everything over. */
  take(): TraceDelta | undefined {
    if (this.#options.clock.now() - this.#windowFrom >= WINDOW) {
      this.#flushSlowest();
      this.#marks.newWindow();
    }
    this.#marks.handedOver();
    if (this.#waiting.length === 0 && this.#dropped === 0) return undefined;
    const delta = { recorded: this.#waiting, dropped: this.#dropped };
    this.#waiting = [];
    this.#dropped = 0;
    return delta;
  }
}

/** The client was not given what it asked for, or not by whom it should have been. */
function isFailure(outcome: number, status: number): boolean {
  return (
    outcome === OUTCOME.error || outcome === OUTCOME.gone || outcome === OUTCOME.fallback || status >= 500
  );
}

/** Nothing is broken: the gateway was told to refuse, or the client left. */
function isDeliberate(outcome: number, problem: string): boolean {
  return (
    outcome === OUTCOME.gone || outcome === OUTCOME.shed || problem === "fence" || problem === "degraded"
  );
}
