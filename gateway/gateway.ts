/** The main thread's part of a gateway: configuration, health, threads, metrics, admin port, and the way to stop. */
import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import type { FastifyInstance } from "fastify";
import type { Logger } from "pino";
import { FileWatch } from "../host/file-watch.ts";
import type { Clock, Random } from "../model/clock.ts";
import type { Config } from "../model/config.ts";
import { DRAINED } from "../model/decide.ts";
import { endpointsOf, type Table } from "../model/table.ts";
import { buildAdmin } from "./admin.ts";
import { DrainRamps } from "./drain-ramps.ts";
import { DryRunLog } from "./dry-run-log.ts";
import { ErrorRing } from "./error-ring.ts";
import { Exemplars } from "./exemplars.ts";
import { MetricsRegistry, STRESS_PREFIX } from "./exposition.ts";
import { BreakerControl } from "./breaker-control.ts";
import { Concurrency } from "./concurrency.ts";
import { FigureSlices } from "./figure-slices.ts";
import { FleetLimits } from "./fleet-limits.ts";
import { HealthMonitor } from "./health.ts";
import { probe } from "./health-check.ts";
import { LimitMemoryKeeper } from "./limit-memory.ts";
import { type LiveState, liveState } from "./live-state.ts";
import { RowRegistry } from "./rows.ts";
import type { TlsOptions } from "./server.ts";
import { type Snapshot, tableOf } from "./snapshot.ts";
import type { Source, Sourced } from "./source.ts";
import { Threads } from "./threads.ts";
import type { CollectorAddress } from "./tracing/collector.ts";
import { SpanExporter } from "./tracing/exporter.ts";
import type { TraceDelta } from "./tracing/recorded.ts";
import { UnitReports } from "./unit-reports.ts";
import { GatewayView } from "./view.ts";

/** A gateway that ends waits so long (ms) for its last spans. */
const LAST_SPANS = 1_000;

/** How often (ms) the units' load is looked at. */
const LOAD_EVERY = 25;

export interface GatewayOptions {
  readonly source: Source;
  readonly host: string;
  readonly port: number;
  readonly adminHost: string;
  readonly adminPort: number;
  readonly threads: number;
  readonly region: string | undefined;
  /** In reports, traces and error traces. */
  readonly name: string;
  readonly version: string;
  /** `off`, `-` or a file. */
  readonly accessLog: string;
  /** Where spans go; undefined: nowhere. */
  readonly collector: CollectorAddress | undefined;
  /** `redis://…`, where fleet limits are leased from; undefined: there is none. */
  readonly redis: string | undefined;
  readonly tlsPort: number | undefined;
  readonly tlsCert: string | undefined;
  readonly tlsKey: string | undefined;
  /** Milliseconds that a stopping gateway still accepts. */
  readonly lameDuck: number;
  /** Milliseconds that requests under way may then take. */
  readonly grace: number;
  readonly clock: Clock;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
  readonly random: Random;
  readonly log: Logger;
}

export class Gateway {
  readonly #options: GatewayOptions;
  readonly #log: Logger;
  readonly #live: LiveState;
  readonly #rows: RowRegistry;
  readonly #registry = new MetricsRegistry();
  readonly #exemplars = new Exemplars();
  readonly #errors = new ErrorRing();
  readonly #exporter: SpanExporter | undefined;
  readonly #figures: FigureSlices;
  readonly #health: HealthMonitor;
  readonly #threads: Threads;
  readonly #limitMemory: LimitMemoryKeeper;
  readonly #fleetLimits: FleetLimits;
  readonly #concurrency: Concurrency;
  readonly #breakers: BreakerControl;
  #loadWatch: NodeJS.Timeout | undefined;
  readonly #drains: DrainRamps;
  readonly #tlsWatch: FileWatch;
  readonly #view: GatewayView;
  readonly #admin: FastifyInstance;
  #sourced: Sourced;
  #snapshot: Snapshot;
  #table: Table;
  #configError: string | undefined;
  #stopping = false;

  /** @throws InvalidConfig · Error when nothing can be had from its source, or a certificate cannot be read */
  static async open(options: GatewayOptions): Promise<Gateway> {
    return new Gateway(options, await options.source.first());
  }

  private constructor(options: GatewayOptions, first: Sourced) {
    this.#options = options;
    this.#log = options.log;
    this.#live = liveState(options.threads);
    this.#rows = new RowRegistry((row) => this.#live.inflight[row] === 0);
    this.#limitMemory = new LimitMemoryKeeper(options.random);
    this.#fleetLimits = new FleetLimits(options);
    this.#concurrency = new Concurrency(this.#live.load);
    this.#breakers = new BreakerControl(this.#live.breakers, options.clock, options.log);
    this.#figures = new FigureSlices(options.clock, startName(options.random));
    const dryRunLog = new DryRunLog(options.log, options.clock);
    this.#exporter = this.#exporterOf(options);
    this.#drains = new DrainRamps(this.#live.drains);
    this.#sourced = first;
    this.#snapshot = this.#snapshotOf(first.config, first.revision);
    this.#table = tableOf(this.#snapshot);
    this.#health = new HealthMonitor(this.#live, options.clock, options.random, probe, {
      onChange: (endpoint, change, reason) => {
        const { service, unit, version } = endpoint.pool;
        const where = { service: service.name, unit: unit.name, version, endpoint: endpoint.origin, reason };
        if (change === "ejected") {
          this.#registry.count("tidegate_ejections_total", `unit="${unit.name}",service="${service.name}"`);
        }
        if (change === "up" || change === "returned") this.#log.info(where, `endpoint ${change}`);
        else this.#log.warn(where, `endpoint ${change}`);
      },
    });
    this.#threads = new Threads(
      {
        count: options.threads,
        live: this.#live,
        host: options.host,
        port: options.port,
        tlsPort: options.tlsPort,
        accessLog: options.accessLog,
        exportsSpans: options.collector !== undefined,
        salt: startName(options.random),
        onMetrics: (message) => {
          dryRunLog.see(message.delta);
          this.#registry.add(message.delta);
          this.#registry.add(message.stress, STRESS_PREFIX);
          this.#figures.add(message.delta);
          this.#figures.addStress(message.stress);
          if (message.accessLogDropped > 0) {
            this.#registry.count("tidegate_access_log_dropped_total", "", message.accessLogDropped);
          }
          if (message.traces !== undefined) this.#trace(message.traces);
        },
        onNewKeys: (keys) => this.#fleetLimits.seen(keys),
        onSuspect: (row, failures, answered) => this.#health.suspect(row, failures, answered),
        onError: (thread, message) =>
          this.#log.error({ thread, message }, "a defect, caught; please report it"),
        onDeath: (thread, reason) => {
          this.#registry.count("tidegate_thread_restarts_total", "");
          this.#fleetLimits.threadDied();
          this.#log.error({ thread, reason }, "a traffic thread died and is replaced");
        },
      },
      this.#snapshot,
      this.#readTls(),
    );
    this.#tlsWatch = new FileWatch(() => this.#reloadTls());
    this.#view = new GatewayView({
      live: this.#live,
      registry: this.#registry,
      exemplars: this.#exemplars,
      errors: this.#errors,
      wallClock: options.wallClock,
      threads: this.#threads,
      fleetLimits: this.#fleetLimits,
      breakers: this.#breakers,
      unitReports: new UnitReports(this.#live, options.clock),
      standing: () => ({
        snapshot: this.#snapshot,
        table: this.#table,
        configError: this.#configError,
        stopping: this.#stopping,
      }),
    });
    this.#admin = buildAdmin(this.#view);
  }

  /** @throws when a port is taken */
  async start(): Promise<void> {
    this.#install();
    this.#fleetLimits.start();
    this.#exporter?.start();
    this.#loadWatch = setInterval(() => {
      const now = this.#options.clock.now();
      this.#concurrency.look(now);
      this.#drains.look(now);
    }, LOAD_EVERY);
    await this.#admin.listen({ host: this.#options.adminHost, port: this.#options.adminPort });
    await this.#threads.start();
    this.#options.source.start({
      use: (next) => this.#use(next),
      refused: (problems) => this.#refuseConfig(problems),
      report: () => this.#view.report(),
      pace: (milliseconds) => this.#threads.setPace(milliseconds),
      figures: this.#figures,
      errors: this.#errors,
    });
    this.#options.source.served(this.#sourced);
    if (this.#options.tlsCert !== undefined && this.#options.tlsKey !== undefined) {
      this.#tlsWatch.follow([this.#options.tlsCert, this.#options.tlsKey]);
    }
  }

  get port(): number | undefined {
    return this.#threads.port;
  }
  get tlsPort(): number | undefined {
    return this.#threads.tlsPort;
  }
  get adminPort(): number {
    const address = this.#admin.server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  reload(): void {
    this.#options.source.reload();
  }

  /** Swaps a configuration in whole, or refuses it. @returns why */
  #use(next: Sourced): readonly string[] {
    try {
      this.#snapshot = this.#snapshotOf(next.config, next.revision);
      this.#table = tableOf(this.#snapshot);
    } catch (error) {
      const problems = [(error as Error).message];
      this.#refuseConfig(problems);
      return problems;
    }
    this.#sourced = next;
    this.#configError = undefined;
    this.#install();
    this.#threads.publish(this.#snapshot, () => this.#options.source.served(next));
    this.#log.info({ revision: next.revision }, "configuration applied");
    return [];
  }

  /** What a thread recorded: for the ring, for the collector, and as exemplars. */
  #trace({ recorded, dropped }: TraceDelta): void {
    const gateway = this.#options.name;
    for (const one of recorded) {
      const { kind, trace } = one;
      if (kind !== undefined) this.#errors.add({ ...trace, kind, gateway });
      this.#exemplars.see(one);
    }
    if (this.#errors.dropped > 0) {
      this.#registry.count("tidegate_error_traces_dropped_total", "", this.#errors.dropped);
      this.#errors.dropped = 0;
    }
    this.#exporter?.add(recorded.filter(({ isExported }) => isExported));
    this.#exporter?.dropped("thread", dropped);
  }

  #exporterOf({
    collector,
    clock,
    random,
    log,
    name,
    version,
    region,
  }: GatewayOptions): SpanExporter | undefined {
    if (collector === undefined) return undefined;
    return new SpanExporter({
      address: collector,
      clock,
      random,
      log,
      count: (counter, labels, n) => this.#registry.count(counter, labels, n),
      resource: () => ({ gateway: name, fleet: this.#table.fleet.name, version, region }),
    });
  }

  /** Tells the parts of the main thread of a new configuration. */
  #install(): void {
    this.#health.install(this.#table);
    this.#drainEndpoints();
    this.#fleetLimits.install(this.#snapshot.config, this.#snapshot.limits);
    this.#breakers.install(this.#snapshot.rows.breakers, this.#snapshot.config.breakers ?? []);
    const now = this.#options.clock.now();
    const { rows, config } = this.#snapshot;
    this.#concurrency.install(this.#table.units, rows.units, now);
    this.#drains.install(config.fleet.units, rows.units, now, ({ since }) => this.#sourced.now - since);
  }

  /** Beside what checks and traffic say of them, so that a passing check gives a drained endpoint nothing new. */
  #drainEndpoints(): void {
    for (const { id, origin, pool } of endpointsOf(this.#table)) {
      const drained = pool.service.spec.pools[pool.unit.name]?.drained?.includes(origin) ?? false;
      if (drained) Atomics.or(this.#live.endpoints, id, DRAINED);
      else Atomics.and(this.#live.endpoints, id, ~DRAINED);
    }
  }

  #refuseConfig(problems: readonly string[]): void {
    this.#configError = problems.join("\n");
    this.#registry.count("tidegate_config_refused_total", "");
    for (const problem of problems) this.#log.error({ problem }, "configuration refused");
    this.#log.error(
      { revision: this.#snapshot.revision, problems: problems.length },
      "the old configuration serves on until a valid one comes",
    );
  }

  #snapshotOf(config: Config, revision: number): Snapshot {
    const { rows, freshEndpoints, freshBreakers } = this.#rows.assign(config);
    for (const row of freshBreakers) this.#live.breakers.clear(row);
    for (const row of freshEndpoints) {
      this.#live.endpoints[row] = 0;
      this.#live.failures[row] = 0;
      this.#live.warmingSince[row] = 0;
    }
    return {
      revision,
      config,
      rows,
      region: this.#options.region,
      limits: this.#limitMemory.assign(config.limits),
    };
  }

  #readTls(): TlsOptions | undefined {
    const { tlsCert, tlsKey } = this.#options;
    if (tlsCert === undefined || tlsKey === undefined) return undefined;
    return { cert: readFileSync(tlsCert, "utf8"), key: readFileSync(tlsKey, "utf8") };
  }

  #reloadTls(): void {
    try {
      const tls = this.#readTls();
      if (tls === undefined) return;
      checkTls(tls);
      this.#threads.reloadTls(tls);
      this.#log.info("certificate reloaded");
    } catch (error) {
      this.#log.error(
        { reason: (error as Error).message },
        "the new certificate is refused; the old one serves on",
      );
    }
  }

  /** Lame duck, then drain, then the end. @returns requests that were cut off */
  async stop(): Promise<number> {
    this.#stopping = true;
    this.#options.source.stop();
    this.#tlsWatch.stop();
    this.#threads.lameDuck();
    this.#log.info({ milliseconds: this.#options.lameDuck }, "stopping: not ready, still serving");
    await new Promise((done) => setTimeout(done, this.#options.lameDuck));
    this.#log.info(
      { milliseconds: this.#options.grace },
      "stopping: no new connections, finishing what is under way",
    );
    const cutOff = await this.#threads.drain(this.#options.grace);
    await Promise.all([this.#options.source.end(), this.#exporter?.stop(LAST_SPANS)]);
    this.#health.stop();
    this.#fleetLimits.stop();
    clearInterval(this.#loadWatch);
    await this.#admin.close();
    return cutOff;
  }
}

/** Tells this start from all others. */
function startName(random: Random): string {
  return Array.from({ length: 4 }, () => Math.floor(random.next() * 2 ** 32).toString(36)).join("");
}

/** @throws when certificate and key are not a pair */
function checkTls(tls: TlsOptions): void {
  createSecureContext(tls);
}
