/** What no change may break, and what passes though it is broken already. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { readBase } from "../../control-plane/base.ts";
import type { Config } from "../../model/config.ts";
import type { Pool, Service } from "../../model/fleet.ts";
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
services:
  hall:
    pools:
      hz: { stable: [ "http://127.0.0.1:1" ], canary: [ "http://127.0.0.1:2" ] }
      sh: { stable: [ "http://127.0.0.1:3" ] }
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
    actions: ["drain"],
    now: Date.UTC(2026, 10, 11),
    health: new Map(UNITS.map((unit) => [unit, true])),
    versions: new Map(),
    load: 10_000,
    ...given,
  };
}

const HALL = BASE.fleet.services.find(({ name }) => name === "hall")!;
const SH = "http://127.0.0.1:3";
const CANARY = "http://127.0.0.1:2";

const withHall = (changes: Partial<Service>, base = BASE): Config => ({
  ...base,
  fleet: { ...base.fleet, services: [{ ...HALL, ...changes }] },
});
const withPool = (unit: string, changes: Partial<Pool>): Config =>
  withHall({ pools: { ...HALL.pools, [unit]: { ...HALL.pools[unit]!, ...changes } } });

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

  it("also where all look unhealthy, and gateways take health for nothing: the last is not drained", () => {
    const health = new Map(UNITS.map((unit) => [unit, false]));
    assert.deepEqual(broken(undefined, situation(BASE, drained("hz", "sh"), { health })), []);
    const last = situation(drained("hz", "sh"), drained(...UNITS), { health });
    assert.deepEqual(names(broken(undefined, last)), ["at-least-one-unit"]);
    // Two of three are drained, and the third is the sick one.
    const sick = situation(drained("hz", "sh"), drained(...UNITS), { health: new Map([["sz", false]]) });
    assert.deepEqual(names(broken(undefined, sick)), ["at-least-one-unit"]);
  });

  it("and a first configuration breaks nothing that was there", () => {
    assert.deepEqual(broken(undefined, situation(undefined, drained(...UNITS))), []);
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

  it("lets a dead unit be drained, and another route be changed, while there are too few", () => {
    const health = new Map([
      ["hz", false],
      ["sh", false],
    ]);
    assert.deepEqual(broken(rule, situation(BASE, drained("hz"), { health })), []);
    assert.deepEqual(
      broken(rule, situation(BASE, { ...BASE, routes: [] }, { health, actions: ["apply"] })),
      [],
    );
  });

  it("holds a unit that is taken out of the fleet like one that is drained", () => {
    const { fleet } = BASE;
    const one: Config = { ...BASE, fleet: { ...fleet, units: fleet.units.slice(0, 1) } };
    assert.deepEqual(names(broken(rule, situation(BASE, one, { actions: ["apply"] }))), ["two"]);
  });

  it("of one service counts the units that have an endpoint of it that can be used", () => {
    const hall: SafetyRule = { name: "hall", kind: "serving", least: 2, service: "hall" };
    const [found] = broken(hall, situation(BASE, drained("sh")));
    assert.deepEqual(found?.figures, { serving: 1, before: 2, least: 2, service: "hall" });
    assert.match(found!.message, /1 unit would serve hall \(hz\); at least 2 must/);
    assert.deepEqual(broken(hall, situation(BASE, drained("sz"))), [], "sz has no pool of it");
    assert.deepEqual(names(broken(hall, situation(BASE, withPool("sh", { drained: [SH] })))), ["hall"]);
    assert.deepEqual(
      names(broken(hall, situation(BASE, { ...BASE, fleet: { ...BASE.fleet, services: [] } }))),
      ["hall"],
    );
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

  it("may be compared with the most that is expected in the next hours instead", () => {
    const later: SafetyRule = { ...rule, load: "forecast", within: 2 * 3_600_000 };
    const NOW = Date.UTC(2026, 10, 11);
    const HOUR = 3_600_000;
    const forecast = (from: number, ...rps: number[]) => ({
      zone: 480,
      times: rps.map((_, i) => from + i * HOUR),
      routes: { a: rps },
    });
    const at = (expected: Config["forecast"]) => {
      const known = expected === undefined ? {} : { forecast: expected };
      const change = situation({ ...BASE, ...known }, { ...drained("hz"), ...known }, { load: 1, now: NOW });
      return broken(later, change);
    };
    assert.deepEqual(at(forecast(NOW, 7_600, 7_000)), []);
    const [found] = at(forecast(NOW - HOUR, 90_000, 7_000, 8_000, 90_000));
    assert.equal(found?.figures.needed, 10_400, "neither what is over, nor what comes later");
    assert.equal(found.figures.until, "2026-11-11T10:00+08:00");
    assert.match(found.message, /the most that is expected until 2026-11-11T10:00\+08:00/);
    assert.match(at(undefined)[0]!.message, /there is no forecast of the load until 2026-11-11T02:00Z/);
    assert.match(at(undefined)[0]!.satisfy, /apply a forecast.csv that has these hours, or state a load/);
    const over = at(forecast(NOW - 5 * HOUR, 1, 1));
    assert.equal(over[0]?.figures.load, "no data", "a forecast that has ended says nothing");
    assert.equal(at(forecast(NOW + HOUR, 1))[0], undefined, "a part of the time is known");
  });

  it("holds a change that takes the forecast away, too", () => {
    const later: SafetyRule = { ...rule, load: "forecast" };
    const now = Date.UTC(2026, 10, 11);
    const forecast = { zone: 0, times: [now], routes: { a: [1e6] } };
    const before = { ...BASE, forecast };
    assert.equal(broken(later, situation(before, drained("hz"), { now }))[0]?.figures.load, 1e6);
    assert.deepEqual(broken(later, situation(before, BASE, { now })), [], "alone it takes no capacity");
  });

  it("is nothing with one unit, which is the one that is lost", () => {
    const [found] = broken(rule, situation(drained("hz"), drained("hz", "sz"), { load: 1 }));
    assert.deepEqual(found?.figures, { capacity: 0, load: 1, needed: 2, lost: "sh" });
  });

  it("that does not suffice is no reason to keep a unit from coming back, or a route from changing", () => {
    const load = 1e6;
    assert.deepEqual(broken(rule, situation(drained("hz", "sh"), drained("hz"), { load })), []);
    assert.deepEqual(broken(rule, situation(drained("hz"), { ...drained("hz"), routes: [] }, { load })), []);
  });
});

describe("a freeze", () => {
  const from = Date.UTC(2026, 10, 10);
  const to = Date.UTC(2026, 10, 12);
  const rule: SafetyRule = { name: "double11", kind: "freeze", windows: [{ from, to, except: ["drain"] }] };

  it("holds every change from its first moment to before its last, but what is excepted", () => {
    const at = (now: number, action = "apply"): string[] =>
      names(broken(rule, situation(BASE, BASE, { now, actions: [action] })));
    assert.deepEqual(at(from - 1), []);
    assert.deepEqual(at(from), ["double11"]);
    assert.deepEqual(at(to - 1), ["double11"]);
    assert.deepEqual(at(to), []);
    assert.deepEqual(at(from, "drain"), []);
    assert.deepEqual(at(from, "undrain"), ["double11"]);
  });

  it("keeps no fence where it is, and lets nothing be moved", () => {
    const at = (...actions: string[]): string[] =>
      names(broken(rule, situation(BASE, BASE, { now: from, actions })));
    assert.deepEqual(at("unfence"), []);
    assert.deepEqual(at("move", "unfence"), ["double11"]);
  });

  it("holds a change of several kinds unless each of them is excepted, and says which are not", () => {
    const windows = [{ from, to, except: ["drain", "limit"] }];
    const at = (...actions: string[]): Violation[] =>
      broken({ ...rule, windows }, situation(BASE, BASE, { now: from, actions }));
    assert.deepEqual(at("drain", "limit"), []);
    assert.deepEqual(names(at("drain", "fence")), ["double11"]);
    assert.equal(at("drain", "fence", "limit", "move")[0]!.figures.action, "fence, move");
  });

  it("of two windows at once holds what either of them does", () => {
    const windows = [
      { from, to, except: ["drain", "limit"] },
      { from, to: to - 1, except: ["drain"] },
    ];
    const at = (now: number, action: string): string[] =>
      names(broken({ ...rule, windows }, situation(BASE, BASE, { now, actions: [action] })));
    assert.deepEqual(at(from, "drain"), []);
    assert.deepEqual(at(from, "limit"), ["double11"]);
    assert.deepEqual(at(to - 1, "limit"), [], "the narrow one is over");
  });
});

describe("versions of which both are unhealthy", () => {
  const rule: SafetyRule = { name: "versions", kind: "versions" };
  const both = new Map([
    ["hall hz stable", false],
    ["hall hz canary", false],
  ]);
  const share = (of: number, base = BASE): Config =>
    withHall({ canary: { ...HALL.canary, share: of } }, base);

  it("hold who would send more users to the canary, and no other service's change", () => {
    const [found] = broken(rule, situation(BASE, share(0.5), { versions: both }));
    assert.match(
      found!.message,
      /stable and canary of hall are both unhealthy in hz, and more users would see/,
    );
    assert.deepEqual(found!.figures, {
      service: "hall",
      unit: "hz",
      stable: "unhealthy",
      canary: "unhealthy",
    });
    assert.deepEqual(broken(rule, situation(BASE, drained("sh"), { versions: both })), []);
    const one = new Map([...both, ["hall hz canary", true]] as [string, boolean][]);
    assert.deepEqual(broken(rule, situation(BASE, share(0.5), { versions: one })), []);
    assert.deepEqual(broken(rule, situation(BASE, share(0.5))), [], "no data is not unhealthy");
    const pinned = withHall({ canary: { ...HALL.canary, pins: ["ann"] } });
    assert.deepEqual(names(broken(rule, situation(BASE, pinned, { versions: both }))), ["versions"]);
  });

  it("let through whatever may mend it", () => {
    const passes = (before: Config, after: Config, why: string) =>
      assert.deepEqual(broken(rule, situation(before, after, { versions: both })), [], why);
    passes(share(0.5), BASE, "a rollout is given up");
    passes(BASE, withPool("hz", { stable: ["http://127.0.0.1:9"] }), "the address was wrong");
    passes(BASE, withHall({ health: { ...HALL.health, timeout: 5000 } }), "the check was too strict");
    passes(drained("hz"), share(0.5, drained("hz")), "the unit is drained");
    passes(BASE, { ...BASE, routes: [] }, "another thing");
    passes(drained("hz"), BASE, "the unit comes back");
  });

  it("hold who would take the last version that can be used", () => {
    const canaryOnly = new Map([["hall hz stable", false]]);
    const at = (after: Config, versions: ReadonlyMap<string, boolean> = canaryOnly) =>
      broken(rule, situation(BASE, after, { versions }));
    const [found] = at(withPool("hz", { drained: [CANARY] }));
    assert.match(
      found!.message,
      /nothing of hall could be used in hz \(stable: unhealthy, canary: drained\)/,
    );
    assert.match(found!.satisfy, /leave hall an endpoint that is well in hz, or drain hz first/);
    assert.equal(at(withPool("hz", { canary: [] }))[0]?.figures.canary, "none");
    assert.deepEqual(at(withPool("hz", { drained: [CANARY] }), new Map()), [], "stable is well");
    assert.deepEqual(at(withPool("hz", { canary: [], stable: ["http://127.0.0.1:9"] })), [], "a new stable");
  });
});

describe("any rules", () => {
  const rules: SafetyRule[] = [
    { name: "a", kind: "serving", least: 2 },
    { name: "b", kind: "drained", most: 1 },
    { name: "c", kind: "capacity", factor: 1, load: "current", losingOne: true },
    { name: "d", kind: "serving", least: 2, service: "hall" },
    { name: "e", kind: "versions" },
  ];
  const versions = fc
    .dictionary(fc.constantFrom("hall hz stable", "hall hz canary"), fc.boolean())
    .map((d) => new Map(Object.entries(d)));
  const set = fc.subarray(UNITS);
  const health = fc
    .dictionary(fc.constantFrom(...UNITS), fc.boolean())
    .map((d) => new Map(Object.entries(d)));

  const load = fc.option(fc.integer({ min: 0, max: 60_000 }), { nil: undefined });

  it("never refuse what takes a drain away", () => {
    fc.assert(
      fc.property(set, set, health, versions, load, (has, goes, seen, of, rps) => {
        const after = has.filter((unit) => !goes.includes(unit));
        const at = situation(drained(...has), drained(...after), { health: seen, versions: of, load: rps });
        assert.deepEqual(checkSafety(rules, at), []);
      }),
    );
  });

  it("never refuse what leaves the fleet as it is, however bad that is", () => {
    fc.assert(
      fc.property(set, health, versions, load, (has, seen, of, rps) => {
        const other: Config = { ...drained(...has), routes: [] };
        const at = situation(drained(...has), other, { health: seen, versions: of, load: rps });
        assert.deepEqual(checkSafety(rules, { ...at, actions: ["apply"] }), []);
      }),
    );
  });

  it("never leave every unit drained where one was not", () => {
    fc.assert(
      fc.property(set, set, health, (has, more, seen) => {
        const after = [...new Set([...has, ...more])];
        const found = checkSafety([], situation(drained(...has), drained(...after), { health: seen }));
        if (after.length === UNITS.length && has.length < UNITS.length) assert.equal(found.length, 1);
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
        const isLast = after.length === UNITS.length && has.length < UNITS.length;
        assert.equal(names(found).includes("a"), serve < 2 && (serve < served || isLast));
        assert.equal(names(found).includes("b"), after.length > 1 && after.length > has.length);
        for (const { figures, satisfy } of found)
          assert.ok(Object.keys(figures).length > 1 && satisfy !== "");
      }),
    );
  });
});
