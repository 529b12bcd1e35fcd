/** What rules are held against: one moment of the fleet, put together once for all of them. */
import type { AlertWindow } from "./alerts.ts";
import type { Counted } from "./burn.ts";

export interface FactFigure {
  readonly requests: number;
  readonly rps: number;
  readonly errorShare: number | null;
  readonly successShare: number | null;
  readonly p50: number | null;
  readonly p95: number | null;
  readonly p99: number | null;
}

export interface FigureLabels {
  readonly unit?: string | undefined;
  readonly route?: string | undefined;
  readonly version?: string | undefined;
}

export interface Facts {
  readonly now: number;
  /** Undefined: nobody knows. */
  readonly figure: (window: AlertWindow, labels: FigureLabels) => FactFigure | undefined;
  /** What happened between two moments, both in milliseconds before now. */
  readonly counted: (from: number, to: number, labels: FigureLabels) => Counted;
  /** Unit → healthy; undefined: no gateway says. */
  readonly healthy: ReadonlyMap<string, boolean | undefined>;
  readonly drained: ReadonlySet<string>;
  /** Gateways that live. */
  readonly gateways: number;
  readonly standings: readonly { readonly gateway: string; readonly state: string; readonly says: string }[];
  /** Undefined: no gateway says anything. */
  readonly breakers:
    | readonly { readonly service: string; readonly unit: string; readonly state: string }[]
    | undefined;
  /** Limit → refusals a second; undefined: no gateway says anything. */
  readonly limited: ReadonlyMap<string, number> | undefined;
  /** Plan → why it does not fit. */
  readonly unfit: ReadonlyMap<string, string>;
  /** What runs of plans and rollouts, and needs somebody or was bad. */
  readonly executions: readonly {
    readonly plan: string;
    readonly execution: string;
    readonly is: "execution-held" | "rollout-taken-back";
    readonly says: string;
  }[];
  /** Plan → when it was rehearsed last; undefined: never. */
  readonly rehearsals: ReadonlyMap<string, number | undefined>;
}
