/**
 * Circuit breakers, one per service, unit and policy in each thread: opossum keeps the windows, the states and the
 * timers; this file tells it outcomes, and keeps it in step with the other threads and with what operators force.
 *
 * opossum's own `fire` counts when a promise settles: a promise, a microtask and two closures per request. Its events
 * are its counters (`success`, `failure`, `fire` are what its status listens to), so an outcome is said by an event,
 * at the end of the stream, and opening follows opossum's rule. So a client that leaves says nothing about the unit,
 * where a promise would have to be a success or a failure.
 */
import CircuitBreaker from "opossum";
import type { Clock } from "../model/clock.ts";
import type { BreakerPolicy } from "../model/route.ts";
import type { CompiledRoute, CompiledUnit } from "../model/table.ts";

import { type BreakerBoard, FORCED } from "./breaker-board.ts";
import { breakerKey } from "./rows.ts";

export type Outcome = "success" | "failure" | "neutral";

/** What the breakers of one thread share. */
export interface BreakerContext {
  readonly board: BreakerBoard;
  readonly clock: Clock;
  readonly thread: number;
  readonly threads: number;
}

export class UnitBreaker {
  readonly #breaker: CircuitBreaker<[], void>;
  readonly #policy: BreakerPolicy;
  readonly #context: BreakerContext;
  readonly #row: number;
  /** This thread's share of the requests that it takes to open. */
  readonly #volume: number;
  /** What of the board this thread has taken in. */
  #version = 0;
  /** In half-open one trial is let through; the rest fail fast. */
  #trial: Trial | undefined;

  /** @param row its row of the board */
  constructor(policy: BreakerPolicy, row: number, context: BreakerContext) {
    this.#policy = policy;
    this.#row = row;
    this.#context = context;
    this.#volume = Math.max(1, Math.ceil(policy.volume / context.threads));
    this.#breaker = new CircuitBreaker(nothing, {
      timeout: false,
      errorThresholdPercentage: policy.errors * 100,
      volumeThreshold: this.#volume,
      rollingCountTimeout: policy.window,
      rollingCountBuckets: 10,
      resetTimeout: policy.open,
      rollingPercentilesEnabled: false,
      enableSnapshots: false,
    });
    this.#breaker.on("halfOpen", () => this.#context.board.publish(this.#row, 1));
  }

  /** 0 closed, 1 half-open, 2 open: the values of `tidegate_breaker_state`. */
  get state(): 0 | 1 | 2 {
    return this.#breaker.opened ? 2 : this.#breaker.halfOpen ? 1 : 0;
  }

  /** Whether an attempt would be let through now. */
  get allows(): boolean {
    const { board } = this.#context;
    const forced = board.forced(this.#row);
    if (forced !== FORCED.not && this.#context.clock.now() < board.forcedUntil(this.#row)) {
      return forced === FORCED.closed;
    }
    this.#keepStep();
    return !this.#breaker.opened && (!this.#breaker.halfOpen || board.isTrialFree(this.#row));
  }

  /** Whether an attempt of stress traffic would: it proves nothing of a unit, so a trial is not for it. */
  get allowsStress(): boolean {
    return this.allows && this.state === 0;
  }

  /** Opens or closes as another thread did. */
  #keepStep(): void {
    const { board } = this.#context;
    const version = board.version(this.#row);
    if (version === this.#version) return;
    this.#version = version;
    if (board.state(this.#row) === 0) this.#breaker.close();
    else if (!this.#breaker.opened) this.#breaker.open();
  }

  #open(): void {
    this.#breaker.open();
    this.#version = this.#context.board.publish(this.#row, 2);
  }

  #close(): void {
    this.#breaker.close();
    this.#version = this.#context.board.publish(this.#row, 0);
  }

  /** Begins an attempt, which must be settled once, when its stream has ended. */
  begin(): Trial {
    const trial = new Trial(this);
    const { board, thread } = this.#context;
    if (this.#breaker.halfOpen && this.#trial === undefined && board.beginTrial(this.#row, thread)) {
      this.#trial = trial;
    }
    return trial;
  }

  /** @internal A good answer has begun: enough for a trial, which must not wait for a stream that never ends. */
  answered(trial: Trial): void {
    if (trial === this.#trial) trial.settle("success");
  }

  /** @internal */
  settle(trial: Trial, outcome: Outcome): void {
    const wasTrial = trial === this.#trial;
    if (wasTrial) {
      this.#trial = undefined;
      this.#context.board.endTrial(this.#row, this.#context.thread);
    }
    // Nothing is proven by a client that left; nor, in half-open, by an attempt that began before.
    if (outcome === "neutral" || (this.#breaker.halfOpen && !wasTrial)) return;
    this.#breaker.emit("fire", []);
    if (outcome === "success") {
      this.#breaker.emit("success", undefined, 0);
      if (wasTrial) this.#close();
      return;
    }
    this.#breaker.emit("failure", FAILED, 0, []);
    if (wasTrial) this.#open();
    else if (!this.#breaker.opened) this.#openIfBad();
  }

  /** opossum's rule (its `fail`), which only its own `fire` reaches. */
  #openIfBad(): void {
    const { fires, failures } = this.#breaker.stats;
    if (fires >= this.#volume && failures / fires > this.#policy.errors) this.#open();
  }

  shutdown(): void {
    if (this.#trial !== undefined) this.#context.board.endTrial(this.#row, this.#context.thread);
    this.#breaker.shutdown();
  }
}

const FAILED = new Error("the unit failed");

/** One attempt, counted the first time it is settled. */
export class Trial {
  #breaker: UnitBreaker | undefined;

  constructor(breaker: UnitBreaker) {
    this.#breaker = breaker;
  }

  answered(): void {
    this.#breaker?.answered(this);
  }

  settle(outcome: Outcome): void {
    const breaker = this.#breaker;
    this.#breaker = undefined;
    breaker?.settle(this, outcome);
  }
}

async function nothing(): Promise<void> {}

/** A thread's breakers, kept over table swaps as long as service, unit and policy stay the same. */
export class Breakers {
  readonly #context: BreakerContext;
  #rows: ReadonlyMap<string, number> = new Map();
  readonly #all = new Map<string, UnitBreaker>();
  #byRoute = new Map<CompiledRoute, (UnitBreaker | undefined)[]>();

  constructor(context: BreakerContext) {
    this.#context = context;
  }

  of(route: CompiledRoute, unit: CompiledUnit): UnitBreaker | undefined {
    const policy = route.spec.breaker;
    if (policy === undefined) return undefined;
    let units = this.#byRoute.get(route);
    if (units === undefined) {
      units = [];
      this.#byRoute.set(route, units);
    }
    const known = units[unit.index];
    if (known !== undefined) return known;
    const key = breakerKey(route.service.name, unit.name, policy);
    const breaker = this.#all.get(key) ?? new UnitBreaker(policy, this.#rows.get(key)!, this.#context);
    this.#all.set(key, breaker);
    units[unit.index] = breaker;
    return breaker;
  }

  /** Called when a table was swapped in: breakers that it has no row for are shut down. */
  swap(rows: ReadonlyMap<string, number>): void {
    this.#byRoute = new Map();
    this.#rows = rows;
    for (const [key, breaker] of this.#all) {
      if (rows.has(key)) continue;
      breaker.shutdown();
      this.#all.delete(key);
    }
  }
}
