/** What a key means. Pure. */
import type { DemoUnit } from "./fleet.ts";

export type Command =
  | { readonly do: "quit" }
  /** Kills the target if anything of it lives, else revives it. `target` is a unit's name or an endpoint's letter. */
  | { readonly do: "toggle-kill"; readonly target: string }
  | { readonly do: "toggle-hang"; readonly target: string }
  | { readonly do: "toggle-slow"; readonly target: string }
  /** A canary, well or not, begins its way through the units. */
  | { readonly do: "release"; readonly target: "good" | "bad" }
  /** The next digit says which unit. */
  | { readonly do: "ask"; readonly what: Asked }
  | { readonly do: "nothing" };

/** What a key before a digit does to a unit. */
export type Asked = "hang" | "slow";

const CTRL_C = "\x03";
const CTRL_D = "\x04";

export function commandOf(key: string, asked: Asked | undefined, units: readonly DemoUnit[]): Command {
  if (key === "q" || key === CTRL_C || key === CTRL_D) return { do: "quit" };
  const unit = units.find(({ digit }) => digit === key);
  if (asked !== undefined) {
    return unit === undefined ? { do: "nothing" } : { do: `toggle-${asked}`, target: unit.name };
  }
  if (key === "h") return { do: "ask", what: "hang" };
  if (key === "s") return { do: "ask", what: "slow" };
  if (key === "n") return { do: "release", target: "good" };
  if (key === "r") return { do: "release", target: "bad" };
  if (unit !== undefined) return { do: "toggle-kill", target: unit.name };
  const endpoint = units.flatMap(({ endpoints }) => endpoints).find(({ letter }) => letter === key);
  return endpoint === undefined ? { do: "nothing" } : { do: "toggle-kill", target: endpoint.letter };
}
