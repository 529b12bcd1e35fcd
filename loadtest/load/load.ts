/**
 * An open-loop load: requests leave at the rate that was asked for, whether or not earlier ones have been answered, as
 * those of many independent users do. A load that waits for answers eases off exactly when it should not.
 *
 * Latencies are counted from the moment of sending. How late that was is counted as `lag`: figures of a run whose own
 * generator lagged say little.
 */
import { seededRandom } from "../../model/clock.ts";
import { Connections } from "./connections.ts";
import { type LoadClass, Mix } from "./mix.ts";
import { type Attempt, Operation, type Surroundings } from "./operation.ts";
import { type Fate, Phase, Series } from "./tally.ts";

export interface LoadOptions {
  readonly port: number;
  /** Requests a second, evenly spaced. */
  readonly rate: number;
  readonly classes: readonly LoadClass[];
  /** An attempt without a whole answer after so many milliseconds is given up. */
  readonly timeout: number;
  /** How often a client asks again, at once, when it was not answered well. Default 0. */
  readonly retries?: number;
  readonly seed?: number;
}

/** More requests under way than this is a failure of its own: they are counted as failed and not sent. */
const MOST_UNDER_WAY = 30_000;

export class Load implements Surroundings {
  /** Well answered requests, when their answers came, and requests when they were sent. */
  readonly good = new Series();
  readonly offered = new Series();
  readonly phases: Phase[] = [];
  readonly timeout: number;
  readonly retries: number;
  readonly connections: Connections;
  readonly #mix: Mix;
  readonly #startedAt = performance.now();
  readonly #timer: NodeJS.Timeout;
  #rate: number;
  #rateSince = 0;
  #sentSince = 0;
  #underWay = 0;
  #onIdle: (() => void) | undefined;
  /** In the order of their deadlines, since all have the same patience. */
  #waiting: Attempt[] = [];
  #head = 0;

  constructor({ port, rate, classes, timeout, retries = 0, seed = 1 }: LoadOptions) {
    this.#rate = rate;
    this.timeout = timeout;
    this.retries = retries;
    this.#mix = new Mix(classes, seededRandom(seed));
    this.connections = new Connections(`http://127.0.0.1:${port}`);
    this.phase("start");
    this.#timer = setInterval(() => this.#tick(), 1);
  }

  /** Milliseconds since the load began. */
  get now(): number {
    return performance.now() - this.#startedAt;
  }

  get underWay(): number {
    return this.#underWay;
  }

  /** Requests that are sent from now on are counted apart. */
  phase(name: string): Phase {
    const { now } = this;
    const last = this.phases.at(-1);
    if (last !== undefined) last.to = now;
    const names = this.#mix.classes.map((c) => c.name);
    const phase = new Phase(name, now, names);
    this.phases.push(phase);
    return phase;
  }

  /** Another rate from now on. */
  change(rate: number): void {
    this.#rateSince = this.now;
    this.#sentSince = 0;
    this.#rate = rate;
  }

  /** Sends no more, and waits until everything under way is settled. */
  async stop(): Promise<this> {
    if (this.phases.at(-1)!.to === Number.POSITIVE_INFINITY) this.phases.at(-1)!.to = this.now;
    this.change(0);
    if (this.#underWay > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve));
    clearInterval(this.#timer);
    await this.connections.close();
    return this;
  }

  watch(attempt: Attempt): void {
    this.#waiting.push(attempt);
  }

  settle({ tally, sentAt }: Operation, fate: Fate): void {
    const { now } = this;
    tally.settle(fate, now - sentAt);
    if (fate === "ok") this.good.count(now);
    this.#underWay--;
    if (this.#underWay === 0) this.#onIdle?.();
  }

  #tick(): void {
    const { now } = this;
    this.#giveUp(now);
    const due = Math.floor(((now - this.#rateSince) * this.#rate) / 1000);
    while (this.#sentSince < due) this.#send(this.#rateSince + (++this.#sentSince * 1000) / this.#rate);
  }

  #send(dueAt: number): void {
    const drawn = this.#mix.next();
    const phase = this.phases.at(-1)!;
    phase.countLag(this.now - dueAt);
    const tally = phase.classes.get(drawn.of.name)!;
    tally.sent++;
    this.offered.count(this.now);
    const operation = new Operation(this, drawn, tally);
    if (this.#underWay++ < MOST_UNDER_WAY) {
      operation.begin();
    } else {
      tally.blame("too many under way");
      this.settle(operation, "failed");
    }
  }

  #giveUp(now: number): void {
    while (this.#head < this.#waiting.length) {
      if (!this.#waiting[this.#head]!.giveUp(now)) break;
      this.#head++;
    }
    if (this.#head < 4_096 && this.#head < this.#waiting.length) return;
    this.#waiting = this.#waiting.slice(this.#head);
    this.#head = 0;
  }
}
