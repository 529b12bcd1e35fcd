/** The same load for hours: what grows slowly shows at the end, which must be as the beginning was. */
import type { RuleResult, SlotResult } from "../../model/load/run-result.ts";
import { optionsOf, run, steady } from "./lib/scenario.ts";
import { resultOf, type Summary, summaryFiles } from "./lib/summary.ts";

/** The end may be slower by this, and by so many milliseconds for no reason of the fleet's. */
const [SLOWER, SLACK] = [1.5, 10];

export const options = optionsOf({ curve: steady() });
export { ask } from "./lib/scenario.ts";

export function handleSummary(data: Summary): Record<string, string> {
  return summaryFiles(run, resultOf(run, data, asItBegan));
}

/** Medians of the first and the last third: one slot that was slow says nothing. */
function asItBegan(slots: readonly SlotResult[]): readonly RuleResult[] {
  const some = slots.filter(({ asked }) => asked > 0);
  const third = Math.floor(some.length / 3);
  if (third === 0) return [];
  const [began, ended] = [some.slice(0, third), some.slice(-third)].map(
    (part) => part.map(({ p99 }) => p99).sort((a, b) => a - b)[Math.floor(part.length / 2)]!,
  ) as [number, number];
  const most = began * SLOWER + SLACK;
  const rule = `p99 of the last third ${ended.toFixed(1)} ms <= ${most.toFixed(1)} ms`;
  return [{ metric: "tidegate_took", rule, holds: ended <= most }];
}
