/** What the control plane's API answers, as far as the console reads it. */
import type { OverlayChange } from "../../../model/overlay.ts";
import type { BreakerStanding, PoolView } from "../../../model/report.ts";
import type { Limit } from "../../../model/limit.ts";
import type { Plan } from "../../../model/plan.ts";
import type { Route } from "../../../model/route.ts";
import type { Unit } from "../../../model/fleet.ts";

export const ROLES = ["viewer", "operator", "approver", "admin"] as const;
export type Role = (typeof ROLES)[number];

export interface Person {
  readonly name: string;
  readonly role: Role;
  readonly dev: boolean;
  readonly version: string;
  readonly fleet: string | null;
}

/** Whether one role may do what another is needed for. */
export function may(has: Role, needed: Role): boolean {
  return ROLES.indexOf(has) >= ROLES.indexOf(needed);
}

export interface Revision {
  readonly number: number;
  readonly at: number;
  readonly author: string;
  readonly reason: string;
  readonly cause: string;
}

export interface Difference {
  readonly field: string;
  readonly before?: unknown;
  readonly after?: unknown;
}

/** What a change would do. */
export interface Preview {
  /** The newest, on which it was worked out. */
  readonly revision: number;
  readonly differences: readonly Difference[];
  readonly violations: readonly Violation[];
}

export interface ShownOverlay {
  readonly id: string;
  readonly change: OverlayChange;
  readonly owner: string;
  readonly reason: string;
  readonly since: number;
  readonly expires?: number;
  readonly does: string;
  /** A rehearsal's: whom it is for. */
  readonly for?: object;
}

export interface ShownPlan extends Plan {
  readonly fits: boolean;
  readonly problems: readonly string[];
}

export interface ExecutionLine {
  readonly id: string;
  readonly plan: string;
  readonly values: Readonly<Record<string, string>>;
  readonly reason: string;
  readonly owner: { readonly name: string };
  readonly at: number;
  readonly endedAt?: number;
  readonly state: string;
  readonly says?: string;
}

export interface ShownAlert {
  readonly id: string;
  readonly rule: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly severity: string;
  readonly state: string;
  readonly since: number;
  readonly summary: string;
  readonly seen: string;
  readonly noData: boolean;
  readonly silencedBy: string | null;
  readonly inhibitedBy: { readonly rule: string } | null;
  readonly ack: { readonly by: string; readonly at: number; readonly reason: string } | null;
  readonly plan: { readonly name: string; readonly values: Readonly<Record<string, string>> } | null;
  readonly run: { readonly state: string; readonly execution?: string; readonly says?: string } | null;
}

export interface Override {
  readonly id: string;
  readonly rule: string;
  readonly what: string;
  readonly askedBy: string;
  readonly reason: string;
  readonly at: number;
  readonly expires: number;
  readonly approvedBy?: string;
}

export interface Violation {
  readonly rule: string;
  readonly message: string;
  readonly satisfy: string;
  readonly overridable: boolean;
}

export interface ProjectedUnit {
  readonly unit: string;
  readonly rps: number;
  readonly capacity?: number;
  readonly shed: Readonly<Record<string, number>>;
}

export interface Projection {
  readonly units: readonly ProjectedUnit[];
  readonly failing: number;
  readonly degraded: number;
}

export interface DryStep {
  readonly path: string;
  readonly title: string;
  readonly kind: string;
  readonly changes: readonly Difference[];
  readonly violations: readonly Violation[];
  readonly problem?: string;
  readonly load?: Projection;
  readonly slots: number;
  readonly pins: number;
  readonly takes: number;
}

export interface DryRun {
  readonly plan: string;
  readonly loadKnown: boolean;
  readonly required: readonly { readonly holds: boolean | null; readonly says: string }[];
  readonly before: Projection;
  readonly steps: readonly DryStep[];
  readonly takes: number;
  readonly assumed: readonly string[];
}

export interface RouteLine {
  readonly name: string;
  readonly service: string;
  readonly scope: string;
  readonly priority: string;
  readonly path: string;
  readonly host: string | null;
  readonly methods: readonly string[];
  readonly degraded: boolean;
}

export interface Names {
  readonly revision: number;
  readonly regions: readonly string[];
  readonly units: readonly string[];
  readonly services: readonly string[];
  readonly limits: readonly string[];
  readonly routes: readonly RouteLine[];
}

export interface UnitDetail {
  readonly unit: Unit;
  readonly services: readonly {
    readonly service: string;
    readonly stable: readonly string[];
    readonly canary: readonly string[];
    readonly drained?: readonly string[];
    readonly canaryShare: number;
  }[];
  readonly pools: readonly (PoolView & { readonly seenBy: number })[] | null;
  readonly breakers: readonly (BreakerStanding & { readonly seenBy: number })[] | null;
}

export interface RouteDetail {
  readonly route: Omit<Route, "fallback"> & { readonly fallback: { readonly status: number } | null };
  readonly limits: readonly Limit[];
}

export interface Figure {
  readonly requests: number;
  readonly rps: number;
  readonly outcomes: Readonly<Record<string, number>>;
  readonly successShare: number | null;
  readonly errorShare: number | null;
  readonly p50: number | null;
  readonly p95: number | null;
  readonly p99: number | null;
}

export interface Series extends Figure {
  readonly route: string;
  readonly unit: string;
  readonly version: string;
}

export interface Figures {
  readonly total: Figure | null;
  readonly coverage: { readonly live: number; readonly reported: number };
  readonly series: readonly Series[];
  readonly limits: readonly { readonly limit: string; readonly limited: number }[];
}

export interface AuditEntry {
  readonly number: number;
  readonly at: number;
  readonly actor: string;
  readonly from: string;
  readonly action: string;
  readonly target: string;
  readonly reason: string;
  readonly before: string;
  readonly after: string;
  readonly hash: string;
}
