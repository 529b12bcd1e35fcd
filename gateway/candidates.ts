/**
 * Which endpoint an exchange tries next: units in the order that was decided, and in each unit what is usable now,
 * not yet tried, behind a closed circuit and not full.
 */
import { type Decision, nextCandidate, poolFor, versionIn } from "../model/decide.ts";
import { PRIORITIES, type Priority } from "../model/route.ts";
import type { StressMark } from "../model/stress-mark.ts";
import type { CompiledUnit, Endpoint, EndpointPool } from "../model/table.ts";
import type { Core } from "./core.ts";
import { forStress, STRESS } from "./room.ts";
import type { Urgency } from "./waiting-line.ts";

/** So many failures in a row are no accident. */
const SEVERAL = 3;

export class Candidates {
  /** The unit that was found last. */
  unit: CompiledUnit | undefined = undefined;
  /** The pool that was found last. */
  pool: EndpointPool | undefined = undefined;
  /** The last look ended at a unit or an endpoint that has as many requests under way as it may. */
  full = false;
  /** It is full of this second's requests: waiting for one of them to end would not help. */
  overCapacity = false;
  /** A unit was passed over because its circuit is open. */
  breakerOpen = false;
  readonly #core: Core;
  readonly #decision: Decision;
  #tried: Endpoint[] | undefined;
  #at: number;

  readonly urgency: Urgency;
  readonly isStress: boolean;
  readonly #measures: boolean;

  /** @param priority what a trusted peer said; undefined: the route's · @param mark of stress traffic: behind all priorities */
  constructor(core: Core, decision: Decision, priority: Priority | undefined, mark: StressMark | undefined) {
    this.#core = core;
    this.urgency = PRIORITIES.indexOf(priority ?? decision.route.spec.priority) as Urgency;
    this.isStress = mark !== undefined;
    this.#measures = mark?.measure === true;
    this.#decision = decision;
    // In panic nobody knows better than chance.
    this.#at = decision.panic ? Math.floor(core.random.next() * decision.candidates.length) : decision.first;
  }

  /**
   * @param waited the request comes from the front of a unit's line
   * @returns undefined when nothing is left, or when whoever may serve it is `full`
   */
  next(waited = false): Endpoint | undefined {
    const { candidates, panic } = this.#decision;
    let fullAt = -1;
    let overCapacity = false;
    for (let looked = 0; looked < candidates.length; looked++) {
      const at = panic ? (this.#at + looked) % candidates.length : this.#at + looked;
      if (at >= candidates.length) break;
      const endpoint = this.#endpointIn(at, waited);
      if (endpoint !== undefined) {
        this.#at = at;
        return endpoint;
      }
      if (!this.full) continue;
      if (fullAt === -1) {
        fullAt = at;
        overCapacity = this.overCapacity;
      }
      if (!this.#mayPassBy(candidates[at]!.unit)) break;
    }
    this.full = fullAt !== -1;
    if (this.full) {
      this.#at = fullAt;
      this.unit = candidates[fullAt]!.unit;
      this.overCapacity = overCapacity;
    }
    return undefined;
  }

  /**
   * A unit that is full of its own users' requests sheds by priority and does not fill its neighbours: one unit's
   * overload stays its own. What may be served anywhere, what fails over, and what a hanging unit would keep goes where
   * there is room.
   */
  #mayPassBy(unit: CompiledUnit): boolean {
    const { route, home, panic } = this.#decision;
    const { load } = this.#core.live;
    const row = this.#core.unitRow(unit);
    return (
      panic ||
      unit.index !== home ||
      load.stalled[row] === 1 ||
      // A burst waits a moment in its own unit's line.
      (route.scope === "nearest" && load.calm[row] === 0)
    );
  }

  #endpointIn(candidate: number, waited: boolean): Endpoint | undefined {
    this.full = false;
    this.overCapacity = false;
    const { panic, versionCause, versionKey, candidates, route } = this.#decision;
    const core = this.#core;
    const pools = candidates[candidate]!;
    const version = versionIn(pools, versionCause, versionKey);
    const pool = panic
      ? version === "canary" && pools.canary !== undefined
        ? pools.canary
        : pools.stable
      : poolFor(core.live, pools, version);
    if (pool === undefined) return undefined;
    const breaker = core.breakers.of(route, pool.unit);
    if (breaker !== undefined && !(this.isStress ? breaker.allowsStress : breaker.allows)) {
      this.breakerOpen = true;
      return undefined;
    }
    if (!panic && this.#tried === undefined && this.#givesWay(pool, candidate)) return undefined;
    const endpoint = core.picker.pick(pool, this.#tried, panic);
    if (endpoint === undefined) return undefined;
    this.unit = pool.unit;
    this.pool = pool;
    const { unit } = pool;
    const row = core.unitRow(unit);
    const places = pool.service.spec.inflight;
    const underWay = core.live.inflight[endpoint.id]!;
    this.full = this.isStress
      ? underWay >= forStress(places) || core.room.isFullForStress(unit, row)
      : underWay >= places || core.room.isFull(unit, row, this.urgency, waited);
    const rank = this.isStress ? STRESS : this.urgency;
    if (!this.full && !this.#measures)
      this.overCapacity = this.full = !core.room.takeCapacity(unit, row, rank);
    return this.full ? undefined : endpoint;
  }

  /** A unit that has just come back with all of its endpoints takes its share slowly, if another can take the rest. */
  #givesWay(pool: EndpointPool, candidate: number): boolean {
    if (candidate + 1 >= this.#decision.candidates.length || !this.#core.picker.isPoolCold(pool))
      return false;
    return this.#isElsewhere(candidate);
  }

  /** Whether a later unit can serve it. */
  #isElsewhere(candidate: number): boolean {
    const { candidates, versionCause, versionKey } = this.#decision;
    return nextCandidate(this.#core.live, candidates, versionCause, versionKey, candidate + 1) !== -1;
  }

  /** Whether any endpoint that may serve the request has not just failed several times in a row. */
  isAnySound(): boolean {
    const { live } = this.#core;
    const sound = ({ id }: Endpoint): boolean => live.endpoints[id] === 0 && live.failures[id]! < SEVERAL;
    return this.#decision.candidates.some(
      ({ stable, canary }) => stable.endpoints.some(sound) || (canary?.endpoints.some(sound) ?? false),
    );
  }

  /** Whether an endpoint other than this one may serve the request and has not just failed. */
  isSoundElsewhere(failing: Endpoint): boolean {
    const { live } = this.#core;
    const sound = (endpoint: Endpoint): boolean =>
      endpoint !== failing && live.endpoints[endpoint.id] === 0 && live.failures[endpoint.id] === 0;
    return this.#decision.candidates.some((pools) => pools.stable.endpoints.some(sound));
  }

  /**
   * An endpoint failed: the next one is another of its unit, then one of the next unit.
   *
   * The last attempt goes to another unit where there is one: two endpoints that failed say more about their unit than
   * about each other. So does one after a timeout, unless the next endpoint is above suspicion: every further endpoint
   * that hangs costs a timeout more.
   */
  failed(endpoint: Endpoint, last: boolean, slow: boolean): void {
    const { candidates, panic } = this.#decision;
    this.#tried ??= [];
    this.#tried.push(endpoint);
    const elsewhere = candidates.length > 1 && (panic || this.#isElsewhere(this.#at));
    const here = this.#core.picker.pick(endpoint.pool, this.#tried, panic);
    const leave = last || (slow && here !== undefined && this.#core.live.failures[here.id] !== 0);
    if (here !== undefined && !(leave && elsewhere)) return;
    if (elsewhere) this.#at++;
    // Nothing else is left: the same endpoints again, on new connections.
    else if (here === undefined) this.#tried = undefined;
  }
}
