/** The third step: whether what was decided may go on. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Decision, Refusal, RefusalCause } from "../model/decide.ts";
import type { StressMark } from "../model/stress-mark.ts";
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
  "no-such-unit": "stress-mark",
  "unit-down": "no-healthy-unit",
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
    const instead = identity.mark === undefined ? degrade(core, route, type, undefined) : undefined;
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
  if (identity.mark !== undefined)
    return admitStress(core, decision, identity, identity.mark, request, response);
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

/** Users' limits are not spent on stress traffic, and a fallback would hide from it what the unit does. */
function admitStress(
  core: Core,
  decision: Decision,
  identity: Identity,
  mark: StressMark,
  request: IncomingMessage,
  response: ServerResponse,
): Decision | undefined {
  const { route } = decision;
  const wait = route.spec.degraded === true ? 0 : core.stress.take(mark);
  if (route.spec.degraded !== true && wait === 0) return decision;
  const type = wait === 0 ? "degraded" : "limit";
  const particulars =
    wait === 0 ? undefined : { retryAfter: Math.max(1, Math.ceil(wait / 1000)), fields: [], members: {} };
  const detail = wait === 0 ? `route ${route.name}` : `stress traffic of unit ${mark.unit} has its own limit`;
  const status = answer(core, request, response, type, detail, undefined, particulars);
  if (wait > 0) core.stress.metrics.count("tidegate_limited_total", `unit="${mark.unit}"`);
  settleRefused(core, request, status, type, identity, route);
  return undefined;
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
    case "no-such-unit":
      return `there is no unit ${identity.stress}`;
    case "unit-down":
      return `stress traffic of unit ${identity.stress} goes nowhere else, and it is down`;
    case "no-pool":
      return `service ${refusal.route?.service.name} has no pool there`;
  }
}
