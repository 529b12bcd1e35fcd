/** Says in words what `decide` decided: the one text behind `tidegate explain` and the admin port's `/explain`. */
import {
  DOWN,
  type Decision,
  DRAINED,
  decide,
  EJECTED,
  type Health,
  isUsable,
  type RouteRequest,
} from "./decide.ts";
import { holdOf, isWrite } from "./fences.ts";
import { headerValue } from "./header-list.ts";
import type { EndpointPool, Table } from "./table.ts";

export interface Explanation {
  readonly decision: "forward" | "refuse";
  readonly route: string | undefined;
  readonly service: string | undefined;
  readonly scope: string | undefined;
  readonly key: string | undefined;
  readonly slot: number | undefined;
  readonly epoch: number;
  /** The unit that owns the request. */
  readonly home: string | undefined;
  /** The unit that it would be sent to now. */
  readonly unit: string | undefined;
  readonly version: string | undefined;
  readonly candidates: readonly {
    unit: string;
    usable: boolean;
    endpoints: readonly { origin: string; version: string; health: string }[];
  }[];
  readonly panic: boolean;
  /** Milliseconds that it waits at most, because its slot is fenced. */
  readonly hold: number | undefined;
  /** One sentence per step of the decision. */
  readonly reasons: readonly string[];
}

export function explain(table: Table, health: Health, request: RouteRequest): Explanation {
  const decision = decide(table, health, request);
  const reasons: string[] = [];
  const epoch = table.fleet.placement.epoch;
  const route = decision.route;
  if (route === undefined) {
    reasons.push(
      `no route matches ${request.method} ${request.host || "(any host)"} ${request.path}: answered 404`,
    );
  } else {
    const { match } = route.spec;
    const conditions = [
      match.host === undefined ? undefined : `host ${match.host}`,
      `path ${match.path}`,
      match.methods.length > 0 ? `method ${request.method}` : undefined,
      ...match.headers.map((h) => `header ${h.name}${h.exact === undefined ? "" : `: ${h.exact}`}`),
    ].filter((c) => c !== undefined);
    reasons.push(`route ${route.name} matches by ${conditions.join(", ")}`);
  }
  const base = {
    route: route?.name,
    service: route?.service.name,
    scope: route?.spec.scope,
    epoch,
  };
  if (decision.refused) {
    const sources = route?.key.map((k) => `${k.from} ${k.name}`).join(", ") ?? "";
    if (decision.cause === "no-key") {
      reasons.push(
        `the route is sharded and no partition key was found (looked in ${sources}): answered 400`,
      );
    } else if (decision.cause === "contradictory-key") {
      reasons.push(
        `the partition key comes twice with different values (looked in ${sources}): answered 400`,
      );
    } else if (decision.cause === "no-pool") {
      reasons.push(
        `service ${route?.service.name} has no pool in a unit that may serve this request: answered 503`,
      );
    } else if (decision.cause === "no-such-unit") {
      reasons.push(`the stress mark names unit ${request.stress}, which does not exist: answered 403`);
    } else if (decision.cause === "unit-down") {
      reasons.push(
        `stress traffic of unit ${request.stress} goes nowhere else, and it is down: answered 503`,
      );
    }
    return {
      ...base,
      decision: "refuse",
      key: undefined,
      slot: undefined,
      home: undefined,
      unit: undefined,
      version: undefined,
      candidates: [],
      panic: false,
      hold: undefined,
      reasons,
    };
  }

  const home = table.units[decision.home]!;
  const { spec } = decision.route;
  if (request.stress === undefined && spec.scope === "sharded" && decision.key !== undefined) {
    const where = `${decision.keySource?.from} ${decision.keySource?.name}`;
    reasons.push(`partition key ${JSON.stringify(decision.key)} from ${where}`);
  }
  reasons.push(homeReason(table, decision, request.stress !== undefined));
  if (decision.versionCause !== "stable") reasons.push(`version canary (${decision.versionCause})`);
  reasons.push(
    request.stress !== undefined
      ? "never failed over"
      : decision.candidates.length === 1
        ? `failover ${spec.failover}: ${request.method} may be served by ${decision.candidates[0]!.unit.name} only`
        : `failover ${spec.failover}: candidates ${decision.candidates.map((c) => c.unit.name).join(" → ")}`,
  );
  const target = decision.candidates[decision.first]!;
  reasons.push(...healthReasons(decision));
  const canary =
    decision.version === "canary" && target.canary !== undefined && isUsable(health, target.canary);
  const upgrades = headerValue(request.headers, "upgrade")?.toLowerCase() === "websocket";
  const isHeld = table.fences !== undefined && isWrite(request.method, upgrades);
  const hold = isHeld ? holdOf(table.fences, decision) : 0;
  if (hold > 0) {
    const what = decision.pinned ? `key ${JSON.stringify(decision.key)}` : `slot ${decision.slot}`;
    reasons.push(
      `${what} is fenced: held until the fence is lifted and then decided again, 503 after ${hold} ms`,
    );
  }
  reasons.push(`sent to ${target.unit.name}, ${canary ? "canary" : "stable"}`);
  return {
    ...base,
    decision: "forward",
    key: decision.key,
    slot: decision.slot === -1 ? undefined : decision.slot,
    home: home.name,
    unit: target.unit.name,
    version: canary ? "canary" : "stable",
    candidates: decision.candidates.map((c) => ({
      unit: c.unit.name,
      usable: isUsable(health, c.stable) || (c.canary !== undefined && isUsable(health, c.canary)),
      endpoints: [...rows(health, c.stable), ...(c.canary === undefined ? [] : rows(health, c.canary))],
    })),
    panic: decision.panic,
    hold: hold === 0 ? undefined : hold,
    reasons,
  };
}

/** Why the request's home is its home. Says nothing of the key itself. */
export function homeReason(table: Table, decision: Decision, isStress: boolean): string {
  const { name } = table.units[decision.home]!;
  const { scope } = decision.route.spec;
  if (isStress) return `stress traffic goes to its unit ${name} or nowhere`;
  if (scope === "center") return `scope center: home is the center unit ${name}`;
  if (scope === "nearest") return `scope nearest: ${name} is the nearest unit with a pool`;
  if (decision.key === undefined) return `no partition key, missingKey center: home is ${name}`;
  return decision.pinned
    ? `the key is pinned to ${name} (its slot would be ${decision.slot} of ${table.slots})`
    : `XXH32(key) mod ${table.slots} = slot ${decision.slot}, owned by ${name} (epoch ${table.fleet.placement.epoch})`;
}

/** What health did to it. */
export function healthReasons({ candidates, first, panic }: Decision): string[] {
  const reasons = candidates
    .slice(0, first)
    .map(({ unit }) => `${unit.name} is passed over: it has no usable endpoint`);
  if (panic) reasons.push("no candidate has a usable endpoint: panic, spread over all of them");
  return reasons;
}

function rows(health: Health, pool: EndpointPool): { origin: string; version: string; health: string }[] {
  return pool.endpoints.map((e) => ({
    origin: e.origin,
    version: pool.version,
    health: healthWord(health.endpoints[e.id] ?? 0),
  }));
}

/** `up`, or what keeps it from new requests. */
export function healthWord(bits: number): string {
  const words = [
    bits & DOWN ? "down" : undefined,
    bits & EJECTED ? "ejected" : undefined,
    bits & DRAINED ? "drained" : undefined,
  ].filter((w) => w !== undefined);
  return words.length === 0 ? "up" : words.join(" and ");
}
