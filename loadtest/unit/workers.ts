/**
 * A unit's capacity: so many workers, each busy with one request for a while, and a line without end before them.
 *
 * Nothing leaves the line but by being served, as in a naive server: a request whose client has gone costs as much as
 * any other. That is what makes an unprotected overload collapse, and what a gateway must keep from happening.
 */
import { type Clock, type Random, seededRandom } from "../../model/clock.ts";

export const SPREADS = ["fixed", "exponential"] as const;
export type Spread = (typeof SPREADS)[number];

export interface Shift {
  /** How many requests are in service at once; 0 is no bound, and no service time. */
  readonly workers: number;
  /** Mean service time in milliseconds. */
  readonly work: number;
  readonly spread: Spread;
}

interface Job {
  readonly arrivedAt: number;
  readonly done: () => void;
}

interface Service {
  readonly end: number;
  readonly done: () => void;
}

/** A timer that fires this early (ms) is on time: rounding to the nearest millisecond leaves no mean error. */
const EARLY = 0.5;
const SEED = 7;

export class Workers {
  readonly #clock: Clock;
  #shift: Shift = { workers: 0, work: 0, spread: "fixed" };
  #times = new ServiceTimes(SEED);
  /** In the order of their ends. */
  readonly #busy: Service[] = [];
  #line: Job[] = [];
  #head = 0;
  #timer: NodeJS.Timeout | undefined;
  #armedFor = Number.POSITIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Requests that wait for a worker. */
  get waiting(): number {
    return this.#line.length - this.#head;
  }

  /** For requests that begin from now on; those in the line keep their places. */
  change({ workers, work, spread }: Shift): void {
    const { workers: w, work: ms, spread: s } = this.#shift;
    if (workers === w && work === ms && spread === s) return;
    this.#shift = { workers, work, spread };
    this.#times = new ServiceTimes(SEED);
    if (workers === 0) {
      const all = this.#line.slice(this.#head);
      this.#line = [];
      this.#head = 0;
      for (const { done } of all) done();
    }
    this.#fill(this.#clock.now());
    this.#arm();
  }

  /** Calls back when a worker has served the request. There must be one. */
  serve(done: () => void): void {
    const now = this.#clock.now();
    this.#line.push({ arrivedAt: now, done });
    this.#fill(now);
    this.#arm();
  }

  /** Forgets everybody. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#line = [];
    this.#head = 0;
    this.#busy.length = 0;
  }

  /** @param freeAt since when a worker is free: its next request begins there, however late the timer was */
  #fill(freeAt: number): void {
    while (this.#busy.length < this.#shift.workers && this.waiting > 0) {
      const { arrivedAt, done } = this.#next();
      const { work, spread } = this.#shift;
      const time = spread === "fixed" ? work : work * this.#times.next();
      this.#insert({ end: Math.max(freeAt, arrivedAt) + time, done });
    }
  }

  #next(): Job {
    const job = this.#line[this.#head++]!;
    // Cutting off what is done once in a while: shifting a long array every time would be slow.
    if (this.#head === this.#line.length || this.#head >= 4_096) {
      this.#line = this.#line.slice(this.#head);
      this.#head = 0;
    }
    return job;
  }

  #insert(service: Service): void {
    let at = this.#busy.length;
    while (at > 0 && this.#busy[at - 1]!.end > service.end) at--;
    this.#busy.splice(at, 0, service);
  }

  #arm(): void {
    const end = this.#busy[0]?.end ?? Number.POSITIVE_INFINITY;
    if (end >= this.#armedFor) return;
    clearTimeout(this.#timer);
    this.#armedFor = end;
    this.#timer = setTimeout(() => this.#tick(), Math.round(end - this.#clock.now()));
  }

  #tick(): void {
    this.#armedFor = Number.POSITIVE_INFINITY;
    const now = this.#clock.now();
    while (this.#busy.length > 0 && this.#busy[0]!.end <= now + EARLY) {
      const { end, done } = this.#busy.shift()!;
      done();
      this.#fill(end);
    }
    this.#arm();
  }
}

const STRATA = 256;

/**
 * Exponential service times of mean 1. One from each of 256 equally likely parts, in an order that is drawn anew each
 * time around: their sum comes out right after a second already, while their order is as bursty as chance.
 */
export class ServiceTimes {
  readonly #random: Random;
  readonly #times: number[] = [];
  #at = STRATA;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
    for (let i = 0; i < STRATA; i++) this.#times.push(-Math.log(1 - (i + 0.5) / STRATA));
    const mean = this.#times.reduce((sum, time) => sum + time, 0) / STRATA;
    for (let i = 0; i < STRATA; i++) this.#times[i]! /= mean;
  }

  next(): number {
    if (this.#at === STRATA) this.#shuffle();
    return this.#times[this.#at++]!;
  }

  #shuffle(): void {
    const times = this.#times;
    for (let i = STRATA - 1; i > 0; i--) {
      const j = Math.floor(this.#random.next() * (i + 1));
      [times[i], times[j]] = [times[j]!, times[i]!];
    }
    this.#at = 0;
  }
}
