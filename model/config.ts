import type { Alerts } from "./alerts/alerts.ts";
import type { Fleet } from "./fleet.ts";
import type { Forecast } from "./forecast/forecast.ts";
import type { GatewaySettings } from "./gateway-settings.ts";
import type { Limit } from "./limit.ts";
import type { Audience, Overlay } from "./overlay.ts";
import type { Plan } from "./plan.ts";
import type { Rollout } from "./rollout/rollout.ts";
import type { Route } from "./route.ts";
import type { Safety } from "./safety.ts";

/** A circuit breaker that an operator holds open or closed. Set by an overlay, never by a file. */
export interface ForcedBreaker {
  readonly service: string;
  readonly unit: string;
  readonly state: "open" | "closed";
}

/** Routes that take the place of all others for some users of some units: a change of them on its way through the fleet. */
export interface Staged {
  readonly routes: readonly Route[];
  /** Unit → share of the users who live there, 0 to 1. */
  readonly units: Readonly<Record<string, number>>;
  readonly salt: string;
}

/** What a rehearsal lays, for its audience alone. One at a time. */
export interface Trial {
  readonly audience: Audience;
  readonly overlays: readonly Pick<Overlay, "change" | "since">[];
}

/** One whole, valid configuration with every default filled in: plain data. */
export interface Config {
  readonly fleet: Fleet;
  /** In file order. */
  readonly routes: readonly Route[];
  readonly limits: readonly Limit[];
  readonly gateway: GatewaySettings;
  /** What no change may break: the control plane's business, and nothing to gateways. */
  readonly safety: Safety;
  readonly breakers?: readonly ForcedBreaker[];
  /** Set by overlays, never by a file. */
  readonly staged?: Staged;
  /** Set by overlays, never by a file. */
  readonly trial?: Trial;
  /** By name: the control plane's business, too. */
  readonly plans?: readonly Plan[];
  readonly rollouts?: readonly Rollout[];
  readonly alerts?: Alerts;
  /** What is expected to be asked: the control plane's business, too. */
  readonly forecast?: Forecast;
}
