/**
 * Health of every endpoint, decided on the main thread alone: active checks set DOWN, real traffic sets EJECTED, and
 * the threads read the bits.
 *
 * - A check's first result counts at once; after it, `unhealthy` failures or `healthy` passes in a row.
 * - After a failure the next check comes a tenth of the interval later, so that a hanging endpoint is out within
 *   three timeouts and a little more (HAProxy calls it `fastinter`).
 * - Real traffic that fails at an endpoint asks for a check now.
 * - An ejection for failed connections ends when checks pass again; one for bad answers lasts its time.
 * - Ejection: as Envoy's outlier detection, consecutive failures; the n-th ejection lasts n × base.
 */
import type { Clock, Random } from "../model/clock.ts";
import { DOWN, EJECTED } from "../model/decide.ts";
import type { Service } from "../model/fleet.ts";
import type { Endpoint, Table } from "../model/table.ts";
import type { Probe } from "./health-check.ts";
import type { LiveState } from "./live-state.ts";

export interface HealthEvents {
  /** An endpoint changed: `down`, `up`, `ejected`, `returned`; the reason is for people. */
  onChange(endpoint: Endpoint, change: "down" | "up" | "ejected" | "returned", reason: string): void;
}

export class HealthMonitor {
  readonly #live: LiveState;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #probe: Probe;
  readonly #events: HealthEvents;
  #watches = new Map<number, Watch>();

  constructor(live: LiveState, clock: Clock, random: Random, probe: Probe, events: HealthEvents) {
    this.#live = live;
    this.#clock = clock;
    this.#random = random;
    this.#probe = probe;
    this.#events = events;
  }

  /** Follows a new table. Endpoints that stay keep their state and their counts. */
  install(table: Table): void {
    const before = this.#watches;
    this.#watches = new Map();
    for (const service of table.services) {
      for (const pools of service.pools) {
        if (pools === undefined) continue;
        for (const pool of [pools.stable, pools.canary]) {
          for (const endpoint of pool?.endpoints ?? []) this.#follow(endpoint, service.spec, before);
        }
      }
    }
    for (const watch of before.values()) watch.stop();
  }

  #follow(endpoint: Endpoint, service: Service, before: Map<number, Watch>): void {
    const known = before.get(endpoint.id);
    const same =
      known !== undefined && JSON.stringify(known.service.health) === JSON.stringify(service.health);
    if (same) {
      before.delete(endpoint.id);
      known.renew(endpoint, service);
      this.#watches.set(endpoint.id, known);
      return;
    }
    const watch = new Watch(
      endpoint,
      service,
      this.#live,
      this.#clock,
      this.#random,
      this.#probe,
      this.#events,
    );
    if (known !== undefined) watch.inherit(known);
    this.#watches.set(endpoint.id, watch);
    watch.start();
  }

  /** A thread says that real traffic fails at an endpoint. */
  suspect(row: number, failures: number, answered: boolean): void {
    const watch = this.#watches.get(row);
    if (watch === undefined) return;
    watch.hurry();
    const { consecutive } = watch.service.outlier;
    if (consecutive > 0 && failures >= consecutive) watch.eject(answered);
  }

  stop(): void {
    for (const watch of this.#watches.values()) watch.stop();
    this.#watches.clear();
  }
}

/** One endpoint's checks and ejections. */
class Watch {
  endpoint: Endpoint;
  service: Service;
  readonly #live: LiveState;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #probe: Probe;
  readonly #events: HealthEvents;
  #checked = false;
  #passes = 0;
  #fails = 0;
  #probing = false;
  #stopped = false;
  #nextCheck: NodeJS.Timeout | undefined;
  #return: NodeJS.Timeout | undefined;
  #ejections = 0;
  #returnedAt = 0;
  /** The ejection was for connections that failed: checks that pass again end it. */
  #checksMayReturn = false;

  constructor(
    endpoint: Endpoint,
    service: Service,
    live: LiveState,
    clock: Clock,
    random: Random,
    probe: Probe,
    events: HealthEvents,
  ) {
    this.endpoint = endpoint;
    this.service = service;
    this.#live = live;
    this.#clock = clock;
    this.#random = random;
    this.#probe = probe;
    this.#events = events;
  }

  start(): void {
    if (this.service.health.kind === "none") {
      this.#set(DOWN, false);
      return;
    }
    // The first checks of a fleet are spread over a fifth of the interval.
    this.#schedule(this.#random.next() * 0.2 * this.service.health.interval);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#nextCheck);
    clearTimeout(this.#return);
  }

  renew(endpoint: Endpoint, service: Service): void {
    this.endpoint = endpoint;
    this.service = service;
  }

  /** Takes over from a watch whose check was configured otherwise: what is known stays known. */
  inherit(before: Watch): void {
    this.#checked = before.#checked;
    this.#ejections = before.#ejections;
    this.#returnedAt = before.#returnedAt;
    if (before.#return !== undefined && this.#has(EJECTED)) this.#returnIn(this.service.outlier.baseEjection);
  }

  hurry(): void {
    if (this.#probing || this.service.health.kind === "none" || this.#has(DOWN)) return;
    this.#schedule(0);
  }

  /** @param answered real traffic had bad answers, which a passing check says nothing about */
  eject(answered: boolean): void {
    if (this.#has(EJECTED) || this.#has(DOWN)) return;
    const { outlier } = this.service;
    const { endpoints } = this.endpoint.pool;
    const ejected = endpoints.filter((e) => this.#live.endpoints[e.id]! & EJECTED).length;
    const usable = endpoints.filter((e) => this.#live.endpoints[e.id] === 0).length;
    if (usable <= 1 || ejected + 1 > Math.max(1, Math.floor(endpoints.length * outlier.maxShare))) return;
    // A quiet while forgives: one step per base ejection without a new one.
    const quiet = Math.floor((this.#clock.now() - this.#returnedAt) / Math.max(1, outlier.baseEjection));
    this.#ejections = Math.max(0, this.#ejections - (this.#returnedAt === 0 ? 0 : quiet)) + 1;
    const length = Math.min(outlier.baseEjection * this.#ejections, outlier.maxEjection);
    this.#set(EJECTED, true);
    this.#checksMayReturn = !answered;
    this.#passes = 0;
    this.#events.onChange(
      this.endpoint,
      "ejected",
      `${outlier.consecutive} failures in a row; for ${Math.round(length / 1000)} s`,
    );
    this.#returnIn(length);
  }

  #returnIn(length: number): void {
    clearTimeout(this.#return);
    this.#return = setTimeout(() => this.#returned("its time is over"), length);
  }

  #returned(reason: string): void {
    clearTimeout(this.#return);
    this.#return = undefined;
    if (!this.#has(EJECTED)) return;
    this.#returnedAt = this.#clock.now();
    Atomics.store(this.#live.failures, this.endpoint.id, 0);
    this.#warm();
    this.#set(EJECTED, false);
    this.#events.onChange(this.endpoint, "returned", reason);
  }

  #schedule(delay: number): void {
    clearTimeout(this.#nextCheck);
    if (!this.#stopped) this.#nextCheck = setTimeout(() => void this.#check(), delay);
  }

  async #check(): Promise<void> {
    this.#probing = true;
    const { health, tls } = this.service;
    const began = this.#clock.now();
    const failure = await this.#probe(this.endpoint.origin, health, tls);
    this.#probing = false;
    if (this.#stopped) return;
    if (failure === undefined) this.#pass();
    else this.#fail(failure);
    this.#checked = true;
    // Jitter only shortens, so that the stated time to notice stays true.
    const interval = health.interval * (1 - this.#random.next() * health.jitter);
    const doubtful = this.#fails > 0 && !this.#has(DOWN);
    this.#schedule(doubtful ? health.interval / 10 : Math.max(0, interval - (this.#clock.now() - began)));
  }

  #pass(): void {
    this.#fails = 0;
    this.#passes++;
    if (this.#passes < this.service.health.healthy) return;
    if (!this.#has(DOWN)) {
      if (this.#checksMayReturn) this.#returned("its checks pass");
      return;
    }
    Atomics.store(this.#live.failures, this.endpoint.id, 0);
    this.#warm();
    this.#set(DOWN, false);
    this.#events.onChange(this.endpoint, "up", `${this.#passes} checks passed`);
    this.#returned("its checks pass again");
  }

  #fail(failure: string): void {
    this.#passes = 0;
    this.#fails++;
    if (this.#has(DOWN) || (this.#checked && this.#fails < this.service.health.unhealthy)) return;
    this.#set(DOWN, true);
    this.#events.onChange(this.endpoint, "down", failure);
  }

  #warm(): void {
    if (this.service.slowStart > 0) this.#live.warmingSince[this.endpoint.id] = this.#clock.now();
  }

  #has(bit: number): boolean {
    return (this.#live.endpoints[this.endpoint.id]! & bit) !== 0;
  }

  #set(bit: number, on: boolean): void {
    const { endpoints } = this.#live;
    if (on) Atomics.or(endpoints, this.endpoint.id, bit);
    else Atomics.and(endpoints, this.endpoint.id, ~bit);
  }
}
