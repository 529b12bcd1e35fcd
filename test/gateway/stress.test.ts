/** What a thread has of its own for stress traffic: known marks, limits, room, figures. */
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { describe, test } from "node:test";
import fc from "fast-check";
import { withoutOwn, withStress } from "../../gateway/baggage.ts";
import { Baselines } from "../../gateway/baselines.ts";
import { MetricsRegistry, STRESS_PREFIX } from "../../gateway/exposition.ts";
import { FigureSlices } from "../../gateway/figure-slices.ts";
import { LimitMemoryKeeper } from "../../gateway/limit-memory.ts";
import { liveState } from "../../gateway/live-state.ts";
import type { MetricsDelta } from "../../gateway/metrics.ts";
import { forStress, Room, STRESS } from "../../gateway/room.ts";
import { Stress } from "../../gateway/stress.ts";
import { BURST, MOST_KNOWN, PER_SECOND, StressMarks } from "../../gateway/stress-marks.ts";
import { UnitReports } from "../../gateway/unit-reports.ts";
import { OUTCOME } from "../../model/outcome.ts";
import { MOST_STRESS_SERIES, OTHER } from "../../model/report.ts";
import { publicText, type StressMark, signMark } from "../../model/stress-mark.ts";
import { compileTable } from "../../model/table.ts";
import { config, route } from "../support/config.ts";
import { chance, HandClock, tableWith } from "./support.ts";

const PAIR = generateKeyPairSync("ed25519");
const KEYS = { keys: [publicText(PAIR.publicKey)], limit: undefined };
const WALL = 1_794_355_200_000;

function mark(changes: Partial<StressMark> = {}): StressMark {
  return { fleet: "test", unit: "sh", run: "r", expires: WALL + 600_000, rate: undefined, ...changes };
}

describe("known marks", () => {
  function made(): { clock: HandClock; wall: { now: number }; marks: StressMarks } {
    const clock = new HandClock();
    const wall = { now: WALL };
    const marks = new StressMarks(clock, () => wall.now);
    marks.install("test", KEYS);
    return { clock, wall, marks };
  }
  const text = (changes: Partial<StressMark> = {}): string => signMark(mark(changes), PAIR.privateKey);

  test("one that was checked holds until it expires, by a clock that nobody sets", () => {
    const { clock, wall, marks } = made();
    const one = text();
    const first = marks.read(one);
    assert.notEqual(typeof first, "string");
    assert.equal(marks.read(one), first, "the same mark: not checked again");
    wall.now += 3_600_000;
    assert.equal(marks.read(one), first);
    clock.time += 599_999;
    assert.equal(marks.read(one), first);
    clock.time += 1;
    assert.match(marks.read(one) as string, /expired/);
  });

  test("signatures are checked a few a second, and known marks cost none of them", () => {
    const { clock, marks } = made();
    const known = text();
    marks.read(known);
    const front = known.slice(0, known.indexOf(";sig="));
    const forged = (i: number): string => `${front};sig=${`${i}`.padStart(85, "B")}A`;
    const said = Array.from({ length: 200 }, (_, i) => marks.read(forged(i)) as string);
    const checked = said.filter((why) => why.includes("signature")).length;
    assert.equal(checked, BURST - 1);
    assert.ok(said.slice(BURST).every((why) => why.includes("came at once")));
    assert.notEqual(typeof marks.read(known), "string");
    assert.match(marks.read(text({ run: "new" })) as string, /came at once/);
    clock.time += 1_000 / PER_SECOND;
    assert.notEqual(typeof marks.read(text({ run: "new" })), "string");
    // What can be refused without a signature costs none.
    for (let i = 0; i < 1_000; i++) marks.read(`v1;${i}`);
    clock.time += 1_000 / PER_SECOND;
    assert.notEqual(typeof marks.read(text({ run: "newer" })), "string");
  });

  test("so many are known and no more; keys that go take their marks along", () => {
    const { clock, marks } = made();
    const all = Array.from({ length: MOST_KNOWN + 1 }, (_, i) => text({ run: `r${i}` }));
    for (const one of all) {
      clock.time += 1_000;
      assert.notEqual(typeof marks.read(one), "string");
    }
    // With nothing left to check signatures by, only what is remembered is known.
    const front = all[0]!.slice(0, all[0]!.indexOf(";sig="));
    for (let i = 0; i < BURST + 1; i++) marks.read(`${front};sig=${`${i}`.padStart(85, "B")}A`);
    assert.match(marks.read(all[0]!) as string, /came at once/);
    for (const one of all.slice(1)) assert.notEqual(typeof marks.read(one), "string");
    marks.install("test", KEYS);
    assert.notEqual(typeof marks.read(all.at(-1)!), "string", "the same keys: nothing is forgotten");
    marks.install("test", { keys: [], limit: undefined });
    assert.match(marks.read(all.at(-1)!) as string, /key that this gateway does not know/);
    marks.install("other", KEYS);
    assert.match(marks.read(all.at(-1)!) as string, /another fleet/);
  });
});

describe("limits", () => {
  function made(limit: number | undefined): { clock: HandClock; stress: Stress } {
    const clock = new HandClock();
    const stress = new Stress(clock, () => WALL, 1);
    const table = compileTable(config([route("hall", "/*")]));
    const settings = { ...table.config.gateway, stress: { keys: [], limit } };
    stress.install(table, settings, new LimitMemoryKeeper(chance(0.1, 0.7)).assign([]));
    return { clock, stress };
  }
  const passed = (stress: Stress, n: number, one: StressMark): number =>
    Array.from({ length: n }, () => stress.take(one)).filter((wait) => wait === 0).length;

  test("without a rate nothing is limited", () => {
    const { stress } = made(undefined);
    assert.equal(passed(stress, 10_000, mark()), 10_000);
  });

  test("a run has its rate, a unit has its limit, and who is refused by one has spent nothing of the other", () => {
    const { clock, stress } = made(100);
    const slow = mark({ run: "slow", rate: 1 });
    assert.equal(passed(stress, 50, slow), 10);
    assert.equal(
      passed(stress, 50, mark({ run: "fast" })),
      0,
      "ten at once: the unit's bucket holds no more",
    );
    clock.time += 100;
    assert.equal(passed(stress, 50, slow), 0);
    assert.equal(passed(stress, 50, mark({ run: "fast" })), 10);
    assert.equal(passed(stress, 50, mark({ unit: "hz" })), 10, "another unit has its own");
    clock.time += 60_000;
    let of = 0;
    for (let i = 0; i < 1_000; i++) {
      clock.time += 1;
      if (stress.take(mark({ run: "fast" })) === 0) of++;
    }
    assert.ok(Math.abs(of - 110) <= 1, `${of} in a second`);
  });
});

describe("room", () => {
  const live = () => liveState(1);
  const unit = (inflight: number, capacity?: number) => {
    const { units } = tableWith(["http://a"]);
    return { ...units[0]!, spec: { ...units[0]!.spec, inflight, capacity } };
  };

  test("it leaves one place in twenty, and one at least", () => {
    assert.deepEqual([1, 2, 3, 20, 21, 100, 8_192].map(forStress), [0, 1, 2, 19, 19, 95, 7_782]);
  });

  test("it is full before users find it full, and whenever anybody waits", () => {
    const state = live();
    const room = new Room(state, new HandClock());
    const one = unit(20);
    state.unitInflight[0] = 19;
    assert.ok(room.isFullForStress(one, 0));
    assert.ok(!room.isFull(one, 0, 3, false));
    state.unitInflight[0] = 10;
    assert.ok(!room.isFullForStress(one, 0));
    state.load.limit[0] = 10;
    state.load.pending[0] = 9;
    assert.ok(room.isFullForStress(one, 0));
    assert.ok(!room.isFull(one, 0, 3, false));
    state.load.pending[0] = 8;
    assert.ok(!room.isFullForStress(one, 0));
    state.load.waiting[3] = 1;
    assert.ok(room.isFullForStress(one, 0));
  });

  test("near a unit's capacity it is shed first", () => {
    const room = new Room(live(), new HandClock());
    const one = unit(8_192, 1_000);
    let stressed = 0;
    while (room.takeCapacity(one, 0, STRESS)) stressed++;
    let sheddable = 0;
    while (room.takeCapacity(one, 0, 3)) sheddable++;
    assert.deepEqual([stressed, sheddable], [50, 10]);
  });
});

describe("figures", () => {
  const delta = (n: number, name = "hall"): MetricsDelta => ({
    requests: [[name, "sh", "stable", 503, OUTCOME.error, n]],
    durations: [[name, "sh", "stable", [10, n], n / 100]],
    counters: [["tidegate_limited_total", 'unit="sh"', 1]],
  });

  test("metrics have names of their own, with the same meaning", () => {
    const registry = new MetricsRegistry();
    registry.add(delta(1));
    registry.add(delta(2), STRESS_PREFIX);
    const text = registry.text(new Map());
    const labels = 'route="hall",unit="sh"';
    assert.match(text, new RegExp(`^tidegate_requests_total{${labels},version="stable",code="503"} 1$`, "m"));
    assert.match(
      text,
      new RegExp(`^tidegate_stress_requests_total{${labels},version="stable",code="503"} 2$`, "m"),
    );
    assert.match(text, new RegExp(`^tidegate_request_duration_seconds_count{${labels}} 1$`, "m"));
    assert.match(text, new RegExp(`^tidegate_stress_request_duration_seconds_count{${labels}} 2$`, "m"));
    assert.match(text, /^# TYPE tidegate_stress_request_duration_seconds histogram$/m);
    assert.match(text, /^tidegate_stress_limited_total{unit="sh"} 1$/m);
    assert.equal(
      text.match(/^# TYPE /gm)!.length,
      new Set(text.match(/^# TYPE .*/gm)).size,
      "each name once",
    );
  });

  test("slices carry it beside users', bounded, and lose nothing when they are put together", () => {
    const clock = new HandClock();
    const slices = new FigureSlices(clock, "s");
    slices.begin();
    for (let i = 0; i < 200; i++) {
      slices.add(delta(1));
      slices.addStress(delta(3));
      clock.time += 1_000;
      slices.cut();
    }
    let users = 0;
    let stress = 0;
    while (!slices.isEmpty) {
      const slice = slices.first()!;
      users += slice.series.reduce((sum, [, , , outcomes]) => sum + outcomes[OUTCOME.error]!, 0);
      stress += slice.stress!.reduce((sum, [, , , outcomes]) => sum + outcomes[OUTCOME.error]!, 0);
      slices.done(slice);
    }
    assert.deepEqual([users, stress], [200, 600]);

    for (let i = 0; i < 500; i++) slices.addStress(delta(1, `r${i}`));
    clock.time += 1_000;
    slices.cut();
    const { series, stress: many, limited } = slices.first()!;
    assert.deepEqual([series.length, many!.length, limited], [0, MOST_STRESS_SERIES, []]);
    const other = many!.find(([name]) => name === OTHER)!;
    assert.equal(other[3][OUTCOME.error], 500 - (MOST_STRESS_SERIES - 1));
    slices.done(slices.first()!);
    slices.add(delta(1));
    clock.time += 1_000;
    slices.cut();
    assert.ok(!("stress" in slices.first()!), "and nothing where there was none");
  });

  test("a unit's rate, as reported, is its users'; what answers take is learnt from each alone", () => {
    const clock = new HandClock();
    const state = liveState(1);
    const reports = new UnitReports(state, clock);
    const table = tableWith(["http://a"]);
    reports.take(table, () => true);
    for (let i = 0; i < 30; i++) state.load.answered(0, 5, 5, i >= 10);
    clock.time += 1_000;
    assert.equal(reports.take(table, () => true)[table.units[0]!.name]!.rate, 10);

    const of = (isStress: boolean) => new Baselines(isStress).of(table.routes[0]!, table.units[0]!);
    assert.deepEqual([of(true).isStress, of(false).isStress], [true, false]);
  });
});

describe("baggage", () => {
  test("only the gateway's own members go, however their names are written", () => {
    for (const [came, left] of [
      ["a=1", "a=1"],
      ["a=1;p=%20,b=2", "a=1;p=%20,b=2"],
      ["tidegate.stress=r", undefined],
      ["a=tidegate.stress", "a=tidegate.stress"],
      [" TideGate.Stress = r ;p, a=1", " a=1"],
      ["tidegate%2Estress=r,a=1", "a=1"],
      ["%74%69degate%252estress=r,a=%zz", "a=%zz"],
      ["%zz=1,tidegate.x", "%zz=1"],
      ["mytidegate.stress=1", "mytidegate.stress=1"],
    ] as const) {
      assert.equal(withoutOwn(came), left, came);
    }
  });

  test("ours is always there, at the end, and the whole is as long as all readers take", () => {
    assert.equal(withStress(undefined, "r"), "tidegate.stress=r");
    assert.equal(withStress("a=1", "r"), "a=1,tidegate.stress=r");
    fc.assert(
      fc.property(fc.array(fc.string({ maxLength: 300 }), { maxLength: 100 }), (members) => {
        const text = withStress(members.join(","), "run");
        assert.ok(text.endsWith("tidegate.stress=run"));
        assert.ok(Buffer.byteLength(text) <= 8_192 && text.split(",").length <= 64);
      }),
    );
  });
});
