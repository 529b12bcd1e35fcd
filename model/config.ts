import type { Fleet } from "./fleet.ts";
import type { GatewaySettings } from "./gateway-settings.ts";
import type { Limit } from "./limit.ts";
import type { Route } from "./route.ts";

/** One whole, valid configuration with every default filled in: plain data. */
export interface Config {
  readonly fleet: Fleet;
  /** In file order. */
  readonly routes: readonly Route[];
  readonly limits: readonly Limit[];
  readonly gateway: GatewaySettings;
}
