/** How the fleet is at one moment, as those who look at it are told. */
import type { Figure } from "./figure.ts";
import type { Flow, UnitStanding } from "./fleet-units.ts";

export type FedFigure = Pick<Figure, "rps" | "successShare" | "errorShare" | "p50" | "p99">;

export interface FedUnit extends UnitStanding {
  readonly center: boolean;
  /** Slots that live there, and how many of them are fenced. */
  readonly slots: number;
  readonly fenced: number;
  /** Over the last ten seconds; null: no data. */
  readonly figure: FedFigure | null;
}

export interface FedGateway {
  readonly gateway: string;
  /** Connected, and heard of in the last seconds. */
  readonly live: boolean;
  readonly heardAt: number;
  readonly revision: number;
  readonly refused: { readonly revision: number; readonly reasons: readonly string[] } | null;
}

/** One thing that is told. */
export interface FleetNow {
  readonly now: number;
  readonly fleet: string | null;
  readonly revision: number | null;
  /** Milliseconds since 1970. */
  readonly revisionAt: number | null;
  readonly leads: boolean;
  readonly total: FedFigure | null;
  readonly units: readonly FedUnit[];
  readonly flows: readonly Flow[];
  readonly gateways: readonly FedGateway[];
}

export type UnitState = "down" | "drained" | "draining" | "fenced" | "unknown" | "busy" | "well";

/** Pure. The one word for a unit, the worst first. */
export function stateOf({ healthy, drain, drained, fenced, figure, capacity, rate }: FedUnit): UnitState {
  if (healthy === false) return "down";
  if (drain !== null) return (drained ?? 0) >= 1 ? "drained" : "draining";
  if (fenced > 0) return "fenced";
  if (healthy === null) return "unknown";
  const isOver = capacity !== null && rate !== null && rate > capacity * 0.9;
  return isOver || (figure?.errorShare ?? 0) > 0.02 ? "busy" : "well";
}
