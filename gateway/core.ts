/** What one traffic thread hands to every exchange: its parts, made once. */
import type { Nursery } from "../host/nursery.ts";
import type { Clock, Random } from "../model/clock.ts";
import type { GatewaySettings } from "../model/gateway-settings.ts";
import {
  type CompiledRoute,
  type CompiledUnit,
  type Endpoint,
  endpointsOf,
  type Table,
  routesOf,
} from "../model/table.ts";
import type { AccessLog } from "./access-log.ts";
import { BareMetrics, BareTracer } from "./bare.ts";
import { Baselines } from "./baselines.ts";
import { Breakers } from "./breaker.ts";
import { Course } from "./course.ts";
import { Deadlines } from "./deadlines.ts";
import { Fence } from "./fence.ts";
import { InflightCounter, type LiveState } from "./live-state.ts";
import { LoopLag } from "./loop-lag.ts";
import { ThreadMetrics } from "./metrics.ts";
import { TrustedNetworks } from "./peer.ts";
import { Mirror } from "./mirror.ts";
import { Picker } from "./pick.ts";
import { RetryBudget } from "./retry-budget.ts";
import { Limiter, type OnNewKey } from "./limiter.ts";
import { Room } from "./room.ts";
import { StaleCaches } from "./stale-caches.ts";
import { type Snapshot, tableOf } from "./snapshot.ts";
import { Stress } from "./stress.ts";
import { Tracer } from "./tracing/tracer.ts";
import { Tunnels } from "./tunnel.ts";
import { UnitQueues } from "./unit-queue.ts";
import { Upstreams } from "./upstream.ts";

export interface CoreOptions {
  readonly clock: Clock;
  /** Milliseconds since 1970, for logs and the expiry of stress marks. */
  readonly wallClock: () => number;
  readonly random: Random;
  readonly live: LiveState;
  readonly thread: number;
  readonly threads: number;
  readonly accessLog: AccessLog;
  /**
   * Tells the main thread that real traffic finds an endpoint failing: its row, failures in a row, and whether the last
   * one was an answer (5xx) or a connection that failed.
   */
  readonly onSuspect: (row: number, failures: number, answered: boolean) => void;
  /** Tells the main thread of a key of a fleet limit that has no lease yet. */
  readonly onNewKey: OnNewKey;
  /** Hears of every chunk that is streamed. */
  readonly nursery: Nursery;
  /** Tells the main thread of a defect. */
  readonly onError: (error: Error) => void;
  /** Spans go to a collector. */
  readonly exportsSpans: boolean;
  /** Of this start of the gateway: pseudonyms of users are made with it. */
  readonly salt: string;
  /** Nothing is counted or recorded: for the benchmark. */
  readonly isBare?: boolean;
}

export class Core {
  readonly clock: Clock;
  readonly wallClock: () => number;
  readonly random: Random;
  readonly live: LiveState;
  readonly inflight: InflightCounter;
  readonly deadlines: Deadlines;
  readonly picker: Picker;
  readonly metrics: ThreadMetrics;
  readonly breakers: Breakers;
  readonly baselines = new Baselines(false);
  readonly stress: Stress;
  readonly queues: UnitQueues;
  readonly room: Room;
  readonly lag: LoopLag;
  readonly stale: StaleCaches;
  readonly accessLog: AccessLog;
  readonly tracer: Tracer;
  readonly upstreams: Upstreams;
  readonly nursery: Nursery;
  readonly tunnels: Tunnels;
  readonly mirror: Mirror;
  readonly fence: Fence;
  readonly course: Course;
  readonly #threads: number;
  readonly #onSuspect: CoreOptions["onSuspect"];
  readonly #onError: CoreOptions["onError"];
  readonly #onNewKey: OnNewKey;
  readonly #budgets = new Map<string, RetryBudget>();
  // Set by `swap`, which the constructor ends with.
  #table!: Table;
  #settings!: GatewaySettings;
  networks!: TrustedNetworks;
  limiter!: Limiter;
  revision!: number;
  /** The gateway is stopping: connections are closed politely after their next answer. */
  lameDuck = false;

  constructor(options: CoreOptions, snapshot: Snapshot) {
    this.clock = options.clock;
    this.wallClock = options.wallClock;
    this.random = options.random;
    this.live = options.live;
    this.nursery = options.nursery;
    this.accessLog = options.accessLog;
    this.metrics = options.isBare === true ? new BareMetrics() : new ThreadMetrics();
    const tracing = { ...options, exports: options.exportsSpans };
    this.tracer = options.isBare === true ? new BareTracer(tracing) : new Tracer(tracing);
    this.#threads = options.threads;
    this.#onSuspect = options.onSuspect;
    this.#onError = options.onError;
    this.#onNewKey = options.onNewKey;
    this.inflight = new InflightCounter(options.live, options.thread);
    this.lag = new LoopLag(options.clock.now());
    this.queues = new UnitQueues(options.live, this.inflight.ownWaiting, options.clock, this.lag);
    const { live, clock, thread, threads } = options;
    this.breakers = new Breakers({ board: live.breakers, clock, thread, threads });
    this.room = new Room(options.live, options.clock);
    this.stale = new StaleCaches(clock, threads);
    this.stress = new Stress(clock, options.wallClock, threads);
    this.deadlines = new Deadlines(options.clock);
    this.tunnels = new Tunnels(this.deadlines);
    this.mirror = new Mirror(this);
    this.fence = new Fence(this, options.live.fenced.subarray(2 * thread, 2 * thread + 2));
    this.course = new Course(this);
    this.picker = new Picker(options.live, options.clock, options.random);
    this.upstreams = new Upstreams(snapshot.config.gateway.client.maxHeader);
    this.swap(snapshot);
  }

  /** The current table. A request reads it once and keeps it. */
  get table(): Table {
    return this.#table;
  }

  get settings(): GatewaySettings {
    return this.#settings;
  }

  /** Compiles aside, then swaps whole; live state stays. */
  swap(snapshot: Snapshot): void {
    const table = tableOf(snapshot);
    this.#settings = snapshot.config.gateway;
    this.networks = new TrustedNetworks(this.#settings.trust);
    this.revision = snapshot.revision;
    this.#table = table;
    this.fence.install(table.fences);
    const onDryRun = (limit: string): void =>
      this.metrics.count("tidegate_limit_dry_run_total", `limit="${limit}"`);
    this.limiter = new Limiter(table, snapshot.limits, this.clock, this.#onNewKey, onDryRun);
    this.breakers.swap(snapshot.rows.breakers);
    const routes = routesOf(table);
    this.baselines.swap(routes);
    this.stress.install(table, this.#settings, snapshot.limits);
    this.stale.swap(routes);
    this.upstreams.keepOnly(endpointsOf(table));
    const names = new Set(routes.map((r) => r.name));
    for (const name of this.#budgets.keys()) if (!names.has(name)) this.#budgets.delete(name);
    this.accessLog.setSample(this.#settings.accessLog.sample);
    this.tracer.install(table, this.#settings, snapshot.revision);
  }

  onError(error: Error): void {
    this.metrics.count("tidegate_internal_errors_total", "");
    this.#onError(error);
  }

  budget(route: CompiledRoute): RetryBudget {
    let budget = this.#budgets.get(route.name);
    if (budget === undefined) {
      budget = new RetryBudget(this.clock, this.#threads);
      this.#budgets.set(route.name, budget);
    }
    return budget;
  }

  /** Row of live state of a unit. Units keep their row as long as a table names them. */
  unitRow(unit: CompiledUnit): number {
    return unit.id;
  }

  /** Real traffic had an answer below 500 from the endpoint. */
  endpointServed(endpoint: Endpoint): void {
    if (this.live.failures[endpoint.id] !== 0) Atomics.store(this.live.failures, endpoint.id, 0);
  }

  /** Real traffic failed at the endpoint: refused, reset, timed out, malformed, or 5xx. */
  endpointFailed(endpoint: Endpoint, answered: boolean): void {
    const failures = Atomics.add(this.live.failures, endpoint.id, 1) + 1;
    const threshold = endpoint.pool.service.spec.outlier.consecutive;
    if (failures === 1 || (threshold > 0 && failures % threshold === 0))
      this.#onSuspect(endpoint.id, failures, answered);
  }
}
