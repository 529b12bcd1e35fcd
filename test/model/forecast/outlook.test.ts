/** A forecast on a fleet: the same as the projection at each time, and the loss of each unit by hand. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { seededRandom } from "../../../model/clock.ts";
import type { Config } from "../../../model/config.ts";
import { readConfig } from "../../../model/configuration/read-config.ts";
import { effective } from "../../../model/effective.ts";
import { type Forecast, loadAt } from "../../../model/forecast/forecast.ts";
import { type Outlook, outlookOf } from "../../../model/forecast/outlook.ts";
import { planText, proposalOf } from "../../../model/forecast/proposal.ts";
import { type Entry, entriesOf } from "../../../model/forecast/traffic.ts";
import type { Limit } from "../../../model/limit.ts";
import { project } from "../../../model/projection.ts";
import { compileTable } from "../../../model/table.ts";
import { config, route } from "../../support/config.ts";

const AT = Date.UTC(2026, 10, 10, 16);
const MINUTE = 60_000;
const ENTRY: readonly Entry[] = [{ region: "hangzhou", share: 1 }];

function forecast(routes: Record<string, number[]>): Forecast {
  const [first] = Object.values(routes);
  return { zone: 480, times: first!.map((_, i) => AT + i * MINUTE), routes };
}

/** Units hz and sh with 400 of 1,000 slots each, sz with 200. */
function fleet(
  routes: Config["routes"],
  capacities: readonly (number | undefined)[],
  limits: readonly Limit[] = [],
): Config {
  const base = config(routes);
  const units = base.fleet.units.map((unit, i) => ({ ...unit, capacity: capacities[i] }));
  const map = Array.from({ length: 1_000 }, (_, i) => (i < 400 ? "hz" : i < 800 ? "sh" : "sz"));
  return {
    ...base,
    limits,
    fleet: { ...base.fleet, units, placement: { ...base.fleet.placement, slots: 1_000, map } },
  };
}

const KEY = [{ from: "header" as const, name: "u" }];
const reads = route("reads", "/r/*", {
  scope: "sharded",
  failover: "reads",
  key: KEY,
  match: { methods: ["GET"] },
});
const writes = route("writes", "/w/*", {
  scope: "sharded",
  failover: "reads",
  key: KEY,
  priority: "critical",
  match: { methods: ["POST"] },
});
const noise = route("noise", "/n/*", {
  scope: "sharded",
  failover: "all",
  key: KEY,
  priority: "sheddable",
  match: { methods: ["GET"] },
});

const lossOf = (outlook: Outlook, unit: string) => outlook.losses.find((one) => one.unit === unit)!;
const round = (value: object): object =>
  JSON.parse(JSON.stringify(value, (_, v) => (typeof v === "number" ? Math.round(v * 100) / 100 : v)));

describe("an outlook", () => {
  it("says of every unit at every time what the projection says", () => {
    const seed = Number(process.env.SEED ?? 20_261_124);
    const source = seededRandom(seed);
    const scopes = ["sharded", "center", "nearest"] as const;
    const failovers = ["all", "reads", "none"] as const;
    for (let turn = 0; turn < 40; turn++) {
      const any = (n: number): number => Math.floor(source.next() * n);
      const routes = Array.from({ length: 6 }, (_, i) =>
        route(`r${i}`, `/${i}/*`, { scope: scopes[any(3)]!, failover: failovers[any(3)]!, key: KEY }),
      );
      let whole = fleet(routes, [300, 300, 150]);
      if (any(2) === 0) {
        const change = { kind: "drain", unit: ["hz", "sh", "sz"][any(3)]!, ramp: 0, deadline: 0 } as const;
        whole = effective(whole, [
          { id: "ov-1", change, owner: "", reason: "", since: 0, expires: undefined },
        ]).config;
      }
      const unhealthy = new Set(["hz", "sh", "sz"].filter(() => any(4) === 0));
      const expected = forecast(
        Object.fromEntries(routes.map(({ name }) => [name, [any(100), any(100), any(100)]])),
      );
      const outlook = outlookOf(whole, expected, { writes: 0.3, entries: ENTRY, unhealthy });
      const table = compileTable(whole, { region: "hangzhou" });
      for (let t = 0; t < 3; t++) {
        const projected = project(table, loadAt(expected, t), { unhealthy, writes: 0.3 });
        for (const { unit, rps } of projected.units) {
          const found = outlook.units.find((one) => one.unit === unit)!.rps[t]!;
          assert.ok(Math.abs(found - rps) < 1e-3, `seed ${seed} turn ${turn}: ${unit} ${found}, not ${rps}`);
        }
      }
    }
  });

  it("knows each unit's fullest minute, its headroom, and the minutes that do not fit", () => {
    const whole = fleet([reads, writes, noise], [100, 100, 100]);
    const expected = forecast({
      reads: [100, 150, 200, 100],
      writes: [10, 10, 40, 10],
      noise: [0, 100, 40, 0],
    });
    const { units, stretches, peak, capacity, holds } = outlookOf(whole, expected, {
      writes: 0,
      entries: ENTRY,
    });
    assert.deepEqual(
      units.map(({ unit, peak: own, headroom }) => [
        unit,
        own.at - AT,
        Math.round(own.rps),
        Math.round(headroom! * 100),
      ]),
      [
        ["hz", 2 * MINUTE, 112, -12],
        ["sh", 2 * MINUTE, 112, -12],
        ["sz", 2 * MINUTE, 56, 44],
      ],
    );
    assert.deepEqual([peak.at - AT, peak.rps, capacity, holds], [2 * MINUTE, 280, 300, false]);
    // In the second minute each of both is 4 above; in the third 12, and all of it is noise.
    assert.deepEqual(round(stretches), [
      {
        from: AT + MINUTE,
        to: AT + 3 * MINUTE,
        units: ["hz", "sh"],
        worst: AT + 2 * MINUTE,
        shed: { sheddable: 24 },
        failing: 0,
      },
    ]);
  });

  it("without a capacity knows no headroom, and sheds nothing", () => {
    const { units, capacity, holds } = outlookOf(
      fleet([reads], [undefined, 1e6, 1e6]),
      forecast({ reads: [1e5] }),
      {
        writes: 0,
        entries: ENTRY,
      },
    );
    assert.deepEqual([units[0]!.headroom, capacity, holds], [undefined, undefined, true]);
  });

  it("lets measured capacities stand in for those of fleet.yaml", () => {
    const capacities = new Map([["hz", 30]]);
    const { units } = outlookOf(fleet([reads], [100, 100, 100]), forecast({ reads: [100] }), {
      writes: 0,
      entries: ENTRY,
      capacities,
    });
    assert.deepEqual(
      units.map(({ capacity, headroom }) => [capacity, Math.round(headroom! * 100)]),
      [
        [30, -33],
        [100, 60],
        [100, 80],
      ],
    );
  });

  it("sends who may be served anywhere to the region that they come in at", () => {
    const anywhere = route("any", "/a/*", { match: { methods: ["GET"] } });
    const whole = fleet([anywhere], [100, 100, 100]);
    const entries = [
      { region: "hangzhou", share: 0.5 },
      { region: "shenzhen", share: 0.5 },
    ];
    const { units } = outlookOf(whole, forecast({ any: [100] }), { writes: 0, entries });
    assert.deepEqual(
      units.map(({ unit, peak }) => [unit, peak.rps]),
      [
        ["hz", 50],
        ["sh", 0],
        ["sz", 50],
      ],
    );
    assert.deepEqual(
      entriesOf(whole).map(({ region, share }) => [region, share]),
      [
        ["hangzhou", 0.4],
        ["shanghai", 0.4],
        ["shenzhen", 0.2],
      ],
    );
  });
});

describe("the loss of one unit", () => {
  it("moves its reads along its failover list, sheds the least urgent, and lets its writes fail", () => {
    const whole = fleet([reads, writes, noise], [100, 100, 100]);
    // hz: 60 reads, 8 writes, 20 noise; sh the same; sz half.
    const outlook = outlookOf(whole, forecast({ reads: [150], writes: [20], noise: [50] }), {
      writes: 0,
      entries: ENTRY,
    });
    assert.equal(outlook.holds, true);
    // Without hz, 60 reads and 20 noise go to sh, which has 88 of 100. Reads: 120 of them beside 8 writes for 92 places,
    // so 23.33 % of both find none: 14 of sh's own, and 14 of hz's, which sz has room for. Noise finds none in sh.
    const hz = lossOf(outlook, "hz");
    assert.deepEqual(round(hz.failing), { critical: 8 });
    // hz's 20 noise fit in sz beside its 44 and the 14 reads; sh's own 20 do not leave home.
    assert.deepEqual(round(hz.shed), { normal: 14, sheddable: 20 });
    assert.deepEqual(round(hz.where), [{ unit: "sh", rps: 34 }]);
    assert.equal(hz.short, 20, "220 for 200");
    // Without sz, 30 reads leave room for 2 of 30 noise in hz: of its own 18.67 are shed, and sz's go on to sh.
    const sz = lossOf(outlook, "sz");
    assert.deepEqual(round(sz.failing), { critical: 4 });
    assert.deepEqual(round(sz.shed), { sheddable: 18.67 });
    assert.deepEqual(round(sz.where), [{ unit: "hz", rps: 18.67 }]);
  });

  it("is told of its worst minute, which need not be the busiest", () => {
    const whole = fleet([reads, writes], [100, 100, 100]);
    const outlook = outlookOf(whole, forecast({ reads: [120, 10, 120], writes: [10, 100, 0] }), {
      writes: 0,
      entries: ENTRY,
    });
    assert.equal(lossOf(outlook, "hz").at, AT + MINUTE);
    assert.deepEqual(round(lossOf(outlook, "hz").failing), { critical: 40 });
  });
});

describe("limits", () => {
  const limit = (name: string, rate: number, changes: Partial<Limit> = {}): Limit => ({
    ...{ name, rate, burst: rate, by: [], scope: "fleet", mode: "enforce", keys: 100 },
    ...changes,
  });

  it("are held against what their fullest bucket is asked for", () => {
    const limited = { ...reads, limits: ["all", "unit", "client", "own", "dry"], cost: 2 };
    const limits = [
      limit("all", 100),
      limit("unit", 90, { by: ["route", "unit"] }),
      limit("client", 1, { by: ["client"] }),
      limit("own", 1, { scope: "gateway" }),
      limit("dry", 1, { mode: "dry-run" }),
    ];
    const outlook = outlookOf(fleet([limited], [1e3, 1e3, 1e3], limits), forecast({ reads: [10, 100] }), {
      writes: 0,
      entries: ENTRY,
    });
    assert.deepEqual(
      outlook.limits.map(({ limit: name, asked, bucket, at, refuses, lost }) => [
        name,
        Math.round(asked),
        bucket,
        at - AT,
        refuses,
        lost?.unit,
      ]),
      [
        ["all", 200, "", MINUTE, true, undefined],
        ["unit", 80, "reads hz", MINUTE, false, "hz"],
        ["own", 200, "", MINUTE, false, undefined],
        ["dry", 200, "", MINUTE, false, undefined],
      ],
    );
    assert.equal(Math.round(outlook.limits[1]!.lost!.asked), 160, "sh serves hz's reads, too");
    assert.equal(outlook.holds, false, "a limit that refuses what is expected is no peak that holds");
  });
});

describe("a proposal", () => {
  const files: Record<string, string> = {
    "fleet.yaml": `fleet: test
regions: { r: {} }
units:
  hz: { region: r, center: true, capacity: 100rps }
  sh: { region: r, capacity: 100rps }
  sz: { region: r, capacity: 50rps }
placement: { key: [ { header: u } ], slots: 100, map: { hz: 0-29, sh: 30-59, sz: 60-99 } }
services:
  hall: { pools: { hz: { stable: [ "http://127.0.0.1:1" ] }, sh: { stable: [ "http://127.0.0.1:2" ] }, sz: { stable: [ "http://127.0.0.1:3" ] } } }
`,
    "routes.yaml": `routes:
  - { name: cart, match: { path: /a/* }, service: hall, scope: sharded, limits: [ all, each ] }
limits:
  all: { rate: 100/s, burst: 200, scope: fleet }
  each: { rate: 9/s, burst: 20, by: [ client ] }
`,
    "forecast.csv": "time,route,rps\n2026-11-11T00:00+08:00,cart,100\n2026-11-11T00:01+08:00,cart,200\n",
  };
  const readAll = (more: Record<string, string> = {}): Config => {
    const all: Record<string, string> = { ...files, ...more };
    const { config: read, problems } = readConfig(
      (name) => all[name],
      () => Object.keys(all),
    );
    assert.deepEqual(problems, []);
    return read!;
  };

  it("weighs units by what they bear, and is a plan that the configuration takes, after which the day fits", () => {
    const whole = readAll();
    const options = { writes: 0.5, entries: entriesOf(whole) };
    const before = outlookOf(whole, whole.forecast!, options);
    assert.equal(before.holds, false);
    const proposal = proposalOf(whole, whole.forecast!, before, 0.2);
    assert.deepEqual(proposal.units, [
      { unit: "hz", slots: 30, proposed: 40 },
      { unit: "sh", slots: 30, proposed: 40 },
      { unit: "sz", slots: 40, proposed: 20 },
    ]);
    assert.deepEqual(proposal.moves, [
      { slots: "90-99", from: "sz", to: "hz" },
      { slots: "80-89", from: "sz", to: "sh" },
    ]);
    assert.deepEqual(proposal.limits, [
      { limit: "all", was: 100, rate: 240, burst: 480, because: "200/s are expected" },
    ]);
    const text = planText(proposal, whole.forecast!, before, "forecast.csv")!;
    assert.match(
      text,
      /trigger: \{ schedule: \{ at: "2026-11-10T15:31", zone: UTC \} \} {3}# 2026-11-10T23:31\+08:00/,
    );
    const [plan] = readAll({ "plans/peak.yaml": text }).plans!;
    assert.equal(plan!.steps.length, 3);
    const map = whole.fleet.placement.map.map((unit, slot) => (slot >= 90 ? "hz" : slot >= 80 ? "sh" : unit));
    const limits = whole.limits.map((one) => (one.name === "all" ? { ...one, rate: 240, burst: 480 } : one));
    const moved = {
      ...whole,
      limits,
      fleet: { ...whole.fleet, placement: { ...whole.fleet.placement, map } },
    };
    const after = outlookOf(moved, whole.forecast!, options);
    assert.equal(after.holds, true);
    assert.deepEqual(
      after.units.map(({ headroom }) => Math.round(headroom! * 100)),
      [20, 20, 20],
    );
  });

  it("moves nobody where everything fits, and is no plan where nothing is to change", () => {
    const whole = readAll({ "forecast.csv": "time,route,rps\n2026-11-11T00:00+08:00,cart,83\n" });
    const outlook = outlookOf(whole, whole.forecast!, { writes: 0.5, entries: entriesOf(whole) });
    assert.equal(outlook.holds, true);
    const proposal = proposalOf(whole, whole.forecast!, outlook, 0.2);
    assert.deepEqual([proposal.limits, proposal.moves], [[], []]);
    assert.equal(planText(proposal, whole.forecast!, outlook, "f"), undefined);
  });

  it("names measured capacities for fleet.yaml, which no plan changes", () => {
    const whole = readAll();
    const capacities = new Map([["sz", 44.9]]);
    const outlook = outlookOf(whole, whole.forecast!, { writes: 0.5, entries: entriesOf(whole), capacities });
    const text = planText(proposalOf(whole, whole.forecast!, outlook, 0.2), whole.forecast!, outlook, "f")!;
    assert.match(text, /\n# {3}sz: \{ capacity: 44rps \}\n/);
    assert.doesNotMatch(text, /# {3}hz:/);
    assert.equal(readAll({ "plans/peak.yaml": text }).plans!.length, 1);
  });
});
