/**
 * Which endpoint of a pool serves next: the less busy of two taken at random ("The Power of Two Choices in Randomized
 * Load Balancing", Mitzenmacher 2001), among those that are usable and not yet tried.
 *
 * An endpoint that has just recovered is taken with a probability that grows from a tenth to one over its slow start.
 */
import type { Clock, Random } from "../model/clock.ts";
import type { Endpoint, EndpointPool } from "../model/table.ts";
import type { LiveState } from "./live-state.ts";

export class Picker {
  readonly #live: LiveState;
  readonly #clock: Clock;
  readonly #random: Random;

  constructor(live: LiveState, clock: Clock, random: Random) {
    this.#live = live;
    this.#clock = clock;
    this.#random = random;
  }

  /**
   * @param tried endpoints that this request has had an answer or a failure from; undefined before the first attempt
   * @param panic take health for nothing
   * @returns undefined when nothing is left to try
   */
  pick(pool: EndpointPool, tried: readonly Endpoint[] | undefined, panic: boolean): Endpoint | undefined {
    const { endpoints } = pool;
    if (endpoints.length === 1) {
      const only = endpoints[0]!;
      return this.#free(only, tried, panic) ? only : undefined;
    }
    const first = this.#freeFrom(endpoints, this.#start(endpoints.length), tried, panic);
    if (first === undefined) return undefined;
    const second = this.#freeFrom(endpoints, this.#start(endpoints.length), tried, panic)!;
    if (first === second) {
      if (!this.#isCold(first, pool)) return first;
      // A cold endpoint gives way to its neighbour, if it has one.
      const after = endpoints.indexOf(first) + 1;
      return this.#freeFrom(endpoints, after % endpoints.length, tried, panic);
    }
    if (this.#isCold(first, pool)) return second;
    if (this.#isCold(second, pool)) return first;
    return this.#live.inflight[second.id]! < this.#live.inflight[first.id]! ? second : first;
  }

  /** Whether slow start holds the whole pool back this time: every usable endpoint of it is cold. */
  isPoolCold(pool: EndpointPool): boolean {
    let coldest: Endpoint | undefined;
    for (const endpoint of pool.endpoints) {
      if (this.#live.endpoints[endpoint.id] !== 0) continue;
      if (!this.#isWarming(endpoint, pool)) return false;
      coldest = endpoint;
    }
    return coldest !== undefined && this.#isCold(coldest, pool);
  }

  #isWarming(endpoint: Endpoint, pool: EndpointPool): boolean {
    const since = this.#live.warmingSince[endpoint.id]!;
    return since !== 0 && this.#clock.now() - since < pool.service.spec.slowStart;
  }

  #start(length: number): number {
    return Math.floor(this.#random.next() * length);
  }

  #free(endpoint: Endpoint, tried: readonly Endpoint[] | undefined, panic: boolean): boolean {
    return (
      (panic || this.#live.endpoints[endpoint.id] === 0) && (tried === undefined || !tried.includes(endpoint))
    );
  }

  #freeFrom(
    endpoints: readonly Endpoint[],
    start: number,
    tried: readonly Endpoint[] | undefined,
    panic: boolean,
  ): Endpoint | undefined {
    for (let i = 0; i < endpoints.length; i++) {
      const endpoint = endpoints[(start + i) % endpoints.length]!;
      if (this.#free(endpoint, tried, panic)) return endpoint;
    }
    return undefined;
  }

  /** Whether slow start holds this endpoint back this time: weight max(10 %, t ÷ window), as Envoy's. */
  #isCold(endpoint: Endpoint, pool: EndpointPool): boolean {
    const since = this.#live.warmingSince[endpoint.id]!;
    if (since === 0) return false;
    const window = pool.service.spec.slowStart;
    const elapsed = this.#clock.now() - since;
    if (elapsed >= window) return false;
    return this.#random.next() >= Math.max(0.1, elapsed / window);
  }
}
