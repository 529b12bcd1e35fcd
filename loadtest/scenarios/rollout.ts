/** Steady load while a canary takes its share: nobody sees an error of either version. */
import { optionsOf, run, steady } from "./lib/scenario.ts";

const success = run.bounds.success ?? 0.999;
export const options = optionsOf({
  curve: steady(),
  shown: ["version:stable", "version:canary"],
  thresholds: {
    "tidegate_ok{version:stable}": [`rate>=${success}`],
    "tidegate_ok{version:canary}": [`rate>=${success}`],
    "tidegate_asked{version:canary}": ["count>0"],
  },
});
export { ask, handleSummary } from "./lib/scenario.ts";
