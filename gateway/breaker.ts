/**
 * Circuit breakers, one per service, unit and policy in each thread: opossum decides, this file tells it outcomes.
 *
 * opossum counts when a promise settles, so each attempt is a promise that settles when the stream has ended. A
 * client that leaves says nothing about the unit: in a closed circuit it is settled as a success (it has no weight
 * beyond one request), in a half-open one as a failure, because a trial that proved nothing must not close it.
 */
import CircuitBreaker from "opossum";
import type { BreakerPolicy } from "../model/route.ts";
import type { CompiledRoute, CompiledUnit } from "../model/table.ts";

export type Outcome = "success" | "failure" | "neutral";

const FAILED = new Error("the unit failed");
FAILED.stack = "";

export class UnitBreaker {
  readonly #breaker: CircuitBreaker<[Trial], void>;

  constructor(policy: BreakerPolicy) {
    this.#breaker = new CircuitBreaker(run, {
      // Attempts have deadlines of their own, and `answered` settles a trial whose stream has none.
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

  /** Whether an attempt would be let through now. In half-open one trial is. */
  get allows(): boolean {
    return (
      !this.#breaker.opened &&
      !(this.#breaker.halfOpen && !(this.#breaker as unknown as { pendingClose: boolean }).pendingClose)
    );
  }

  /** Begins an attempt, which must be settled once, when its stream has ended. */
  begin(): Trial {
    const trial = new Trial(this.#breaker.halfOpen);
    // Refused (open, or a second trial in half-open): the attempt goes on uncounted.
    this.#breaker.fire(trial).catch(ignore);
    return trial;
  }

  shutdown(): void {
    this.#breaker.shutdown();
  }
}

/** One attempt as opossum sees it: a promise that settles with its outcome. */
export class Trial {
  readonly #halfOpen: boolean;
  #resolve: () => void = ignore;
  #reject: (reason: Error) => void = ignore;

  constructor(halfOpen: boolean) {
    this.#halfOpen = halfOpen;
  }

  /** @internal opossum's action. */
  run(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** A good answer has begun: enough for a trial, which must not wait for a stream that never ends. */
  answered(): void {
    if (this.#halfOpen) this.#resolve();
  }

  /** Counted the first time it is called. */
  settle(outcome: Outcome): void {
    if (outcome === "failure" || (outcome === "neutral" && this.#halfOpen)) this.#reject(FAILED);
    else this.#resolve();
  }
}

function run(trial: Trial): Promise<void> {
  return trial.run();
}

function ignore(): void {}

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
