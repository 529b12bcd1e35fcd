/** How an alert goes on with what is seen: pending, firing, resolved. Pure; times are handed in. */
import type { AlertRule } from "./alerts.ts";

/** All times in milliseconds since 1970. */
export type Phase =
  /** It holds, and not long enough yet. */
  | { readonly state: "pending"; readonly since: number; readonly last?: Resolved }
  | {
      readonly state: "firing";
      readonly since: number;
      readonly firedAt: number;
      /** It does not hold since then, and goes on firing for a while. */
      readonly clearSince?: number;
    }
  | Resolved;

export interface Resolved {
  readonly state: "resolved";
  readonly since: number;
  readonly firedAt: number;
  readonly resolvedAt: number;
}

/**
 * @param before undefined: nothing was seen of it
 * @param holds undefined: nobody knows
 * @returns the same object where nothing changes; undefined where there is nothing to keep
 */
export function advance(
  before: Phase | undefined,
  holds: boolean | undefined,
  { hold, keepFiring, onNoData }: Pick<AlertRule, "hold" | "keepFiring" | "onNoData">,
  now: number,
): Phase | undefined {
  // Nobody knows whether it got better or worse: neither clock goes on to an end.
  if (holds === undefined && onNoData === "hold") return before;
  return (holds ?? onNoData === "fire") ? held(before, hold, now) : cleared(before, keepFiring, now);
}

function held(before: Phase | undefined, hold: number, now: number): Phase {
  if (before === undefined || before.state === "resolved") {
    if (hold === 0) return { state: "firing", since: now, firedAt: now };
    // That it was over may not have been told yet.
    return { state: "pending", since: now, ...(before === undefined ? {} : { last: before }) };
  }
  const { since } = before;
  if (before.state === "pending") {
    return now - since < hold ? before : { state: "firing", since, firedAt: now };
  }
  return before.clearSince === undefined ? before : { state: "firing", since, firedAt: before.firedAt };
}

function cleared(before: Phase | undefined, keepFiring: number, now: number): Phase | undefined {
  if (before === undefined) return undefined;
  if (before.state === "pending") return before.last;
  if (before.state === "resolved") return before;
  const { since, firedAt, clearSince = now } = before;
  if (now - clearSince >= keepFiring) return { state: "resolved", since, firedAt, resolvedAt: now };
  return before.clearSince === undefined ? { state: "firing", since, firedAt, clearSince } : before;
}
