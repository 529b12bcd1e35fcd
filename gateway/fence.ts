/**
 * Writes that are held while their slots move, between `decide` and `admit`.
 *
 * When the fence is lifted, a held write is decided again, on the table that lifted it, and goes to the slot's new unit
 * with the new epoch. A fence that lasts too long refuses it, with 503 and Retry-After.
 *
 * A thread says that it has swapped only when none of the fenced writes that began before is under way any more, whether
 * at a unit, in its line, or between two attempts; those that do not end while the fence holds are cut off. So what a
 * gateway acknowledges means that it holds, and a retry cannot come after it. Nothing is counted per request for this:
 * the list of what waits (deadlines.ts) is looked through at the swap.
 */
import { type Fences, holdOf, isWrite, type Placed } from "../model/fences.ts";
import type { Core } from "./core.ts";
import { Exchange } from "./exchange.ts";
import { type Held, HeldWrite } from "./held-write.ts";

/** Writes held at once by one thread; more are refused at once. */
export const MOST_HELD = 4_096;
/** How often (ms) it is looked whether the writes under way have ended. */
const LOOK = 5;

export class Fence {
  readonly #core: Core;
  /** Shared with the main thread: held now, and under way though fenced. */
  readonly #figures: Int32Array;
  readonly #held = new Set<HeldWrite>();
  #fences: Fences | undefined;
  /** Writes under way that the table fences → when they are cut off. */
  #awaited = new Map<Exchange, number>();
  #timer: NodeJS.Timeout | undefined;

  constructor(core: Core, figures: Int32Array) {
    this.#core = core;
    this.#figures = figures;
    figures.fill(0);
  }

  /** All that a request pays where nothing is fenced. */
  get isUp(): boolean {
    return this.#fences !== undefined;
  }

  /** Milliseconds that it has to wait; 0 where it goes on. */
  holdOf(placed: Placed, writes: boolean): number {
    return writes && this.#fences !== undefined ? holdOf(this.#fences, placed) : 0;
  }

  /** Holds it, or refuses it where too many are held already. */
  hold(held: Held, milliseconds: number): void {
    const write = new HeldWrite(this.#core, held, milliseconds, (one) => {
      this.#held.delete(one);
      this.#figures[0] = this.#held.size;
    });
    if (held.identity.mark !== undefined) {
      write.refuse("stress traffic does not wait for slots that move");
      return;
    }
    if (this.#held.size >= MOST_HELD) {
      write.refuse("too many writes wait for slots that move");
      return;
    }
    this.#held.add(write);
    this.#figures[0] = this.#held.size;
    write.begin();
  }

  /** The table that requests are decided on from now on. */
  install(fences: Fences | undefined): void {
    this.#fences = fences;
  }

  /**
   * A new table is served: what it does not fence any more goes on, in the order in which it came.
   *
   * @param quiet called when none of what it fences is under way; not at all when another table comes before
   */
  swapped(quiet: () => void): void {
    clearTimeout(this.#timer);
    for (const write of [...this.#held]) {
      if (this.holdOf(write.held.decision, write.isWrite) === 0) write.release();
    }
    this.#awaited = this.#underWay();
    if (this.#fences !== undefined) {
      // A tunnel's writes cannot be told apart, let alone held: its client comes again, and that is held.
      const closed = this.#core.tunnels.closeFenced((placed) => this.holdOf(placed, true) > 0);
      if (closed > 0) this.#core.metrics.count("tidegate_fenced_total", 'outcome="closed"', closed);
    }
    this.#look(quiet);
  }

  #look(quiet: () => void): void {
    const now = this.#core.clock.now();
    for (const [exchange, until] of this.#awaited) {
      if (!exchange.isSettled && now >= until) {
        this.#core.metrics.count("tidegate_fenced_total", 'outcome="cut-off"');
        exchange.cutOff();
      }
      if (exchange.isSettled) this.#awaited.delete(exchange);
    }
    this.#figures[1] = this.#awaited.size;
    if (this.#awaited.size === 0) quiet();
    else this.#timer = setTimeout(() => this.#look(quiet), LOOK);
  }

  /** What was awaited before is not given more time by another table. */
  #underWay(): Map<Exchange, number> {
    const found = new Map<Exchange, number>();
    if (this.#fences === undefined) return found;
    const now = this.#core.clock.now();
    for (const waiting of this.#core.deadlines.all()) {
      if (!(waiting instanceof Exchange) || waiting.isSettled) continue;
      const { decision, identity, question } = waiting;
      const hold = this.holdOf(decision, isWrite(identity.method, question.upgradeHead !== undefined));
      if (hold > 0)
        found.set(waiting, Math.min(now + hold, this.#awaited.get(waiting) ?? Number.POSITIVE_INFINITY));
    }
    return found;
  }
}
