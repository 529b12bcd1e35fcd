/** What holds after a revert is what would hold had the execution never run: computed from the base and what others laid. */
import type { Config } from "../../model/config.ts";
import { effective } from "../../model/effective.ts";
import { digestOf } from "../base.ts";
import type { Standing } from "../draft.ts";
import { type Execution, withEntry } from "./execution.ts";

/** @param at milliseconds since 1970 */
export function proven(
  execution: Execution,
  { baseConfig, overlays, config }: Standing,
  at: number,
): Execution {
  const others = overlays.filter(({ id }) => !execution.overlays.includes(id));
  const proof = { effective: bare(config), without: bare(effective(baseConfig, others).config) };
  const isExact = proof.effective === proof.without;
  const what = isExact
    ? "reverted: what holds is what would hold without it"
    : "reverted, but something is left";
  const next: Execution = {
    ...execution,
    state: isExact ? "reverted" : "held",
    says: what,
    endedAt: at,
    proof,
  };
  return withEntry(next, { at, by: "tidegate", what });
}

/** Epochs only grow. */
function bare(one: Config): string {
  const { epoch: _, ...placement } = one.fleet.placement;
  return digestOf(JSON.stringify({ ...one, fleet: { ...one.fleet, placement } }));
}
