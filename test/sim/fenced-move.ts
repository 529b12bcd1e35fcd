/**
 * Slots move while clients write, the network loses, delays and repeats, gateways and control planes crash and freeze,
 * and somebody commands plans: whatever happens, no two units accept a slot's writes in overlapping epochs, no write
 * that was acknowledged is lost, and everything ends.
 */
import { needed } from "../../control-plane/draft.ts";
import { Refused } from "../../control-plane/refused.ts";
import * as command from "../../control-plane/runbook/commands.ts";
import { EXECUTION, type Execution, isLive } from "../../control-plane/runbook/execution.ts";
import type { Caller, HookResult } from "../../control-plane/runbook/hooks.ts";
import { checkAlone, executionOf, prepare } from "../../control-plane/runbook/preparation.ts";
import { Unavailable } from "../../control-plane/store/store.ts";
import { SqliteStore } from "../../control-plane/store/sqlite-store.ts";
import { compileFences } from "../../model/fences.ts";
import { slotOf } from "../../model/hash.ts";
import { compileTable } from "../../model/table.ts";
import { type Edition, type Flaws, Gateway } from "./gateway.ts";
import { ANN, BEGINNING, Plane, type PlaneFlaws, settled } from "./plane.ts";
import { ALL_HARMS, type Fleet, type Harm, harm } from "./harms.ts";
import { DataSystem, Ledger, Unit } from "./units.ts";
import { World } from "./world.ts";

export interface Settings {
  /** Units guard themselves, and the operator goes on without gateways that cannot be reached. */
  readonly guards: boolean;
  readonly planes: number;
  readonly clients?: number;
  /** All gateways begin at the same control plane. */
  readonly together?: boolean;
  /** Share of the messages that are lost; undefined: by the seed, at most 5 %. */
  readonly loss?: number;
  /** What goes wrong; undefined: everything. */
  readonly harms?: readonly Harm[];
  readonly flaws: Flaws &
    PlaneFlaws & {
      /** Data is said to be there at once. */
      readonly isHasty?: boolean;
      /** Units take whatever comes, while the operator counts on their guards. */
      readonly isUnguarded?: boolean;
    };
}

export interface Outcome {
  readonly seed: number;
  readonly violations: readonly string[];
  /** Acknowledged, and not in the data of who owns them now. */
  readonly lost: number;
  readonly unfinished: readonly string[];
  readonly defects: readonly string[];
  /** How much happened: a run in which nothing does proves nothing. */
  readonly seen: {
    readonly writes: number;
    readonly acknowledged: number;
    readonly held: number;
    readonly cutOff: number;
    readonly executions: number;
    readonly switches: number;
    readonly leaders: number;
    readonly simulated: number;
    readonly events: number;
  };
}

const UNITS = ["hz", "sh", "sz"];
const SLOTS = 12;
const HOME = Array.from({ length: SLOTS }, (_, slot) => UNITS[Math.floor(slot / 4)]!);
const PLANS: Readonly<Record<string, string>> = {
  left: 'steps: [ { move: 0-3, to: sz, batch: 2, catch-up: "https://data/x", timeout: 8s } ]',
  right:
    'steps: [ { move: "8-9", to: hz, batch: 1, pause: 300ms, catch-up: "https://data/x", timeout: 8s } ]',
  off: 'steps: [ { evacuate: sh, to: "hz,sz", batch: 2, catch-up: "https://data/x", timeout: 8s } ]\non-failure: revert',
};
const FLEET = `fleet: sim
regions: { r: {} }
units: { hz: { region: r, center: true }, sh: { region: r }, sz: { region: r } }
placement: { key: [ { query: uid } ], slots: ${SLOTS}, map: { hz: 0-3, sh: 4-7, sz: 8-11 } }
services:
  cart:
    health: none
    pools: { ${UNITS.map((u, i) => `${u}: { stable: [ "http://127.0.0.1:${i + 1}" ] }`).join(", ")} }
`;
const BASE = new Map([
  ["fleet.yaml", FLEET],
  ["routes.yaml", "routes: [ { name: cart, match: { path: /cart/* }, service: cart, scope: sharded } ]\n"],
  ...Object.entries(PLANS).map(
    ([name, text]) => [`plans/${name}.yaml`, `summary: s\nowner: ann\n${text}\n`] as const,
  ),
]);
/** Until then it is bad; then it heals, and everything has to end by `DEADLINE`. */
const CHAOS = 22_000;
const DEADLINE = 150_000;

export class FencedMove {
  readonly world: World;
  readonly #settings: Settings;
  readonly #disk: SqliteStore;
  readonly #ledger = new Ledger();
  readonly #units: readonly Unit[];
  readonly #planes: readonly Plane[];
  readonly #gateways: Gateway[];
  readonly #data: DataSystem;
  /** Revision → what gateways make of it. */
  readonly #tables = new Map<number, Omit<Edition, "epoch">>();
  #writes = 0;
  #isOver = false;
  readonly #tries = new Map<string, number>();
  #leaders = new Set<number>();

  constructor(seed: number, settings: Settings) {
    this.#settings = settings;
    const world = new World(seed);
    this.world = world;
    this.#disk = new SqliteStore(":memory:", () => BEGINNING + world.now);
    const guards = settings.guards && settings.flaws.isUnguarded !== true;
    this.#units = UNITS.map((name) => new Unit(name, world, this.#ledger, guards));
    this.#data = new DataSystem(world, this.#units, HOME, settings.flaws.isHasty === true);
    this.#planes = Array.from({ length: settings.planes }, (_, i) => this.#plane(`cp-${i + 1}`));
    this.#gateways = [0, 1, 2].map((i) => this.#gateway(`gw-${i + 1}`, settings.together ? 0 : i));
  }

  async run(): Promise<Outcome> {
    const { world } = this;
    // Data follows at once, or seconds later.
    const lag = world.pick([40, 200, 1_500]);
    for (const unit of this.#units) unit.start(this.#units, lag);
    for (const [i, plane] of this.#planes.entries()) world.at(i * 50, () => plane.start());
    for (const gateway of this.#gateways) gateway.start();
    for (let client = 0; client < (this.#settings.clients ?? 8); client++) this.#client(`u${client}`);
    for (const unit of this.#settings.guards ? this.#units : []) this.#follow(unit);
    await world.run(1_500);
    const loss = world.pick([0, 0.01, 0.05]);
    [world.loss, world.twice] = [this.#settings.loss ?? loss, world.pick([0, 0.02, 0.1])];
    harm(() => this.#fleet, this.#settings.harms ?? ALL_HARMS, CHAOS - 1_000);
    this.#operate();
    await world.run(CHAOS);
    [world.loss, world.twice] = [0, 0];
    world.heal();
    for (const gateway of this.#gateways) gateway.isDiskFull = false;
    await world.run(DEADLINE, () => this.#isOver);
    // What is under way ends, and replication does.
    await world.run(world.now + 5_000);
    const outcome = await this.#outcome();
    await this.#disk.close();
    return outcome;
  }

  get #fleet(): Fleet {
    const join = (): void => {
      const one = this.#gateway(`gw-${this.#gateways.length + 1}`, Math.floor(this.world.between(0, 9)));
      this.#gateways.push(one);
      one.start();
    };
    const others = [...this.#units, this.#data];
    return { world: this.world, gateways: this.#gateways, planes: this.#planes, others, join };
  }

  #plane(name: string): Plane {
    const { world } = this;
    const plane: Plane = new Plane(name, {
      ...{ world, disk: this.#disk, base: BASE, flaws: this.#settings.flaws },
      hooks: (one) => this.#hooks(one),
      edition: (one, epoch) => this.#edition(one, epoch),
      onCommit: () => {
        for (const one of this.#planes) {
          if (one.isAlive && !world.isCut(one.name, "store")) world.on(one, world.delay(), () => one.hear());
        }
      },
    });
    plane.onDeath = () => {
      const back = (): Promise<void> => plane.start();
      world.at(world.between(200, 5_000), back);
    };
    return plane;
  }

  #gateway(name: string, url: number): Gateway {
    return new Gateway(name, this.world, this.#planes, this.#units, this.#settings.flaws, url);
  }

  #edition(plane: Plane, epoch: number): Edition {
    const { revision, config } = needed(plane.desk.standing);
    let known = this.#tables.get(revision.number);
    if (known === undefined) {
      const { placement } = config.fleet;
      known = {
        ...{ revision: revision.number, digest: revision.effective, table: compileTable(config) },
        ...{ fences: compileFences(placement), placementEpoch: placement.epoch },
      };
      this.#tables.set(revision.number, known);
    }
    return { ...known, epoch };
  }

  /** Calls of a control plane reach the data system, or do not. */
  #hooks(plane: Plane): Caller {
    const { world } = this;
    return {
      refusal: () => undefined,
      call: (_call, about, key) =>
        new Promise<HookResult>((resolve) => {
          const life = plane.life;
          let isAnswered = false;
          const answer = (result: HookResult): Promise<void> | undefined => {
            if (isAnswered) return undefined;
            isAnswered = true;
            resolve(result);
            return settled();
          };
          world.send(plane.name, this.#data, () => {
            const result = this.#data.answer(about, key);
            if (!world.isCut(plane.name, "data")) world.on(plane, world.delay(), () => answer(result), life);
          });
          world.on(plane, 1_000, () => answer({ ok: false, reason: "no answer in 1 s" }), life);
        }),
    };
  }

  #client(key: string): void {
    const { world } = this;
    const write = (): void => {
      const serving = this.#gateways.filter(({ isServing }) => isServing);
      const again = (): void => world.at(world.between(5, 120), write);
      if (serving.length === 0) {
        again();
        return;
      }
      const id = this.#writes++;
      let isAnswered = false;
      const hear = (status: number): void => {
        if (isAnswered) return;
        isAnswered = true;
        if (status === 200) this.#ledger.acknowledge(slotOf(key, SLOTS), id);
        again();
      };
      const gateway = world.pick(serving);
      world.on(gateway, world.delay(), () =>
        gateway.take({ id, key }, (status) => world.at(world.delay(), () => hear(status))),
      );
      world.at(4_000, () => hear(0));
    };
    write();
  }

  /** A unit that guards itself asks any control plane what the placement is. */
  #follow(unit: Unit): void {
    const { world } = this;
    const plane = world.pick(this.#planes);
    world.send(unit.name, plane, () => {
      const { standing } = plane;
      if (standing === undefined) return;
      const known = { revision: standing.revision.number, placement: standing.config.fleet.placement };
      world.send(plane.name, unit, () => unit.learn(known));
    });
    world.at(world.between(100, 500), () => this.#follow(unit));
  }

  /** Somebody who runs plans, stops them, takes them back, and after the worst is over sees to it that they end. */
  #operate(): void {
    const { world } = this;
    const act = async (): Promise<void> => {
      const leader = this.#planes.find((plane) => plane.isLeading && plane.standing !== undefined);
      if (leader?.epoch !== undefined) this.#leaders.add(leader.epoch);
      const isCalm = world.now > CHAOS;
      try {
        if (leader !== undefined) await (isCalm ? this.#finish(leader) : this.#command(leader));
      } catch (error) {
        if (!(error instanceof Refused || error instanceof Unavailable))
          leader?.defects.push((error as Error).stack ?? "");
      }
    };
    const again = (): Promise<void> => {
      if (!this.#isOver) world.at(world.now > CHAOS ? 700 : world.between(100, 2_500), again);
      void act();
      return settled();
    };
    world.at(world.between(0, 500), again);
  }

  async #command(plane: Plane): Promise<void> {
    const { world } = this;
    const live = await plane.engine.live();
    const all = await this.#executions();
    const one = all.length === 0 ? undefined : world.pick(all);
    if (live.length === 0 || world.chance(0.4) || one === undefined) {
      const plan = world.pick(Object.keys(PLANS));
      const request = { plan, values: {}, reason: "a test", supersedes: undefined };
      const { config } = needed(plane.desk.standing);
      const prepared = prepare(request, config, this.#hooks(plane));
      await plane.engine.start((id, others) => {
        checkAlone(prepared, config, others, undefined);
        return executionOf(id, prepared, request, ANN, this.#wall(plane), undefined);
      }, none);
      return;
    }
    const now = this.#wall(plane);
    const without = this.#settings.guards ? lostOf(one) : [];
    const change = world.pick<(execution: Execution) => Execution>([
      (execution) => command.resume(execution, without),
      (execution) => command.resume(execution, without),
      command.pause,
      (execution) => command.abort(execution, now),
      (execution) => command.revert(execution, "ann"),
      (execution) => command.skip(execution, undefined, "skipped", now),
    ]);
    await plane.engine.command(one.id, change, ANN, "test", "", none);
  }

  /** Goes on with what stands still, until nothing lives. */
  async #finish(plane: Plane): Promise<void> {
    const live = (await this.#executions()).filter(isLive);
    for (const { id, state } of live) {
      if (state !== "held" && state !== "paused") continue;
      // What does not get on is given up.
      const tries = (this.#tries.get(id) ?? 0) + 1;
      this.#tries.set(id, tries);
      const now = this.#wall(plane);
      const change = (one: Execution): Execution =>
        tries > 8 ? command.abort(one, now) : command.resume(one, []);
      await plane.engine.command(id, change, ANN, "test", "", none);
    }
    const middle = (await this.#executions()).filter(({ runs }) =>
      Object.values(runs).some(({ transfers }) => transfers?.some(({ phase }) => phase === "fenced")),
    );
    this.#isOver = live.length === 0 && middle.length === 0 && this.world.now > CHAOS + 2_500;
  }

  #wall(plane: Plane): number {
    return Math.floor(BEGINNING + this.world.now + plane.skew);
  }

  async #executions(): Promise<Execution[]> {
    const stored = await this.#disk.documents(EXECUTION, undefined, 1_000);
    return stored.map(({ body }) => JSON.parse(body) as Execution);
  }

  async #outcome(): Promise<Outcome> {
    const executions = await this.#executions();
    const leader = this.#planes.find((plane) => plane.isLeading) ?? this.#planes[0]!;
    const { map, fences = [] } = needed(leader.desk.standing).config.fleet.placement;
    const data = new Map(this.#units.map((unit) => [unit.name, unit.data]));
    const lost = map.reduce((sum, unit, slot) => sum + this.#ledger.lost(slot, data.get(unit)!), 0);
    const unfinished = executions.filter(isLive).map(({ id, state, says }) => `${id} ${state}: ${says}`);
    if (fences.length > 0) unfinished.push("a fence lies though nothing moves");
    const switches = executions
      .flatMap(({ runs }) => Object.values(runs))
      .flatMap(({ transfers }) => transfers ?? [])
      .filter(({ phase }) => phase === "done").length;
    const sum = (of: (gateway: Gateway) => number): number =>
      this.#gateways.reduce((all, one) => all + of(one), 0);
    return {
      ...{ seed: this.world.seed, violations: this.#ledger.violations, lost, unfinished },
      defects: this.#planes.flatMap(({ defects }) => defects),
      seen: {
        ...{ writes: this.#writes, acknowledged: this.#ledger.acknowledged, leaders: this.#leaders.size },
        ...{ held: sum(({ held }) => held), cutOff: sum(({ cutOff }) => cutOff) },
        ...{ executions: executions.length, switches },
        ...{ simulated: this.world.now, events: this.world.events },
      },
    };
  }
}

/** Gateways that it says cannot be reached. */
function lostOf({ says }: Execution): string[] {
  return /--without (\S+)/.exec(says ?? "")?.slice(1) ?? [];
}

const none = (): [] => [];
