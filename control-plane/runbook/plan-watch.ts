/**
 * Holds every plan against the fleet at each revision, and every five minutes: one that no longer fits is told at once, and not
 * on the night. The leader writes an event for each plan that turned, to either side.
 */
import type { Logger } from "pino";
import type { Config } from "../../model/config.ts";
import { checkPlan, sampleValues } from "../../model/plan-check.ts";
import { eachStep } from "../../model/plan-step.ts";
import type { Plan } from "../../model/plan.ts";
import { callsOf } from "./preparation.ts";
import type { StoredEvent } from "../store/store.ts";
import type { Caller } from "./hooks.ts";

/** Milliseconds. */
const EVERY = 5 * 60_000;

export interface PlanTurn {
  readonly plan: string;
  readonly fits: boolean;
  /** Why it does not. */
  readonly problems: readonly string[];
}

export interface PlanWatchOptions {
  readonly hooks: Caller;
  readonly monotonic: () => number;
  /** Undefined where there is none yet. */
  readonly config: () => Config | undefined;
  /** @throws Error when it cannot be written: it is told again with the next look */
  readonly tell: (turns: readonly PlanTurn[]) => Promise<void>;
}

export class PlanWatch {
  readonly #options: PlanWatchOptions;
  /** Plan → why it does not fit; of those that do, nothing. */
  #told = new Map<string, string>();
  #seen: Config | undefined;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #isLooking = false;

  constructor(options: PlanWatchOptions) {
    this.#options = options;
  }

  /** Plan → why it does not fit, as it was told last. */
  get unfit(): ReadonlyMap<string, string> {
    return this.#told;
  }

  /** Called often; cheap where nothing changed. */
  async look(): Promise<void> {
    const { config: current, monotonic, tell } = this.#options;
    const config = current();
    if (this.#isLooking || config === undefined) return;
    if (config === this.#seen && monotonic() - this.#lookedAt < EVERY) return;
    this.#isLooking = true;
    try {
      const found = await this.#check(config);
      const turns = turnsOf(this.#told, found);
      if (turns.length > 0) await tell(turns);
      this.#told = found;
      this.#seen = config;
      this.#lookedAt = monotonic();
    } finally {
      this.#isLooking = false;
    }
  }

  async #check(config: Config): Promise<Map<string, string>> {
    const found = new Map<string, string>();
    for (const plan of config.plans ?? []) {
      const problems = problemsOf(plan, config, this.#options.hooks);
      if (problems.length > 0) found.set(plan.name, problems.join("; "));
      // Hundreds of plans on thousands of routes are seconds, and others are answered in between.
      await new Promise((resolve) => setImmediate(resolve));
    }
    return found;
  }
}

/** Why a plan does not fit the fleet as it is; empty when it does. */
export function problemsOf(plan: Plan, config: Config, hooks: Caller): string[] {
  const { problems, steps } = checkPlan(plan, config, sampleValues(plan, config));
  const refused = [...eachStep(steps)].flatMap(callsOf).flatMap((call) => hooks.refusal(call) ?? []);
  return [...problems.map(({ message }) => message), ...new Set(refused)];
}

function turnsOf(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): PlanTurn[] {
  const red = [...after].filter(([plan, why]) => before.get(plan) !== why);
  const green = [...before.keys()].filter((plan) => !after.has(plan));
  return [
    ...red.map(([plan, why]) => ({ plan, fits: false, problems: [why] })),
    ...green.map((plan) => ({ plan, fits: true, problems: [] })),
  ];
}

/** What watchers and the log are told of them. */
export function newsOf(
  turns: readonly PlanTurn[],
  at: number,
  log: Pick<Logger, "info" | "error">,
): Omit<StoredEvent, "number">[] {
  for (const { plan, fits, problems } of turns) {
    if (fits) log.info({ plan }, "the plan fits the fleet again");
    else log.error({ plan, problems }, "the plan does not fit the fleet any more");
  }
  return turns.map((turn) => ({ at, type: "plan", body: JSON.stringify(turn) }));
}
