/** The fleet's mix at its forecast peak: the curve around it in less time, each unit's share under its own mark. */
import { optionsOf, ramp } from "./lib/scenario.ts";

export const options = optionsOf({ curve: ramp() });
export { ask, handleSummary } from "./lib/scenario.ts";
