/** Cumulative counts by upper bound, as Prometheus buckets are. */
export type Buckets = ReadonlyMap<number, number>;

/**
 * The q-quantile by linear interpolation within its bucket, whose lower bound is the bound before it (0 for the first).
 * Beyond the last finite bound nothing is known, so that bound is answered, as Prometheus' histogram_quantile does.
 * Undefined when nothing was counted.
 */
export function quantile(buckets: Buckets, q: number): number | undefined {
  const bounds = [...buckets].sort(([a], [b]) => a - b);
  const total = bounds.at(-1)?.[1] ?? 0;
  if (total <= 0) return undefined;
  const rank = q * total;
  let lower = 0;
  let below = 0;
  for (const [bound, count] of bounds) {
    if (count >= rank && count > below) {
      if (bound === Number.POSITIVE_INFINITY) return lower;
      return lower + ((bound - lower) * (rank - below)) / (count - below);
    }
    lower = bound;
    below = count;
  }
  return lower;
}
