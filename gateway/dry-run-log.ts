/** Says what limits in dry-run mode would have refused: a line for each now and then, not one for each request. */
import type { Logger } from "pino";
import type { Clock } from "../model/clock.ts";
import type { MetricsDelta } from "./metrics.ts";

const EVERY = 10_000;

export class DryRunLog {
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #said = new Map<string, { at: number; unsaid: number }>();

  constructor(log: Logger, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  see({ counters }: MetricsDelta): void {
    const now = this.#clock.now();
    for (const [name, labels, n] of counters) {
      if (name !== "tidegate_limit_dry_run_total") continue;
      const limit = labels.slice('limit="'.length, -1);
      const known = this.#said.get(limit) ?? { at: Number.NEGATIVE_INFINITY, unsaid: 0 };
      known.unsaid += n;
      this.#said.set(limit, known);
      if (now - known.at < EVERY) continue;
      this.#log.info(
        { limit, requests: known.unsaid },
        "a limit in dry-run mode would have refused requests",
      );
      known.at = now;
      known.unsaid = 0;
    }
  }
}
