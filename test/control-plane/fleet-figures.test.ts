/** An hour of reports in milliseconds: late, lost, twice, out of order, over restarts and jumps of the clock. */
import assert from "node:assert/strict";
import { test } from "node:test";
import v8 from "node:v8";
import vm from "node:vm";
import fc from "fast-check";
import { type Figure, figureOf, totalOf } from "../../control-plane/figure.ts";
import { FleetFigures, MOST_STABLE, type Window, WINDOWS } from "../../control-plane/fleet-figures.ts";
import { seededRandom } from "../../model/clock.ts";
import { OTHER, type Slice } from "../../model/report.ts";

const T0 = 5_000_000;

class Sim {
  now = T0;
  readonly figures = new FleetFigures(() => this.now);

  total(window: Window, filter = {}): Figure | null {
    return totalOf(this.figures.sum(window, filter), Object.keys(filter).length === 0);
  }

  requests(): (number | null)[] {
    return (Object.keys(WINDOWS) as Window[]).map((window) => this.total(window)?.requests ?? null);
  }
}

/** `n` successes of 10 ms. */
function slice(number: number, n: number, changes: Partial<Slice> = {}): Slice {
  const series: Slice["series"] = n === 0 ? [] : [["hall", "hz", "stable", [n], [20, n]]];
  return { start: "s1", number, span: 1_000, age: 0, folded: 0, series, limited: [], ...changes };
}

test("stress traffic is in no figure but its own", () => {
  const sim = new Sim();
  const stress: Slice["series"] = [["hall", "hz", "stable", [0, 0, 9], [30, 9]]];
  sim.figures.add("one", slice(1, 4, { stress }));
  assert.deepEqual(sim.requests(), [4, 4, 4, 4]);
  assert.equal(sim.total("10s", { unit: "hz" })!.errorShare, 0);
  const of = totalOf(sim.figures.sum("10s", { traffic: "stress" }), true)!;
  assert.deepEqual([of.requests, of.errorShare], [9, 1]);
  // Where there is no place left, it is counted together, and still not as users'.
  const many: Slice["series"] = Array.from({ length: MOST_STABLE }, (_, i) => [
    `r${i}`,
    "hz",
    "stable",
    [1],
    [],
  ]);
  sim.figures.add("one", slice(2, 0, { series: many.slice(0, 1_000) }));
  sim.figures.add(
    "one",
    slice(3, 0, { series: many.slice(1_000), stress: [["new", "hz", "stable", [5], []]] }),
  );
  assert.equal(sim.total("10s")!.requests, 4 + many.length);
  assert.equal(totalOf(sim.figures.sum("10s", { traffic: "stress" }), true)!.requests, 14);
  assert.equal(totalOf(sim.figures.sum("10s", { traffic: "stress", route: OTHER }), false)!.requests, 5);
});

test("before anybody reported there is no data; a report of nothing is zero", () => {
  const sim = new Sim();
  assert.deepEqual(sim.requests(), [null, null, null, null]);
  sim.figures.add("one", slice(1, 0));
  assert.deepEqual(sim.requests(), [0, 0, 0, 0]);
  const total = sim.total("10s")!;
  assert.deepEqual([total.rps, total.successShare, total.errorShare, total.p99], [0, null, null, null]);
  sim.now += 10_000;
  assert.deepEqual(sim.requests(), [null, 0, 0, 0]);
  sim.now += 3_600_000;
  assert.deepEqual(sim.requests(), [null, null, null, null]);
});

test("an hour of three gateways: each window holds no more than its time, rates are right, and the hour is whole", () => {
  const sim = new Sim();
  for (let second = 1; second <= 3_600; second++) {
    sim.now += 1_000;
    for (const gateway of ["a", "b", "c"]) sim.figures.add(gateway, slice(second, 100, { age: 300 }));
    if (second % 601 !== 0 && second !== 3_600) continue;
    for (const window of ["10s", "1m", "10m", "1h"] as const) {
      const { known, covered } = sim.figures.sum(window);
      const total = sim.total(window)!;
      assert.ok(known <= WINDOWS[window] && total.requests <= (300 * WINDOWS[window]) / 1_000, window);
      assert.ok(Math.abs(total.rps - 300) < 1e-6, `${window}: ${total.rps} a second`);
      assert.ok(known >= Math.min((second - 1) * 1_000, 0.85 * WINDOWS[window]), `${window}: ${known}`);
      if (second * 1_000 >= WINDOWS[window]) assert.deepEqual([...covered.values()], [1, 1, 1], window);
    }
  }
  assert.ok(Math.abs(sim.total("1h")!.p99! - 1_000 * 0.0024) < 2, `${sim.total("1h")!.p99}`);
});

test("what comes twice, late or out of order is counted once, in its time; what never comes is time that nobody knows", () => {
  const sim = new Sim();
  sim.now += 1_000;
  assert.equal(sim.figures.add("one", slice(1, 5)), true);
  assert.equal(sim.figures.add("one", slice(1, 5)), false);
  sim.now += 2_000;
  assert.equal(sim.figures.add("one", slice(3, 7)), true);
  assert.equal(sim.figures.add("one", slice(2, 6, { age: 1_000 })), true);
  assert.equal(sim.figures.add("one", slice(2, 6, { age: 1_500 })), false);
  assert.deepEqual(sim.requests(), [18, 18, 18, 18]);
  assert.equal(sim.figures.sum("10s").known, 3_000);
  // Number 4 is lost.
  sim.now += 2_000;
  sim.figures.add("one", slice(5, 1));
  assert.equal(sim.figures.sum("10s").known, 4_000);
  // 30 s late: it belongs to a minute ago, not to now.
  sim.now += 30_000;
  sim.figures.add("one", slice(6, 100, { age: 29_000 }));
  assert.deepEqual(sim.requests(), [null, 119, 119, 119]);
  // Hopelessly late.
  sim.now += 1_000_000;
  sim.figures.add("one", slice(7, 1_000, { age: 1_000_000 }));
  assert.deepEqual(sim.requests(), [null, null, null, 1_119]);
});

test("reports in any order, some twice: every window holds what was sent in it, once", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 31 }), (seed) => {
      const random = seededRandom(seed);
      const sim = new Sim();
      const sent: { at: number; n: number; number: number; due: number }[] = [];
      for (let number = 1; number <= 40; number++) {
        const at = T0 + number * 1_000;
        const once = { at, n: Math.floor(random.next() * 50), number };
        for (let copy = random.next() < 0.3 ? 2 : 1; copy > 0; copy--)
          sent.push({ ...once, due: at + random.next() * 5_000 });
      }
      for (const { at, n, number, due } of sent.sort((a, b) => a.due - b.due)) {
        sim.now = due;
        sim.figures.add("one", slice(number, n, { age: due - at }));
      }
      const once = new Map(sent.map(({ number, n }) => [number, n]));
      const all = [...once.values()].reduce((a, b) => a + b, 0);
      assert.deepEqual([sim.total("1m")?.requests, sim.total("1h")?.requests], [all, all]);
      assert.ok(Math.abs(sim.figures.sum("1h").known - 40_000) < 1e-3);
    }),
    { numRuns: 100 },
  );
});

test("a gateway that restarts counts from one again, and its last slice may still come", () => {
  const sim = new Sim();
  for (let number = 1; number <= 100; number++) {
    sim.now += 1_000;
    sim.figures.add("one", slice(number, 1));
  }
  sim.now += 3_000;
  assert.equal(sim.figures.add("one", slice(1, 10, { start: "s2" })), true);
  assert.equal(sim.figures.add("one", slice(101, 1, { age: 2_000 })), true);
  assert.equal(sim.figures.add("one", slice(1, 10, { start: "s2" })), false);
  assert.equal(sim.total("10m")!.requests, 111);
  // Two seconds between them nobody knows.
  const { known } = sim.figures.sum("10m");
  assert.equal(known, 102_000);
});

test("a slice longer than a few cells of a window is left out of it: nobody knows which part belongs there", () => {
  const sim = new Sim();
  sim.now += 40_000;
  sim.figures.add("one", slice(1, 300, { span: 30_000 }));
  assert.deepEqual(sim.requests(), [null, null, 300, 300]);
  sim.figures.add("one", slice(2, 600, { span: 60_000 }));
  assert.deepEqual(sim.requests(), [null, null, 300, 900]);
});

test("a clock that jumps back an hour goes on from where it was; one that jumps ahead has no data until somebody reports", () => {
  const sim = new Sim();
  let number = 0;
  const seconds = (count: number): void => {
    for (let i = 0; i < count; i++) {
      sim.now += 1_000;
      sim.figures.add("one", slice(++number, 10));
    }
  };
  seconds(60);
  sim.now -= 3_600_000;
  assert.equal(sim.total("10m")!.requests, 600);
  seconds(30);
  assert.equal(sim.total("10m")!.requests, 900);
  assert.ok(Math.abs(sim.total("10s")!.rps - 10) < 1e-6);
  sim.now += 2 * 3_600_000;
  assert.deepEqual(sim.requests(), [null, null, null, null]);
  seconds(5);
  assert.deepEqual(sim.requests(), [50, 50, 50, 50]);
});

test("who reported how much of a window is told apart, and a rate is of the time that is known", () => {
  const sim = new Sim();
  for (let second = 1; second <= 30; second++) {
    sim.now += 1_000;
    sim.figures.add("a", slice(second, 10));
    // b began late, and takes half.
    if (second > 25) sim.figures.add("b", slice(second, 10));
  }
  const { covered, known } = sim.figures.sum("1m");
  assert.equal(known, 30_000);
  assert.ok(Math.abs(covered.get("a")! - 30 / 58) < 0.01 && Math.abs(covered.get("b")! - 5 / 58) < 0.01);
  assert.ok(Math.abs(sim.total("1m")!.rps - 350 / 30) < 1e-6);
  // A hand-over: nobody's time is counted for the other's.
  sim.figures.add("b", slice(31, 0, { age: 500 }));
  assert.ok(sim.figures.sum("1m").known <= 30_000);
});

test("outcomes and filters: shares are of what units were to answer", () => {
  const sim = new Sim();
  const series: Slice["series"] = [
    ["hall", "hz", "stable", [90, 5, 5], [20, 100]],
    ["hall", "sh", "canary", [1, 0, 1], [40, 2]],
    ["hall", "", "stable", [0, 0, 0, 0, 50], [0, 50]],
  ];
  sim.figures.add("one", slice(1, 0, { series, limited: [["few", 50]] }));
  const total = sim.total("10s")!;
  assert.deepEqual([total.requests, total.outcomes.limited], [152, 50]);
  assert.deepEqual([total.successShare, total.errorShare], [91 / 102, 6 / 102]);
  assert.equal(sim.total("10s", { version: "canary" })!.errorShare, 0.5);
  assert.equal(sim.total("10s", { unit: "hz" })!.requests, 100);
  assert.equal(sim.total("10s", { unit: "sz" })!.requests, 0);
  assert.deepEqual([...sim.figures.sum("10s").limited], [["few", 50]]);
  assert.deepEqual(
    [sim.figures.knows({ route: "hall" }), sim.figures.knows({ route: "cart" })],
    [true, false],
  );
});

test("series beyond the bound are counted together; who asks for one of them hears that nobody knows", () => {
  const sim = new Sim();
  const series = (from: number, count: number): Slice["series"] =>
    Array.from({ length: count }, (_, i) => [`r${from + i}`, "hz", "stable", [1], [20, 1]]);
  sim.figures.add("one", slice(1, 0, { series: series(0, MOST_STABLE) }));
  sim.figures.add("one", slice(2, 0, { series: series(MOST_STABLE, 500) }));
  const { series: rows } = sim.figures.sum("10s");
  assert.equal(rows.length, MOST_STABLE);
  const other = rows.find(({ name }) => name.route === OTHER)!;
  assert.equal(figureOf(other.row, 1_000).requests, 501);
  assert.equal(sim.total("10s")!.requests, MOST_STABLE + 500);
  assert.equal(sim.total("10s", { route: "r0" })!.requests, 1);
  assert.equal(sim.total("10s", { route: `r${MOST_STABLE + 7}` }), null);
  sim.figures.add("one", slice(9, 0, { series: [["r9999", "hz", "canary", [4], [20, 4]]] }));
  assert.equal(sim.total("10s", { version: "canary" })!.requests, 4, "a canary has a place");
  // Two hours later their places are free again.
  sim.now += 2 * 3_600_000;
  sim.figures.add("one", slice(3, 0, { series: series(10_000, 1_500) }));
  assert.equal(sim.figures.sum("10s").series.length, 1_500);
});

test("what a fleet that is busy everywhere, all the time, costs", async (t) => {
  const sim = new Sim();
  const series: Slice["series"] = Array.from({ length: 600 }, (_, i) => [
    `r${i}`,
    "hz",
    "stable",
    [100, 2, 1],
    Array.from({ length: 20 }, (_, b) => [25 + b, 5]).flat(),
  ]);
  v8.setFlagsFromString("--expose-gc");
  const gc = vm.runInNewContext("gc") as () => void;
  const collect = async (): Promise<void> => {
    for (let i = 0; i < 5; i++) {
      gc();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  await collect();
  const before = process.memoryUsage();
  const began = performance.now();
  const rounds = 4_000;
  for (let second = 1; second <= rounds; second++) {
    sim.now += 1_000;
    sim.figures.add("one", slice(second, 0, { series }));
  }
  const took = (performance.now() - began) / rounds;
  await collect();
  const after = process.memoryUsage();
  const asked = performance.now();
  assert.equal(sim.figures.sum("1h").series.length, 600);
  const answer = performance.now() - asked;
  const bytes = after.arrayBuffers - before.arrayBuffers + after.heapUsed - before.heapUsed;
  t.diagnostic(
    `600 series: ${(bytes / 2 ** 20).toFixed(0)} MiB, ${(bytes / 600 / 1024).toFixed(0)} KiB a series; ` +
      `a report ${took.toFixed(2)} ms, an answer of an hour ${answer.toFixed(0)} ms`,
  );
  assert.ok(bytes / 600 < 100 * 1024, `${bytes / 600} bytes a series`);
});
