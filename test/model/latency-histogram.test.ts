import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DURATION_BUCKETS } from "../../gateway/exposition.ts";
import {
  addLatencies,
  BOUNDS,
  BUCKETS,
  bucketOf,
  latenciesOf,
  mergeLatencies,
  quantileOf,
  RELATIVE_ERROR,
} from "../../model/latency-histogram.ts";

const counted = (seconds: readonly number[]): Float64Array => {
  const counts = new Float64Array(BUCKETS);
  for (const one of seconds) counts[bucketOf(one)]!++;
  return counts;
};
const sparse = (seconds: readonly number[]): number[] => latenciesOf(counted(seconds));

/** From below the first bound to beyond the last, on every scale alike. */
const anySeconds = fc.double({ min: -5, max: 2.5, noNaN: true }).map((exponent) => 10 ** exponent);
const within = fc.double({ min: -4, max: 2, noNaN: true }).map((exponent) => 10 ** exponent);
const many = fc.array(anySeconds, { maxLength: 60 });

test("bounds grow by no more than the error allows, and pass through every bound that is shown", () => {
  for (let i = 1; i < BOUNDS.length; i++) {
    const [from, to] = [BOUNDS[i - 1]!, BOUNDS[i]!];
    assert.ok(from < to && (to - from) / (to + from) <= RELATIVE_ERROR, `${from} ${to}`);
  }
  for (const bound of DURATION_BUCKETS) assert.ok(BOUNDS.includes(bound), `${bound}`);
  assert.deepEqual([BUCKETS, bucketOf(0), bucketOf(1e9)], [80, 0, 79]);
});

test("a moment is in the bucket that it belongs to, on a bound below it", () => {
  fc.assert(
    fc.property(anySeconds, (seconds) => {
      const bucket = bucketOf(seconds);
      assert.ok(bucket === BOUNDS.length || seconds <= BOUNDS[bucket]!);
      assert.ok(bucket === 0 || seconds > BOUNDS[bucket - 1]!);
    }),
  );
  for (const [i, bound] of BOUNDS.entries()) assert.equal(bucketOf(bound), i);
});

test("merging is commutative and associative, has a zero, and is counting together", () => {
  fc.assert(
    fc.property(many, many, many, (a, b, c) => {
      const [x, y, z] = [sparse(a), sparse(b), sparse(c)];
      assert.deepEqual(mergeLatencies(x, y), mergeLatencies(y, x));
      assert.deepEqual(mergeLatencies(mergeLatencies(x, y), z), mergeLatencies(x, mergeLatencies(y, z)));
      assert.deepEqual(mergeLatencies(x, []), x);
      assert.deepEqual(mergeLatencies(x, y), sparse([...a, ...b]));
      const dense = counted(a);
      addLatencies(dense, y);
      assert.deepEqual(latenciesOf(dense), mergeLatencies(x, y));
    }),
  );
});

test("a quantile is off by ten per cent at most, also of what several gateways counted", () => {
  let worst = 0;
  fc.assert(
    fc.property(
      fc.array(within, { minLength: 1, maxLength: 200 }),
      fc.constantFrom(0.01, 0.5, 0.9, 0.95, 0.99, 1),
      fc.nat(),
      (seconds, share, cut) => {
        const at = cut % seconds.length;
        const counts = new Float64Array(BUCKETS);
        addLatencies(counts, mergeLatencies(sparse(seconds.slice(0, at)), sparse(seconds.slice(at))));
        const exact = seconds.toSorted((a, b) => a - b)[Math.ceil(share * seconds.length) - 1]!;
        const error = Math.abs(quantileOf(counts, share)! - exact) / exact;
        worst = Math.max(worst, error);
        assert.ok(error <= RELATIVE_ERROR + 1e-9, `${error}`);
      },
    ),
    { numRuns: 2_000 },
  );
  assert.ok(worst > 0.05, "the bound is not an idle one");
});

test("where nothing was counted there is no quantile; beyond the bounds it is the bound", () => {
  assert.equal(quantileOf(counted([]), 0.5), undefined);
  assert.equal(quantileOf(counted([0.000_001]), 0.5), 0.000_1);
  assert.equal(quantileOf(counted([5_000]), 0.99), 100);
});

test("latencies that name no bucket are left out, and change nothing else", () => {
  const counts = new Float64Array(BUCKETS);
  addLatencies(counts, [3, 1, 80, 5, 1_000, 5, 4]);
  assert.deepEqual(latenciesOf(counts), [3, 1]);
});
