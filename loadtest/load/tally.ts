/** What became of the requests: by class, within one phase of a run, and over time. */
import { createHistogram, type RecordableHistogram } from "node:perf_hooks";

/** ok: 2xx in time. shed: 429 or 503. failed: anything else, no answer in time among it. */
export type Fate = "ok" | "shed" | "failed";

export class Tally {
  sent = 0;
  ok = 0;
  shed = 0;
  failed = 0;
  /** Attempts, more than `sent` where clients retry. */
  attempts = 0;
  /** Why attempts were not answered well: a status or an error's code → how often. */
  readonly causes = new Map<string, number>();
  /** Microseconds from sending (the first attempt) to the whole answer, of those that are ok. */
  readonly #latencies: RecordableHistogram = createHistogram();

  settle(fate: Fate, took: number): void {
    this[fate]++;
    if (fate === "ok") this.#latencies.record(Math.max(1, Math.round(took * 1000)));
  }

  blame(cause: string): void {
    this.causes.set(cause, (this.causes.get(cause) ?? 0) + 1);
  }

  /** Share of the requests that were answered well, 0 to 1; 1 when there were none. */
  get success(): number {
    return this.sent === 0 ? 1 : this.ok / this.sent;
  }

  /** Milliseconds. NaN when nothing was answered well. */
  latency(quantile: number): number {
    return this.#latencies.count === 0 ? Number.NaN : this.#latencies.percentile(quantile * 100) / 1000;
  }

  add(other: Tally): this {
    this.sent += other.sent;
    this.ok += other.ok;
    this.shed += other.shed;
    this.failed += other.failed;
    this.attempts += other.attempts;
    for (const [cause, n] of other.causes) this.causes.set(cause, (this.causes.get(cause) ?? 0) + n);
    this.#latencies.add(other.#latencies);
    return this;
  }
}

/** A phase whose lag was above this (ms, p99) measured the generator. */
export const MOST_LAG = 20;

/** A part of a run. Requests belong to the phase in which they were sent. */
export class Phase {
  readonly name: string;
  /** Milliseconds since the load began. */
  readonly from: number;
  to = Number.POSITIVE_INFINITY;
  readonly classes: ReadonlyMap<string, Tally>;
  readonly #lags = createHistogram();

  constructor(name: string, from: number, classes: Iterable<string>) {
    this.name = name;
    this.from = from;
    this.classes = new Map([...classes].map((c) => [c, new Tally()]));
  }

  of(...names: readonly string[]): Tally {
    const sum = new Tally();
    for (const name of names) {
      const tally = this.classes.get(name);
      if (tally === undefined) throw new RangeError(`there is no class ${name}`);
      sum.add(tally);
    }
    return sum;
  }

  get all(): Tally {
    return this.of(...this.classes.keys());
  }

  /** p99 of how late its requests left, in milliseconds. */
  get lag(): number {
    return this.#lags.count === 0 ? 0 : this.#lags.percentile(99) / 1000;
  }

  countLag(milliseconds: number): void {
    this.#lags.record(Math.max(1, Math.round(milliseconds * 1000)));
  }

  /** Answers that were ok, per second of the phase. */
  get goodput(): number {
    return (this.all.ok * 1000) / (this.to - this.from);
  }
}

/** Milliseconds of one slot of a series. */
export const SLOT = 100;

/** Counts of events, in slots of 100 ms since the load began. */
export class Series {
  readonly slots: number[] = [];

  count(at: number): void {
    const slot = Math.floor(at / SLOT);
    while (this.slots.length <= slot) this.slots.push(0);
    this.slots[slot]!++;
  }

  /** Events between two moments (ms), rounded to slots. */
  between(from: number, to: number): number {
    let sum = 0;
    for (let i = Math.round(from / SLOT); i < Math.round(to / SLOT); i++) sum += this.slots[i] ?? 0;
    return sum;
  }

  /** Events in each whole second. */
  perSecond(): number[] {
    const seconds: number[] = [];
    for (let at = 0; at < this.slots.length * SLOT; at += 1000) seconds.push(this.between(at, at + 1000));
    return seconds;
  }
}
