/**
 * A control plane without sockets: the real engine, desk, gateways' book and peers over one real store; its lease, its
 * streams and its clock are simulated, and it is killed wherever it hurts. @see control-plane/control-plane.ts
 */
import type { Base } from "../../control-plane/base.ts";
import { Desk } from "../../control-plane/desk.ts";
import type { Standing } from "../../control-plane/draft.ts";
import { FleetFigures } from "../../control-plane/fleet-figures.ts";
import { Gateways } from "../../control-plane/publish/gateways.ts";
import { Peers } from "../../control-plane/publish/peers.ts";
import { Roster } from "../../control-plane/publish/roster.ts";
import { Engine } from "../../control-plane/runbook/engine.ts";
import type { Caller } from "../../control-plane/runbook/hooks.ts";
import { Sight } from "../../control-plane/runbook/sight.ts";
import type { SqliteStore } from "../../control-plane/store/sqlite-store.ts";
import { type Commit, type Leadership, type Store, Unavailable } from "../../control-plane/store/store.ts";
import type { Edition, Gateway } from "./gateway.ts";
import { Process, type World } from "./world.ts";

export const BEGINNING = 1_800_000_000_000;
const LEASE = 3_000;
const MARGIN = 500;

/** One gateway's stream from one control plane. */
export interface Stream {
  readonly plane: Plane;
  readonly gateway: Gateway;
  /** The gateway's, when it connected. */
  readonly life: number;
  /** Messages come in their order. */
  heardAt: number;
  isOpen: boolean;
  isBroken: boolean;
}

export interface PlaneOptions {
  readonly world: World;
  readonly disk: SqliteStore;
  /** Applied where there is nothing yet. */
  readonly base: Base;
  readonly hooks: (plane: Plane) => Caller;
  readonly edition: (plane: Plane, epoch: number) => Edition;
  /** Called after every commit. */
  readonly onCommit: () => void;
  readonly flaws: PlaneFlaws;
}

/** How it breaks the protocol. */
export interface PlaneFlaws {
  /** It waits for no acknowledgement. */
  readonly isDeaf?: boolean;
  /** It knows of no gateway but those that speak to it. */
  readonly isNew?: boolean;
  /** It tells gateways what it last read under its own leadership, before it has read what the leader before wrote. */
  readonly isEarly?: boolean;
}

/** Whose acknowledgements nobody waits for. */
class Deaf extends Gateways {
  override convergence(): ReturnType<Gateways["convergence"]> {
    return { live: 1, behind: [], refused: [] };
  }

  override live(): ReturnType<Gateways["live"]> {
    return this.list();
  }
}

export class Plane extends Process {
  readonly #options: PlaneOptions;
  /** Of its wall clock, against the others'. */
  skew = 0;
  /** It dies at its n-th commit from now, before it is written or after. */
  kill: { left: number; readonly when: "before" | "after" } | undefined;
  onDeath = (): void => {};
  readonly defects: string[] = [];
  /** Undefined until it was started. */
  desk!: Desk;
  engine!: Engine;
  gateways!: Gateways;
  #peers!: Peers;
  #roster!: Roster;
  #lease: Leadership | undefined;
  #until = Number.NEGATIVE_INFINITY;
  #observed = 0;
  /** The newest epoch after whose beginning the store was read. */
  #told = 0;
  #published = "";
  readonly #streams = new Map<Stream, number>();

  constructor(name: string, options: PlaneOptions) {
    super(name);
    this.#options = options;
  }

  get epoch(): number | undefined {
    return this.#options.world.now < this.#until ? this.#lease?.epoch : undefined;
  }

  get standing(): Standing | undefined {
    return (this.desk as Desk | undefined)?.standing;
  }

  get isLeading(): boolean {
    return this.isAlive && this.frozenUntil <= this.#options.world.now && this.epoch !== undefined;
  }

  /** @returns when it has begun; it goes on in simulated time */
  start(): Promise<void> {
    if (!this.isAlive) this.life++;
    const { world, hooks } = this.#options;
    const now = (): number => Math.floor(BEGINNING + world.now + this.skew);
    const monotonic = (): number => world.now;
    const store = this.#store(this.life);
    [this.#lease, this.#until, this.#published] = [undefined, 0, ""];
    [this.#observed, this.#told] = [0, 0];
    this.gateways = this.#options.flaws.isDeaf ? new Deaf(now, monotonic) : new Gateways(now, monotonic);
    this.#roster = new Roster(store, now);
    this.#peers = new Peers(store, this.gateways, `${this.name}/${this.life}`, monotonic);
    const epoch = (): number | undefined => this.epoch;
    const check = async () => ({ puts: [], audit: [] });
    this.desk = new Desk({ store, now, monotonic, epoch, check });
    this.desk.onStanding = () => this.#publish();
    const { desk, gateways } = this;
    const sight = new Sight({ figures: new FleetFigures(monotonic), gateways, monotonic });
    const engine = new Engine({
      ...{ desk, store, gateways, sight, hooks: hooks(this), now, monotonic, epoch },
      onError: (error) => {
        if (!(error instanceof Unavailable)) this.defects.push(error.stack ?? error.message);
      },
    });
    this.engine = engine;
    this.gateways.onNews = () => {
      if (this.engine === engine && this.isAlive) engine.wake();
    };
    void this.#ask(store).then(() => this.read());
    this.#every(1_000, () => this.#ask(store));
    this.#every(500, async () => {
      if (this.desk.standing !== undefined || this.epoch === undefined) return;
      await this.desk.apply(this.#options.base, 0, "the first", ANN).catch(() => {});
    });
    this.#every(1_000, () => this.#peers.tick().catch(() => {}));
    this.#every(1_000, () => this.#beat());
    this.#every(2_000, () => this.read());
    this.#every(100, () => (this.epoch === undefined ? undefined : this.engine.tick()));
    return settled();
  }

  die(): void {
    for (const stream of this.#streams.keys()) {
      if (!this.#options.world.isCut(this.name, stream.gateway.name)) stream.isBroken = true;
    }
    this.#streams.clear();
    this.life++;
    this.frozenUntil = 0;
    this.#until = Number.NEGATIVE_INFINITY;
    this.kill = undefined;
    this.onDeath();
  }

  /** Somebody wrote. */
  hear(): Promise<void> {
    void this.read();
    return settled();
  }

  async read(): Promise<void> {
    const epoch = this.#observed;
    try {
      await this.desk.refresh();
    } catch {
      return;
    }
    this.#told = Math.max(this.#told, epoch);
    this.#publish();
  }

  /** @internal A gateway's stream is opened. */
  listen(stream: Stream): Promise<void> {
    void this.#listen(stream);
    return settled();
  }

  async #listen(stream: Stream): Promise<void> {
    const { name } = stream.gateway;
    // It has come twice, or its gateway has given it up.
    if (stream.isBroken || stream.isOpen) return;
    stream.isOpen = true;
    try {
      if (await this.#roster.enter(name)) await this.desk.refresh();
    } catch {
      stream.isBroken = true;
      return;
    }
    // It was given up meanwhile.
    if (stream.isBroken) return;
    this.#streams.set(stream, this.gateways.connected(name)!);
    this.#push(stream, this.#edition());
  }

  /** @internal */
  closed(stream: Stream): unknown {
    const number = this.#streams.get(stream);
    if (number === undefined) return undefined;
    this.#streams.delete(stream);
    this.gateways.disconnected(stream.gateway.name, number);
    return settled();
  }

  /** @internal */
  acked(name: string, { epoch, revision }: { epoch: number; revision: number }): Promise<void> {
    this.gateways.acked(name, { epoch, revision, outcome: "applied", reasons: [] });
    return settled();
  }

  /** @internal */
  reported(name: string, { epoch, revision }: { epoch: number; revision: number }): Promise<void> {
    this.gateways.reported(name, { epoch, revision, units: {} });
    return settled();
  }

  #every(milliseconds: number, act: () => unknown): void {
    const { world } = this.#options;
    const again = (): Promise<void> => {
      world.on(this, milliseconds, again);
      void act();
      return settled();
    };
    world.on(this, world.between(0, milliseconds), again);
  }

  #edition(): Edition | undefined {
    const epoch = this.#options.flaws.isEarly ? this.#observed : this.#told;
    if (this.desk.standing === undefined || epoch === 0) return undefined;
    return this.#options.edition(this, epoch);
  }

  #publish(): void {
    const edition = this.isAlive ? this.#edition() : undefined;
    if (edition === undefined || this.#published === `${edition.epoch} ${edition.revision}`) return;
    this.#published = `${edition.epoch} ${edition.revision}`;
    for (const stream of this.#streams.keys()) this.#push(stream, edition);
  }

  #beat(): void {
    for (const stream of this.#streams.keys()) this.#push(stream, undefined);
  }

  #push(stream: Stream, edition: Edition | undefined): void {
    const { world } = this.#options;
    const { gateway } = stream;
    // What a stream has lost it does not make good.
    if (world.isCut(this.name, gateway.name)) stream.isBroken = true;
    if (stream.isBroken || gateway.life !== stream.life) return;
    const again = world.chance(world.loss) ? world.between(200, 800) : 0;
    stream.heardAt = Math.max(stream.heardAt, world.now + world.delay() + again);
    const deliver = (): void => gateway.hear(stream, edition);
    world.on(gateway, stream.heardAt - world.now, deliver);
    // More than a stream would do: what was said before is said again.
    if (edition !== undefined && world.chance(world.twice))
      world.on(gateway, world.between(0, 3_000), deliver);
  }

  async #ask(store: Store): Promise<void> {
    const asked = this.#options.world.now;
    try {
      const before = this.#observed;
      this.#lease = await store.lead(`${this.name}/${this.life}`, LEASE);
      this.#until = this.#lease === undefined ? Number.NEGATIVE_INFINITY : asked + LEASE - MARGIN;
      this.#observed = Math.max(before, this.#lease?.epoch ?? (await store.leader())?.epoch ?? 0);
      if (this.#observed === before) return;
      this.#publish();
      await this.read();
    } catch {
      // It leads as long as its lease lasts.
    }
  }

  /** The store as this process reaches it, while it lives. */
  #store(life: number): Store {
    const { world, disk, flaws } = this.#options;
    return new Proxy<Store>(disk, {
      get: (target, name) => {
        const value = Reflect.get(target, name) as unknown;
        if (typeof value !== "function") return value;
        return async (...args: unknown[]) => {
          const isGone = (): boolean => this.life !== life || world.isCut(this.name, "store");
          // There and back; who dies on the way hears of nothing any more.
          const travel = async (): Promise<void> => {
            const delay = world.chance(0.03) ? world.between(5, 300) : world.between(0.1, 2);
            await new Promise<void>((resolve) => {
              const arrive = (): Promise<void> => {
                resolve();
                return settled();
              };
              world.on(this, delay, arrive, life);
            });
            if (isGone()) throw new Unavailable("gone");
          };
          await travel();
          if (name !== "commit") {
            const isBlind = flaws.isNew === true && name === "documents" && args[0] === "gateway";
            const result = isBlind ? [] : ((await value.apply(target, args)) as unknown);
            await travel();
            return result;
          }
          const { kill } = this;
          const dies = kill !== undefined && (args[0] as Commit).epoch !== undefined && --kill.left <= 0;
          if (dies && kill.when === "before") this.die();
          if (isGone()) throw new Unavailable("killed");
          await target.commit(args[0] as Commit);
          this.#options.onCommit();
          if (dies && kill.when === "after") this.die();
          // Written, and nobody is told.
          if (dies || world.chance(world.loss / 4)) throw new Unavailable("lost");
          await travel();
          return undefined;
        };
      },
    });
  }
}

export const ANN = { name: "ann", from: "127.0.0.1", overrides: [] };

/** What was begun in this process has come as far as it can. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
