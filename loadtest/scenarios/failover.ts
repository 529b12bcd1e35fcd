/** Steady load while a unit dies: its users' requests that may be served elsewhere are. */
import { optionsOf, steady } from "./lib/scenario.ts";

export const options = optionsOf({ curve: steady() });
export { ask, handleSummary } from "./lib/scenario.ts";
