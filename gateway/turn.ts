/** A request's place in a unit's line, from joining it to a place in the unit or a refusal. */
import { PRIORITIES } from "../model/route.ts";
import type { Endpoint } from "../model/table.ts";
import type { Candidates } from "./candidates.ts";
import type { Core } from "./core.ts";
import type { Queued } from "./unit-queue.ts";
import type { Urgency } from "./waiting-line.ts";

/** Who waits. Called once, when the turn is over. */
export interface TurnHolder {
  /** @param endpoint undefined when nothing is left to try */
  onPlace(endpoint: Endpoint | undefined): void;
  /** @param why for the client */
  onShed(why: string): void;
}

export class Turn implements Queued {
  readonly urgency: Urgency;
  readonly user: string;
  readonly joinedAt: number;
  readonly #core: Core;
  readonly #candidates: Candidates;
  readonly #holder: TurnHolder;
  #row = -1;

  /** @param candidates whose `unit` was found full · @param user among whom places are shared fairly */
  constructor(core: Core, candidates: Candidates, user: string, holder: TurnHolder) {
    this.#core = core;
    this.#candidates = candidates;
    this.#holder = holder;
    this.urgency = candidates.urgency;
    this.user = user;
    this.joinedAt = core.clock.now();
  }

  /** False when it was shed at once. */
  join(): boolean {
    const unit = this.#candidates.unit!;
    if (this.#candidates.isStress) return this.#shed("is busy, and stress traffic does not wait");
    if (this.#candidates.overCapacity) return this.#shed("is at its capacity");
    this.#row = this.#core.unitRow(unit);
    return this.#core.queues.join(this.#row, unit, this) || this.#shed("is busy, and its line is full");
  }

  leave(): void {
    this.#core.queues.leave(this.#row, this);
  }

  onPlace(): boolean {
    const endpoint = this.#candidates.next(true);
    if (endpoint !== undefined || !this.#candidates.full) this.#holder.onPlace(endpoint);
    else if (this.#candidates.overCapacity) this.#shed("is at its capacity");
    else return false;
    return true;
  }

  onShed(): void {
    this.#shed("is busy, and more urgent requests go first");
  }

  /** It waited as long as anybody may. */
  onOverdue(): void {
    this.leave();
    this.#shed(`had no place in ${this.#candidates.unit!.spec.queue.wait} ms`);
  }

  #shed(why: string): false {
    const { name } = this.#candidates.unit!;
    const { metrics, stress } = this.#core;
    if (this.#candidates.isStress) stress.metrics.count("tidegate_shed_total", `unit="${name}"`);
    else metrics.count("tidegate_shed_total", `priority="${PRIORITIES[this.urgency]}",unit="${name}"`);
    this.#holder.onShed(`unit ${name} ${why}`);
    return false;
  }
}
