/**
 * What only rollouts do: waits for a canary to be well, looks at it while users see it, waits for the old version to be
 * asked no more. Each look says what becomes of the step, and the driver writes it.
 */
import type { Config } from "../../model/config.ts";
import type { Leaf, Rolling } from "../../model/plan-step.ts";
import type { Execution, StepRun } from "../runbook/execution.ts";
import { Baking } from "./baking.ts";
import type { Evidence } from "./evidence.ts";

/** What becomes of a step. */
export type Progress =
  | { readonly ends: "done" | "failed"; readonly says: string; readonly more?: Partial<StepRun> }
  /** Written as it is. */
  | { readonly becomes: Partial<StepRun> }
  /** Written once. */
  | { readonly waits: string };

type Waiting = Extract<Leaf, Exclude<Rolling, { kind: "promote" }>>;

export class Rollouts {
  readonly #evidence: Evidence;
  readonly #baking: Baking;

  constructor(evidence: Evidence) {
    this.#evidence = evidence;
    this.#baking = new Baking(evidence);
  }

  /** @param run as it stands; it has begun */
  look(execution: Execution, leaf: Waiting, run: StepRun, config: Config): Progress {
    switch (leaf.kind) {
      case "ready":
        return this.#ready(leaf, config);
      case "bake":
        return this.#baking.look(execution, leaf, run, config);
      case "quiet":
        return this.#quiet(leaf, config);
    }
  }

  /** Whether users may be given back to stable: not where it is known to be dead. */
  mayTakeBack(service: string, unit: string, config: Config): boolean {
    return this.#evidence.usable(service, unit, "stable", config)?.usable !== 0;
  }

  forget(id: string): void {
    this.#baking.forget(id);
  }

  #ready({ service, unit }: Extract<Waiting, { kind: "ready" }>, config: Config): Progress {
    const seen = this.#evidence.usable(service, unit, "canary", config);
    if (seen === undefined) return { waits: "no gateway says how the canary is" };
    const { usable, total } = seen;
    const says = `${usable} of ${total} canary endpoints of ${service} in ${unit} are well`;
    return usable === total && total > 0 ? { ends: "done", says } : { waits: says };
  }

  #quiet({ service, unit, version }: Extract<Waiting, { kind: "quiet" }>, config: Config): Progress {
    const requests = this.#evidence.lately(service, unit, version, config);
    if (requests === undefined) return { waits: "nobody knows what is asked" };
    if (requests === 0) return { ends: "done", says: `nothing is asked of ${version} in ${unit} any more` };
    return { waits: `${version} in ${unit} is still asked` };
  }
}
