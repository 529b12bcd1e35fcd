/**
 * Which endpoint an exchange tries next: units in the order that was decided, and in each unit what is usable now,
 * not yet tried, behind a closed circuit and not full.
 */
import { type Decision, nextCandidate, poolFor } from "../model/decide.ts";
import type { CompiledUnit, Endpoint, EndpointPool } from "../model/table.ts";
import type { Core } from "./core.ts";

export class Candidates {
  /** The unit that was found last. */
  unit: CompiledUnit | undefined = undefined;
  /** The pool that was found last. */
  pool: EndpointPool | undefined = undefined;
  /** The last look ended at a unit or an endpoint that has as many requests under way as it may. */
  full = false;
  /** A unit was passed over because its circuit is open. */
  breakerOpen = false;
  readonly #core: Core;
  readonly #decision: Decision;
  #tried: Endpoint[] | undefined;
  #at: number;

  constructor(core: Core, decision: Decision) {
    this.#core = core;
    this.#decision = decision;
    // In panic nobody knows better than chance.
    this.#at = decision.panic ? Math.floor(core.random.next() * decision.candidates.length) : decision.first;
  }

  /** @returns undefined when nothing is left, or when the unit whose turn it is is `full`. */
  next(): Endpoint | undefined {
    const { candidates, panic } = this.#decision;
    this.full = false;
    for (let looked = 0; looked < candidates.length; looked++) {
      const at = panic ? (this.#at + looked) % candidates.length : this.#at + looked;
      if (at >= candidates.length) break;
      const endpoint = this.#endpointIn(at);
      if (endpoint !== undefined || this.full) {
        this.#at = at;
        return endpoint;
      }
    }
    return undefined;
  }

  #endpointIn(candidate: number): Endpoint | undefined {
    const { panic, version, candidates, route } = this.#decision;
    const core = this.#core;
    const pools = candidates[candidate]!;
    const pool = panic
      ? version === "canary" && pools.canary !== undefined
        ? pools.canary
        : pools.stable
      : poolFor(core.live, pools, version);
    if (pool === undefined) return undefined;
    if (core.breakers.of(route, pool.unit)?.allows === false) {
      this.breakerOpen = true;
      return undefined;
    }
    if (!panic && this.#tried === undefined && this.#givesWay(pool, candidate)) return undefined;
    const endpoint = core.picker.pick(pool, this.#tried, panic);
    if (endpoint === undefined) return undefined;
    this.unit = pool.unit;
    this.pool = pool;
    const { live } = core;
    this.full =
      live.unitInflight[core.unitRow(pool.unit)]! >= pool.unit.spec.inflight ||
      live.inflight[endpoint.id]! >= pool.service.spec.inflight;
    return this.full ? undefined : endpoint;
  }

  /** A unit that has just come back with all of its endpoints takes its share slowly, if another can take the rest. */
  #givesWay(pool: EndpointPool, candidate: number): boolean {
    const { candidates, version } = this.#decision;
    if (candidate + 1 >= candidates.length || !this.#core.picker.isPoolCold(pool)) return false;
    return nextCandidate(this.#core.live, candidates, version, candidate + 1) !== -1;
  }

  /**
   * An endpoint failed: the next one is another of its unit, then one of the next unit.
   *
   * The last attempt goes to another unit where there is one: two endpoints that failed say more about their unit than
   * about each other. So does one after a timeout, unless the next endpoint is above suspicion: every further endpoint
   * that hangs costs a timeout more.
   */
  failed(endpoint: Endpoint, last: boolean, slow: boolean): void {
    const { candidates, panic, version } = this.#decision;
    this.#tried ??= [];
    this.#tried.push(endpoint);
    const elsewhere =
      candidates.length > 1 &&
      (panic || nextCandidate(this.#core.live, candidates, version, this.#at + 1) !== -1);
    const here = this.#core.picker.pick(endpoint.pool, this.#tried, panic);
    const leave = last || (slow && here !== undefined && this.#core.live.failures[here.id] !== 0);
    if (here !== undefined && !(leave && elsewhere)) return;
    if (elsewhere) this.#at++;
    // Nothing else is left: the same endpoints again, on new connections.
    else if (here === undefined) this.#tried = undefined;
  }
}
