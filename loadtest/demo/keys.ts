/** What a key means. Pure. */
import type { DemoUnit } from "./fleet.ts";

export type Command =
  | { readonly do: "quit" }
  /** Kills the target if anything of it lives, else revives it. `target` is a unit's name or an endpoint's letter. */
  | { readonly do: "toggle-kill"; readonly target: string }
  | { readonly do: "toggle-hang"; readonly target: string }
  /** `h`: the next digit hangs. */
  | { readonly do: "ask-hang" }
  | { readonly do: "nothing" };

const CTRL_C = "\x03";
const CTRL_D = "\x04";

export function commandOf(key: string, hanging: boolean, units: readonly DemoUnit[]): Command {
  if (key === "q" || key === CTRL_C || key === CTRL_D) return { do: "quit" };
  const unit = units.find(({ digit }) => digit === key);
  if (hanging) return unit === undefined ? { do: "nothing" } : { do: "toggle-hang", target: unit.name };
  if (key === "h") return { do: "ask-hang" };
  if (unit !== undefined) return { do: "toggle-kill", target: unit.name };
  const endpoint = units.flatMap(({ endpoints }) => endpoints).find(({ letter }) => letter === key);
  return endpoint === undefined ? { do: "nothing" } : { do: "toggle-kill", target: endpoint.letter };
}
