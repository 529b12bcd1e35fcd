/**
 * Writes that are held while their slots move, between `decide` and `admit`.
 *
 * A held write is nobody's yet: nothing of its body was read and nothing was counted. When the fence is lifted it is
 * decided again, on the table that lifted it, and goes to the slot's new unit with the new epoch. A fence that lasts too
 * long refuses it, with 503 and Retry-After.
 *
 * A thread says that it has swapped only when none of the fenced writes that began before is under way any more; those
 * that do not end while the fence holds are cut off. So what a gateway acknowledges means that it holds.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Decision } from "../model/decide.ts";
import { holdOf } from "../model/fences.ts";
import type { Core } from "./core.ts";
import { Exchange } from "./exchange.ts";
import type { Identity } from "./identify.ts";
import { Phased } from "./phased.ts";
import { answer } from "./refuse.ts";
import { disown, own, type ResponseOwner } from "./response-owner.ts";
import { settleRefused } from "./settle.ts";
import type { UpgradeHead } from "./upgrade-head.ts";

/** Writes held at once by one thread; more are refused at once. */
export const MOST_HELD = 4_096;
/** How often (ms) it is looked whether the writes under way have ended. */
const LOOK = 5;

export interface Held {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly upgradeHead: UpgradeHead | undefined;
  readonly identity: Identity;
  /** Goes on with it, from the decision on. */
  readonly proceed: (held: Held) => void;
}

export class Fence {
  readonly #core: Core;
  readonly #held = new Set<HeldWrite>();
  #timer: NodeJS.Timeout | undefined;

  constructor(core: Core) {
    this.#core = core;
  }

  /** Writes that are held now. */
  get size(): number {
    return this.#held.size;
  }

  /** @returns whether it was held, or refused, and goes no further now */
  holds(decision: Decision, held: Held): boolean {
    const { fences } = this.#core.table;
    const hold = fences === undefined ? 0 : holdOf(fences, decision, held.identity.method);
    if (hold === 0) return false;
    const write = new HeldWrite(this.#core, decision, held, hold, (one) => this.#held.delete(one));
    if (this.#held.size >= MOST_HELD) write.refuse("too many writes wait for slots that move");
    else {
      this.#held.add(write);
      write.begin();
    }
    return true;
  }

  /**
   * A new table is served: what it does not fence any more goes on.
   *
   * @param quiet called when none of what it fences is under way; not at all when another table comes before
   */
  swapped(quiet: () => void): void {
    clearTimeout(this.#timer);
    const { fences } = this.#core.table;
    for (const write of [...this.#held]) {
      if (fences === undefined || holdOf(fences, write.decision, write.held.identity.method) === 0)
        write.release();
    }
    if (fences === undefined) {
      quiet();
      return;
    }
    const longest = Math.max(
      0,
      ...this.#underWay().map(({ decision, identity }) => holdOf(fences, decision, identity.method)),
    );
    this.#look(this.#core.clock.now() + longest, quiet);
  }

  #look(until: number, quiet: () => void): void {
    const left = this.#underWay();
    if (left.length === 0) {
      quiet();
      return;
    }
    if (this.#core.clock.now() >= until) {
      // As if everything that it may wait for were over: whatever it does now ends here.
      for (const exchange of left) {
        this.#core.metrics.count("tidegate_fenced_total", 'outcome="cut-off"');
        exchange.onOverdue(Number.POSITIVE_INFINITY);
      }
    }
    this.#timer = setTimeout(() => this.#look(until, quiet), LOOK);
  }

  /** Exchanges whose write the table fences, and that a unit may still have to do with. */
  #underWay(): Exchange[] {
    const { fences } = this.#core.table;
    if (fences === undefined) return [];
    const found: Exchange[] = [];
    for (const waiting of this.#core.deadlines.all()) {
      if (!(waiting instanceof Exchange) || waiting.isSettled) continue;
      if (holdOf(fences, waiting.decision, waiting.identity.method) > 0) found.push(waiting);
    }
    return found;
  }
}

class HeldWrite extends Phased<"held"> implements ResponseOwner {
  readonly decision: Decision;
  readonly held: Held;
  readonly #core: Core;
  readonly #hold: number;
  readonly #leave: (write: HeldWrite) => void;

  constructor(core: Core, decision: Decision, held: Held, hold: number, leave: (write: HeldWrite) => void) {
    super(core.deadlines, "held", core.clock.now() + hold);
    this.#core = core;
    this.decision = decision;
    this.held = held;
    this.#hold = hold;
    this.#leave = leave;
  }

  begin(): void {
    this.#core.deadlines.add(this);
    own(this.held.response, this);
    this.wait("held", this.#hold);
  }

  release(): void {
    this.#end("released");
    this.held.proceed(this.held);
  }

  /** @internal */
  onOverdue(): void {
    this.refuse(`the user's slot moves, and has not arrived in ${this.#hold} ms`);
  }

  /** @internal */
  onClientClose(): void {
    this.#end("aborted");
  }

  refuse(detail: string): void {
    this.#end("refused");
    const { request, response, identity } = this.held;
    const status = answer(this.#core, request, response, "fence", detail);
    settleRefused(this.#core, request, status, "fence", identity, this.decision.route);
  }

  #end(outcome: "released" | "refused" | "aborted"): void {
    this.#leave(this);
    this.#core.deadlines.remove(this);
    disown(this.held.response);
    this.#core.metrics.count("tidegate_fenced_total", `outcome="${outcome}"`);
  }
}
