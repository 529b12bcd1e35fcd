/**
 * How a configuration travels to gateways and rests on their disks: sections by content, and a signed manifest that
 * names them. A gateway gets the sections that it does not have, and believes nothing that the manifest does not cover.
 */
import type { Config, Staged } from "./config.ts";
import type { Fleet } from "./fleet.ts";
import { hashKey } from "./hash.ts";
import type { Route } from "./route.ts";
import { NO_SAFETY } from "./safety.ts";

/** One part of a configuration: its JSON text. */
export type Sections = ReadonlyMap<string, string>;

/** What is signed. Written as JSON with these fields in this order. */
export interface Manifest {
  readonly fleet: string;
  /** Leadership under which it was published: together with `revision` it never goes back. */
  readonly epoch: number;
  readonly revision: number;
  /** Milliseconds since 1970, by the control plane's clock. */
  readonly at: number;
  /** Section → digest of its text. */
  readonly sections: Readonly<Record<string, string>>;
}

/** A manifest on its way, with the sections that the receiver lacks. */
export interface Publication {
  /** The text that was signed, byte for byte. */
  readonly manifest: string;
  /** Ed25519, base64. */
  readonly signature: string;
  /** Digest → text. */
  readonly sections: Readonly<Record<string, string>>;
  /** The control plane's clock when it was sent: drains count from there, whatever the receiver's clock says. */
  readonly now: number;
}

/** Most bytes of one configuration: ten times what the largest fleets need. */
export const MOST_SNAPSHOT_BYTES = 64 * 1024 * 1024;

/** Routes in one section, on average. */
const CHUNK = 16;

export function sectionsOf(config: Config): Sections {
  const { fleet, routes, limits, gateway, breakers, staged, trial } = config;
  const { placement, services, ...rest } = fleet;
  const sections = new Map<string, unknown>([
    ["units", rest],
    ["placement", placement],
    ["limits", limits],
    ["gateway", gateway],
  ]);
  if (breakers !== undefined) sections.set("breakers", breakers);
  // Its routes apart from its shares: a step of a rollout sends only these.
  if (staged !== undefined) {
    const { routes: next, ...shares } = staged;
    sections.set("staged", shares).set("staged-routes", next);
  }
  if (trial !== undefined) sections.set("trial", trial);
  const chunks = chunksOf(routes);
  sections.set("routes", [...chunks.keys()]);
  for (const [name, chunk] of chunks) sections.set(name, chunk);
  // The order of services is part of the configuration.
  sections.set(
    "services",
    services.map((s) => s.name),
  );
  for (const service of services) sections.set(`service/${service.name}`, service);
  return new Map([...sections].map(([name, value]) => [name, JSON.stringify(value)]));
}

/** @throws Error that names the section which is missing or is no JSON */
export function configFrom(sections: Sections): Config {
  const read = <T>(name: string): T => {
    const text = sections.get(name);
    if (text === undefined) throw new Error(`section ${name} is missing`);
    try {
      return JSON.parse(text) as T;
    } catch {
      throw new Error(`section ${name} is no JSON`);
    }
  };
  const names = read<string[]>("services");
  return {
    fleet: {
      ...read<Omit<Fleet, "placement" | "services">>("units"),
      placement: read("placement"),
      services: names.map((name) => read(`service/${name}`)),
    },
    routes: read<string[]>("routes").flatMap((name) => read<Route[]>(name)),
    limits: read("limits"),
    gateway: read("gateway"),
    safety: NO_SAFETY,
    ...(sections.has("breakers") ? { breakers: read("breakers") } : {}),
    ...(sections.has("trial") ? { trial: read("trial") } : {}),
    ...(sections.has("staged")
      ? { staged: { ...read<Omit<Staged, "routes">>("staged"), routes: read("staged-routes") } }
      : {}),
  };
}

/**
 * Routes in their order, some at a time, so that a change of one sends little. Where a chunk ends is said by the routes'
 * names, not by their number: a route that comes or goes changes its own chunk and no other.
 */
function chunksOf(routes: readonly Route[]): Map<string, Route[]> {
  const chunks = new Map<string, Route[]>();
  let chunk: Route[] = [];
  for (const route of routes) {
    if (chunk.length === 0 || hashKey(route.name) % CHUNK === 0) {
      chunk = [];
      chunks.set(`routes/${route.name}`, chunk);
    }
    chunk.push(route);
  }
  return chunks;
}

/** Whether one publication may follow another: epochs never go back, and revisions do not within one. */
export function isNewer(
  next: Manifest,
  than: { readonly epoch: number; readonly revision: number },
): boolean {
  return next.epoch > than.epoch || (next.epoch === than.epoch && next.revision > than.revision);
}
