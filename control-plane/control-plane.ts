/** A control plane: its parts, how they hang together, and how it starts and stops. */
import type { FastifyInstance } from "fastify";
import type { KeyObject } from "node:crypto";
import type { Logger } from "pino";
import type { Server } from "node:https";
import { buildApi } from "./api/server.ts";
import type { ListenerTls } from "./auth/listener-tls.ts";
import { Oidc } from "./auth/oidc.ts";
import type { OidcSettings } from "./auth/oidc-settings.ts";
import type { Base } from "./base.ts";
import { Commands } from "./commands.ts";
import { Desk } from "./desk.ts";
import { Leadership } from "./leadership.ts";
import { FleetFigures } from "./fleet-figures.ts";
import { Gateways } from "./publish/gateways.ts";
import { Peers } from "./publish/peers.ts";
import { Publisher } from "./publish/publisher.ts";
import { Refused } from "./refused.ts";
import { SafetyGate } from "./safety-gate.ts";
import { Engine } from "./runbook/engine.ts";
import { type HookOptions, Hooks } from "./runbook/hooks.ts";
import { Sight } from "./runbook/sight.ts";
import { type Store, Unavailable } from "./store/store.ts";
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
/** Commands that were done are looked through so often (ms). */
const FORGET_EVERY = 60_000;

export class ControlPlane {
  readonly #options: ControlPlaneOptions;
  readonly #leadership: Leadership;
  readonly #desk: Desk;
  readonly #commands: Commands;
  readonly #tokens: Tokens;
  readonly #publisher: Publisher;
  readonly #gateways: Gateways;
  readonly #figures: FleetFigures;
  readonly #gate: SafetyGate;
  readonly #hooks: Hooks;
  readonly #sight: Sight;
  readonly #engine: Engine;
  readonly #oidc: Oidc | undefined;
  #api: FastifyInstance | undefined;
  #timer: NodeJS.Timeout | undefined;
  #runbook: NodeJS.Timeout | undefined;
  readonly #peers: Peers | undefined;
  #stopWatching = (): void => {};
  #published = "";
  #forgetAt = Number.NEGATIVE_INFINITY;
  #storeIsDown = false;

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
    this.#gateways = new Gateways(now);
    this.#figures = new FleetFigures(options.monotonic);
    this.#gate = new SafetyGate(store, this.#gateways, now);
    this.#desk = new Desk({
      store,
      now,
      monotonic: options.monotonic,
      epoch: () => this.#leadership.epoch,
      check: (draft, deed) => this.#gate.pass(draft, deed),
    });
    this.#hooks = new Hooks({ ...options.hooks, now });
    this.#sight = new Sight({ figures: this.#figures, gateways: this.#gateways });
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
    });
    this.#oidc = this.#makeOidc();
    const { holder, monotonic } = options;
    this.#peers = options.shared ? new Peers(store, this.#gateways, holder, monotonic) : undefined;
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
    const { store, log, host, port, firstBase } = this.#options;
    await this.#leadership.start();
    await this.#read();
    if (this.#desk.standing === undefined && firstBase !== undefined) await this.#applyFirst(firstBase);
    this.#api = await buildApi({
      desk: this.#desk,
      store,
      commands: this.#commands,
      tokens: this.#tokens,
      publisher: this.#publisher,
      gateways: this.#gateways,
      figures: this.#figures,
      engine: this.#engine,
      sight: this.#sight,
      hooks: this.#hooks,
      violations: (draft, deed) => this.#gate.violations(draft, deed),
      now: this.#options.now,
      random: this.#options.random,
      epoch: () => this.#leadership.epoch,
      dev: this.#options.dev,
      oidc: this.#oidc,
      tls: this.#options.tls,
      version: this.#options.version,
      onError: (error) => log.error({ error: error.stack }, "a defect, caught; please report it"),
    });
    this.#stopWatching = store.onChange(() => void this.#read());
    this.#timer = setInterval(() => this.#tick(), TICK);
    this.#runbook = setInterval(() => this.#engine.wake(), RUNBOOK_TICK);
    this.#gateways.onNews = () => this.#engine.wake();
    this.#options.tls?.attach(this.#api.server as unknown as Server);
    this.#oidc?.start();
    await this.#api.listen({ host, port });
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    clearInterval(this.#runbook);
    this.#stopWatching();
    this.#publisher.close();
    await this.#api?.close();
    this.#oidc?.stop();
    this.#options.tls?.stop();
    await this.#peers?.stop().catch((error: Error) => this.#storeFailed(error));
    await this.#leadership.stop();
    await this.#options.store.close();
  }

  #makeOidc(): Oidc | undefined {
    const { oidc, log, now, monotonic } = this.#options;
    if (oidc === undefined) return undefined;
    const { issuer } = oidc;
    const onChange = (reason: string | undefined): void => {
      if (reason === undefined) log.info({ issuer }, "the identity provider answers again");
      else
        log.warn({ issuer, reason }, "the identity provider's keys cannot be had; tokens of our own work on");
    };
    return new Oidc({ ...oidc, now, monotonic, onChange });
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
    try {
      await this.#tokens.refresh();
      await this.#desk.refresh();
      if (this.#storeIsDown) this.#options.log.info("the store answers again");
      this.#storeIsDown = false;
    } catch (error) {
      this.#storeFailed(error as Error);
    }
  }

  #engineFailed(error: Error): void {
    if (error instanceof Unavailable) this.#storeFailed(error);
    else this.#options.log.error({ error: error.stack }, "a defect of the runbook engine; please report it");
  }

  #storeFailed(error: Error): void {
    if (this.#storeIsDown) return;
    this.#storeIsDown = true;
    this.#options.log.error(
      { reason: error.message },
      "the store does not answer; gateways serve on, and changes are refused until it does",
    );
  }

  #onLeadership(epoch: number | undefined): void {
    if (epoch !== undefined) this.#options.log.info({ epoch }, "this control plane leads");
    else this.#options.log.info({ epoch: this.#leadership.observed }, "another control plane leads");
    this.#publish();
  }

  #publish(): void {
    const { standing } = this.#desk;
    const epoch = this.#leadership.observed;
    if (standing === undefined || epoch === 0) return;
    const what = `${epoch} ${standing.revision.number}`;
    if (what === this.#published) return;
    this.#published = what;
    this.#publisher.publish(standing.config, standing.revision.number, epoch);
  }

  #tick(): void {
    this.#publisher.beat();
    this.#peers?.tick().catch((error: Error) => this.#storeFailed(error));
    if (this.#leadership.epoch === undefined) return;
    this.#desk.expire().catch((error: Error) => {
      if (!(error instanceof Refused)) this.#options.log.error({ error: error.stack }, "expiry failed");
    });
    const now = this.#options.monotonic();
    if (now < this.#forgetAt) return;
    this.#forgetAt = now + FORGET_EVERY;
    this.#forget().catch((error: Error) => {
      if (!(error instanceof Refused)) this.#storeFailed(error);
    });
  }

  /** Commands of yesterday are not sent again. */
  async #forget(): Promise<void> {
    const deletes = await this.#commands.superfluous();
    const epoch = this.#leadership.epoch;
    if (deletes.length > 0 && epoch !== undefined) await this.#desk.write({ epoch, deletes });
  }
}
