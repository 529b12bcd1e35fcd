/** What a gateway says of its units to the control plane, once a second. */
import type { Clock } from "../model/clock.ts";
import type { UnitReport } from "../model/report.ts";
import type { Table } from "../model/table.ts";
import type { LiveState } from "./live-state.ts";

export class UnitReports {
  readonly #live: LiveState;
  readonly #clock: Clock;
  #answers = new Map<number, number>();
  #at: number;

  constructor(live: LiveState, clock: Clock) {
    this.#live = live;
    this.#clock = clock;
    this.#at = clock.now();
  }

  /** Since the last time that it was asked. */
  take(table: Table, isHealthy: (unit: number) => boolean): Record<string, UnitReport> {
    const now = this.#clock.now();
    const seconds = Math.max(0.001, (now - this.#at) / 1000);
    this.#at = now;
    const before = this.#answers;
    this.#answers = new Map();
    const reports: Record<string, UnitReport> = {};
    for (const { id, index, name } of table.units) {
      // Of users alone: whoever decides by it moves users.
      const answers = (this.#live.load.answers[id]! - this.#live.load.stressed[id]!) | 0;
      this.#answers.set(id, answers);
      // The counter wraps within 32 bits, and the difference with it.
      const answered = (answers - (before.get(id) ?? answers)) | 0;
      reports[name] = {
        healthy: isHealthy(index),
        inflight: Math.max(0, this.#live.unitInflight[id]!),
        rate: Math.max(0, answered) / seconds,
        drained: this.#live.drains.moved[id]! / 100,
      };
    }
    return reports;
  }
}
