/**
 * Bounds retries to a share of live traffic, so that a failing unit is not answered with a storm.
 *
 * Over the last ten seconds, retries may be at most `share` of the requests plus a floor of ten a second, which lets a
 * quiet route retry at all. Source: Finagle's RetryBudget (20 %, 10/s, 10 s) and "The Site Reliability Workbook",
 * chapter 22. Where every endpoint fails, retry.ts does not even ask.
 *
 * A retry that adds to nobody's load is bounded by room besides: a connection was refused, so that no server saw the
 * request, or the attempt timed out at one unit and another is well. As many may be under way as occupy `share` of the
 * requests under way, or three (Envoy's budget): a unit that hangs makes all of its traffic time out at once, long after
 * it came, and counted by number alone most of it could not move.
 *
 * A budget belongs to a route in one thread: each thread sees its own share of the traffic, and the floor is divided.
 */
import type { Clock } from "../model/clock.ts";

const SECONDS = 10;
const FLOOR_PER_SECOND = 10;
const ACTIVE_FLOOR = 3;

export class RetryBudget {
  readonly #clock: Clock;
  readonly #floor: number;
  readonly #requests = new Uint32Array(SECONDS);
  readonly #retries = new Uint32Array(SECONDS);
  #second: number;
  #requestSum = 0;
  #retrySum = 0;
  #active = 0;
  #activeRetries = 0;

  /** @param threads how many threads share the floor. */
  constructor(clock: Clock, threads: number) {
    this.#clock = clock;
    this.#floor = Math.max(1, Math.ceil((FLOOR_PER_SECOND * SECONDS) / threads));
    this.#second = Math.floor(clock.now() / 1000);
  }

  /** A request begins; `end` must follow once. */
  begin(now: number): void {
    this.#active++;
    this.#advance(now);
    this.#requests[this.#second % SECONDS]!++;
    this.#requestSum++;
  }

  /** @param retried whether a retry of it was taken from the budget */
  end(retried: boolean): void {
    this.#active--;
    if (retried) this.#activeRetries--;
  }

  /**
   * Takes one retry from the budget; false when it is spent.
   *
   * @param share the route's own, 0 to 1
   * @param loose the retry adds to nobody's load: refused, or timed out while another unit is well
   * @param again the request has taken a retry before
   */
  take(share: number, loose: boolean, again: boolean): boolean {
    this.#advance(this.#clock.now());
    const byNumber = this.#retrySum < this.#floor + share * this.#requestSum;
    const byRoom = loose && (again || this.#activeRetries < Math.max(ACTIVE_FLOOR, share * this.#active));
    if (!byNumber && !byRoom) return false;
    if (!again) this.#activeRetries++;
    this.#retries[this.#second % SECONDS]!++;
    this.#retrySum++;
    return true;
  }

  #advance(now: number): void {
    const second = Math.floor(now / 1000);
    if (second <= this.#second) return;
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
