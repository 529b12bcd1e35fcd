/** A control plane: its parts, how they hang together, and how it starts and stops. */
import type { FastifyInstance } from "fastify";
import type { KeyObject } from "node:crypto";
import type { Logger } from "pino";
import type { Server } from "node:https";
import { Alerting } from "./alerts/alerting.ts";
import { buildApi } from "./api/server.ts";
import type { ConsoleFiles } from "./api/console.ts";
import type { ListenerTls } from "./auth/listener-tls.ts";
import { type Oidc, openOidc } from "./auth/oidc.ts";
import type { OidcSettings } from "./auth/oidc-settings.ts";
import { Sessions } from "./auth/session.ts";
import { logSignIn, openSignIn } from "./auth/sign-in.ts";
import { signMark } from "../model/stress-mark.ts";
import type { Base } from "./base.ts";
import { BaseReader } from "./base-reader.ts";
import { Commands } from "./commands.ts";
import { Desk } from "./desk.ts";
import { Drains, drainsNow } from "./drains.ts";
import { Leadership } from "./leadership.ts";
import { FleetFigures } from "./fleet-figures.ts";
import { Intake } from "./intake.ts";
import { FigureRelay } from "./publish/figure-relay.ts";
import { Gateways } from "./publish/gateways.ts";
import { Peers } from "./publish/peers.ts";
import { Publisher } from "./publish/publisher.ts";
import { Roster } from "./publish/roster.ts";
import { Refused } from "./refused.ts";
import { SafetyGate } from "./safety-gate.ts";
import { Engine } from "./runbook/engine.ts";
import type { Prometheus } from "./prometheus.ts";
import { type HookOptions, Hooks } from "./runbook/hooks.ts";
import { newsOf, type PlanTurn, PlanWatch } from "./runbook/plan-watch.ts";
import { Sight } from "./runbook/sight.ts";
import { type Store, Unavailable } from "./store/store.ts";
import { StressRuns } from "./stress/runs.ts";
import { Tokens } from "./tokens.ts";

export interface ControlPlaneOptions {
  readonly store: Store;
  readonly host: string;
  readonly port: number;
  /** Signs what gateways are told. */
  readonly signingKey: KeyObject;
  /** Applied when the store has no revision yet. */
  readonly firstBase: Base | undefined;
  readonly dev: boolean;
  /** Other control planes may use the same store. */
  readonly shared: boolean;
  /** People of an identity provider; undefined: none. */
  readonly oidc: OidcSettings | undefined;
  /** Undefined: plain HTTP. */
  readonly tls: ListenerTls | undefined;
  /** Systems that plans may call. */
  readonly hooks: Omit<HookOptions, "now">;
  /** Whom rollouts ask for numbers of the user's own; undefined: nobody. */
  readonly prometheus: Prometheus | undefined;
  /** A variable of the environment that alerts may use. */
  readonly secret: (name: string) => string | undefined;
  /** Undefined: nobody has built it. */
  readonly console: ConsoleFiles | undefined;
  readonly version: string;
  /** This process, unlike any other. */
  readonly holder: string;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly monotonic: () => number;
  readonly random: (bytes: number) => Buffer;
  readonly log: Logger;
}

/** Streams hear of each other so often (ms); expiries are looked for as often. */
const TICK = 1_000;
/** Executions look at the clock so often (ms); gateways that acknowledge wake them at once. */
const RUNBOOK_TICK = 100;
/** What could not be read is read again after this (ms). */
const READ_AGAIN = 5_000;
/** What gateways counted is handed on so often (ms), and is with the others after so many seconds. */
const RELAY_TICK = 500;
const RELAYED = 2;
/** Commands that were done are looked through so often (ms). */
const FORGET_EVERY = 60_000;

export class ControlPlane {
  readonly #options: ControlPlaneOptions;
  readonly #leadership: Leadership;
  readonly #desk: Desk;
  readonly #reader = new BaseReader();
  readonly #commands: Commands;
  readonly #tokens: Tokens;
  readonly #publisher: Publisher;
  readonly #gateways: Gateways;
  readonly #roster: Roster;
  readonly #intake: Intake;
  readonly #gate: SafetyGate;
  readonly #drains: Drains;
  readonly #hooks: Hooks;
  readonly #sight: Sight;
  readonly #engine: Engine;
  readonly #planWatch: PlanWatch;
  readonly #alerting: Alerting;
  readonly #stress: StressRuns;
  readonly #oidc: Oidc | undefined;
  #api: FastifyInstance | undefined;
  #timer: NodeJS.Timeout | undefined;
  #runbook: NodeJS.Timeout | undefined;
  readonly #peers: Peers | undefined;
  readonly #relay: FigureRelay | undefined;
  #relaying: NodeJS.Timeout | undefined;
  #stopWatching = (): void => {};
  #published = "";
  /**
   * The newest epoch after whose beginning the store was read. What held before may not be told under it: gateways
   * would go back to what an earlier leader has replaced.
   */
  #told = 0;
  #forgetAt = Number.NEGATIVE_INFINITY;
  /** Why the store does not answer. */
  #outage: string | undefined;
  /** Why what others wrote could not be taken over. */
  #unread: string | undefined;
  #readAgainAt = Number.POSITIVE_INFINITY;

  constructor(options: ControlPlaneOptions) {
    this.#options = options;
    const { store, now, log } = options;
    this.#leadership = new Leadership({
      store,
      holder: options.holder,
      monotonic: options.monotonic,
      onChange: (epoch) => this.#onLeadership(epoch),
      onError: (error) => this.#storeFailed(error),
    });
    this.#tokens = new Tokens(store, now);
    this.#commands = new Commands(store, now);
    this.#publisher = new Publisher(options.signingKey, now);
    this.#gateways = new Gateways(now, options.monotonic);
    this.#roster = new Roster(store, now);
    this.#intake = new Intake(new FleetFigures(options.monotonic, options.shared ? RELAYED : 0));
    this.#gate = new SafetyGate(store, this.#gateways, now);
    this.#desk = new Desk({
      store,
      now,
      monotonic: options.monotonic,
      epoch: () => this.#leadership.epoch,
      outage: () => this.#outage,
      check: (draft, deed) => this.#gate.pass(draft, deed),
      read: (base, purpose) => this.#reader.read(base, purpose),
    });
    this.#drains = new Drains({
      store,
      now,
      epoch: () => this.#leadership.epoch,
      write: (change) => this.#desk.write(change),
    });
    this.#hooks = new Hooks({ ...options.hooks, now });
    this.#sight = new Sight({ ...options, figures: this.#intake.figures, gateways: this.#gateways });
    this.#engine = new Engine({
      desk: this.#desk,
      store,
      gateways: this.#gateways,
      sight: this.#sight,
      hooks: this.#hooks,
      now,
      monotonic: options.monotonic,
      epoch: () => this.#leadership.epoch,
      onError: (error) => this.#engineFailed(error),
      read: (base) => this.#reader.read(base, "change"),
    });
    this.#planWatch = new PlanWatch({
      hooks: this.#hooks,
      monotonic: options.monotonic,
      config: () => this.#desk.standing?.config,
      tell: (turns) => this.#tellOfPlans(turns),
    });
    this.#alerting = new Alerting({
      ...options,
      hosts: options.hooks.hosts,
      desk: this.#desk,
      engine: this.#engine,
      sight: this.#sight,
      hooks: this.#hooks,
      figures: this.#intake.figures,
      gateways: this.#gateways,
      planWatch: this.#planWatch,
      violations: (draft, deed) => this.#gate.violations(draft, deed),
      epoch: () => this.#leadership.epoch,
    });
    this.#stress = new StressRuns({
      ...options,
      desk: this.#desk,
      figures: this.#intake.figures,
      gateways: this.#gateways,
      epoch: () => this.#leadership.epoch,
    });
    this.#oidc = openOidc(options.oidc, options);
    const { holder, monotonic } = options;
    this.#peers = options.shared ? new Peers(store, this.#gateways, holder, monotonic) : undefined;
    const relay = { store, holder, monotonic, add: this.#intake.add };
    this.#relay = options.shared ? new FigureRelay(relay) : undefined;
    this.#desk.onStanding = ({ revision }) => {
      const { number, cause, author, reason } = revision;
      log.info({ revision: number, cause, author, reason }, "a revision holds");
      this.#publish();
    };
  }

  get desk(): Desk {
    return this.#desk;
  }

  get tokens(): Tokens {
    return this.#tokens;
  }

  get port(): number {
    const address = this.#api?.server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  /** @throws Refused when the first configuration is invalid · Error when the port is taken or the store is gone */
  async start(): Promise<void> {
    const { store, log, host, port, firstBase, now, monotonic, random, dev, tls, version } = this.#options;
    await this.#leadership.start();
    await this.#read();
    if (this.#unread !== undefined) throw new Error(this.#unread);
    if (this.#desk.standing === undefined && firstBase !== undefined) await this.#applyFirst(firstBase);
    const sealing = { ...this.#options, secure: tls !== undefined };
    this.#api = await buildApi({
      desk: this.#desk,
      reader: this.#reader,
      store,
      commands: this.#commands,
      tokens: this.#tokens,
      publisher: this.#publisher,
      gateways: this.#gateways,
      roster: this.#roster,
      ...{ intake: this.#intake, figures: this.#intake.figures, relay: this.#relay },
      stress: this.#stress,
      mint: (mark) => signMark(mark, this.#options.signingKey),
      engine: this.#engine,
      sight: this.#sight,
      hooks: this.#hooks,
      alerting: this.#alerting,
      violations: (draft, deed) => this.#gate.violations(draft, deed),
      ...{ now, monotonic, random, dev, tls, version },
      epoch: () => this.#leadership.epoch,
      oidc: this.#oidc,
      ...{ sessions: new Sessions(sealing), signIn: openSignIn(this.#options.oidc, sealing) },
      console: this.#options.console,
      onSignIn: (who) => logSignIn(log, who),
      onError: (error) => log.error({ error: error.stack }, "a defect, caught; please report it"),
    });
    this.#stopWatching = store.onChange(() => this.#changed());
    if (this.#relay !== undefined) this.#relaying = setInterval(() => this.#hand("say"), RELAY_TICK);
    this.#timer = setInterval(() => this.#tick(), TICK);
    this.#runbook = setInterval(() => {
      this.#engine.wake();
      this.#stress.look().catch((error: Error) => this.#storeFailed(error));
    }, RUNBOOK_TICK);
    this.#gateways.onNews = () => this.#engine.wake();
    this.#options.tls?.attach(this.#api.server as unknown as Server);
    this.#oidc?.start();
    await this.#api.listen({ host, port });
    this.#reader.warm();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    clearInterval(this.#runbook);
    clearInterval(this.#relaying);
    this.#stopWatching();
    this.#publisher.close();
    await this.#api?.close();
    this.#oidc?.stop();
    this.#options.tls?.stop();
    await this.#peers?.stop().catch((error: Error) => this.#storeFailed(error));
    await this.#relay?.stop().catch((error: Error) => this.#storeFailed(error));
    await this.#reader.stop();
    await this.#leadership.stop();
    await this.#options.store.close();
  }

  async #applyFirst(base: Base): Promise<void> {
    const actor = { name: "tidegate", from: "", overrides: [] };
    try {
      await this.#desk.apply(base, 0, "the configuration that it was started with", actor);
    } catch (error) {
      // Another control plane of the same store was quicker.
      if (!(error instanceof Refused) || !["conflict", "not-leader"].includes(error.kind)) throw error;
      await this.#read();
    }
  }

  /** Reads what others wrote. */
  async #read(): Promise<void> {
    this.#readAgainAt = Number.POSITIVE_INFINITY;
    const epoch = this.#leadership.observed;
    try {
      await this.#tokens.refresh();
      await this.#desk.refresh();
      this.#told = Math.max(this.#told, epoch);
      this.#publish();
      if (this.#outage !== undefined) this.#options.log.info("the store answers again");
      this.#outage = undefined;
      this.#unread = undefined;
    } catch (error) {
      this.#readAgainAt = this.#options.monotonic() + READ_AGAIN;
      if (error instanceof Refused) this.#refusedToRead(error);
      else this.#storeFailed(error as Error);
    }
  }

  #changed(): void {
    void this.#read();
    this.#hand("hear");
  }

  #hand(what: "say" | "hear"): void {
    this.#relay?.[what]().catch((error: Error) => this.#storeFailed(error));
  }

  /** Gateways keep what they serve, and this control plane goes on with what it knew. */
  #refusedToRead({ message }: Refused): void {
    if (this.#unread === message) return;
    this.#unread = message;
    const reason = `${message}; read again every ${READ_AGAIN / 1000} s`;
    this.#options.log.error({ reason }, "what the store holds cannot be taken over");
  }

  #engineFailed(error: Error): void {
    if (error instanceof Unavailable) this.#storeFailed(error);
    else this.#options.log.error({ error: error.stack }, "a defect of the runbook engine; please report it");
  }

  #storeFailed(error: Error): void {
    if (this.#outage !== undefined) return;
    this.#outage = error.message;
    this.#options.log.error(
      { reason: error.message },
      "the store does not answer; gateways serve on, and changes are refused until it does",
    );
  }

  #onLeadership(epoch: number | undefined): void {
    if (epoch !== undefined) this.#options.log.info({ epoch }, "this control plane leads");
    else this.#options.log.info({ epoch: this.#leadership.observed }, "another control plane leads");
    void this.#read();
  }

  #publish(): void {
    const { standing } = this.#desk;
    const epoch = this.#told;
    if (standing === undefined || epoch === 0) return;
    const what = `${epoch} ${standing.revision.number}`;
    if (what === this.#published) return;
    this.#published = what;
    this.#publisher.publish(standing.config, standing.revision.number, epoch);
  }

  #tick(): void {
    this.#publisher.beat();
    if (this.#options.monotonic() >= this.#readAgainAt) void this.#read();
    this.#hand("hear");
    this.#peers?.tick().catch((error: Error) => this.#storeFailed(error));
    this.#roster.look(this.#gateways).catch((error: Error) => this.#storeFailed(error));
    void this.#alerting.look();
    if (this.#leadership.epoch === undefined) return;
    const { log } = this.#options;
    this.#unlessRefused(this.#desk.expire(), ({ stack }) => log.error({ error: stack }, "expiry failed"));
    this.#unlessRefused(this.#drains.look(drainsNow(this.#desk, this.#gateways)));
    const notLooked = ({ stack }: Error): void => log.error({ error: stack }, "plans were not looked at");
    this.#unlessRefused(this.#planWatch.look(), notLooked);
    const now = this.#options.monotonic();
    if (now < this.#forgetAt) return;
    this.#forgetAt = now + FORGET_EVERY;
    this.#unlessRefused(this.#forget());
  }

  /** What is refused is tried again with the next tick. */
  #unlessRefused(done: Promise<unknown>, tell = (error: Error): void => this.#storeFailed(error)): void {
    done.catch((error: Error) => {
      if (!(error instanceof Refused)) tell(error);
    });
  }

  async #tellOfPlans(turns: readonly PlanTurn[]): Promise<void> {
    const epoch = this.#leadership.epoch;
    if (epoch === undefined) return;
    const events = newsOf(turns, this.#options.now(), this.#options.log);
    await this.#desk.write({ epoch, events });
  }

  /** Commands of yesterday are not sent again, and gateways that are long gone are not asked. */
  async #forget(): Promise<void> {
    const deletes = [...(await this.#commands.superfluous()), ...(await this.#roster.superfluous())];
    const epoch = this.#leadership.epoch;
    if (deletes.length > 0 && epoch !== undefined) await this.#desk.write({ epoch, deletes });
  }
}
