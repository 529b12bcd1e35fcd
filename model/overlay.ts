/**
 * What operators change for a while: laid over the base configuration, named, owned, with a reason and mostly an expiry.
 *
 * `effective = base ⊕ overlays`. Taking an overlay away is exact whatever the base became meanwhile, because nothing of
 * it was ever written into the base. No two overlays write the same field, so their order means nothing.
 */
import type { Version } from "./fleet.ts";
import type { LimitMode } from "./limit.ts";

export type OverlayChange =
  /** No new work for a unit. @see Drain for the units */
  | { readonly kind: "drain"; readonly unit: string; readonly ramp: number; readonly deadline: number }
  /** No new work for one endpoint of a service. */
  | {
      readonly kind: "drain-endpoint";
      readonly service: string;
      readonly unit: string;
      readonly endpoint: string;
    }
  /** Share of the users who see a service's canary, 0 to 1. */
  | { readonly kind: "weight"; readonly service: string; readonly share: number }
  /** A key is placed by hand. */
  | { readonly kind: "pin"; readonly key: string; readonly unit: string }
  /** Another rate (tokens per second), bucket or mode for a limit; what is not given stays. */
  | {
      readonly kind: "limit";
      readonly limit: string;
      readonly rate?: number;
      readonly burst?: number;
      readonly mode?: LimitMode;
    }
  /** A route answers from its fallback. */
  | { readonly kind: "degrade"; readonly route: string }
  /** A share of a route's requests is copied to a pool of the same unit. */
  | {
      readonly kind: "mirror";
      readonly route: string;
      readonly service: string;
      readonly version: Version;
      readonly share: number;
      readonly writes: boolean;
    }
  /** A service's breaker in a unit is held open or closed. */
  | {
      readonly kind: "breaker";
      readonly service: string;
      readonly unit: string;
      readonly state: "open" | "closed";
    };

export type OverlayKind = OverlayChange["kind"];

export interface Overlay {
  /** `ov-7`; never given twice. */
  readonly id: string;
  readonly change: OverlayChange;
  readonly owner: string;
  readonly reason: string;
  /** Milliseconds since 1970. */
  readonly since: number;
  /** Milliseconds since 1970 at which it is taken away; undefined: when somebody does. */
  readonly expires: number | undefined;
}

/** The fields of the configuration that a change writes, by stable names. */
export function fieldsOf(change: OverlayChange): readonly string[] {
  switch (change.kind) {
    case "drain":
      return [`units.${change.unit}.drain`];
    case "drain-endpoint":
      return [`services.${change.service}.${change.unit}.${change.endpoint}.drain`];
    case "weight":
      return [`services.${change.service}.canary.share`];
    case "pin":
      return [`placement.pins.${change.key}`];
    case "limit":
      return (["rate", "burst", "mode"] as const)
        .filter((field) => change[field] !== undefined)
        .map((field) => `limits.${change.limit}.${field}`);
    case "degrade":
      return [`routes.${change.route}.degraded`];
    case "mirror":
      return [`routes.${change.route}.mirror`];
    case "breaker":
      return [`breakers.${change.service}.${change.unit}`];
  }
}

/** An overlay and a field that it writes, too. */
export interface OverlayConflict {
  readonly overlay: Overlay;
  readonly field: string;
}

/** The first overlay that writes a field of this change; undefined when nobody does. */
export function conflictOf(change: OverlayChange, others: Iterable<Overlay>): OverlayConflict | undefined {
  const fields = new Set(fieldsOf(change));
  for (const overlay of others) {
    for (const field of fieldsOf(overlay.change)) if (fields.has(field)) return { overlay, field };
  }
  return undefined;
}

/** For people: what a change does, in a few words. */
export function describeChange(change: OverlayChange): string {
  switch (change.kind) {
    case "drain":
      return `drain ${change.unit}`;
    case "drain-endpoint":
      return `drain ${change.endpoint} of ${change.service} in ${change.unit}`;
    case "weight":
      return `${percent(change.share)} of ${change.service} to its canary`;
    case "pin":
      return `key ${change.key} to ${change.unit}`;
    case "limit": {
      const parts = [
        change.rate === undefined ? "" : `rate ${change.rate}/s`,
        change.burst === undefined ? "" : `burst ${change.burst}`,
        change.mode ?? "",
      ];
      return `limit ${change.limit}: ${parts.filter((p) => p !== "").join(", ")}`;
    }
    case "degrade":
      return `degrade ${change.route}`;
    case "mirror":
      return `copy ${percent(change.share)} of ${change.route} to ${change.version} of ${change.service}`;
    case "breaker":
      return `breaker of ${change.service} in ${change.unit} held ${change.state}`;
  }
}

function percent(share: number): string {
  return `${Number((share * 100).toFixed(4))} %`;
}
