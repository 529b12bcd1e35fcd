/**
 * The runbook engine: the leader drives every execution that lives, one commit at a time.
 *
 * What an execution is stands in the store; here is only what was read of it. Who becomes the leader reads it and goes on;
 * who was deposed writes nothing any more, because its commits carry the epoch of its leadership.
 */
import type { Desk, OverlayChanges } from "../desk.ts";
import { needed, type OverlaySet, type Standing } from "../draft.ts";
import type { Gateways } from "../publish/gateways.ts";
import { Roster } from "../publish/roster.ts";
import { Refused } from "../refused.ts";
import { type PutDocument, type Store, Unavailable } from "../store/store.ts";
import type { Base } from "../base.ts";
import { Book, type Held, isAtRest, MOST_LIVE } from "./book.ts";
import { Calls } from "./calls.ts";
import { Driver } from "./driver.ts";
import { expired, provenAt, succeeded } from "./ending.ts";
import { EXECUTION, type Execution, ownerOf, withEntry } from "./execution.ts";
import type { Caller } from "./hooks.ts";
import { isFinished, isMidTransfer } from "./program.ts";
import { filed } from "../rehearsals/on-traffic.ts";
import { Rollouts } from "../rollouts/rolling.ts";
import { unitsOf } from "../rollouts/suspension.ts";
import { pause } from "./commands.ts";
import { auditOf, type Commanded, newsOf, put } from "./record.ts";
import { proven } from "./proof.ts";
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
  /** Makes a base quick to read; undefined: it is read where it is needed. */
  readonly read?: (base: Base) => Promise<unknown>;
}

/** Small steps of one execution in one go, so that none holds the others up. */
const STRIDE = 50;

/** A change of an execution that somebody commands. */
export type Change = (execution: Execution) => Execution;

/** An execution that begins in the place of another: one commit ends that one and begins this one. */
export interface Succession {
  readonly id: string;
  readonly change: Change;
}

export class Engine {
  readonly #options: EngineOptions;
  readonly #driver: Driver;
  readonly #timers: Timers;
  readonly #rollouts: Rollouts;
  readonly #book: Book;
  readonly #calls: Calls;
  /** One begins at a time: each is held against those that live. */
  #starting: Promise<unknown> = Promise.resolve();
  #isDriving = false;
  #isWoken = false;

  constructor(options: EngineOptions) {
    this.#options = options;
    const { gateways, sight, hooks, store, now, monotonic } = options;
    this.#book = new Book(options);
    this.#calls = new Calls(hooks, () => this.wake());
    this.#timers = new Timers(now, monotonic);
    this.#rollouts = new Rollouts(sight.evidence);
    this.#driver = new Driver({
      gateways,
      sight,
      calls: this.#calls,
      rollouts: this.#rollouts,
      read: options.read ?? (async () => {}),
      blob: (digest) => options.store.blob(digest),
      roster: new Roster(store, now),
      ledFor: () => this.#book.ledFor,
      timers: this.#timers,
      now,
    });
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
        await this.#book.lead();
        if (this.#book.epoch === undefined) return;
        await Promise.all(this.#book.all.map((held) => this.#inTurn(held, () => this.#drive(held))));
        for (const id of await this.#book.forget()) this.#forget(id);
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
    await this.#book.leading();
    return this.#book.live;
  }

  /** All that are kept, as this leader knows them; of who does not lead, as it knew them. */
  get all(): Execution[] {
    return this.#book.all.map(({ execution }) => execution);
  }

  /** One of them, as this leader knows it. @throws Refused when it does not lead */
  async find(id: string): Promise<Execution | undefined> {
    await this.#book.leading();
    return this.all.find((execution) => execution.id === id);
  }

  /** When a plan went through to its end last, for real; undefined: never, or not since executions are kept. */
  async provenAt(plan: string): Promise<number | undefined> {
    await this.#book.leading();
    return provenAt(this.all, plan);
  }

  /**
   * @param make given the id that is next, those that live, and the one whose place it takes
   * @throws Refused as `make` does, too
   */
  async start(
    make: (id: string, live: readonly Execution[], superseded: Execution | undefined) => Execution,
    also: (made: Execution) => readonly PutDocument[],
    supersedes?: Succession,
  ): Promise<Execution> {
    await this.#book.leading();
    const begin = async (): Promise<Execution> => {
      const { live } = this.#book;
      if (live.length >= MOST_LIVE && supersedes === undefined) {
        throw new Refused("too-many", `${MOST_LIVE} executions live already; let some end first`);
      }
      if (supersedes === undefined) return await this.#begin(make(this.#book.nextId, live, undefined), also);
      const other = this.#book.get(supersedes.id);
      return await this.#inTurn(other, async () => {
        await this.#settle(other);
        const made = make(this.#book.nextId, this.#book.live, other.execution);
        const what = `superseded by ${made.id}: ${made.reason}`;
        const entry = { at: this.#options.now(), by: made.owner.name, what };
        const ended = withEntry(supersedes.change(other.execution), entry);
        return await this.#begin(made, also, { held: other, ended });
      });
    };
    const turn = this.#starting.then(begin, begin);
    this.#starting = turn.catch(() => {});
    const execution = await turn;
    if (execution.rollout === undefined && execution.rehearsal === undefined) await this.#suspend(execution);
    this.wake();
    return execution;
  }

  async #begin(
    made: Execution,
    also: (made: Execution) => readonly PutDocument[],
    other?: { readonly held: Held; readonly ended: Execution },
  ): Promise<Execution> {
    const held = this.#book.add(made);
    const started: Commanded = { action: "execution.start", reason: "", by: made.owner };
    try {
      await this.#inTurn(held, () => this.#write(held, made, also(made), started, other));
    } catch (error) {
      // Nobody was told of it; whether it is there is looked up, and then it is driven.
      if (!held.inDoubt) this.#book.drop(made);
      throw error;
    }
    return made;
  }

  /** Rollouts in units that a plan comes to stand still, until somebody resumes them. */
  async #suspend({ id, plan, owner, steps }: Execution): Promise<void> {
    const units = unitsOf(steps);
    for (const { execution: rollout } of this.#book.all) {
      if (rollout.rollout === undefined || rollout.state !== "running") continue;
      const both = rollout.rollout.waves.flat().find((unit) => units.has(unit));
      if (both === undefined) continue;
      const reason = `${id} (plan ${plan.name}) works on ${both}`;
      const suspended: Change = (one) => ({ ...pause(one), says: `suspended: ${reason}` });
      await this.command(rollout.id, suspended, owner, "pause", reason, () => []).catch((error: Error) => {
        // It has just ended, or cannot be written: then it does not go on either.
        if (!(error instanceof Refused)) throw error;
      });
    }
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
    await this.#book.leading();
    const held = this.#book.get(id);
    const changed = await this.#inTurn(held, async () => {
      await this.#settle(held);
      const { now, sight, desk } = this.#options;
      const what = reason === "" ? action : `${action}: ${reason}`;
      const entry = { at: now(), by: by.name, what, figures: sight.moment(desk.standing) };
      const next = withEntry(change(held.execution), entry);
      await this.#write(held, next, also(next), { action: `execution.${action}`, reason, by });
      return next;
    });
    this.wake();
    return changed;
  }

  async #drive(held: Held): Promise<void> {
    const { execution } = held;
    if (isAtRest(held) && !held.inDoubt) return;
    try {
      await this.#settle(held);
      const writer = this.#writer(held);
      for (let i = 0; i < STRIDE; i++) {
        if (await this.#step(held, writer)) continue;
        if (isAtRest(held)) this.#forget(execution.id);
        return;
      }
      this.#isWoken = true;
    } catch (error) {
      if (!(error instanceof Refused) && !(error instanceof Unavailable)) throw error;
      // Somebody was quicker, another leads, or the store is gone: it is read again before anything else is done.
      held.inDoubt = true;
    }
  }

  async #step(held: Held, writer: Writer): Promise<boolean> {
    const { execution } = held;
    const at = this.#options.now();
    if (execution.state === "reverting") {
      const result = await this.#driver.revert(writer);
      if (result !== "done") return result;
      await writer.save(proven(held.execution, writer.standing, at));
      return false;
    }
    if (execution.state === "succeeded") return await this.#expire(writer, at);
    if (await this.#driver.drive(writer)) return true;
    const isDone = execution.state === "running" && isFinished(execution.steps, execution.runs);
    if (!isDone && execution.state !== "aborted") return false;
    // Whoever aborts does not stop in the middle of a batch.
    if (Object.values(execution.runs).some(isMidTransfer)) return false;
    if (await this.#lift(writer)) return true;
    if (!isDone) return false;
    await writer.save(succeeded(execution, at));
    return false;
  }

  #forget(id: string): void {
    this.#timers.forget(id);
    this.#calls.forget(id);
    this.#rollouts.forget(id);
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
    await writer.save(expired(execution, at, this.#options.sight.moment(writer.standing)));
    return true;
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

  /** @param other ends in the same commit */
  async #write(
    held: Held,
    next: Execution,
    also: readonly PutDocument[],
    commanded?: Commanded,
    other?: { readonly held: Held; readonly ended: Execution },
  ): Promise<void> {
    const at = this.#options.now();
    const epoch = this.#options.epoch();
    if (epoch === undefined || (this.#book.epoch !== undefined && epoch !== this.#book.epoch)) {
      throw new Refused("not-leader", "this control plane does not lead now; try again in a few seconds");
    }
    const before = held.version === 0 ? undefined : held.execution;
    const { standing } = this.#options.desk;
    const puts = [put(next, held.version), ...also, ...filed(before, next, standing)];
    const events = newsOf(before, next, at);
    const audit = commanded === undefined ? [] : [auditOf(before, next, at, commanded)];
    if (other !== undefined) {
      const { held: lost, ended } = other;
      puts.push(put(ended, lost.version));
      events.push(...newsOf(lost.execution, ended, at));
      const superseded = { action: "execution.supersede", reason: next.reason, by: next.owner };
      audit.push(auditOf(lost.execution, ended, at, superseded));
    }
    const write = (): Promise<void> => this.#options.desk.write({ epoch, puts, events, audit });
    await this.#careful(held, () => (other === undefined ? write() : this.#careful(other.held, write)));
    this.#took(held, next);
    if (other !== undefined) this.#took(other.held, other.ended);
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

  /** Where it is not known what was written, the store is asked. @throws Refused when it is not there · Unavailable */
  async #settle(held: Held): Promise<void> {
    if (!held.inDoubt) return;
    const stored = await this.#options.store.document(EXECUTION, held.execution.id);
    await this.#options.desk.refresh();
    if (stored === undefined) {
      this.#book.drop(held.execution);
      throw new Refused("not-found", `${held.execution.id} was never begun, or is forgotten`);
    }
    held.execution = JSON.parse(stored.body) as Execution;
    held.version = stored.version;
    held.inDoubt = false;
  }

  #inTurn<T>(held: Held, act: () => Promise<T>): Promise<T> {
    const turn = held.queue.then(act, act);
    held.queue = turn.catch(() => {});
    return turn;
  }
}
