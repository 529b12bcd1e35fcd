/**
 * The runbook engine: the leader drives every execution that lives, one commit at a time.
 *
 * What an execution is stands in the store; here is only what was read of it. Who becomes the leader reads it and goes on;
 * who was deposed writes nothing any more, because its commits carry the epoch of its leadership.
 */
import type { OverlaySet } from "../draft.ts";
import type { Desk, OverlayChanges } from "../desk.ts";
import { needed, type Standing } from "../draft.ts";
import type { Gateways } from "../publish/gateways.ts";
import { Refused } from "../refused.ts";
import { type PutDocument, type Store, type StoredDocument, Unavailable } from "../store/store.ts";
import { effective } from "../../model/effective.ts";
import { digestOf } from "../base.ts";
import { Driver } from "./driver.ts";
import { EXECUTION, type Execution, isLive, ownerOf, withEntry } from "./execution.ts";
import type { Caller } from "./hooks.ts";
import { isFinished } from "./program.ts";
import type { Sight } from "./sight.ts";
import { Timers } from "./timers.ts";
import type { Writer } from "./writer.ts";

export interface EngineOptions {
  readonly desk: Desk;
  readonly store: Store;
  readonly gateways: Gateways;
  readonly sight: Sight;
  readonly hooks: Caller;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly monotonic: () => number;
  /** The leadership to write under; undefined while this control plane does not lead. */
  readonly epoch: () => number | undefined;
  readonly onError: (error: Error) => void;
}

/** Executions that live at once, and those that are kept after they ended. */
export const MOST_LIVE = 200;
export const MOST_ENDED = 1_000;
const PAGE = 200;
/** Small steps of one execution in one go, so that none holds the others up. */
const STRIDE = 50;

interface Held {
  execution: Execution;
  version: number;
  /** It is not known whether the last write was done. */
  inDoubt: boolean;
  queue: Promise<unknown>;
}

/** A change of an execution that somebody commands. */
export type Change = (execution: Execution) => Execution;

export class Engine {
  readonly #options: EngineOptions;
  readonly #driver: Driver;
  readonly #timers: Timers;
  readonly #held = new Map<string, Held>();
  #epoch: number | undefined;
  #newest = 0;
  #isDriving = false;
  #isWoken = false;

  constructor(options: EngineOptions) {
    this.#options = options;
    const { gateways, sight, hooks, now, monotonic } = options;
    this.#timers = new Timers(now, monotonic);
    this.#driver = new Driver({ gateways, sight, hooks, timers: this.#timers, now, wake: () => this.wake() });
  }

  /** Takes the next steps of all that live. Called often; cheap where nothing is due. */
  async tick(): Promise<void> {
    if (this.#isDriving) {
      this.#isWoken = true;
      return;
    }
    this.#isDriving = true;
    try {
      do {
        this.#isWoken = false;
        await this.#lead();
        if (this.#epoch === undefined) return;
        await Promise.all(
          [...this.#held.values()].map((held) => this.#inTurn(held, () => this.#drive(held))),
        );
      } while (this.#isWoken);
    } catch (error) {
      this.#options.onError(error as Error);
    } finally {
      this.#isDriving = false;
    }
  }

  wake(): void {
    void this.tick();
  }

  /** Those that live, as this leader knows them. @throws Refused when it does not lead */
  async live(): Promise<readonly Execution[]> {
    await this.#leading();
    return [...this.#held.values()].map(({ execution }) => execution).filter(isLive);
  }

  /** @param make given the id that is next @throws Refused */
  async start(
    make: (id: string) => Execution,
    also: (made: Execution) => readonly PutDocument[],
  ): Promise<Execution> {
    await this.#leading();
    const live = [...this.#held.values()].filter(({ execution }) => isLive(execution));
    if (live.length >= MOST_LIVE) {
      throw new Refused("too-many", `${MOST_LIVE} executions live already; let some end first`);
    }
    this.#newest += 1;
    const execution = make(`ex-${this.#newest}`);
    const held: Held = { execution, version: 0, inDoubt: false, queue: Promise.resolve() };
    await this.#inTurn(held, () => this.#write(held, execution, also(execution), "execution.start", ""));
    this.#held.set(execution.id, held);
    this.wake();
    return execution;
  }

  /** Changes one that is there, in one commit with `also`. @throws Refused */
  async command(
    id: string,
    change: Change,
    by: { readonly name: string; readonly from: string },
    action: string,
    reason: string,
    also: (made: Execution) => readonly PutDocument[],
  ): Promise<Execution> {
    await this.#leading();
    const held = this.#held.get(id);
    if (held === undefined)
      throw new Refused("not-found", `there is no execution ${id}; tidegate plan status lists them`);
    const changed = await this.#inTurn(held, async () => {
      await this.#settle(held);
      const entry = {
        at: this.#options.now(),
        by: by.name,
        what: reason === "" ? action : `${action}: ${reason}`,
      };
      const next = withEntry(change(held.execution), entry);
      await this.#write(held, next, also(next), `execution.${action}`, reason, by);
      return next;
    });
    this.wake();
    return changed;
  }

  /** @throws Refused */
  async #leading(): Promise<void> {
    await this.#lead();
    if (this.#epoch === undefined) {
      throw new Refused("not-leader", "this control plane does not lead now; try again in a few seconds");
    }
  }

  /** Reads everything when it becomes the leader, and forgets it when it is no longer. */
  async #lead(): Promise<void> {
    const epoch = this.#options.epoch();
    if (epoch === this.#epoch) return;
    this.#held.clear();
    this.#epoch = undefined;
    if (epoch === undefined) return;
    await this.#options.desk.refresh();
    let after: string | undefined;
    let page: StoredDocument[];
    do {
      page = await this.#options.store.documents(EXECUTION, after, PAGE);
      for (const { body, version } of page) {
        const execution = JSON.parse(body) as Execution;
        this.#held.set(execution.id, { execution, version, inDoubt: false, queue: Promise.resolve() });
        this.#newest = Math.max(this.#newest, Number(execution.id.slice(3)));
      }
      after = page.at(-1)?.id;
    } while (page.length === PAGE);
    this.#epoch = epoch;
  }

  async #drive(held: Held): Promise<void> {
    if (!isLive(held.execution) && !this.#isEnding(held.execution)) return;
    try {
      await this.#settle(held);
      const writer = this.#writer(held);
      for (let i = 0; i < STRIDE; i++) if (!(await this.#step(held, writer))) return;
      this.#isWoken = true;
    } catch (error) {
      if (!(error instanceof Refused) && !(error instanceof Unavailable)) throw error;
      // Somebody was quicker, another leads, or the store is gone: it is read again before anything else is done.
      held.inDoubt = true;
    }
  }

  /** Whether time ends what it laid. */
  #isEnding({ state, expiresAt, says }: Execution): boolean {
    return state === "aborted" || (state === "succeeded" && expiresAt !== undefined && says !== ASKS);
  }

  async #step(held: Held, writer: Writer): Promise<boolean> {
    const { execution } = held;
    const at = this.#options.now();
    if (execution.state === "reverting") {
      const result = await this.#driver.revert(writer);
      if (result !== "done") return result;
      await writer.save(this.#reverted(held.execution, writer.standing, at));
      this.#timers.forget(execution.id);
      return false;
    }
    if (execution.state === "succeeded") return await this.#expire(writer, at);
    if (await this.#driver.drive(writer)) return true;
    const isDone = execution.state === "running" && isFinished(execution.steps, execution.runs);
    if (!isDone && execution.state !== "aborted") return false;
    if (await this.#lift(writer)) return true;
    if (!isDone) return false;
    const { after } = execution.plan.expires ?? {};
    const expiry = after === undefined ? {} : { expiresAt: at + after };
    const entry = { at, by: "tidegate", what: "succeeded" };
    await writer.save(withEntry({ ...execution, ...expiry, state: "succeeded", endedAt: at }, entry));
    return false;
  }

  /** Fences do not outlive what laid them. */
  async #lift(writer: Writer): Promise<boolean> {
    const { execution, standing } = writer;
    const fences = standing.overlays.filter(
      (o) => o.change.kind === "fence" && execution.overlays.includes(o.id),
    );
    if (fences.length === 0) return false;
    const ids = fences.map(({ id }) => id);
    await writer.change({ lay: [], remove: ids }, `end of ${ownerOf(execution)}`, () => ({
      ...execution,
      overlays: execution.overlays.filter((id) => !ids.includes(id)),
    }));
    return true;
  }

  async #expire(writer: Writer, at: number): Promise<boolean> {
    const { execution } = writer;
    const { plan, endedAt = at } = execution;
    if (plan.expires === undefined) return false;
    if (!this.#timers.isOver(`${execution.id} expiry`, endedAt, plan.expires.after)) return false;
    const reverts = plan.expires.end === "revert";
    const entry = { at, by: "tidegate", what: reverts ? "its time is over: reverting" : ASKS };
    const next: Execution = reverts ? { ...execution, state: "reverting" } : { ...execution, says: ASKS };
    await writer.save(withEntry(next, entry));
    return true;
  }

  /** What holds is what would hold had it never run: computed from the base and what others laid. */
  #reverted(execution: Execution, { baseConfig, overlays, config }: Standing, at: number): Execution {
    const others = overlays.filter(({ id }) => !execution.overlays.includes(id));
    const bare = (one: typeof config): string => {
      const { epoch: _, ...placement } = one.fleet.placement;
      return digestOf(JSON.stringify({ ...one, fleet: { ...one.fleet, placement } }));
    };
    const proof = { effective: bare(config), without: bare(effective(baseConfig, others).config) };
    const isExact = proof.effective === proof.without;
    const what = isExact
      ? "reverted: what holds is what would hold without it"
      : "reverted, but something is left";
    const entry = { at, by: "tidegate", what };
    return withEntry(
      { ...execution, state: isExact ? "reverted" : "held", says: what, endedAt: at, proof },
      entry,
    );
  }

  #writer(held: Held): Writer {
    const { desk } = this.#options;
    return {
      get execution() {
        return held.execution;
      },
      get standing() {
        return needed(desk.standing);
      },
      save: (next) => this.#write(held, next, []),
      change: async (
        set: OverlaySet,
        reason: string,
        next: (made: Standing & OverlayChanges) => Execution,
      ) => {
        const { execution, version } = held;
        const owner = ownerOf(execution);
        const actor = { name: owner, from: execution.owner.from, overrides: [] };
        let made: Execution = execution;
        await this.#careful(held, () =>
          desk.change(set, owner, reason, actor, (changed) => {
            made = next(changed);
            return [put(made, version)];
          }),
        );
        this.#took(held, made);
      },
    };
  }

  async #write(
    held: Held,
    next: Execution,
    also: readonly PutDocument[],
    action?: string,
    reason = "",
    by: { readonly name: string; readonly from: string } = next.owner,
  ): Promise<void> {
    const at = this.#options.now();
    const epoch = this.#options.epoch();
    if (epoch === undefined || (this.#epoch !== undefined && epoch !== this.#epoch)) {
      throw new Refused("not-leader", "this control plane does not lead now; try again in a few seconds");
    }
    const { id, state, plan } = next;
    const last = next.timeline.at(-1);
    const isNews = last !== held.execution.timeline.at(-1) || held.version === 0;
    const body = JSON.stringify({
      execution: id,
      plan: plan.name,
      state,
      step: last?.step,
      what: last?.what,
    });
    await this.#careful(held, () =>
      this.#options.desk.write({
        epoch,
        puts: [put(next, held.version), ...also],
        events: isNews ? [{ at, type: "execution", body }] : [],
        audit:
          action === undefined
            ? []
            : [
                {
                  at,
                  actor: by.name,
                  from: by.from,
                  action,
                  target: `${plan.name} ${id}`,
                  reason: action === "execution.start" ? next.reason : reason,
                  before: held.version === 0 ? "null" : JSON.stringify({ state: held.execution.state }),
                  after: JSON.stringify({ state, values: next.values, digest: next.digest }),
                },
              ],
      }),
    );
    this.#took(held, next);
  }

  #took(held: Held, next: Execution): void {
    held.execution = next;
    held.version++;
  }

  async #careful<T>(held: Held, act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (error) {
      if (!(error instanceof Refused) || ["conflict", "not-leader", "store"].includes(error.kind))
        held.inDoubt = true;
      throw error;
    }
  }

  /** Where it is not known what was written, the store is asked. @throws Unavailable */
  async #settle(held: Held): Promise<void> {
    if (!held.inDoubt) return;
    const stored = await this.#options.store.document(EXECUTION, held.execution.id);
    await this.#options.desk.refresh();
    if (stored !== undefined) {
      held.execution = JSON.parse(stored.body) as Execution;
      held.version = stored.version;
    }
    held.inDoubt = false;
  }

  #inTurn<T>(held: Held, act: () => Promise<T>): Promise<T> {
    const turn = held.queue.then(act, act);
    held.queue = turn.catch(() => {});
    return turn;
  }
}

const ASKS = "its time is over: revert it, or leave it";

function put(execution: Execution, version: number): PutDocument {
  return { kind: EXECUTION, id: execution.id, body: JSON.stringify(execution), expect: version };
}
