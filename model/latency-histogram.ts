/**
 * Latencies counted in fixed buckets, so that the counts of threads, gateways and seconds add up to those of a fleet.
 *
 * The bounds grow by at most `GROWTH` from 0.1 ms to 100 s, and pass exactly through the round numbers that dashboards
 * ask for. A quantile is wrong by at most `RELATIVE_ERROR` in between; below 0.1 ms it is 0.1 ms, above 100 s it is 100 s.
 */

/** Of two bounds that follow each other, at most: (1 + ε) ÷ (1 − ε). */
const GROWTH = 1.2222;
export const RELATIVE_ERROR = 0.1;

/** Seconds. Every bound of `tidegate_request_duration_seconds` is among them. */
const ROUND = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 30, 50,
  100,
];

/** Upper bounds in seconds, each of its bucket. One more bucket is for what is beyond all of them. */
export const BOUNDS: readonly number[] = bounds();
export const BUCKETS = BOUNDS.length + 1;

const UPPER = Float64Array.from(BOUNDS);

/** `[bucket, n, bucket, n, …]` by bucket, without those that are empty. */
export type Latencies = readonly number[];

function bounds(): number[] {
  const all = [ROUND[0]!];
  for (let i = 1; i < ROUND.length; i++) {
    const from = ROUND[i - 1]!;
    const to = ROUND[i]!;
    const steps = Math.ceil(Math.log(to / from) / Math.log(GROWTH));
    for (let step = 1; step < steps; step++) all.push(from * (to / from) ** (step / steps));
    all.push(to);
  }
  return all;
}

/** A moment on a bound belongs below it. */
export function bucketOf(seconds: number): number {
  let low = 0;
  let high = UPPER.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (seconds > UPPER[middle]!) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** @param counts one for each bucket */
export function latenciesOf(counts: ArrayLike<number>): number[] {
  const sparse: number[] = [];
  for (let bucket = 0; bucket < counts.length; bucket++) {
    if (counts[bucket] !== 0) sparse.push(bucket, counts[bucket]!);
  }
  return sparse;
}

/** Adds to counts, one for each bucket. @param offset of the first of them */
export function addLatencies(counts: Uint32Array | Float64Array, latencies: Latencies, offset = 0): void {
  for (let i = 0; i + 1 < latencies.length; i += 2) {
    if (latencies[i]! < BUCKETS) counts[offset + latencies[i]!]! += latencies[i + 1]!;
  }
}

export function mergeLatencies(a: Latencies, b: Latencies): number[] {
  const merged: number[] = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    const left = i < a.length ? a[i]! : BUCKETS;
    const right = j < b.length ? b[j]! : BUCKETS;
    const bucket = Math.min(left, right);
    let n = 0;
    if (left === bucket) {
      n += a[i + 1]!;
      i += 2;
    }
    if (right === bucket) {
      n += b[j + 1]!;
      j += 2;
    }
    merged.push(bucket, n);
  }
  return merged;
}

/** Seconds that a share of them took at most; undefined where nothing was counted. @param counts one for each bucket */
export function quantileOf(counts: ArrayLike<number>, share: number): number | undefined {
  let total = 0;
  for (let bucket = 0; bucket < BUCKETS; bucket++) total += counts[bucket]!;
  if (total === 0) return undefined;
  let left = Math.max(1, Math.ceil(share * total));
  for (let bucket = 0; bucket < BUCKETS; bucket++) {
    left -= counts[bucket]!;
    if (left <= 0) return middleOf(bucket);
  }
  return BOUNDS.at(-1);
}

/** The value that is wrong by the same share at either end of its bucket. */
function middleOf(bucket: number): number {
  if (bucket === 0) return BOUNDS[0]!;
  if (bucket >= BOUNDS.length) return BOUNDS.at(-1)!;
  const from = BOUNDS[bucket - 1]!;
  const to = BOUNDS[bucket]!;
  return (2 * from * to) / (from + to);
}
