/** Small whole configurations for tests of the model: say what matters, the rest is the defaults. */
import type { Config } from "../../model/config.ts";
import type { Fleet, Service } from "../../model/fleet.ts";
import { DEFAULT_GATEWAY_SETTINGS } from "../../model/gateway-settings.ts";
import type { Route } from "../../model/route.ts";

export const UNITS = ["hz", "sh", "sz"] as const;

export function service(name: string, changes: Partial<Service> = {}): Service {
  return {
    name,
    health: {
      kind: "none",
      path: "/healthz",
      host: undefined,
      interval: 1_000,
      timeout: 500,
      healthy: 2,
      unhealthy: 3,
      jitter: 0.1,
      status: [[200, 299]],
      body: undefined,
    },
    outlier: { consecutive: 5, baseEjection: 30_000, maxEjection: 300_000, maxShare: 0.5 },
    slowStart: 0,
    inflight: 1_024,
    canary: { share: 0, salt: name, header: undefined, pins: [] },
    tls: { ca: undefined, servername: undefined },
    pools: {
      hz: { stable: ["http://hz-1", "http://hz-2"], canary: [] },
      sh: { stable: ["http://sh-1"], canary: ["http://sh-canary"] },
      sz: { stable: ["http://sz-1"], canary: [] },
    },
    ...changes,
  };
}

export function route(
  name: string,
  path: string,
  changes: Omit<Partial<Route>, "match"> & { match?: Partial<Route["match"]> } = {},
): Route {
  const { match, ...rest } = changes;
  return {
    name,
    service: "hall",
    scope: "nearest",
    failover: "all",
    missingKey: "refuse",
    key: undefined,
    priority: "normal",
    timeout: { connect: 1_000, headers: 15_000, idle: 60_000, total: 0 },
    retry: {
      attempts: 2,
      on: ["refused", "reset", "timeout", "502", "503", "504"],
      budget: 0.2,
      unsafe: false,
    },
    breaker: undefined,
    fallback: undefined,
    limits: [],
    cost: 1,
    maxBody: 0,
    ...rest,
    match: { path, host: undefined, methods: [], headers: [], ...match },
  };
}

/** Units hz (center), sh, sz; slots 0–409, 410–819, 820–1023; key: header, cookie, query. */
export function config(
  routes: readonly Route[],
  services: readonly Service[] = [service("hall")],
  fleet: Partial<Fleet> = {},
): Config {
  return {
    fleet: {
      name: "test",
      regions: [
        { name: "hangzhou", near: [] },
        { name: "shanghai", near: ["shenzhen"] },
        { name: "shenzhen", near: [] },
      ],
      units: [
        unit("hz", "hangzhou", true, ["sh", "sz"]),
        unit("sh", "shanghai", false, ["hz", "sz"]),
        unit("sz", "shenzhen", false, ["hz", "sh"]),
      ],
      placement: {
        key: [
          { from: "header", name: "x-user-id" },
          { from: "cookie", name: "uid" },
          { from: "query", name: "uid" },
        ],
        slots: 1_024,
        map: Array.from({ length: 1_024 }, (_, i) => (i < 410 ? "hz" : i < 820 ? "sh" : "sz")),
        pins: { "qa-1": "sz" },
        epoch: 7,
      },
      services,
      ...fleet,
    },
    routes,
    limits: [],
    gateway: DEFAULT_GATEWAY_SETTINGS,
    safety: { rules: [] },
  };
}

function unit(name: string, region: string, center: boolean, failover: string[]): Fleet["units"][number] {
  return {
    name,
    region,
    center,
    capacity: undefined,
    failover,
    concurrency: "adaptive",
    inflight: 8_192,
    queue: { size: 256, wait: 500 },
  };
}
