/** More than a limit allows: what is refused is told when to come again, and nothing else goes wrong. */
import { optionsOf, steady } from "./lib/scenario.ts";

export const options = optionsOf({
  curve: steady(),
  thresholds: {
    "tidegate_answers{status:429}": ["count>0"],
    "tidegate_answers{status:0}": ["count==0"],
    "tidegate_answers{status:502}": ["count==0"],
    "tidegate_answers{status:503}": ["count==0"],
    "tidegate_answers{status:504}": ["count==0"],
    checks: ["rate==1"],
  },
});
export { ask, handleSummary } from "./lib/scenario.ts";
