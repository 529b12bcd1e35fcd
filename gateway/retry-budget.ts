/**
 * Bounds retries to a share of live traffic, so that a failing unit is not answered with a storm.
 *
 * Over the last ten seconds, retries may be at most `share` of the requests plus a floor of ten a second, which lets
 * a quiet route retry at all. Source: Finagle's RetryBudget (20 %, 10/s, 10 s) and "The Site Reliability Workbook",
 * chapter 22; Envoy's is 20 % of active requests with a floor of 3.
 *
 * A budget belongs to a route in one thread: each thread sees its own share of the traffic, and the floor is divided.
 */
import type { Clock } from "../model/clock.ts";

const SECONDS = 10;
const FLOOR_PER_SECOND = 10;

export class RetryBudget {
  readonly #clock: Clock;
  readonly #floor: number;
  readonly #requests = new Uint32Array(SECONDS);
  readonly #retries = new Uint32Array(SECONDS);
  #second: number;
  #requestSum = 0;
  #retrySum = 0;

  /** @param threads how many threads share the floor. */
  constructor(clock: Clock, threads: number) {
    this.#clock = clock;
    this.#floor = Math.max(1, Math.ceil((FLOOR_PER_SECOND * SECONDS) / threads));
    this.#second = Math.floor(clock.now() / 1000);
  }

  request(now: number): void {
    this.#advance(now);
    this.#requests[this.#second % SECONDS]!++;
    this.#requestSum++;
  }

  /** Takes one retry from the budget; false when it is spent. `share` is the route's own, 0 to 1. */
  take(share: number): boolean {
    this.#advance(this.#clock.now());
    if (this.#retrySum >= this.#floor + share * this.#requestSum) return false;
    this.#retries[this.#second % SECONDS]!++;
    this.#retrySum++;
    return true;
  }

  #advance(now: number): void {
    const second = Math.floor(now / 1000);
    if (second === this.#second) return;
    const steps = Math.min(second - this.#second, SECONDS);
    for (let i = 1; i <= steps; i++) {
      const at = (this.#second + i) % SECONDS;
      this.#requestSum -= this.#requests[at]!;
      this.#retrySum -= this.#retries[at]!;
      this.#requests[at] = 0;
      this.#retries[at] = 0;
    }
    this.#second = second;
  }
}
