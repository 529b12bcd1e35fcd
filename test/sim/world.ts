/** Time, chance and a bad network: what happens, happens in the order of one seed. */
import { type Random, seededRandom } from "../../model/clock.ts";

export type Act = () => unknown;

interface Entry {
  readonly at: number;
  /** Of those at the same time, the first comes first. */
  readonly order: number;
  readonly act: Act;
}

/** A process that can be killed, started again and frozen; what was meant for it before it was killed is lost. */
export class Process {
  readonly name: string;
  /** Raised with every start; 0 and even: it is dead. */
  life = 1;
  frozenUntil = 0;

  constructor(name: string) {
    this.name = name;
  }

  get isAlive(): boolean {
    return this.life % 2 === 1;
  }
}

export class World {
  /** Milliseconds since the beginning. */
  now = 0;
  readonly seed: number;
  readonly #random: Random;
  readonly #heap: Entry[] = [];
  #order = 0;
  /** Pair of names, or one that is cut off from all → until when. */
  readonly #cuts = new Map<string, number>();
  /** Share of the messages that are lost, and of those that come twice. */
  loss = 0;
  twice = 0;
  events = 0;

  constructor(seed: number) {
    this.seed = seed;
    this.#random = seededRandom(seed);
  }

  chance(share: number): boolean {
    return this.#random.next() < share;
  }

  between(low: number, high: number): number {
    return low + this.#random.next() * (high - low);
  }

  pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.#random.next() * list.length)]!;
  }

  at(delay: number, act: Act): void {
    const entry = { at: this.now + delay, order: this.#order++, act };
    const heap = this.#heap;
    let i = heap.push(entry) - 1;
    while (i > 0) {
      const up = (i - 1) >> 1;
      if (!isSooner(entry, heap[up]!)) break;
      heap[i] = heap[up]!;
      i = up;
    }
    heap[i] = entry;
  }

  /** In a process, as long as it lives; when it is frozen, as soon as it goes on. */
  on(process: Process, delay: number, act: Act, life = process.life): void {
    this.at(delay, () => {
      if (process.life !== life || !process.isAlive) return undefined;
      if (process.frozenUntil <= this.now) return act();
      this.on(process, process.frozenUntil - this.now, act, life);
      return undefined;
    });
  }

  async run(until: number, isOver: () => boolean = () => false): Promise<void> {
    while (this.#heap.length > 0 && this.#heap[0]!.at <= until) {
      const { at, act } = this.#next();
      this.now = at;
      this.events++;
      const result = act();
      if (result instanceof Promise) await result;
      if (isOver()) return;
    }
    this.now = Math.max(this.now, until);
  }

  /** Nothing comes from one to the other. @param b undefined: from and to anybody */
  cut(a: string, b: string | undefined, milliseconds: number): void {
    this.#cuts.set(b === undefined ? a : pair(a, b), this.now + milliseconds);
  }

  heal(): void {
    this.#cuts.clear();
  }

  isCut(a: string, b: string): boolean {
    if (this.#cuts.size === 0) return false;
    return [a, b, pair(a, b)].some((name) => (this.#cuts.get(name) ?? 0) > this.now);
  }

  /** How long a message is on its way: mostly little, now and then much. */
  delay(): number {
    return this.chance(0.03) ? this.between(20, 400) : this.between(0.2, 8);
  }

  /** A message that may be lost, late, twice, and after one that was sent later. */
  send(from: string, to: Process, act: Act): void {
    if (this.chance(this.loss)) return;
    const deliver = (): unknown => (this.isCut(from, to.name) ? undefined : act());
    if (this.isCut(from, to.name)) return;
    this.on(to, this.delay(), deliver);
    if (this.chance(this.twice)) this.on(to, this.delay() * 3, deliver);
  }

  #next(): Entry {
    const heap = this.#heap;
    const first = heap[0]!;
    const last = heap.pop()!;
    if (heap.length > 0) {
      let i = 0;
      for (;;) {
        let child = 2 * i + 1;
        if (child >= heap.length) break;
        if (child + 1 < heap.length && isSooner(heap[child + 1]!, heap[child]!)) child++;
        if (!isSooner(heap[child]!, last)) break;
        heap[i] = heap[child]!;
        i = child;
      }
      heap[i] = last;
    }
    return first;
  }
}

function isSooner(a: Entry, b: Entry): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

function pair(a: string, b: string): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}
