/**
 * A plan run wholly in simulation: the very engine, desk and rules, on a copy of what holds, in a time of its own. Gateways
 * and units are figures, calls to systems of the user's own are taken to be answered well, approvals to be given.
 */
import { eachStep } from "../../model/plan-step.ts";
import type { Load } from "../../model/projection.ts";
import type { Overlay } from "../../model/overlay.ts";
import { Desk } from "../desk.ts";
import { type Actor, type Draft, needed, type Standing } from "../draft.ts";
import { FleetFigures } from "../fleet-figures.ts";
import { Gateways } from "../publish/gateways.ts";
import { Refused } from "../refused.ts";
import * as command from "../runbook/commands.ts";
import { Engine } from "../runbook/engine.ts";
import type { Execution } from "../runbook/execution.ts";
import type { Caller } from "../runbook/hooks.ts";
import { checkRequired, executionOf, type PlanRequest, type Prepared } from "../runbook/preparation.ts";
import { Sight } from "../runbook/sight.ts";
import type { Deed } from "../safety-gate.ts";
import { SqliteStore } from "../store/sqlite-store.ts";
import type { Violation } from "../../model/safety-check.ts";
import { digestOfTouched, type Rehearsal } from "./rehearsal.ts";
import { SimulatedFleet } from "./simulated-fleet.ts";

export interface SimulateOptions {
  readonly violations: (draft: Draft, deed: Deed) => readonly Violation[];
  readonly load: Load;
  readonly unhealthy: ReadonlySet<string>;
  readonly writes: number;
  /** Names of the gateways. */
  readonly gateways: readonly string[];
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Milliseconds of a clock that nobody sets: a simulation ends after `LONGEST` of them. */
  readonly monotonic: () => number;
}

/** Milliseconds that a rehearsal may take of whoever asked for it. */
const LONGEST = 20_000;
/** Times that it looks: once in `FINE` milliseconds where something comes on, else once in `COARSE` times that. */
const MOST_LOOKS = 20_000;
const FINE = 100;
const COARSE = 3_000;

/** @throws Refused when a precondition does not hold */
export async function simulate(
  prepared: Prepared,
  request: PlanRequest,
  standing: Standing,
  actor: Actor,
  options: SimulateOptions,
): Promise<Rehearsal> {
  const world = await World.of(standing, options);
  try {
    return await world.rehearse(prepared, request, actor);
  } finally {
    await world.close();
  }
}

class World {
  readonly #options: SimulateOptions;
  readonly #store: SqliteStore;
  readonly #desk: Desk;
  readonly #engine: Engine;
  readonly #sight: Sight;
  readonly #fleet: SimulatedFleet;
  readonly #endsAt: number;
  #passed = 0;
  #error: Error | undefined;

  static async of(standing: Standing, options: SimulateOptions): Promise<World> {
    const world = new World(options);
    const lease = Number.MAX_SAFE_INTEGER / 4;
    await world.#store.lead("rehearsal", lease);
    const me = { name: "rehearsal", from: "", overrides: [] };
    await world.#desk.apply(standing.base, 0, "what holds", me);
    // Under names that no overlay of the rehearsal is given.
    const restore = standing.overlays.map((one, i): Overlay => ({ ...one, id: `before-${i + 1}` }));
    await world.#desk.change({ lay: [], remove: [], restore }, "rehearsal", "what lies", me);
    return world;
  }

  private constructor(options: SimulateOptions) {
    this.#options = options;
    const { violations, gateways: names, load, unhealthy, writes } = options;
    const now = (): number => options.now + this.#passed;
    // Clocks that nobody sets begin somewhere, and not at 0.
    const monotonic = (): number => 1_000_000 + this.#passed;
    this.#endsAt = options.monotonic() + LONGEST;
    this.#store = new SqliteStore(":memory:", now);
    const gateways = new Gateways(now);
    const figures = new FleetFigures(monotonic);
    const conditions = { unhealthy, writes };
    const known = names.length === 0 ? ["gateway"] : names;
    this.#fleet = new SimulatedFleet({ gateways, figures, names: known, load, conditions });
    this.#sight = new Sight({ figures, gateways, monotonic });
    let isBegun = false;
    this.#desk = new Desk({
      store: this.#store,
      now,
      monotonic,
      epoch: () => 1,
      check: async (draft, deed) => {
        const broken = isBegun ? violations(draft, deed) : [];
        isBegun ||= draft.before !== undefined;
        if (broken.length === 0) return { puts: [], audit: [] };
        throw new Refused("safety", broken.map(({ rule, message }) => `${rule}: ${message}`).join("; "));
      },
    });
    const hooks: Caller = {
      refusal: () => undefined,
      call: async () => ({ ok: true, status: 200, answer: {} }),
    };
    this.#engine = new Engine({
      desk: this.#desk,
      store: this.#store,
      gateways,
      sight: this.#sight,
      hooks,
      now,
      monotonic,
      epoch: () => 1,
      onError: (error) => (this.#error ??= error),
    });
  }

  async rehearse(prepared: Prepared, request: PlanRequest, actor: Actor): Promise<Rehearsal> {
    const { now } = this.#options;
    for (let i = 0; i < 15_000 / FINE; i++) await this.#pass(FINE);
    checkRequired(prepared, this.#standing.config, this.#sight);
    const before = this.#fleet.projection(this.#standing).units;
    const digest = digestOfTouched(prepared.plan, prepared.checked.steps, this.#standing.config);
    const begun = this.#passed;
    const { id } = await this.#engine.start(
      (given) => executionOf(given, prepared, request, actor, now + this.#passed, undefined),
      () => [],
    );
    const ended = await this.#until(id, ["succeeded", "held", "aborted", "reverted"]);
    const took = this.#passed - begun;
    const after = this.#fleet.projection(this.#standing).units;
    const back = await this.#revert(ended);
    const { runs } = ended;
    return {
      plan: prepared.plan.name,
      manner: "simulation",
      values: ended.values,
      at: now,
      by: actor.name,
      reason: request.reason,
      outcome: ended.state,
      reverted: back.state,
      says: ended.state === "succeeded" ? undefined : ended.says,
      took,
      steps: [...eachStep(ended.steps)].map(({ path, title }) => {
        const run = runs[path];
        return {
          path,
          title,
          state: run?.state ?? "not begun",
          took: run?.until === undefined ? undefined : run.until - run.since,
          says: run?.says,
        };
      }),
      before,
      after,
      assumed: [
        "calls of hooks are answered well, and approvals given",
        "every request takes 20 ms, and none fails but for want of a unit",
        `a revision is served everywhere after 260 ms`,
      ],
      digest,
    };
  }

  async close(): Promise<void> {
    await this.#store.close();
  }

  get #standing(): Standing {
    return needed(this.#desk.standing);
  }

  async #revert(ended: Execution): Promise<Execution> {
    if (ended.state === "reverted") return ended;
    const back = (one: Execution): Execution => command.revert(one, "rehearsal");
    const actor = { name: "rehearsal", from: "" };
    await this.#engine.command(ended.id, back, actor, "revert", "rehearsal", () => []);
    return await this.#until(ended.id, ["reverted", "held"]);
  }

  /** @throws Refused when it takes too long */
  async #until(id: string, states: readonly Execution["state"][]): Promise<Execution> {
    let [still, before] = [0, undefined as Execution | undefined];
    for (let look = 0; look < MOST_LOOKS; look++) {
      if (this.#error !== undefined) throw this.#error;
      const execution = (await this.#engine.find(id))!;
      if (states.includes(execution.state)) return execution;
      await this.#approve(execution);
      still = execution === before ? still + 1 : 0;
      before = execution;
      // Where nothing has come on for a minute, in longer and longer steps: a wait of days is a wait.
      const factor = 2 ** Math.max(0, Math.floor((still - 600) / 10));
      await this.#pass(FINE * Math.min(COARSE, factor));
      if (this.#options.monotonic() > this.#endsAt) break;
    }
    throw new Refused("conflict", `the rehearsal of ${id} did not come to an end in ${LONGEST / 1000} s`);
  }

  async #approve({ id, steps, runs, digest }: Execution): Promise<void> {
    const waiting = [...eachStep(steps)].find(
      ({ path, kind }) => kind === "approve" && runs[path]?.state === "running",
    );
    if (waiting?.kind !== "approve") return;
    const given = runs[waiting.path]?.approvals?.length ?? 0;
    const by = { name: `rehearsal ${given + 1}`, role: "admin" as const, from: "" };
    const agree = (one: Execution): Execution =>
      command.approve(one, by, digest, "rehearsal", this.#options.now + this.#passed);
    await this.#engine.command(id, agree, by, "approve", "rehearsal", () => []);
  }

  async #pass(milliseconds: number): Promise<void> {
    const second = Math.floor(this.#passed / 1_000);
    this.#passed += milliseconds;
    this.#fleet.pass(this.#standing, this.#passed, Math.floor(this.#passed / 1_000) > second);
    await this.#engine.tick();
    // Others of this process are answered in between.
    await new Promise((resolve) => setImmediate(resolve));
  }
}
