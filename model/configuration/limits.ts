/** Reads `limits` of `routes.yaml`. */
import type { GatewaySettings } from "../gateway-settings.ts";
import { FLEET_BURST_SECONDS, type Limit, type LimitDimension } from "../limit.ts";
import type { Route } from "../route.ts";
import { type Draft, type DraftFile, quoted } from "./draft.ts";
import type { RoutesShape } from "./routes-schema.ts";

type File = DraftFile<RoutesShape>;
type LimitDraft = NonNullable<Draft<RoutesShape>["limits"]> extends ReadonlyMap<string, infer L> ? L : never;

const DEFAULT_KEYS = 100_000;

/** @param identity undefined when gateway.yaml could not be read, so that nothing is said of what it may name */
export function readLimits(
  file: File,
  routes: readonly Route[],
  identity: GatewaySettings["identity"] | undefined,
): Limit[] {
  const limits: Limit[] = [];
  for (const [name, draft] of file.value?.limits ?? []) {
    const rate = draft.rate ?? 0;
    const scope = draft.scope ?? "gateway";
    const burst = draft.burst ?? Math.max(1, Math.ceil(rate));
    const by = readDimensions(file, draft);
    if (by.includes("tenant") && identity !== undefined && identity.tenant.length === 0) {
      const message =
        "nobody says what a tenant is; expected `identity: { tenant: [ { header: x-tenant } ] }` in gateway.yaml";
      file.problem(draft, "by", "no-tenant", message);
    }
    const least = rate * FLEET_BURST_SECONDS;
    if (scope === "fleet" && draft.burst !== undefined && burst < least) {
      const message = `the burst is below a quarter of a second of the rate, and leases are as long; ${Math.ceil(least)} is used`;
      file.problem(draft, "burst", "small-fleet-burst", message, "warning");
    }
    const limit: Limit = {
      name,
      rate,
      burst: scope === "fleet" ? Math.max(burst, Math.ceil(least)) : burst,
      by,
      scope,
      mode: draft.mode ?? "enforce",
      keys: draft.keys ?? DEFAULT_KEYS,
    };
    checkCosts(file, draft, limit, routes);
    limits.push(limit);
  }
  return limits;
}

/** A request that costs more than a bucket can ever hold would never pass. */
function checkCosts(file: File, draft: LimitDraft, limit: Limit, routes: readonly Route[]): void {
  const route = routes.find((r) => r.cost > limit.burst && r.limits.includes(limit.name));
  if (route === undefined) return;
  const message = `the bucket holds ${limit.burst} and a request of route \`${route.name}\` costs ${route.cost}, so none would pass; expected a burst of at least ${route.cost}`;
  file.problem(draft, "burst", "cost-above-burst", message);
}

function readDimensions(file: File, draft: LimitDraft): LimitDimension[] {
  const by = new Set<string>();
  for (const [i, given] of (draft.by ?? []).entries()) {
    // Header names have no case.
    const dimension = given.toLowerCase();
    if (by.has(dimension)) {
      const message = `${quoted(given)} is in this list twice; expected it once`;
      file.problem(draft.by!, i, "duplicate-by", message);
    }
    by.add(dimension);
  }
  return [...by] as LimitDimension[];
}
