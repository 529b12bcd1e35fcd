/** One unit, asked for more and more: marked traffic that goes there and nowhere else. */
import { optionsOf, ramp } from "./lib/scenario.ts";

export const options = optionsOf({ curve: ramp() });
export { ask, handleSummary } from "./lib/scenario.ts";
