/** One rate, to see whether a unit bears it: a moment to settle, then what counts. */
import { optionsOf, steady } from "./lib/scenario.ts";

export const options = optionsOf({ curve: steady() });
export { ask, handleSummary } from "./lib/scenario.ts";
