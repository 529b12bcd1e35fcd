/**
 * Circuit breakers, one per service, unit and policy in each thread: opossum keeps the windows, the states and the
 * timers; this file tells it outcomes.
 *
 * opossum's own `fire` counts when a promise settles: a promise, a microtask and two closures per request. Its events
 * are its counters (`success`, `failure`, `fire` are what its status listens to), so an outcome is said by an event,
 * at the end of the stream, and opening follows opossum's rule. So a client that leaves says nothing about the unit,
 * where a promise would have to be a success or a failure.
 */
import CircuitBreaker from "opossum";
import type { BreakerPolicy } from "../model/route.ts";
import type { CompiledRoute, CompiledUnit } from "../model/table.ts";

export type Outcome = "success" | "failure" | "neutral";

export class UnitBreaker {
  readonly #breaker: CircuitBreaker<[], void>;
  readonly #policy: BreakerPolicy;
  /** In half-open one trial is let through; the rest fail fast. */
  #trial: Trial | undefined;

  constructor(policy: BreakerPolicy) {
    this.#policy = policy;
    this.#breaker = new CircuitBreaker(nothing, {
      timeout: false,
      errorThresholdPercentage: policy.errors * 100,
      volumeThreshold: policy.volume,
      rollingCountTimeout: policy.window,
      rollingCountBuckets: 10,
      resetTimeout: policy.open,
      rollingPercentilesEnabled: false,
      enableSnapshots: false,
    });
  }

  /** 0 closed, 1 half-open, 2 open: the values of `tidegate_breaker_state`. */
  get state(): 0 | 1 | 2 {
    return this.#breaker.opened ? 2 : this.#breaker.halfOpen ? 1 : 0;
  }

  /** Whether an attempt would be let through now. */
  get allows(): boolean {
    return !this.#breaker.opened && (!this.#breaker.halfOpen || this.#trial === undefined);
  }

  /** Begins an attempt, which must be settled once, when its stream has ended. */
  begin(): Trial {
    const trial = new Trial(this);
    if (this.#breaker.halfOpen) this.#trial ??= trial;
    return trial;
  }

  /** @internal A good answer has begun: enough for a trial, which must not wait for a stream that never ends. */
  answered(trial: Trial): void {
    if (trial === this.#trial) trial.settle("success");
  }

  /** @internal */
  settle(trial: Trial, outcome: Outcome): void {
    const wasTrial = trial === this.#trial;
    if (wasTrial) this.#trial = undefined;
    // Nothing is proven by a client that left; nor, in half-open, by an attempt that began before.
    if (outcome === "neutral" || (this.#breaker.halfOpen && !wasTrial)) return;
    this.#breaker.emit("fire", []);
    if (outcome === "success") {
      this.#breaker.emit("success", undefined, 0);
      if (wasTrial) this.#breaker.close();
      return;
    }
    this.#breaker.emit("failure", FAILED, 0, []);
    if (wasTrial) this.#breaker.open();
    else if (!this.#breaker.opened) this.#openIfBad();
  }

  /** opossum's rule (its `fail`), which only its own `fire` reaches. */
  #openIfBad(): void {
    const { fires, failures } = this.#breaker.stats;
    if (fires >= this.#policy.volume && failures / fires > this.#policy.errors) this.#breaker.open();
  }

  shutdown(): void {
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
  readonly #all = new Map<string, UnitBreaker>();
  #byRoute = new Map<CompiledRoute, (UnitBreaker | undefined)[]>();

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
    const key = `${route.service.name} ${unit.name} ${JSON.stringify(policy)}`;
    const breaker = this.#all.get(key) ?? new UnitBreaker(policy);
    this.#all.set(key, breaker);
    units[unit.index] = breaker;
    return breaker;
  }

  /** `[service, unit, state]` of every breaker that has been used. */
  *states(): Iterable<[string, string, number]> {
    for (const [key, breaker] of this.#all) {
      const [service = "", unit = ""] = key.split(" ");
      yield [service, unit, breaker.state];
    }
  }

  /** Called when a table was swapped in: breakers whose policy is gone are shut down. */
  swap(routes: readonly CompiledRoute[]): void {
    this.#byRoute = new Map();
    const policies = new Set(routes.map((r) => `${r.service.name} ${JSON.stringify(r.spec.breaker)}`));
    for (const [key, breaker] of this.#all) {
      const [service = "", , ...policy] = key.split(" ");
      if (policies.has(`${service} ${policy.join(" ")}`)) continue;
      breaker.shutdown();
      this.#all.delete(key);
    }
  }
}
