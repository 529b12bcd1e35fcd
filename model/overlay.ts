/**
 * What operators change for a while: laid over the base configuration, named, owned, with a reason and mostly an expiry.
 *
 * `effective = base ⊕ overlays`. Taking an overlay away is exact whatever the base became meanwhile, because nothing of
 * it was ever written into the base. No two overlays write the same field, so their order means nothing.
 */
import type { Version } from "./fleet.ts";
import type { LimitMode } from "./limit.ts";
import type { Route } from "./route.ts";
import { countSlots, formatSlotRanges, type SlotRange, slotsOf } from "./slots.ts";

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
  /** A unit's share of a service's canary, as a rollout has come to it. Only the runbook engine lays it. */
  | {
      readonly kind: "canary";
      readonly service: string;
      readonly unit: string;
      readonly share: number;
      readonly salt: string;
      readonly testers: Testers;
    }
  /** Routes that a rollout brings, to nobody yet. Only the runbook engine lays it. */
  | { readonly kind: "routes"; readonly routes: readonly Route[]; readonly salt: string }
  /** A unit's share of them. */
  | { readonly kind: "stage"; readonly unit: string; readonly share: number }
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
    }
  /** Writes of these slots, and of these keys that are placed by hand, are held for so long (ms) and then refused. */
  | {
      readonly kind: "fence";
      readonly slots: readonly SlotRange[];
      readonly keys: readonly string[];
      readonly hold: number;
    }
  /** These slots and keys live in another unit. Only the runbook engine lays it, behind a fence. */
  | {
      readonly kind: "move";
      readonly slots: readonly SlotRange[];
      readonly keys: readonly string[];
      readonly unit: string;
    }
  /** The marks of a run of stress traffic count no longer. Only the control plane's watch over runs lays it. */
  | { readonly kind: "stress-stop"; readonly run: string };

/** Who sees a canary whatever its share, as soon as a rollout has come to their unit. */
export interface Testers {
  readonly header: { readonly name: string; readonly value: string } | undefined;
  readonly pins: readonly string[];
}

export type OverlayKind = OverlayChange["kind"];

/** Of which there can be many fields, told apart by number. */
type Placing = Extract<OverlayChange, { readonly slots: unknown }>;

/** Whom an overlay is for where it is for few: a rehearsal's users, or the stress traffic of one run. */
export type Audience =
  | { readonly kind: "users"; readonly share: number; readonly salt: string }
  | { readonly kind: "stress"; readonly run: string };

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
  /** Missing: everybody. */
  readonly for?: Audience;
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
    case "canary":
      return [`services.${change.service}.canary.units.${change.unit}`];
    case "routes":
      return ["staged.routes"];
    case "stage":
      return [`staged.units.${change.unit}`];
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
    case "fence":
      return placingFields(change, "placement.fences");
    case "move":
      return placingFields(change, "placement.map");
    case "stress-stop":
      return [`gateway.stress.stopped.${change.run}`];
  }
}

function placingFields({ kind, slots, keys }: Placing, prefix: string): string[] {
  // A key that is moved is a pin, and must not be pinned by another overlay meanwhile.
  const keyPrefix = kind === "move" ? "placement.pins" : `${prefix}.keys`;
  const fields = keys.map((key) => `${keyPrefix}.${key}`);
  for (const slot of slotsOf(slots)) fields.push(`${prefix}.${slot}`);
  return fields;
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

/** For people: what it does, and to whom. */
export function describeOverlay({ change, for: audience }: Pick<Overlay, "change" | "for">): string {
  if (audience === undefined) return describeChange(change);
  return `${describeChange(change)}, for ${describeAudience(audience)} alone (a rehearsal)`;
}

export function describeAudience(audience: Audience): string {
  if (audience.kind === "stress") return `the stress traffic of run ${audience.run}`;
  return `${percent(audience.share)} of the users`;
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
    case "canary":
      return `${percent(change.share)} of ${change.service} in ${change.unit} to its canary`;
    case "routes":
      return `${change.routes.length} routes on their way through the units`;
    case "stage":
      return `${percent(change.share)} of the users of ${change.unit} to the next routes`;
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
    case "fence":
      return `fence ${describePlaces(change)}`;
    case "move":
      return `move ${describePlaces(change)} to ${change.unit}`;
    case "stress-stop":
      return `stop stress run ${change.run}`;
  }
}

function describePlaces({ slots, keys }: Placing): string {
  const count = countSlots(slots);
  const parts = [
    count === 0 ? "" : `${count} slots (${formatSlotRanges(slots)})`,
    keys.length === 0 ? "" : `${keys.length} keys`,
  ];
  return parts.filter((part) => part !== "").join(" and ");
}

function percent(share: number): string {
  return `${Number((share * 100).toFixed(4))} %`;
}
