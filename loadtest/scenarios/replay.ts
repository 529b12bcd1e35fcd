/** What an access log holds: its mix, its users by rank, and its requests second by second. */
import { optionsOf, steady } from "./lib/scenario.ts";

export const options = optionsOf({ curve: steady() });
export { ask, handleSummary } from "./lib/scenario.ts";
