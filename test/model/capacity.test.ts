/** The knee search against units whose truth is known, and what follows from a figure. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Knee, KneeSearch, type KneeOptions } from "../../model/capacity/knee.ts";
import { proposedFleet, withMargin } from "../../model/capacity/proposal.ts";
import { seededRandom } from "../../model/clock.ts";

function searched(holds: (rate: number) => boolean, options: KneeOptions): Knee | undefined {
  const search = new KneeSearch(options);
  for (let probe = search.next; probe !== undefined; probe = search.next) search.take(holds(probe.rate));
  return search.knee;
}

describe("the knee", () => {
  test("is found within its own error, wherever it is", () => {
    for (const truth of [21, 50, 123.4, 500, 2_500, 48_000]) {
      const knee = searched((rate) => rate <= truth, { from: 20, to: 50_000 })!;
      assert.ok(Math.abs(knee.rate / truth - 1) <= knee.error, `${knee.rate} of ${truth} ± ${knee.error}`);
      assert.equal(knee.finds.length, 3);
      assert.ok(knee.error <= 0.03 && knee.probes < 60, JSON.stringify(knee));
    }
  });

  test("is found within 10 % where the edge is blurred and probes fail by accident, and says how sure it is", () => {
    for (let seed = 1; seed <= 40; seed++) {
      const random = seededRandom(seed);
      // Holds surely below 97 % of the truth, surely not above 103 %, and one probe in twelve fails for nothing.
      const holds = (rate: number): boolean =>
        random.next() > 1 / 12 && random.next() > (rate / 300 - 0.97) / 0.06;
      const knee = searched(holds, { from: 20, to: 5_000 })!;
      assert.ok(Math.abs(knee.rate / 300 - 1) < 0.1, `seed ${seed}: ${JSON.stringify(knee)}`);
      assert.ok(knee.error >= 0.015);
    }
  });

  test("says so when the most that was tried held, and when nothing did", () => {
    const above = searched(() => true, { from: 20, to: 100 })!;
    assert.deepEqual([above.isAbove, above.rate], [true, 100]);
    assert.equal(
      searched(() => false, { from: 20, to: 100 }),
      undefined,
    );
  });

  test("below where it began is found, too", () => {
    const knee = searched((rate) => rate <= 12, { from: 20, to: 100 })!;
    assert.ok(Math.abs(knee.rate / 12 - 1) < 0.03, `${knee.rate}`);
  });

  test("ends, however a unit behaves", () => {
    for (let seed = 1; seed <= 20; seed++) {
      const random = seededRandom(seed);
      const search = new KneeSearch({ from: 1, to: 1e6 });
      let probes = 0;
      for (let probe = search.next; probe !== undefined; probe = search.next) {
        assert.ok(probe.rate > 0 && probe.rate <= 1e6);
        search.take(random.next() < 0.5);
        assert.ok(++probes <= 80);
      }
    }
    assert.throws(() => new KneeSearch({ from: 0, to: 1 }), /from 0 to 1 is no range/);
  });
});

test("a proposal changes the capacities of fleet.yaml and leaves the rest, comments and all", () => {
  const text =
    "units:\n  # where users live\n  hz: { region: r, center: true }\n  sh: { region: r, capacity: 1rps }\n";
  const proposed = proposedFleet(text, new Map([["sh", 220]]));
  assert.deepEqual(proposed, {
    text: "units:\n  # where users live\n  hz: { region: r, center: true }\n  sh: { region: r, capacity: 220rps }\n",
  });
  assert.match(JSON.stringify(proposedFleet(text, new Map([["sz", 1]]))), /does not write unit sz out/);
  assert.deepEqual([withMargin(246.5, 0.1), withMargin(9_876, 0), withMargin(3, 0.5)], [220, 9_800, 1]);
});
