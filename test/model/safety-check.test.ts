/** What no change may break, and what passes though it is broken already. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { readBase } from "../../control-plane/base.ts";
import type { Config } from "../../model/config.ts";
import { effective } from "../../model/effective.ts";
import type { SafetyRule } from "../../model/safety.ts";
import { checkSafety, type Situation, type Violation } from "../../model/safety-check.ts";

const UNITS = ["hz", "sh", "sz"];
const BASE = readBase(
  new Map(
    Object.entries({
      "fleet.yaml": `fleet: test
regions: { r: {} }
units:
  hz: { region: r, center: true, capacity: 20000rps }
  sh: { region: r, capacity: 20000rps }
  sz: { region: r, capacity: 10000rps }
placement: { key: [ { header: x-user-id } ], slots: 16, map: { hz: 0-7, sh: 8-15 } }
services: { hall: { pools: { hz: { stable: [ "http://127.0.0.1:1" ], canary: [ "http://127.0.0.1:2" ] } } } }
`,
      "routes.yaml": "routes:\n  - { name: a, match: { path: /a/* }, service: hall, scope: center }\n",
    }),
  ),
).config!;

const drained = (...names: string[]): Config =>
  effective(
    BASE,
    names.map((unit, i) => ({
      id: `ov-${i}`,
      change: { kind: "drain", unit, ramp: 0, deadline: 0 },
      owner: "ann",
      reason: "a test",
      since: 0,
      expires: undefined,
    })),
  ).config;

function situation(before: Config | undefined, after: Config, given: Partial<Situation> = {}): Situation {
  return {
    before,
    after,
    action: "drain",
    now: Date.UTC(2026, 10, 11),
    health: new Map(UNITS.map((unit) => [unit, true])),
    versions: new Map(),
    load: 10_000,
    ...given,
  };
}

const broken = (rule: SafetyRule | undefined, at: Situation): Violation[] =>
  checkSafety(rule === undefined ? [] : [rule], at);

const names = (found: readonly Violation[]): string[] => found.map((v) => v.rule);

describe("at least one unit serves, whatever is written", () => {
  it("and nobody overrides that", () => {
    const [found] = broken(undefined, situation(drained("hz", "sh"), drained("hz", "sh", "sz")));
    assert.equal(found?.rule, "at-least-one-unit");
    assert.equal(found.overridable, false);
    assert.match(found.message, /0 units would serve \(none\); at least 1 must/);
  });

  it("but who brings one back is not refused because there is none", () => {
    assert.deepEqual(broken(undefined, situation(drained(...UNITS), drained("hz", "sh"))), []);
    assert.deepEqual(broken(undefined, situation(drained(...UNITS), drained(...UNITS))), []);
  });
});

describe("a number of units that serve", () => {
  const rule: SafetyRule = { name: "two", kind: "serving", least: 2 };

  it("counts the drained and the unhealthy as gone, and those that nobody reports as there", () => {
    assert.deepEqual(broken(rule, situation(BASE, drained("hz"))), []);
    assert.deepEqual(names(broken(rule, situation(drained("hz"), drained("hz", "sh")))), ["two"]);
    const health = new Map([["sz", false]]);
    assert.deepEqual(names(broken(rule, situation(BASE, drained("hz"), { health }))), ["two"]);
    assert.deepEqual(broken(rule, situation(BASE, drained("hz"), { health: new Map() })), []);
  });

  it("says the figures and what to do", () => {
    const [found] = broken(rule, situation(drained("hz"), drained("hz", "sh")));
    assert.deepEqual(found?.figures, { serving: 1, before: 2, least: 2 });
    assert.match(found!.message, /1 unit would serve \(sz\)/);
    assert.match(found!.satisfy, /undrain/);
  });
});

describe("a number of units that are drained", () => {
  const rule: SafetyRule = { name: "one", kind: "drained", most: 1 };

  it("holds what makes it more, and nothing else", () => {
    assert.deepEqual(broken(rule, situation(BASE, drained("hz"))), []);
    assert.deepEqual(names(broken(rule, situation(drained("hz"), drained("hz", "sh")))), ["one"]);
    assert.deepEqual(broken(rule, situation(drained("hz", "sh"), drained("hz", "sh"))), [], "another change");
    assert.deepEqual(broken(rule, situation(drained(...UNITS), drained("hz", "sh"))), [], "an undrain");
  });
});

describe("capacity that remains", () => {
  const rule: SafetyRule = { name: "room", kind: "capacity", factor: 1.3, load: "current", losingOne: true };

  it("is compared with the load, with the largest of the others lost", () => {
    // Left: sh and sz; without sh 10,000. 1.3 × 10,000 are needed.
    const [found] = broken(rule, situation(BASE, drained("hz")));
    assert.deepEqual(found?.figures, { capacity: 10_000, load: 10_000, needed: 13_000, lost: "sh" });
    assert.match(
      found!.message,
      /10000 requests\/s would remain with sh lost; 13000 requests\/s are needed \(130 % of/,
    );
    assert.match(found!.satisfy, /until the load is at most 7692/);
    assert.deepEqual(broken(rule, situation(BASE, drained("hz"), { load: 7_600 })), []);
    assert.deepEqual(broken({ ...rule, losingOne: false }, situation(BASE, drained("hz"))), []);
  });

  it("needs a load: no data is a refusal of what takes capacity away, and of nothing else", () => {
    const [found] = broken(rule, situation(BASE, drained("sz"), { load: undefined }));
    assert.match(found!.message, /no data on the load/);
    assert.deepEqual(broken(rule, situation(drained("sz"), BASE, { load: undefined })), []);
    assert.deepEqual(broken(rule, situation(BASE, BASE, { load: undefined })), []);
    assert.deepEqual(
      broken({ ...rule, load: 7_000 }, situation(BASE, drained("hz"), { load: undefined })),
      [],
    );
  });
});

describe("a freeze", () => {
  const from = Date.UTC(2026, 10, 10);
  const to = Date.UTC(2026, 10, 12);
  const rule: SafetyRule = { name: "double11", kind: "freeze", windows: [{ from, to, except: ["drain"] }] };

  it("holds every change from its first moment to before its last, but what is excepted", () => {
    const at = (now: number, action = "apply"): string[] =>
      names(broken(rule, situation(BASE, BASE, { now, action })));
    assert.deepEqual(at(from - 1), []);
    assert.deepEqual(at(from), ["double11"]);
    assert.deepEqual(at(to - 1), ["double11"]);
    assert.deepEqual(at(to), []);
    assert.deepEqual(at(from, "drain"), []);
    assert.deepEqual(at(from, "undrain"), ["double11"]);
  });
});

describe("versions of which both are unhealthy", () => {
  const rule: SafetyRule = { name: "versions", kind: "versions" };
  const both = new Map([
    ["hall hz stable", false],
    ["hall hz canary", false],
  ]);
  const [hall] = BASE.fleet.services;
  const other: Config = {
    ...BASE,
    fleet: { ...BASE.fleet, services: [{ ...hall!, canary: { ...hall!.canary, share: 0.5 } }] },
  };

  it("hold a change of their service, and no other", () => {
    const [found] = broken(rule, situation(BASE, other, { versions: both }));
    assert.match(found!.message, /stable and canary of hall are both unhealthy in hz/);
    assert.deepEqual(broken(rule, situation(BASE, drained("sh"), { versions: both })), []);
    const one = new Map([...both, ["hall hz canary", true]] as [string, boolean][]);
    assert.deepEqual(broken(rule, situation(BASE, other, { versions: one })), []);
    assert.deepEqual(broken(rule, situation(BASE, other)), [], "no data is not unhealthy");
  });
});

describe("any rules", () => {
  const rules: SafetyRule[] = [
    { name: "a", kind: "serving", least: 2 },
    { name: "b", kind: "drained", most: 1 },
    { name: "c", kind: "capacity", factor: 1, load: "current", losingOne: true },
  ];
  const set = fc.subarray(UNITS);
  const health = fc
    .dictionary(fc.constantFrom(...UNITS), fc.boolean())
    .map((d) => new Map(Object.entries(d)));

  it("never refuse what takes a drain away", () => {
    fc.assert(
      fc.property(set, set, health, fc.integer({ min: 0, max: 60_000 }), (has, goes, seen, load) => {
        const after = has.filter((unit) => !goes.includes(unit));
        const at = situation(drained(...has), drained(...after), { health: seen, load });
        assert.deepEqual(checkSafety(rules, at), []);
      }),
    );
  });

  it("refuse a drain for what would then be so, and say so with figures", () => {
    fc.assert(
      fc.property(set, fc.constantFrom(...UNITS), health, (has, unit, seen) => {
        const after = [...new Set([...has, unit])];
        const found = checkSafety(rules, situation(drained(...has), drained(...after), { health: seen }));
        const serve = UNITS.filter((u) => !after.includes(u) && seen.get(u) !== false).length;
        const served = UNITS.filter((u) => !has.includes(u) && seen.get(u) !== false).length;
        assert.equal(names(found).includes("a"), serve < 2 && serve < served);
        assert.equal(names(found).includes("b"), after.length > 1 && after.length > has.length);
        for (const { figures, satisfy } of found)
          assert.ok(Object.keys(figures).length > 1 && satisfy !== "");
      }),
    );
  });
});
