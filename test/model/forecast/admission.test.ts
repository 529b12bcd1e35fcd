/** What units take of too much: by hand, and what has to be true of any fleet. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { admit, type Flow, shedAlone } from "../../../model/forecast/admission.ts";
import { LEVELS, sum } from "../../../model/forecast/by-priority.ts";

const rates = (...values: number[]): Float64Array =>
  Float64Array.from({ length: LEVELS }, (_, i) => values[i] ?? 0);
const own = (...units: Float64Array[]): Float64Array => Float64Array.from(units.flatMap((unit) => [...unit]));
const near = (actual: Iterable<number> | undefined, wanted: number[]): void => {
  const found = [...(actual ?? [])];
  assert.equal(found.length, wanted.length);
  for (const [i, value] of wanted.entries())
    assert.ok(Math.abs(found[i]! - value) < 1e-6, `${found} is not ${wanted}`);
};

describe("a unit alone", () => {
  it("sheds the least urgent first, and as much of it as is needed", () => {
    near(shedAlone(own(rates(10, 20, 30, 40)), 0, 100), [0, 0, 0, 0]);
    near(shedAlone(own(rates(10, 20, 30, 40)), 0, 75), [0, 0, 0, 25]);
    near(shedAlone(own(rates(10, 20, 30, 40)), 0, 25), [0, 5, 30, 40]);
    near(shedAlone(own(rates(10, 20, 30, 40)), 0, Number.POSITIVE_INFINITY), [0, 0, 0, 0]);
  });
});

describe("what fails over", () => {
  it("takes what room there is, one unit after the other, and is shed at the first", () => {
    const flows: Flow[] = [{ asked: rates(0, 0, 100), chain: [0, 1, 2] }];
    const capacities = Float64Array.of(60, 50, 100);
    const home = own(rates(0, 30), rates(0, 30), rates(0, 80));
    const shed = admit(home, capacities, flows);
    // 30 + 20 + 20 find room.
    near(shed.get(0), [0, 0, 30, 0]);
    near(shed.get(1), [0, 0, 0, 0]);
    near(shed.get(2), [0, 0, 0, 0]);
  });

  it("goes before the less urgent of its hosts, and shares with those who are as urgent", () => {
    const flows: Flow[] = [{ asked: rates(0, 40, 60), chain: [0] }];
    const shed = admit(own(rates(0, 0, 60, 20)), Float64Array.of(100), flows);
    // 40 high; then 120 normal for 60 places, half of each; nothing is left for what is sheddable.
    near(shed.get(0), [0, 0, 60, 20]);
  });

  it("of one priority has the same chance as its hosts, so that more of it is tried elsewhere", () => {
    const flows: Flow[] = [{ asked: rates(0, 0, 50), chain: [0, 1] }];
    const shed = admit(own(rates(0, 0, 50), rates(0, 0, 0)), Float64Array.of(50, 100), flows);
    // Half of both find room at the first; the guest's other half at the second, the host's nowhere.
    near(shed.get(0), [0, 0, 25, 0]);
    near(shed.get(1), [0, 0, 0, 0]);
  });

  it("does not touch whom it does not come to", () => {
    const home = own(rates(0, 0, 50), rates(0, 0, 500));
    const fits = admit(home, Float64Array.of(100, 100), [{ asked: rates(0, 0, 20), chain: [0, 1] }]);
    assert.deepEqual([...fits.keys()], []);
    const reaches = admit(home, Float64Array.of(100, 100), [{ asked: rates(0, 0, 80), chain: [0, 1] }]);
    assert.deepEqual([...reaches.keys()].sort(), [0, 1]);
  });
});

describe("any fleet", () => {
  const UNITS = 5;
  const level = fc.integer({ min: 0, max: 100 });
  const asked = fc.array(level, { minLength: LEVELS, maxLength: LEVELS });
  const fleet = fc.record({
    own: fc.array(asked, { minLength: UNITS, maxLength: UNITS }),
    capacities: fc.array(fc.integer({ min: 0, max: 400 }), { minLength: UNITS, maxLength: UNITS }),
    flows: fc.array(fc.record({ asked, chain: fc.shuffledSubarray([0, 1, 2, 3, 4], { minLength: 1 }) }), {
      maxLength: 4,
    }),
  });

  it("gives no unit more than it bears, loses nothing on the way, and wastes no room that somebody may use", () => {
    fc.assert(
      fc.property(fleet, (given) => {
        const home = own(...given.own.map((values) => rates(...values)));
        const capacities = Float64Array.from(given.capacities);
        const flows = given.flows.map((flow) => ({ asked: rates(...flow.asked), chain: flow.chain }));
        const touched = admit(home, capacities, flows);
        const sheds = given.own.map((_, u) => touched.get(u) ?? shedAlone(home, u, capacities[u]!));
        const offered = sum(home) + flows.reduce((all, flow) => all + sum(flow.asked), 0);
        const served = offered - sheds.reduce((all, shed) => all + sum(shed), 0);
        assert.ok(served <= sum(capacities) + 1e-4, `${served} of ${sum(capacities)}`);
        for (const shed of sheds) for (const value of shed) assert.ok(value >= 0);
        for (let p = 0; p < LEVELS; p++) {
          const all =
            given.own.reduce((whole, unit) => whole + unit[p]!, 0) +
            given.flows.reduce((whole, flow) => whole + flow.asked[p]!, 0);
          const lost = sheds.reduce((whole, shed) => whole + shed[p]!, 0);
          assert.ok(lost <= all + 1e-6, "no more is shed than was asked");
        }
        // Whatever is at home and shed: the unit is full of what is at least as urgent.
        for (const [u, capacity] of given.capacities.entries()) {
          if (touched.has(u)) continue;
          const whole = given.own[u]!.reduce((a, b) => a + b, 0);
          assert.ok(Math.abs(sum(sheds[u]!) - Math.max(0, whole - capacity)) < 1e-6);
        }
      }),
      { numRuns: 500 },
    );
  });

  it("is no worse for the more urgent when the less urgent ask for more", () => {
    fc.assert(
      fc.property(fleet, level, (given, more) => {
        const shedOf = (extra: number): number[] => {
          const home = own(...given.own.map(([a, b, c, d]) => rates(a!, b!, c!, d! + extra)));
          const capacities = Float64Array.from(given.capacities);
          const flows = given.flows.map((flow) => ({ asked: rates(...flow.asked), chain: flow.chain }));
          const touched = admit(home, capacities, flows);
          const sheds = given.own.map((_, u) => touched.get(u) ?? shedAlone(home, u, capacities[u]!));
          return [0, 1, 2].map((p) => sheds.reduce((all, shed) => all + shed[p]!, 0));
        };
        near(shedOf(more), shedOf(0));
      }),
      { numRuns: 300 },
    );
  });
});
