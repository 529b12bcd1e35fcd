/** What no change may break: the meaning of the optional `safety.yaml`. */

/** A time in which nothing is changed, but what is excepted. Milliseconds since 1970. */
export interface FreezeWindow {
  readonly from: number;
  readonly to: number;
  /** Kinds of changes that pass, such as `drain`. */
  readonly except: readonly string[];
}

export type SafetyRule = { readonly name: string } & (
  | { readonly kind: "serving"; readonly least: number }
  | { readonly kind: "drained"; readonly most: number }
  | {
      readonly kind: "capacity";
      /** Remaining capacity ÷ load, at least. */
      readonly factor: number;
      /** Requests per second; `current` is what the gateways report. */
      readonly load: number | "current";
      /** With any one further unit lost. */
      readonly losingOne: boolean;
    }
  | { readonly kind: "freeze"; readonly windows: readonly FreezeWindow[] }
  /** Canary and stable of a service are never both unhealthy in a unit. */
  | { readonly kind: "versions" }
);

export interface Safety {
  readonly rules: readonly SafetyRule[];
}

/** Holds whatever safety.yaml says, and nobody overrides it: a fleet without a unit is an outage. */
export const ALWAYS: SafetyRule = { name: "at-least-one-unit", kind: "serving", least: 1 };

export const NO_SAFETY: Safety = { rules: [] };
