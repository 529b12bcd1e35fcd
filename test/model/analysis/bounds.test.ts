import assert from "node:assert/strict";
import { test } from "node:test";
import { bandOfQuantile, bandOfShare, valueBeyond } from "../../../model/analysis/bounds.ts";
import { hypergeometric } from "../../../model/analysis/chances.ts";
import { disperse, dispersionOf, NO_DISPERSION } from "../../../model/analysis/dispersion.ts";
import { seededRandom } from "../../../model/clock.ts";
import { BUCKETS, bucketOf } from "../../../model/latency-histogram.ts";
import { poisson } from "../../../loadtest/analysis/traffic.ts";

test("a band of nothing is everything, and more requests make it narrower around what was seen", () => {
  assert.deepEqual(bandOfShare(0, 0, 0.95), { low: 0, high: 1 });
  const few = bandOfShare(3, 300, 0.95);
  const many = bandOfShare(300, 30_000, 0.95);
  assert.ok(few.low < many.low && many.low < 0.01 && 0.01 < many.high && many.high < few.high);
  assert.equal(bandOfShare(0, 1_000, 0.95).low, 0);
  assert.ok(bandOfShare(0, 1_000, 0.95).high < 0.01);
  assert.equal(bandOfShare(50, 50, 0.95).high, 1);
});

test("looked at after every request, a band of 90 % misses the truth at any time in 10 % of runs at most", () => {
  const random = seededRandom(5);
  let missed = 0;
  for (let run = 0; run < 150; run++) {
    let failures = 0;
    for (let n = 1; n <= 200; n++) {
      if (random.next() < 0.05) failures++;
      const { low, high } = bandOfShare(failures, n, 0.9);
      if (low > 0.05 || high < 0.05) {
        missed++;
        break;
      }
    }
  }
  assert.ok(missed <= 15 + 3 * Math.sqrt(13.5), `${missed} of 150`);
  assert.ok(missed > 0, "a band that never misses is too wide");
});

test("the band of a quantile holds it, and clusters make it wider", () => {
  const counts = new Float64Array(BUCKETS);
  for (let i = 0; i < 10_000; i++) counts[bucketOf(0.001 * (i + 1))]!++;
  const band = bandOfQuantile(counts, 0.99, 0.95, 1)!;
  assert.ok(band.low < 9.9 && 9.9 < band.high && band.high - band.low < 1, `${band.low} ${band.high}`);
  const wider = bandOfQuantile(counts, 0.99, 0.95, 10)!;
  assert.ok(wider.low < band.low && wider.high > band.high);
  assert.equal(bandOfQuantile(new Float64Array(BUCKETS), 0.99, 0.95, 1), undefined);
  assert.ok(Math.abs(valueBeyond(counts, 5_000) - 5) < 0.5);
});

test("independent failures are as many pieces of evidence; those in clusters of 4 are not", () => {
  const random = seededRandom(8);
  const seen = (cluster: number): number => {
    let dispersion = NO_DISPERSION;
    for (let window = 0; window < 200; window++) {
      const [mine, theirs] = [poisson(2 / cluster, random) * cluster, poisson(8 / cluster, random) * cluster];
      dispersion = disperse(dispersion, hypergeometric(1_000, mine + theirs, 200), mine);
    }
    return dispersionOf(dispersion);
  };
  assert.ok(seen(1) < 1.3, `${seen(1)}`);
  assert.ok(seen(4) > 2.5, `${seen(4)}`);
});

test("a canary that fails more all the time, or what strikes both, is no dispersion", () => {
  const random = seededRandom(9);
  let worse = NO_DISPERSION;
  let bursts = NO_DISPERSION;
  for (let window = 0; window < 200; window++) {
    const [mine, theirs] = [poisson(10, random), poisson(8, random)];
    worse = disperse(worse, hypergeometric(1_000, mine + theirs, 200), mine);
    const burst = window % 20 === 0 ? 10 : 1;
    const [own, other] = [poisson(2 * burst, random), poisson(8 * burst, random)];
    bursts = disperse(bursts, hypergeometric(1_000, own + other, 200), own);
  }
  assert.ok(dispersionOf(worse) < 1.3, `${dispersionOf(worse)}`);
  assert.ok(dispersionOf(bursts) < 1.3, `${dispersionOf(bursts)}`);
});
