/** What no change may break: the meaning of the optional `safety.yaml`. */
import type { OverlayKind } from "./overlay.ts";

/** Every kind of overlay, so that a new one is not forgotten here. */
const OVERLAYS: Readonly<Record<OverlayKind, true>> = {
  drain: true,
  "drain-endpoint": true,
  weight: true,
  canary: true,
  routes: true,
  stage: true,
  pin: true,
  limit: true,
  degrade: true,
  mirror: true,
  breaker: true,
  fence: true,
  move: true,
  "stress-stop": true,
};

/** The kinds of changes, as freezes except them: the overlays by kind, with `un` before it when they are taken away. */
export const CHANGES: readonly string[] = [
  "apply",
  "rollback",
  ...Object.keys(OVERLAYS).flatMap((kind) => [kind, `un${kind}`]),
];

/** A time in which nothing is changed, but what is excepted. Milliseconds since 1970. */
export interface FreezeWindow {
  readonly from: number;
  readonly to: number;
  /** Those of `CHANGES` that pass. */
  readonly except: readonly string[];
}

export type SafetyRule = { readonly name: string } & (
  | {
      readonly kind: "serving";
      readonly least: number;
      /** Only units that serve this one count. */
      readonly service?: string;
    }
  | { readonly kind: "drained"; readonly most: number }
  | {
      readonly kind: "capacity";
      /** Remaining capacity ÷ load, at least. */
      readonly factor: number;
      /** Requests per second; `current` is what the gateways report, `forecast` the most that forecast.csv expects. */
      readonly load: number | "current" | "forecast";
      /** Of a forecast: milliseconds from now on. */
      readonly within?: number;
      /** With any one further unit lost. */
      readonly losingOne: boolean;
    }
  | { readonly kind: "freeze"; readonly windows: readonly FreezeWindow[] }
  /** No change brings a service to where neither its canary nor its stable version can be used in a unit. */
  | { readonly kind: "versions" }
);

/** A change that is made now is looked at again within a day. */
export const WITHIN = 24 * 3_600_000;

export interface Safety {
  readonly rules: readonly SafetyRule[];
}

/** Holds whatever safety.yaml says, and nobody overrides it: a fleet without a unit is an outage. */
export const ALWAYS: SafetyRule = { name: "at-least-one-unit", kind: "serving", least: 1 };

export const NO_SAFETY: Safety = { rules: [] };
