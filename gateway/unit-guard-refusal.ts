/** What a unit guard answers instead of its unit: status, the field by which a gateway knows it, and the way out. */
import type { Misdirection } from "../model/slot-ownership.ts";
import type { GuardedRequest } from "./unit-guard-stamp.ts";

/**
 * By this field of an answer a gateway knows that a guard refused, and that nothing was done: its value is the cause. A 421
 * without it is an application's own, and is passed on.
 */
export const GUARD_FIELD = "x-tidegate-guard";

/** `unit`: it was meant for another unit than this one says that it is. */
export const GUARD_CAUSES = ["unit", "elsewhere", "older", "fenced", "closed"] as const;
export type GuardCause = (typeof GUARD_CAUSES)[number] | "unknown" | "unstamped" | "malformed";

export interface GuardRefusal {
  readonly status: 400 | 421 | 503;
  readonly cause: GuardCause;
  readonly body: string;
}

/** @param why a sentence */
export function malformed(why: string): GuardRefusal {
  return refusal(400, "malformed", "The gateway's fields cannot be read", { detail: why });
}

export function unstamped(unit: string): GuardRefusal {
  const detail = `unit ${unit} takes writes that came through a gateway; this one did not: send it through one`;
  return refusal(421, "unstamped", "The request did not come through a gateway", { unit, detail });
}

/**
 * @param unit who refuses
 * @param epoch as far as is known here; −1: nothing is
 * @param owner undefined: nobody knows
 */
export function misdirected(
  cause: Misdirection | "unit",
  unit: string,
  request: GuardedRequest,
  epoch: number,
  owner: string | undefined,
): GuardRefusal {
  const { slot, pin } = request;
  const members = {
    unit,
    ...(slot === -1 ? {} : { slot }),
    epoch: request.epoch,
    ...(epoch === -1 ? {} : { knownEpoch: epoch }),
    ...(owner === undefined ? {} : { owner }),
  };
  const what = pin === undefined ? `slot ${slot}` : "the key, which is placed by hand,";
  const details: Readonly<Record<Misdirection | "unit", string>> = {
    unit: `it was meant for unit ${request.unit}, and this is ${unit}: correct the pools, or the guard's unit`,
    elsewhere: `${what} lives in ${owner ?? "no unit"} by epoch ${epoch}; it was sent under epoch ${request.epoch}`,
    older: `${what} is ${unit}'s again by epoch ${epoch}; it was sent under epoch ${request.epoch}, from before`,
    fenced: `${what} is fenced; it was sent under epoch ${request.epoch}: send it again when the fence is lifted`,
    closed: `${what} was closed here at a catch-up; it was sent under epoch ${request.epoch}: send it again later`,
    unknown: `unit ${unit} has not heard yet which slots are its own: see that its guard reaches the control plane`,
  };
  const more = { ...members, detail: details[cause] };
  if (cause === "unknown") {
    return refusal(503, cause, "The unit does not know yet which users are its own", more);
  }
  return refusal(421, cause, "The request is not for this unit", more);
}

function refusal(
  status: GuardRefusal["status"],
  cause: GuardCause,
  title: string,
  members: object,
): GuardRefusal {
  const type = `urn:tidegate:problem:guard-${status === 421 && cause !== "unstamped" ? "misdirected" : cause}`;
  return { status, cause, body: JSON.stringify({ type, title, status, cause, ...members }) };
}
