/** A fleet of the runbook engine without sockets: a real store and desk, gateways that acknowledge, clocks by hand. */
import { readBase } from "../../control-plane/base.ts";
import { Desk } from "../../control-plane/desk.ts";
import { needed, type Standing } from "../../control-plane/draft.ts";
import { Refused } from "../../control-plane/refused.ts";
import { FleetFigures } from "../../control-plane/fleet-figures.ts";
import { Gateways } from "../../control-plane/publish/gateways.ts";
import { Engine } from "../../control-plane/runbook/engine.ts";
import * as command from "../../control-plane/runbook/commands.ts";
import { EXECUTION, type Execution } from "../../control-plane/runbook/execution.ts";
import type { Caller, HookResult } from "../../control-plane/runbook/hooks.ts";
import { checkAlone, executionOf, prepare } from "../../control-plane/runbook/preparation.ts";
import { Sight } from "../../control-plane/runbook/sight.ts";
import { SqliteStore } from "../../control-plane/store/sqlite-store.ts";
import { type Commit, type Store, Unavailable } from "../../control-plane/store/store.ts";
import { fleetYaml, ROUTES } from "./gateway.ts";

export const ANN = { name: "ann", from: "127.0.0.1", overrides: [] };
const LEASE = 1e9;

/** Where a control plane is killed: before its n-th commit is written, or after; or it lives, and is told that it failed. */
export interface Kill {
  readonly commit: number;
  readonly when: "before" | "after" | "unheard";
}

/** A store whose process is killed: from then on it does nothing any more. */
function mortal(
  store: Store,
  kill: Kill | undefined,
): { store: Store; isDead: () => boolean; commits: () => number } {
  let [commits, dead] = [0, false];
  const die = (): never => {
    dead = true;
    throw new Unavailable("killed");
  };
  const proxy = new Proxy(store, {
    get(target, name) {
      const value = Reflect.get(target, name) as unknown;
      if (typeof value !== "function") return value;
      return async (...args: unknown[]) => {
        if (dead) die();
        if (name !== "commit") return value.apply(target, args) as unknown;
        commits++;
        if (kill?.commit === commits && kill.when === "before") die();
        await target.commit(args[0] as Commit);
        if (kill?.commit !== commits) return undefined;
        if (kill.when === "unheard") throw new Unavailable("the answer was lost");
        return die();
      };
    },
  });
  return { store: proxy, isDead: () => dead, commits: () => commits };
}

export class Runbook {
  wall = 1_800_000_000_000;
  monotonic = 5_000;
  readonly disk: SqliteStore;
  readonly #base: ReadonlyMap<string, string>;
  /** Gateway → whether it acknowledges. */
  readonly gatewayNames = new Map<string, boolean>([["gw-1", true]]);
  /** Every call that was made, by key. */
  readonly calls: string[] = [];
  /** What a query has; an error where it is refused. */
  readonly numbers = new Map<string, number | Error>();
  readonly prometheus = {
    number: async (query: string): Promise<number | undefined> => {
      const value = this.numbers.get(query);
      if (value instanceof Error) throw value;
      return value;
    },
  };
  answer: (url: string, key: string) => Promise<HookResult> = async () => ({
    ok: true,
    status: 200,
    answer: {},
  });
  /** Why no change passes the safety rules; undefined: every one does. */
  passes: () => string | undefined = () => undefined;
  readonly errors: Error[] = [];
  gateways = new Gateways(() => this.wall);
  figures = new FleetFigures(() => this.monotonic);
  desk!: Desk;
  engine!: Engine;
  #mortal!: ReturnType<typeof mortal>;
  #epoch = 0;

  /** @param plans name → YAML */
  constructor(plans: Readonly<Record<string, string>>, extra: Readonly<Record<string, string>> = {}) {
    this.disk = new SqliteStore(":memory:", () => this.wall);
    const routes = `${ROUTES}    fallback: { status: 503 }\nlimits:\n  slow: { rate: 100/s, burst: 200 }\n`;
    this.#base = new Map([
      [
        "fleet.yaml",
        fleetYaml({ hz: ["http://127.0.0.1:1"], sh: ["http://127.0.0.1:2"], sz: ["http://127.0.0.1:3"] }),
      ],
      ["routes.yaml", routes],
      ...Object.entries(plans).map(
        ([name, text]) => [`plans/${name}.yaml`, `summary: a test\nowner: ann\n${text}`] as const,
      ),
      ...Object.entries(extra),
    ]);
  }

  get standing(): Standing {
    return needed(this.desk.standing);
  }

  get isDead(): boolean {
    return this.#mortal.isDead();
  }

  get commits(): number {
    return this.#mortal.commits();
  }

  /** A control plane starts, on what the one before it left. */
  async boot(kill?: Kill): Promise<void> {
    await this.disk.resign(`cp-${this.#epoch}`);
    const lease = (await this.disk.lead(`cp-${this.#epoch + 1}`, LEASE))!;
    this.#epoch = lease.epoch;
    this.#mortal = mortal(this.disk, kill);
    const { store } = this.#mortal;
    this.gateways = new Gateways(() => this.wall);
    this.figures = new FleetFigures(() => this.monotonic);
    this.desk = new Desk({
      store,
      now: () => this.wall,
      monotonic: () => this.monotonic,
      epoch: () => lease.epoch,
      check: async () => {
        const refusal = this.passes();
        if (refusal !== undefined) throw new Refused("safety", refusal);
        return { puts: [], audit: [] };
      },
    });
    const hooks: Caller = {
      refusal: () => undefined,
      call: async ({ url }, _about, key) => {
        this.calls.push(key);
        return await this.answer(url, key);
      },
    };
    this.engine = new Engine({
      desk: this.desk,
      store,
      gateways: this.gateways,
      sight: new Sight({
        figures: this.figures,
        gateways: this.gateways,
        prometheus: this.prometheus,
        monotonic: () => this.monotonic,
      }),
      hooks,
      now: () => this.wall,
      monotonic: () => this.monotonic,
      epoch: () => lease.epoch,
      onError: (error) => {
        if (!this.isDead) this.errors.push(error);
      },
    });
    this.desk.onStanding = () => this.acknowledge();
    if ((await this.disk.head()) === 0) {
      const { problems } = readBase(this.#base);
      if (problems.some(({ severity }) => severity === "error")) throw new Error(JSON.stringify(problems));
      await this.desk.apply(this.#base, 0, "the first", ANN);
    } else await this.desk.refresh();
  }

  /** Gateways take what holds now. */
  acknowledge(): void {
    const revision = this.desk.standing?.revision.number ?? 0;
    for (const [name, acks] of this.gatewayNames) {
      this.gateways.connected(name);
      if (acks) this.gateways.acked(name, { epoch: this.#epoch, revision, outcome: "applied", reasons: [] });
    }
  }

  start(
    plan: string,
    values: Readonly<Record<string, string>> = {},
    supersedes?: string,
  ): Promise<Execution> {
    const request = { plan, values, reason: "a test", supersedes };
    const hooks: Caller = { refusal: () => undefined, call: () => this.answer("", "") };
    const supersede = (one: Execution): Execution => command.supersede(one, this.wall);
    return this.engine.start(
      (id, live, superseded) => {
        const prepared = prepare(request, this.standing.config, hooks);
        checkAlone(prepared, this.standing.config, live, supersedes);
        return executionOf(id, prepared, request, ANN, this.wall, superseded);
      },
      () => [],
      supersedes === undefined ? undefined : { id: supersedes, change: supersede },
    );
  }

  /** Small steps, until nothing comes on without time. */
  async settle(): Promise<void> {
    for (let quiet = 0; quiet < 3; ) {
      const before = await this.disk.newestEvent();
      const head = await this.disk.head();
      this.acknowledge();
      await this.engine.tick();
      // Calls are answered in between.
      await new Promise((resolve) => setImmediate(resolve));
      if (this.isDead) return;
      quiet = before === (await this.disk.newestEvent()) && head === (await this.disk.head()) ? quiet + 1 : 0;
    }
  }

  async pass(milliseconds: number): Promise<void> {
    this.wall += milliseconds;
    this.monotonic += milliseconds;
    await this.settle();
  }

  /** As it is stored. */
  async execution(id: string): Promise<Execution> {
    const stored = await this.disk.document(EXECUTION, id);
    if (stored === undefined) throw new Error(`there is no ${id}`);
    return JSON.parse(stored.body) as Execution;
  }

  command(id: string, change: (execution: Execution) => Execution, by = ANN): Promise<Execution> {
    return this.engine.command(id, change, by, "test", "", () => []);
  }
}
