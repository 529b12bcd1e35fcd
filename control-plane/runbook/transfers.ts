/**
 * The fenced move, one batch at a time: fence → every gateway holds → the data is there → switch and unfence at once.
 *
 * Switch and unfence are one revision: by then no gateway sends a write of these slots to the unit that they leave, so one
 * that still holds them while another has switched does no harm. What goes wrong before the switch lifts the fence again.
 */
import type { Config } from "../../model/config.ts";
import type { Overlay, OverlayChange } from "../../model/overlay.ts";
import { type Act, type HookCall, movesOf } from "../../model/plan-step.ts";
import { batchesOf, rangesOf, slotsOf } from "../../model/slots.ts";
import type { OverlaySet } from "../draft.ts";
import type { Gateways } from "../publish/gateways.ts";
import type { Roster } from "../publish/roster.ts";
import type { Transfer } from "./execution.ts";

export type Moving = Extract<Act, { kind: "evacuate" | "move" }>;

/** How slots move, whoever moves them. */
export interface Manner {
  readonly hold: number;
  readonly catchUp: HookCall | undefined;
}

/** A fence that gateways do not acknowledge is lifted after this (ms), or after what it holds, if that is longer. */
export const FENCE_TIMEOUT = 5_000;

export function transfersOf(act: Moving, config: Config): Transfer[] {
  return movesOf(act, config).flatMap(({ slots, keys, unit }) => {
    const batches = batchesOf(slots, act.batch);
    if (batches.length === 0) batches.push([]);
    return batches.map(
      (batch, i): Transfer => ({ slots: batch, keys: i === 0 ? keys : [], unit, phase: "idle" }),
    );
  });
}

export function fenceOf({ slots, keys }: Transfer, hold: number): OverlayChange {
  return { kind: "fence", slots, keys, hold };
}

/** What switches a batch: its move is laid, or taken back, and its fence goes. */
export function switchOf(transfer: Transfer, own: readonly Overlay[], reason: string): OverlaySet {
  const { slots, keys, unit, fence, back } = transfer;
  const remove = [...(fence === undefined ? [] : [fence]), ...(back === undefined ? [] : [back])];
  if (back !== undefined) return { lay: [], remove };
  const lay = [request({ kind: "move", slots, keys, unit }, reason)];
  const moving = new Set(slotsOf(slots));
  for (const { id, change } of own) {
    // A key that it had pinned itself lives elsewhere from now on.
    if (change.kind === "pin" && keys.includes(change.key)) remove.push(id);
    if (change.kind !== "move") continue;
    const left = [...slotsOf(change.slots)].filter((slot) => !moving.has(slot));
    const leftKeys = change.keys.filter((key) => !keys.includes(key));
    const before = [...slotsOf(change.slots)].length;
    if (left.length === before && leftKeys.length === change.keys.length) continue;
    // It moves on: what stays of the earlier move is laid again without it.
    remove.push(id);
    if (left.length + leftKeys.length === 0) continue;
    lay.push(request({ ...change, slots: rangesOf(left), keys: leftKeys }, reason));
  }
  return { lay, remove };
}

export function request(change: OverlayChange, reason: string): OverlaySet["lay"][number] {
  return { change, reason, expiresIn: undefined, supersedes: undefined };
}

/**
 * Who has not acknowledged a fence: those that live, and those that cannot be asked and may go on as they were. When
 * nobody is left, there may be `strangers`.
 */
export function unfenced(
  gateways: Gateways,
  revision: number,
  without: readonly string[],
): { readonly behind: string[]; readonly lost: string[]; readonly refused: string[] } {
  const { behind, refused } = gateways.convergence(revision);
  const live = new Set(gateways.live().map(({ name }) => name));
  const lost = gateways
    .list()
    .filter(({ name }) => !live.has(name) && !without.includes(name))
    .map(({ name }) => name);
  const left = (names: string[]): string[] => names.filter((name) => !without.includes(name));
  return { behind: left(behind), lost, refused: left(refused) };
}

/** Gateways that may serve, and that only a control plane knew which is gone. @throws Unavailable */
export async function strangers(
  gateways: Gateways,
  roster: Pick<Roster, "names">,
  without: readonly string[],
): Promise<string[]> {
  const live = new Set(gateways.live().map(({ name }) => name));
  return (await roster.names()).filter((name) => !live.has(name) && !without.includes(name));
}
