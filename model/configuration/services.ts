/** Reads `services`: health, outliers, canary, TLS and the pools of endpoints. */
import { X509Certificate } from "node:crypto";
import type { CanaryPolicy, HealthCheck, OutlierPolicy, Pool, Service, UpstreamTls } from "../fleet.ts";
import { type Draft, type DraftFile, quoted, Refusal } from "./draft.ts";
import { readEndpointUrl } from "./endpoint-url.ts";
import type { FleetShape } from "./fleet-schema.ts";
import type { ReferencedFiles } from "./referenced-files.ts";

type File = DraftFile<FleetShape>;
type ServiceDraft = NonNullable<ReturnType<NonNullable<Draft<FleetShape>["services"]>["get"]>>;

/** Rows of shared live state that the gateway's threads have for endpoints. */
const MOST_ENDPOINTS = 65_536;

export function readServices(
  file: File,
  fleet: Draft<FleetShape>,
  units: ReadonlySet<string>,
  files: ReferencedFiles,
): Service[] {
  const drafts = fleet.services;
  if (drafts === undefined) return [];
  const services: Service[] = [];
  let endpoints = 0;
  for (const [name, draft] of drafts) {
    const pools = readPools(file, name, draft, units);
    for (const [, pool] of pools) endpoints += pool.stable.length + pool.canary.length;
    services.push({
      name,
      health: readHealth(file, draft.health),
      outlier: readOutlier(file, draft.outlier),
      slowStart: draft.slowStart ?? 10_000,
      inflight: draft.inflight ?? 1024,
      canary: readCanary(file, name, draft, pools),
      tls: readTls(file, draft.tls, files),
      pools: Object.fromEntries(pools),
    });
  }
  if (endpoints > MOST_ENDPOINTS) {
    const message = `the services have ${endpoints} endpoints in all; expected at most ${MOST_ENDPOINTS}`;
    file.problem(fleet, "services", "too-many-endpoints", message);
  }
  return services;
}

const HEALTH: HealthCheck = {
  kind: "tcp",
  path: "",
  host: undefined,
  interval: 1000,
  timeout: 500,
  healthy: 2,
  unhealthy: 3,
  jitter: 0.1,
  status: [[200, 299]],
  body: undefined,
};

function readHealth(file: File, draft: ServiceDraft["health"]): HealthCheck {
  if (draft === undefined) return HEALTH;
  if (draft === "none") return { ...HEALTH, kind: "none" };
  const kind = draft.kind ?? "http";
  if (kind === "http" && !file.has(draft, "path")) {
    const message =
      "a health check needs `path`, such as /healthz; or `kind: tcp`, which only opens a connection";
    file.problem(draft, undefined, "missing-field", message);
  }
  for (const field of ["path", "host", "status", "body"] as const) {
    if (kind === "tcp" && file.has(draft, field)) {
      const message = `\`${field}\` says nothing to a check of kind tcp, which only opens a connection; expected kind http`;
      file.problemAtKey(draft, field, "unused-field", message);
    }
  }
  const { status } = draft;
  return {
    kind,
    path: draft.path ?? HEALTH.path,
    host: draft.host,
    interval: draft.interval ?? HEALTH.interval,
    timeout: draft.timeout ?? HEALTH.timeout,
    healthy: draft.healthy ?? HEALTH.healthy,
    unhealthy: draft.unhealthy ?? HEALTH.unhealthy,
    jitter: draft.jitter ?? HEALTH.jitter,
    status: status === undefined ? HEALTH.status : isRange(status) ? [status] : status,
    body: draft.body,
  };
}

type Range = readonly [number, number];

function isRange(status: Range | readonly Range[]): status is Range {
  return typeof status[0] === "number";
}

function readOutlier(file: File, draft: ServiceDraft["outlier"]): OutlierPolicy {
  const given = draft === "none" || draft === undefined ? {} : draft;
  const policy = {
    consecutive: draft === "none" ? 0 : (given.consecutive ?? 5),
    baseEjection: given.baseEjection ?? 30_000,
    maxEjection: given.maxEjection ?? Math.max(300_000, given.baseEjection ?? 0),
    maxShare: given.maxShare ?? 0.5,
  };
  if (policy.maxEjection < policy.baseEjection) {
    const field = given.maxEjection === undefined ? "baseEjection" : "maxEjection";
    const message =
      "`maxEjection` is shorter than `baseEjection`; expected the longest ejection to be the longer";
    file.problem(given, field, "ejection-order", message);
  }
  return policy;
}

function readCanary(
  file: File,
  name: string,
  service: ServiceDraft,
  pools: ReadonlyMap<string, Pool>,
): CanaryPolicy {
  const draft = service.canary;
  const header = draft?.header;
  const policy: CanaryPolicy = {
    share: draft?.share ?? 0,
    salt: draft?.salt ?? name,
    header:
      header?.name === undefined || header.value === undefined
        ? undefined
        : { name: header.name, value: header.value },
    pins: draft?.pins ?? [],
  };
  const picks = policy.share > 0 || policy.header !== undefined || policy.pins.length > 0;
  if (picks && pools.size > 0 && [...pools.values()].every((pool) => pool.canary.length === 0)) {
    const message = `\`${name}\` picks who sees the canary, and no pool of it has canary endpoints; everybody gets stable`;
    file.problem(service, "canary", "canary-without-endpoints", message, "warning");
  }
  return policy;
}

function readTls(file: File, draft: ServiceDraft["tls"], files: ReferencedFiles): UpstreamTls {
  const servername = draft?.servername;
  if (draft?.ca === undefined) return { ca: undefined, servername };
  const ca = files.read(file, draft, "ca", draft.ca);
  const wrong = ca === undefined ? undefined : certificateProblem(ca);
  if (wrong !== undefined) {
    file.problem(
      draft,
      "ca",
      "invalid-certificate",
      `${quoted(draft.ca)} ${wrong}; expected PEM certificates`,
    );
  }
  return { ca, servername };
}

function certificateProblem(pem: string): string | undefined {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g);
  if (blocks === null) return "holds no certificate";
  for (const [i, block] of blocks.entries()) {
    try {
      new X509Certificate(block);
    } catch {
      return `holds a certificate that cannot be read (number ${i + 1})`;
    }
  }
  return undefined;
}

function readPools(
  file: File,
  name: string,
  service: ServiceDraft,
  units: ReadonlySet<string>,
): ReadonlyMap<string, Pool> {
  const pools = new Map<string, Pool>();
  const drafts = service.pools;
  if (drafts === undefined) return pools;
  if (file.keys(drafts).size === 0) {
    file.problem(service, "pools", "no-pools", `\`${name}\` has no pools; expected one in at least one unit`);
  }
  for (const [unit, draft] of drafts) {
    if (!units.has(unit)) {
      file.problemAtKey(drafts, unit, "unknown-unit", `a pool is given for \`${unit}\`, which is no unit`);
      continue;
    }
    const seen = new Map<string, string>();
    const stable = readEndpoints(file, "stable", draft.stable ?? [], seen);
    const canary = readEndpoints(file, "canary", draft.canary ?? [], seen);
    if (draft.stable?.length === 0) {
      const message = "`stable` is an empty list; expected at least one endpoint, or no pool for this unit";
      file.problem(draft, "stable", "empty-pool", message);
    }
    pools.set(unit, { stable, canary });
  }
  return pools;
}

function readEndpoints(
  file: File,
  version: string,
  texts: readonly string[],
  seen: Map<string, string>,
): string[] {
  const origins: string[] = [];
  for (const [i, text] of texts.entries()) {
    const origin = readEndpointUrl(text);
    if (origin instanceof Refusal) {
      file.problem(
        texts,
        i,
        origin.code,
        () => `${quoted(withoutPassword(text))} is no endpoint: ${origin.because}`,
      );
      continue;
    }
    const first = seen.get(origin);
    if (first !== undefined) {
      const message = () =>
        `${quoted(text)} is in this pool twice, first in \`${first}\`; expected each endpoint once`;
      file.problem(texts, i, "duplicate-endpoint", message);
      continue;
    }
    seen.set(origin, version);
    origins.push(origin);
  }
  return origins;
}

/** Problems go to logs and screens. */
function withoutPassword(text: string): string {
  return text.replace(/\/\/[^/]*@/, "//…@");
}
