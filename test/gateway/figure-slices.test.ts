/** What waits for a control plane: whole, once, and never more than there is room for. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FigureSlices, MOST_WAITING } from "../../gateway/figure-slices.ts";
import type { MetricsDelta } from "../../gateway/metrics.ts";
import { OUTCOME } from "../../model/outcome.ts";
import { LONGEST_SLICE, MOST_SERIES, OTHER, type Slice } from "../../model/report.ts";
import { HandClock } from "./support.ts";

function delta(n: number, route = "hall", version: "stable" | "canary" = "stable"): MetricsDelta {
  return {
    requests: [[route, "hz", version, 200, OUTCOME.success, n]],
    durations: [[route, "hz", version, [10, n], n / 100]],
    counters: [["tidegate_limited_total", 'limit="few"', 1]],
  };
}

const requestsOf = (slice: Slice): number =>
  slice.series.reduce((sum, [, , , outcomes]) => sum + outcomes.reduce((a, b) => a + b, 0), 0);

function begun(): { clock: HandClock; slices: FigureSlices; second: () => void } {
  const clock = new HandClock();
  const slices = new FigureSlices(clock, "s1");
  slices.begin();
  const second = (): void => {
    clock.time += 1_000;
    slices.cut();
  };
  return { clock, slices, second };
}

test("a slice is the same each time that it is sent, until it is acknowledged; what comes meanwhile is the next one's", () => {
  const { clock, slices, second } = begun();
  slices.add(delta(3));
  slices.add(delta(2));
  second();
  const first = slices.first()!;
  assert.deepEqual(first, {
    start: "s1",
    number: 1,
    span: 1_000,
    age: 0,
    folded: 0,
    series: [["hall", "hz", "stable", [5], [10, 5]]],
    limited: [["few", 2]],
  });
  slices.add(delta(7));
  clock.time += 250;
  assert.deepEqual(slices.first(), { ...first, age: 250 });
  slices.done(first);
  slices.done(first);
  assert.equal(slices.first(), undefined);
  clock.time += 750;
  slices.cut();
  assert.deepEqual([slices.first()!.number, requestsOf(slices.first()!)], [2, 7]);
});

test("a second without requests is a slice too: it says that there were none", () => {
  const { slices, second } = begun();
  second();
  assert.deepEqual([slices.first()!.series, slices.first()!.span], [[], 1_000]);
});

test("nothing is kept where nobody asks", () => {
  const slices = new FigureSlices(new HandClock(), "s1");
  slices.add(delta(1));
  slices.cut();
  assert.equal(slices.first(), undefined);
});

test("while the control plane is away slices are put together, the last seconds stay as they are, and it has an end", () => {
  const { clock, slices, second } = begun();
  slices.add(delta(1));
  second();
  const sent = slices.first()!;
  let asked = 1;
  for (let i = 0; i < 600; i++) {
    slices.add(delta(1));
    asked++;
    second();
  }
  assert.deepEqual(slices.first(), { ...sent, age: 600_000 }, "what was sent does not change");
  let got = 0;
  let end = clock.time - 601_000;
  let waiting = 0;
  let lastSpan = 0;
  for (let slice = slices.first(); slice !== undefined; slice = slices.first()) {
    assert.equal(clock.time - slice.age - slice.span, end, "no gap and no overlap");
    assert.ok(slice.span <= LONGEST_SLICE);
    end = clock.time - slice.age;
    got += requestsOf(slice);
    lastSpan = slice.span;
    waiting++;
    slices.done(slice);
  }
  assert.deepEqual([got, lastSpan, waiting <= MOST_WAITING], [asked, 1_000, true]);
  // Hours: the oldest is forgotten, and what is left says of which time it is.
  for (let i = 0; i < 7_200; i++) {
    slices.add(delta(1));
    second();
  }
  let left = 0;
  let covered = 0;
  for (let slice = slices.first(); slice !== undefined; slice = slices.first()) {
    left += requestsOf(slice);
    covered += slice.span;
    slices.done(slice);
  }
  assert.equal(left, covered / 1_000);
  assert.ok(covered >= 900_000 && covered < 1_300_000, `${covered}`);
});

test("a report has so many series; canaries keep theirs, the least busy of the others are counted together", () => {
  const { slices, second } = begun();
  for (let i = 0; i < MOST_SERIES + 100; i++) slices.add(delta(1 + (i % 50), `r${i}`));
  slices.add(delta(1, "new", "canary"));
  second();
  const slice = slices.first()!;
  assert.equal(slice.series.length, MOST_SERIES);
  assert.equal(slice.folded, 102);
  assert.ok(slice.series.some(([route, , version]) => route === "new" && version === "canary"));
  const other = slice.series.find(([route]) => route === OTHER)!;
  assert.ok(other[3][0]! >= 102 && other[3][0]! < 400, "the least busy");
  let asked = 1;
  for (let i = 0; i < MOST_SERIES + 100; i++) asked += 1 + (i % 50);
  assert.equal(requestsOf(slice), asked);
});

test("the bytes of a report of 100 routes, 3 units and 2 versions, all of them busy", (t) => {
  const { slices, second } = begun();
  for (let route = 0; route < 100; route++) {
    for (const unit of ["hangzhou-1", "shanghai-1", "shenzhen-1"]) {
      for (const version of ["stable", "canary"] as const) {
        const name = `service-${route}-route`;
        const latencies = Array.from({ length: 20 }, (_, i) => [25 + i, 100 - 4 * i]).flat();
        slices.add({
          requests: [
            [name, unit, version, 200, OUTCOME.success, 1_200],
            [name, unit, version, 404, OUTCOME.clientError, 20],
            [name, unit, version, 503, OUTCOME.error, 3],
          ],
          durations: [[name, unit, version, latencies, 10]],
          counters: [],
        });
      }
    }
  }
  const began = performance.now();
  second();
  const text = JSON.stringify(slices.first());
  const took = performance.now() - began;
  t.diagnostic(
    `${text.length} bytes for 600 series, ${Math.round(text.length / 600)} each; made in ${took.toFixed(1)} ms`,
  );
  assert.ok(text.length < 256 * 1024, `${text.length}`);
});
