/** Which writes a unit takes, as far as it knows. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { slotOf } from "../../model/hash.ts";
import type { Placement } from "../../model/fleet.ts";
import { SlotOwnership } from "../../model/slot-ownership.ts";

const SLOTS = 8;

function placement(map: string, epoch: number, more: Partial<Placement> = {}): Placement {
  return { key: [], slots: SLOTS, map: map.split(""), pins: {}, epoch, ...more };
}

/** What unit `a` knows after these placements, one revision each. */
function knowing(...placements: Placement[]): SlotOwnership {
  const ownership = new SlotOwnership("a");
  for (const [i, one] of placements.entries())
    ownership.learn({ leadership: 1, revision: i + 1, placement: one });
  return ownership;
}

const fence = (first: number, last: number, keys: string[] = []) => ({
  fences: [{ slots: [{ first, last }], keys, hold: 100 }],
});

describe("a unit's slots", () => {
  it("are unknown before anybody said anything, and a write of no slot is anybody's", () => {
    const ownership = new SlotOwnership("a");
    assert.equal(ownership.misdirection(0, 1, undefined), "unknown");
    assert.equal(ownership.misdirection(-1, 1, undefined), undefined);
    assert.equal(ownership.epoch, -1);
    assert.equal(ownership.ownerOf({ slot: 0, pin: undefined }), undefined);
  });

  it("take writes of the unit, whatever the epoch, as long as nobody moved them", () => {
    const ownership = knowing(placement("aaaabbbb", 7));
    for (const epoch of [0, 6, 7, 8]) assert.equal(ownership.misdirection(0, epoch, undefined), undefined);
    assert.equal(ownership.misdirection(4, 7, undefined), "elsewhere");
    assert.equal(ownership.misdirection(4, 6, undefined), "elsewhere");
    assert.equal(ownership.ownerOf({ slot: 4, pin: undefined }), "b");
  });

  it("take what a gateway sends by a newer placement than is known here", () => {
    const ownership = knowing(placement("aaaabbbb", 7));
    assert.equal(ownership.misdirection(4, 8, undefined), undefined);
    assert.equal(ownership.misdirection(4, 999_999_999_999_999, undefined), undefined);
  });

  it("that came, or came back, take nothing from before", () => {
    const ownership = knowing(placement("aaaabbbb", 1), placement("baaabbbb", 2), placement("aaaabbbb", 3));
    assert.equal(ownership.misdirection(0, 1, undefined), "older");
    assert.equal(ownership.misdirection(0, 2, undefined), "older");
    assert.equal(ownership.misdirection(0, 3, undefined), undefined);
    assert.equal(ownership.misdirection(1, 1, undefined), undefined, "a slot that stayed");
  });

  it("that are fenced take nothing, until they are not", () => {
    const ownership = knowing(placement("aaaabbbb", 1), placement("aaaabbbb", 1, fence(0, 1)));
    assert.equal(ownership.misdirection(1, 1, undefined), "fenced");
    assert.equal(ownership.misdirection(2, 1, undefined), undefined);
    ownership.learn({ leadership: 1, revision: 3, placement: placement("aaaabbbb", 1) });
    assert.equal(ownership.misdirection(1, 1, undefined), undefined);
  });

  it("that are out of the placement are not the unit's", () => {
    const ownership = knowing(placement("aaaabbbb", 1));
    assert.equal(ownership.misdirection(8, 1, undefined), "elsewhere");
    assert.equal(ownership.misdirection(65_535, 1, undefined), "elsewhere");
  });

  it("all take nothing from before when their number changed", () => {
    const ownership = knowing(placement("aaaabbbb", 1), {
      ...placement("aaaa", 2),
      slots: 4,
    });
    assert.equal(ownership.misdirection(0, 1, undefined), "older");
    assert.equal(ownership.misdirection(0, 2, undefined), undefined);
  });

  it("never go back to an older publication", () => {
    const ownership = knowing(placement("aaaabbbb", 1), placement("bbbbbbbb", 2));
    assert.equal(ownership.learn({ leadership: 1, revision: 1, placement: placement("aaaabbbb", 1) }), false);
    assert.equal(ownership.learn({ leadership: 0, revision: 9, placement: placement("aaaabbbb", 1) }), false);
    assert.equal(ownership.misdirection(0, 2, undefined), "elsewhere");
  });
});

describe("what is closed at a catch-up", () => {
  const closing = { slots: [{ first: 0, last: 1 }], keys: [], epoch: 1, revision: 2 };

  it("takes nothing under that epoch or an older one, whatever is known", () => {
    const ownership = new SlotOwnership("a");
    assert.equal(ownership.close(closing), 2);
    assert.equal(ownership.misdirection(0, 1, undefined), "closed");
    assert.equal(ownership.misdirection(1, 0, undefined), "closed");
    assert.equal(ownership.misdirection(2, 1, undefined), "unknown");
    ownership.learn({ leadership: 1, revision: 2, placement: placement("aaaabbbb", 1) });
    assert.equal(ownership.misdirection(0, 1, undefined), "closed", "that revision is not later");
    assert.equal(ownership.misdirection(0, 2, undefined), undefined, "the next epoch");
  });

  it("opens again by a later revision that shows it as the unit's own and not fenced", () => {
    const ownership = knowing(placement("aaaabbbb", 1), placement("aaaabbbb", 1, fence(0, 1)));
    ownership.close(closing);
    ownership.learn({ leadership: 1, revision: 3, placement: placement("aaaabbbb", 1, fence(0, 0)) });
    assert.equal(ownership.misdirection(0, 1, undefined), "closed");
    assert.equal(ownership.misdirection(1, 1, undefined), undefined);
    ownership.learn({ leadership: 1, revision: 4, placement: placement("aaaabbbb", 1) });
    assert.equal(ownership.misdirection(0, 1, undefined), undefined);
  });

  it("stays closed where the slot has gone", () => {
    const ownership = knowing(placement("aaaabbbb", 1), placement("aaaabbbb", 1, fence(0, 1)));
    ownership.close(closing);
    ownership.learn({ leadership: 1, revision: 3, placement: placement("bbaabbbb", 2) });
    assert.equal(ownership.misdirection(0, 1, undefined), "closed");
    assert.equal(ownership.misdirection(0, 2, undefined), "elsewhere");
  });

  it("closes nothing when it is asked late, but what is fenced again", () => {
    const ownership = knowing(
      placement("aaaabbbb", 1),
      placement("aaaabbbb", 1, fence(0, 1)),
      placement("aaaabbbb", 1, fence(1, 1)),
    );
    assert.equal(ownership.close(closing), 1);
    assert.equal(ownership.misdirection(0, 1, undefined), undefined);
    assert.equal(ownership.misdirection(1, 1, undefined), "closed");
  });

  it("is kept as few closings, and comes back from them", () => {
    const ownership = new SlotOwnership("a");
    ownership.close({ slots: [{ first: 0, last: 3 }], keys: ["ann"], epoch: 1, revision: 2 });
    ownership.close({
      slots: [
        { first: 6, last: 6 },
        { first: 2, last: 2 },
      ],
      keys: [],
      epoch: 2,
      revision: 4,
    });
    const closings = ownership.closings();
    assert.deepEqual(closings, [
      {
        epoch: 1,
        revision: 2,
        slots: [
          { first: 0, last: 1 },
          { first: 3, last: 3 },
        ],
        keys: ["ann"],
      },
      {
        epoch: 2,
        revision: 4,
        slots: [
          { first: 2, last: 2 },
          { first: 6, last: 6 },
        ],
        keys: [],
      },
    ]);
    const again = new SlotOwnership("a");
    for (const one of closings) again.close(one);
    assert.deepEqual(again.closings(), closings);
    assert.equal(again.misdirection(5, 1, "ann"), "closed");
  });

  it("opens again when the store was put back to an older revision", () => {
    const ownership = knowing(placement("aaaabbbb", 1), placement("aaaabbbb", 1, fence(0, 1)));
    ownership.close(closing);
    ownership.learn({ leadership: 2, revision: 1, placement: placement("aaaabbbb", 1) });
    assert.equal(ownership.misdirection(0, 1, undefined), undefined);
  });
});

describe("keys that are placed by hand", () => {
  const key = "ann";
  const slot = slotOf(key, SLOTS);
  const OWN = "a".repeat(SLOTS);
  const OTHERS = "b".repeat(SLOTS);

  it("are their unit's, whoever has their slot", () => {
    const here = knowing(placement(OTHERS, 3, { pins: { [key]: "a" } }));
    assert.equal(here.misdirection(slot, 3, key), undefined);
    assert.equal(here.misdirection(slot, 3, undefined), "elsewhere");
    assert.equal(here.ownerOf({ slot, pin: key }), "a");
    const there = knowing(placement(OWN, 3, { pins: { [key]: "b" } }));
    assert.equal(there.misdirection(slot, 3, key), "elsewhere");
    assert.equal(there.ownerOf({ slot, pin: key }), "b");
  });

  it("that left are not taken by their slot from who does not know it", () => {
    const first = knowing(placement(OWN, 3, { pins: { [key]: "b" } }));
    assert.equal(first.misdirection(slot, 2, undefined), "older");
    assert.equal(first.misdirection(slot, 3, undefined), undefined);
    assert.equal(first.misdirection((slot + 1) % SLOTS, 2, undefined), undefined, "another slot");
    const later = knowing(placement(OWN, 3), placement(OWN, 4, { pins: { [key]: "b" } }));
    assert.equal(later.misdirection(slot, 3, undefined), "older");
    later.learn({ leadership: 1, revision: 3, placement: placement(OWN, 5) });
    assert.equal(later.misdirection(slot, 4, undefined), "older", "it came home");
    assert.equal(later.misdirection(slot, 5, undefined), undefined);
  });

  it("are fenced and closed by themselves", () => {
    const pins = { [key]: "a" };
    const ownership = knowing(
      placement(OTHERS, 3, { pins }),
      placement(OTHERS, 3, { pins, ...fence(0, 0, [key]) }),
    );
    assert.equal(ownership.misdirection(slot, 3, key), "fenced");
    assert.equal(ownership.close({ slots: [], keys: [key], epoch: 3, revision: 2 }), 1);
    assert.equal(ownership.misdirection(slot, 3, key), "closed");
    ownership.learn({ leadership: 1, revision: 3, placement: placement(OTHERS, 3, { pins }) });
    assert.equal(ownership.misdirection(slot, 3, key), undefined);
  });

  it("that came under a later epoch take nothing from before", () => {
    const ownership = knowing(placement(OTHERS, 3), placement(OTHERS, 4, { pins: { [key]: "a" } }));
    assert.equal(ownership.misdirection(slot, 3, key), "older");
    assert.equal(ownership.misdirection(slot, 4, key), undefined);
    assert.equal(ownership.misdirection(slot, 5, "somebody"), undefined, "a newer placement");
    assert.equal(ownership.misdirection(slot, 4, "somebody"), "elsewhere");
    assert.equal(ownership.misdirection(slot, 4, "__proto__"), "elsewhere");
  });
});
