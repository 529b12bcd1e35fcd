/** What an act lays and takes away at once. Moves go batch by batch instead, but for those of rehearsals. Pure. */
import { conflictOf, type OverlayChange } from "../../model/overlay.ts";
import { type Act, changesOf } from "../../model/plan-step.ts";
import { slotsOf } from "../../model/slots.ts";
import type { OverlaySet, Standing } from "../draft.ts";
import type { Execution } from "./execution.ts";
import { request } from "./transfers.ts";

/** What an act lays and takes away, given what this execution laid before. */
export function setOf(act: Act, execution: Execution, { config, overlays }: Standing): OverlaySet {
  const own = overlays.filter(({ id }) => execution.overlays.includes(id));
  if (act.kind === "undrain") {
    const drains = overlays.filter(
      (o) => o.change.kind === "drain" && o.for === undefined && act.units.includes(o.change.unit),
    );
    return { lay: [], remove: drains.map(({ id }) => id) };
  }
  if (act.kind === "unfence") {
    const slots = new Set(slotsOf(act.slots));
    const fences = own.filter(
      ({ change }) => change.kind === "fence" && [...slotsOf(change.slots)].some((slot) => slots.has(slot)),
    );
    return { lay: [], remove: fences.map(({ id }) => id) };
  }
  const remove: string[] = [];
  const lay = changesOf(act, config).map((wanted) => {
    let change: OverlayChange = wanted;
    for (let one = conflictOf(wanted, own); one !== undefined; ) {
      const { id, change: earlier } = one.overlay;
      remove.push(id);
      // The fields of the earlier one that this one does not write stay.
      if (earlier.kind === "limit" && change.kind === "limit") change = { ...earlier, ...change };
      one = conflictOf(
        wanted,
        own.filter((o) => !remove.includes(o.id)),
      );
    }
    return request(change, execution.reason);
  });
  return { lay, remove };
}
