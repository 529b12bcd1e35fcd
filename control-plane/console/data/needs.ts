/** What needs a person now. Pure: the same facts give the same list, most urgent first. */
import type { FleetNow } from "../../fleet-now.ts";
import type { Execution } from "../../runbook/execution.ts";
import type { ExecutionLine, Override, ShownAlert } from "./shapes.ts";

export type Need =
  | { readonly kind: "unit-down"; readonly units: readonly string[] }
  | { readonly kind: "execution-held"; readonly id: string; readonly plan: string; readonly says: string }
  | {
      readonly kind: "execution-approval";
      readonly id: string;
      readonly plan: string;
      readonly owner: string;
      readonly role: string;
    }
  | { readonly kind: "gateway-refuses"; readonly gateways: readonly string[]; readonly reason: string }
  | { readonly kind: "gateway-behind"; readonly gateways: readonly string[]; readonly revision: number }
  | { readonly kind: "gateway-silent"; readonly gateways: readonly string[] }
  | { readonly kind: "alert"; readonly rule: string; readonly summary: string }
  | { readonly kind: "override"; readonly id: string; readonly rule: string; readonly askedBy: string };

export interface Facts {
  readonly fleet: FleetNow | undefined;
  readonly executions: readonly ExecutionLine[];
  /** Of those that live. */
  readonly details: ReadonlyMap<string, Execution>;
  readonly overrides: readonly Override[];
  readonly alerts: readonly ShownAlert[];
  /** Milliseconds since 1970, by the control plane's clock. */
  readonly now: number;
}

/** A gateway takes a moment (ms) for what was just published. */
const BEHIND = 5_000;
/** One that has gone for longer (ms) was taken away on purpose. */
const GONE = 10 * 60_000;

export function needsOf({ fleet, executions, details, overrides, alerts, now }: Facts): Need[] {
  const needs: Need[] = [];
  if (fleet !== undefined) needs.push(...ofFleet(fleet, now));
  // Others can wait for whoever looks; of these nobody has said that they look after it.
  for (const { rule, summary, severity, state, ack, silencedBy, inhibitedBy } of alerts) {
    const isLoud = severity === "critical" && state === "firing";
    if (isLoud && ack === null && silencedBy === null && inhibitedBy === null) {
      needs.push({ kind: "alert", rule, summary });
    }
  }
  for (const { id, plan, state, says } of executions) {
    if (state === "held") needs.push({ kind: "execution-held", id, plan, says: says ?? "" });
  }
  for (const execution of details.values()) {
    const role = awaitedRole(execution);
    if (role === undefined) continue;
    const { id, plan, owner } = execution;
    needs.push({ kind: "execution-approval", id, plan: plan.name, owner: owner.name, role });
  }
  for (const { id, rule, askedBy, approvedBy, expires } of overrides) {
    if (approvedBy === undefined && expires > now) needs.push({ kind: "override", id, rule, askedBy });
  }
  return needs;
}

function ofFleet(fleet: FleetNow, now: number): Need[] {
  const needs: Need[] = [];
  // One that is drained is known to be out.
  const down = fleet.units.filter(({ healthy, drain }) => healthy === false && drain === null);
  if (down.length > 0) needs.push({ kind: "unit-down", units: down.map(({ unit }) => unit) });
  const { revision, revisionAt } = fleet;
  const refusing = fleet.gateways.filter(
    ({ live, refused }) => live && refused !== null && refused.revision >= (revision ?? 0),
  );
  if (refusing.length > 0) {
    const gateways = refusing.map(({ gateway }) => gateway);
    needs.push({ kind: "gateway-refuses", gateways, reason: refusing[0]!.refused?.reasons[0] ?? "" });
  }
  if (revision !== null && revisionAt !== null && now - revisionAt > BEHIND) {
    const behind = fleet.gateways.filter(
      (gateway) => gateway.live && gateway.revision < revision && !refusing.includes(gateway),
    );
    if (behind.length > 0) {
      needs.push({ kind: "gateway-behind", gateways: behind.map(({ gateway }) => gateway), revision });
    }
  }
  const silent = fleet.gateways.filter(({ live, heardAt }) => !live && now - heardAt < GONE);
  if (silent.length > 0) {
    needs.push({ kind: "gateway-silent", gateways: silent.map(({ gateway }) => gateway) });
  }
  return needs;
}

/** Whose approval it waits for; undefined: for nobody's. */
export function awaitedRole({ state, steps, runs }: Execution): string | undefined {
  if (state !== "running") return undefined;
  const look = (all: Execution["steps"]): string | undefined => {
    for (const step of all) {
      if (step.kind === "approve" && runs[step.path]?.state === "running") return step.role;
      const inner =
        step.kind === "parallel" || step.kind === "sequence"
          ? look(step.steps)
          : step.kind === "if"
            ? (look(step.yes) ?? look(step.no))
            : undefined;
      if (inner !== undefined) return inner;
    }
    return undefined;
  };
  return look(steps);
}
