/** Something that waits for one thing after another, each for so long, and for all of them no longer than a moment. */
import { type Deadlines, TICK, Waiting } from "./deadlines.ts";

export abstract class Phased<Phase extends string> extends Waiting {
  readonly #deadlines: Deadlines;
  protected phase: Phase;
  /** When the whole is overdue, in the clock's milliseconds. */
  protected readonly latest: number;

  constructor(deadlines: Deadlines, first: Phase, latest: number) {
    super();
    this.#deadlines = deadlines;
    this.phase = first;
    this.latest = latest;
  }

  /** By the coarse clock, which costs nothing to read: late by up to two ticks, never early. */
  protected wait(phase: Phase, milliseconds: number): void {
    this.phase = phase;
    this.touch(milliseconds);
  }

  /** Something moved: the current phase has so long again. */
  protected touch(milliseconds: number): void {
    this.deadline = Math.min(this.#deadlines.coarseNow + TICK + milliseconds, this.latest);
  }

  protected waitUntil(phase: Phase, moment: number): void {
    this.phase = phase;
    this.deadline = Math.min(moment, this.latest);
  }
}
