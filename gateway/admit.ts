/** The third step: whether what was decided may go on. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Decision, Refusal, RefusalCause } from "../model/decide.ts";
import type { Core } from "./core.ts";
import { degrade } from "./degrade.ts";
import type { Identity } from "./identify.ts";
import type { Limited } from "./limiter.ts";
import { answer } from "./refuse.ts";
import type { RefusalType } from "./refusal.ts";
import { settleRefused } from "./settle.ts";

const TYPES: Readonly<Record<RefusalCause, RefusalType>> = {
  "no-route": "no-route",
  "no-key": "no-partition-key",
  "contradictory-key": "contradictory-partition-key",
  "no-pool": "no-pool",
};

/** @returns undefined when the request was refused, and answered. */
export function admit(
  core: Core,
  decision: Decision | Refusal,
  identity: Identity,
  request: IncomingMessage,
  response: ServerResponse,
): Decision | undefined {
  if (decision.refused) {
    const { route, cause } = decision;
    const type = TYPES[cause];
    const instead = degrade(core, route, type, undefined);
    const status = answer(core, request, response, type, detailOf(decision, identity), instead);
    settleRefused(core, request, status, type, identity, route, instead !== undefined);
    return undefined;
  }
  const { maxBody, degraded } = decision.route.spec;
  const declared = identity.head.contentLength;
  if (maxBody > 0 && declared !== undefined && declared > maxBody) {
    const status = answer(core, request, response, "body-too-large", `the route takes ${maxBody} bytes`);
    settleRefused(core, request, status, "body-too-large", identity, decision.route);
    return undefined;
  }
  const limited = core.limiter.take(decision, identity);
  if (limited !== undefined) {
    refuseLimited(core, limited, decision, identity, request, response);
    return undefined;
  }
  if (degraded === true) {
    const { route } = decision;
    const instead = degrade(core, route, "degraded", undefined);
    const status = answer(core, request, response, "degraded", `route ${route.name}`, instead);
    settleRefused(core, request, status, "degraded", identity, route, instead !== undefined);
    return undefined;
  }
  return decision;
}

function refuseLimited(
  core: Core,
  { limit, wait }: Limited,
  decision: Decision,
  identity: Identity,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const { spec } = limit;
  core.metrics.count("tidegate_limited_total", `limit="${spec.name}"`);
  const seconds = Math.max(1, Math.ceil(wait / 1000));
  const status = answer(core, request, response, "limit", limit.detail, undefined, {
    retryAfter: seconds,
    fields: ["ratelimit", `"${spec.name}";r=0;t=${seconds}`, "ratelimit-policy", limit.policy],
    members: { limit: spec.name },
  });
  settleRefused(core, request, status, "limit", identity, decision.route);
}

function detailOf(refusal: Refusal, identity: Identity): string {
  switch (refusal.cause) {
    case "no-route":
      return `no route for ${identity.method} on this host and path`;
    case "no-key":
    case "contradictory-key": {
      const where = refusal.route?.key.map((k) => `${k.from} ${k.name}`).join(", ");
      return `route ${refusal.route?.name} takes the user from ${where}`;
    }
    case "no-pool":
      return `service ${refusal.route?.service.name} has no pool there`;
  }
}
