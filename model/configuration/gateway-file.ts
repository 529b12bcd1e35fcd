/** Reads `gateway.yaml`. */
import { isIP } from "node:net";
import {
  DEFAULT_GATEWAY_SETTINGS as DEFAULTS,
  DEFAULT_TRACING,
  type GatewaySettings,
  type StressSettings,
  type TracingSettings,
} from "../gateway-settings.ts";
import { publicKeyFrom } from "../stress-mark.ts";
import { type Draft, type DraftFile, quoted } from "./draft.ts";
import type { GatewayShape } from "./gateway-schema.ts";
import { readKeySources } from "./key-sources.ts";

export function readGatewaySettings(file: DraftFile<GatewayShape>): GatewaySettings {
  const draft = file.value;
  if (draft === undefined) return DEFAULTS;
  const trust = draft.trust ?? DEFAULTS.trust;
  for (const [i, cidr] of trust.entries()) {
    const wrong = networkProblem(cidr);
    if (wrong !== undefined) file.problem(trust, i, "invalid-network", () => `${quoted(cidr)} ${wrong}`);
  }
  const client = draft.client ?? {};
  const { maxHeader, maxHeaders, headerTimeout, keepAlive, maxConnections, maxStreams } = DEFAULTS.client;
  return {
    trust,
    underscores: draft.underscores ?? DEFAULTS.underscores,
    client: {
      maxHeader: client.maxHeader ?? maxHeader,
      maxHeaders: client.maxHeaders ?? maxHeaders,
      headerTimeout: client.headerTimeout ?? headerTimeout,
      keepAlive: client.keepAlive ?? keepAlive,
      maxConnections: client.maxConnections ?? maxConnections,
      maxStreams: client.maxStreams ?? maxStreams,
    },
    identity: readIdentity(file, draft.identity),
    replayBody: draft.replayBody ?? DEFAULTS.replayBody,
    accessLog: { sample: draft.accessLog?.sample ?? DEFAULTS.accessLog.sample },
    ...(draft.tracing === undefined ? {} : { tracing: readTracing(draft.tracing) }),
    ...(draft.stress === undefined ? {} : { stress: readStress(file, draft.stress) }),
  };
}

function readTracing(draft: NonNullable<Draft<GatewayShape>["tracing"]>): TracingSettings {
  const { sample, slow, parents, headers } = DEFAULT_TRACING;
  return {
    sample: draft.sample ?? sample,
    slow: draft.slow ?? slow,
    parents: draft.parents ?? parents,
    headers: (draft.headers ?? headers).map((name) => name.toLowerCase()),
  };
}

/** A gateway tries none but the key that a mark names, and looks through them at every swap. */
const MOST_KEYS = 16;

function readStress(
  file: DraftFile<GatewayShape>,
  { keys = [], limit }: NonNullable<Draft<GatewayShape>["stress"]>,
): StressSettings {
  for (const [i, key] of keys.entries()) {
    if (publicKeyFrom(key) !== undefined) continue;
    const message = "is no Ed25519 public key; expected a line that `tidegate stress key` printed";
    file.problem(keys, i, "invalid-stress-key", () => `${quoted(key)} ${message}`);
  }
  if (keys.length > MOST_KEYS) {
    const message = `there are ${keys.length} keys; expected at most ${MOST_KEYS}`;
    file.problem(keys, MOST_KEYS, "too-many-stress-keys", message);
  }
  return { keys, limit };
}

function readIdentity(
  file: DraftFile<GatewayShape>,
  draft: Draft<GatewayShape>["identity"],
): GatewaySettings["identity"] {
  const { identity } = DEFAULTS;
  if (draft === undefined) return identity;
  const tenant = draft.tenant === undefined ? identity.tenant : readKeySources(file, draft.tenant);
  for (const [i, source] of tenant.entries()) {
    if (source.from !== "path") continue;
    const message = "a tenant is looked for before the route is known; expected header, cookie or query";
    file.problem(draft.tenant!, i, "key-source", message);
  }
  return {
    apiKey: draft.apiKey ?? identity.apiKey,
    tenant,
    ipv4: draft.ipv4 ?? identity.ipv4,
    ipv6: draft.ipv6 ?? identity.ipv6,
  };
}

function networkProblem(cidr: string): string | undefined {
  const match = /^([0-9A-Fa-f:.]+)\/(\d{1,3})$/.exec(cidr);
  const family = isIP(match?.[1] ?? "");
  if (match === null || family === 0) {
    return isIP(cidr) === 0
      ? "is no network; expected a CIDR such as 10.0.0.0/8 or ::1/128"
      : `is an address; expected a network, so write ${cidr}/${isIP(cidr) === 4 ? 32 : 128}`;
  }
  const most = family === 4 ? 32 : 128;
  return Number(match[2]) > most
    ? `has a prefix longer than the address; expected /0 to /${most}`
    : undefined;
}
