/** The main thread's part of a gateway: configuration, health, threads, metrics, admin port, and the way to stop. */
import { readFileSync } from "node:fs";
import { isAbsolute, join, resolve } from "node:path";
import { createSecureContext } from "node:tls";
import type { FastifyInstance } from "fastify";
import type { Logger } from "pino";
import { readConfigDir } from "../host/config-dir.ts";
import { FileWatch } from "../host/file-watch.ts";
import type { Clock, Random } from "../model/clock.ts";
import type { Config } from "../model/config.ts";
import { formatProblem, type Problem } from "../model/problem.ts";
import type { Table } from "../model/table.ts";
import { buildAdmin } from "./admin.ts";
import { DryRunLog } from "./dry-run-log.ts";
import { MetricsRegistry } from "./exposition.ts";
import { BreakerControl } from "./breaker-control.ts";
import { Concurrency } from "./concurrency.ts";
import { FleetLimits } from "./fleet-limits.ts";
import { HealthMonitor } from "./health.ts";
import { probe } from "./health-check.ts";
import { LimitMemoryKeeper } from "./limit-memory.ts";
import { type LiveState, liveState } from "./live-state.ts";
import { RowRegistry } from "./rows.ts";
import type { TlsOptions } from "./server.ts";
import { type Snapshot, tableOf } from "./snapshot.ts";
import { Threads } from "./threads.ts";
import { GatewayView } from "./view.ts";

/** How often (ms) the units' load is looked at. */
const LOAD_EVERY = 25;

export interface GatewayOptions {
  readonly configDir: string;
  readonly host: string;
  readonly port: number;
  readonly adminHost: string;
  readonly adminPort: number;
  readonly threads: number;
  readonly region: string | undefined;
  /** `off`, `-` or a file. */
  readonly accessLog: string;
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
  readonly random: Random;
  readonly log: Logger;
}

/** The configuration is invalid, and there is none to serve on with. */
export class InvalidConfig extends Error {
  readonly problems: readonly Problem[];
  constructor(problems: readonly Problem[]) {
    super(problems.map(formatProblem).join("\n"));
    this.problems = problems;
  }
}

export class Gateway {
  readonly #options: GatewayOptions;
  readonly #log: Logger;
  readonly #live: LiveState;
  readonly #rows: RowRegistry;
  readonly #registry = new MetricsRegistry();
  readonly #health: HealthMonitor;
  readonly #threads: Threads;
  readonly #limitMemory: LimitMemoryKeeper;
  readonly #fleetLimits: FleetLimits;
  readonly #concurrency: Concurrency;
  readonly #breakers: BreakerControl;
  #loadWatch: NodeJS.Timeout | undefined;
  readonly #configWatch: FileWatch;
  readonly #tlsWatch: FileWatch;
  readonly #admin: FastifyInstance;
  #snapshot: Snapshot;
  #table: Table;
  #configError: string | undefined;
  #stopping = false;

  /** @throws InvalidConfig · Error when a certificate cannot be read */
  constructor(options: GatewayOptions) {
    this.#options = options;
    this.#log = options.log;
    this.#live = liveState(options.threads);
    this.#rows = new RowRegistry((row) => this.#live.inflight[row] === 0);
    this.#limitMemory = new LimitMemoryKeeper(options.random);
    this.#fleetLimits = new FleetLimits(options);
    this.#concurrency = new Concurrency(this.#live.load);
    this.#breakers = new BreakerControl(this.#live.breakers, options.clock, options.log);
    const dryRunLog = new DryRunLog(options.log, options.clock);
    const { config, problems, files } = readConfigDir(options.configDir);
    if (config === undefined) throw new InvalidConfig(problems);
    for (const problem of problems)
      this.#log.warn({ problem: formatProblem(problem) }, "configuration warning");
    this.#snapshot = this.#snapshotOf(config, 1);
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
        onMetrics: (message) => {
          dryRunLog.see(message.delta);
          this.#registry.add(message.delta);
          if (message.accessLogDropped > 0) {
            this.#registry.count("tidegate_access_log_dropped_total", "", message.accessLogDropped);
          }
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
    this.#configWatch = new FileWatch(() => this.reload());
    this.#configWatch.follow(this.#absolute(files));
    this.#tlsWatch = new FileWatch(() => this.#reloadTls());
    this.#admin = buildAdmin(
      new GatewayView({
        live: this.#live,
        registry: this.#registry,
        threads: this.#threads,
        fleetLimits: this.#fleetLimits,
        breakers: this.#breakers,
        standing: () => ({
          snapshot: this.#snapshot,
          table: this.#table,
          configError: this.#configError,
          stopping: this.#stopping,
        }),
      }),
    );
  }

  /** @throws when a port is taken */
  async start(): Promise<void> {
    this.#install();
    this.#fleetLimits.start();
    this.#loadWatch = setInterval(() => this.#concurrency.look(this.#options.clock.now()), LOAD_EVERY);
    await this.#admin.listen({ host: this.#options.adminHost, port: this.#options.adminPort });
    await this.#threads.start();
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

  /** Reads the files again: a valid configuration is swapped in whole, an invalid one is refused and said loudly. */
  reload(): void {
    const { config, problems, files } = readConfigDir(this.#options.configDir);
    this.#configWatch.follow(this.#absolute(files));
    if (config === undefined) {
      this.#refuseConfig(problems.filter((p) => p.severity === "error").map(formatProblem));
      return;
    }
    for (const problem of problems)
      this.#log.warn({ problem: formatProblem(problem) }, "configuration warning");
    try {
      this.#snapshot = this.#snapshotOf(config, this.#snapshot.revision + 1);
      this.#table = tableOf(this.#snapshot);
    } catch (error) {
      this.#refuseConfig([(error as Error).message]);
      return;
    }
    this.#configError = undefined;
    this.#install();
    this.#threads.publish(this.#snapshot);
    this.#log.info({ revision: this.#snapshot.revision }, "configuration applied");
  }

  /** Tells the parts of the main thread of a new configuration. */
  #install(): void {
    this.#health.install(this.#table);
    this.#fleetLimits.install(this.#snapshot.config, this.#snapshot.limits);
    this.#breakers.install(this.#snapshot.rows.breakers);
    this.#concurrency.install(this.#table.units, this.#snapshot.rows.units, this.#options.clock.now());
  }

  #refuseConfig(problems: readonly string[]): void {
    this.#configError = problems.join("\n");
    this.#registry.count("tidegate_config_refused_total", "");
    for (const problem of problems) this.#log.error({ problem }, "configuration refused");
    this.#log.error(
      { revision: this.#snapshot.revision, problems: problems.length },
      "the old configuration serves on; fix the files, they are read again when they change",
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

  #absolute(files: readonly string[]): string[] {
    const { configDir } = this.#options;
    return files.map((file) => (isAbsolute(file) ? file : resolve(join(configDir, file))));
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
    this.#configWatch.stop();
    this.#tlsWatch.stop();
    this.#threads.lameDuck();
    this.#log.info({ milliseconds: this.#options.lameDuck }, "stopping: not ready, still serving");
    await new Promise((done) => setTimeout(done, this.#options.lameDuck));
    this.#log.info(
      { milliseconds: this.#options.grace },
      "stopping: no new connections, finishing what is under way",
    );
    const cutOff = await this.#threads.drain(this.#options.grace);
    this.#health.stop();
    this.#fleetLimits.stop();
    clearInterval(this.#loadWatch);
    await this.#admin.close();
    return cutOff;
  }
}

/** @throws when certificate and key are not a pair */
function checkTls(tls: TlsOptions): void {
  createSecureContext(tls);
}
