/** Reads `routes.yaml`: fills in the defaults and checks what the shape alone cannot say. */
import type { Fleet } from "../fleet.ts";
import type { BreakerPolicy, Failover, RetryPolicy, Route, RouteTimeouts, Scope } from "../route.ts";
import type { Draft, DraftFile } from "./draft.ts";
import { readFallback } from "./fallback.ts";
import type { FleetShape } from "./fleet-schema.ts";
import { readKeySources } from "./key-sources.ts";
import type { ReferencedFiles } from "./referenced-files.ts";
import { Matches, pathParams, readMatch } from "./route-match.ts";
import { MissingPools } from "./missing-pools.ts";
import type { RoutesShape } from "./routes-schema.ts";

type File = DraftFile<RoutesShape>;
type RouteDraft = NonNullable<Draft<RoutesShape>["routes"]>[number];

/** What routes refer to; undefined when the fleet could not be read, so that not everything seems unknown. */
export interface FleetContext {
  readonly file: DraftFile<FleetShape>;
  readonly fleet: Fleet;
}

export function readRoutes(file: File, context: FleetContext | undefined, files: ReferencedFiles): Route[] {
  const draft = file.value;
  const services = context?.file.keys(context.file.value?.services);
  const knowsServices = context?.file.value?.services !== undefined;
  const limits = file.keys(draft?.limits);
  const knowsLimits = draft?.limits !== undefined || (draft !== undefined && !file.has(draft, "limits"));
  const lines = new Map<string, number>();
  const matches = new Matches();
  const missing = context === undefined ? undefined : new MissingPools(context.fleet);
  const routes: Route[] = [];

  for (const given of draft?.routes ?? []) {
    const { name = "", service = "", scope = "nearest" } = given;
    if (name !== "") {
      const first = lines.get(name);
      if (first === undefined) lines.set(name, file.line(given, "name"));
      else {
        const message = `there is a route \`${name}\` in line ${first} already; expected another name`;
        file.problem(given, "name", "duplicate-name", message);
      }
    }
    if (given.service !== undefined && knowsServices && !services!.has(service)) {
      file.unknown(given, "service", "service", service, services!);
    }
    if (knowsLimits) {
      for (const [i, limit] of (given.limits ?? []).entries()) {
        if (!limits.has(limit)) file.unknown(given.limits!, i, "limit", limit, limits);
      }
    }
    const match = given.match === undefined ? undefined : readMatch(file, given.match);
    if (match !== undefined) matches.add(file, given, name, match);
    const route: Route = {
      name,
      match: match ?? { path: "/", host: undefined, methods: [], headers: [] },
      service,
      scope,
      failover: readFailover(file, given, scope),
      missingKey: given.missingKey ?? "refuse",
      key: readKey(file, given, match?.path),
      priority: given.priority ?? "normal",
      timeout: readTimeouts(given.timeout),
      retry: readRetry(given.retry),
      breaker: readBreaker(given.breaker),
      fallback: given.fallback === undefined ? undefined : readFallback(file, given.fallback, files, match),
      limits: [...new Set(given.limits ?? [])],
      cost: given.cost ?? 1,
      maxBody: given.maxBody ?? 0,
    };
    if (given.scope !== undefined) missing?.check(file, given, route);
    routes.push(route);
  }
  if (context !== undefined) checkPlacement(context, routes);
  return routes;
}

/** A sharded route must learn from somewhere where the key is. */
function checkPlacement({ file, fleet }: FleetContext, routes: readonly Route[]): void {
  const draft = file.value;
  const sharded = routes.find((route) => route.scope === "sharded");
  if (draft === undefined || sharded === undefined) return;
  if (!file.has(draft, "placement")) {
    const message = `route \`${sharded.name}\` is sharded and there is no \`placement\`; expected one with key and map`;
    file.problem(draft, undefined, "missing-field", message);
    return;
  }
  const keyless = routes.find((route) => route.scope === "sharded" && route.key === undefined);
  const placement = draft.placement;
  if (keyless === undefined || placement === undefined || file.has(placement, "key")) return;
  if (fleet.placement.key.length > 0) return;
  const message = `a placement needs \`key\`, because route \`${keyless.name}\` is sharded; expected a list such as [ { header: x-user-id } ]`;
  file.problem(placement, undefined, "missing-field", message);
}

function readFailover(file: File, draft: RouteDraft, scope: Scope): Failover {
  const failover = draft.failover ?? (scope === "nearest" ? "all" : "reads");
  if (scope !== "sharded" || failover !== "all") return failover;
  const message =
    "writes of a sharded route never leave their unit by themselves, so `all` means `reads` here; expected reads or none";
  file.problem(draft, "failover", "sharded-writes-stay", message, "warning");
  return "reads";
}

function readKey(file: File, draft: RouteDraft, path: string | undefined): Route["key"] {
  if (draft.key === undefined) return undefined;
  const key = readKeySources(file, draft.key);
  if (path === undefined) return key;
  const params = pathParams(path);
  for (const [i, source] of draft.key.entries()) {
    if (source.path === undefined || params.includes(source.path)) continue;
    const known = params.length === 0 ? `\`${path}\` has none` : `expected ${params.join(" or ")}`;
    file.problem(
      draft.key,
      i,
      "unknown-param",
      `there is no \`:${source.path}\` in the route's path; ${known}`,
    );
  }
  return key;
}

function readTimeouts(draft: RouteDraft["timeout"]): RouteTimeouts {
  const total = draft?.total;
  return {
    connect: draft?.connect ?? 1000,
    headers: draft?.headers ?? 15_000,
    idle: draft?.idle ?? 60_000,
    total: total === undefined || total === "none" ? 0 : total,
  };
}

function readRetry(draft: RouteDraft["retry"]): RetryPolicy {
  const given = draft === "none" || draft === undefined ? {} : draft;
  return {
    attempts: draft === "none" ? 0 : (given.attempts ?? 2),
    on: [...new Set(given.on ?? (["refused", "reset", "timeout", "502", "503", "504"] as const))],
    budget: given.budget ?? 0.2,
    unsafe: given.unsafe ?? false,
  };
}

function readBreaker(draft: RouteDraft["breaker"]): BreakerPolicy | undefined {
  if (draft === undefined) return undefined;
  return {
    errors: draft.errors ?? 0.5,
    volume: draft.volume ?? 20,
    window: draft.window ?? 10_000,
    open: draft.open ?? 5000,
  };
}
