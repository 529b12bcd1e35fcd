/** Seeded traffic of a canary and of stable beside it, as their windows count it. */
import type { Sample } from "../../model/analysis/sample.ts";
import type { Random } from "../../model/clock.ts";
import { BUCKETS, bucketOf, latenciesOf } from "../../model/latency-histogram.ts";

export interface Shape {
  /** Seconds at a standard normal deviate. */
  readonly latency: (deviate: number) => number;
}

/** Medians and p99 in the comments (ms). */
export const SHAPES: Readonly<Record<string, Shape>> = {
  /** 50, 160. */
  even: { latency: (z) => 0.05 * Math.exp(0.5 * z) },
  /** 50, 512. */
  wide: { latency: (z) => 0.05 * Math.exp(z) },
  /** Pareto of index 1.5 from 20 ms on: 32, 431. */
  heavy: { latency: (z) => 0.02 * (1 - normal(z)) ** (-1 / 1.5) },
  /** Of a cache: nine in ten 5 ms, the others 200. */
  twofold: { latency: (z) => (z < 1.2816 ? 0.005 * Math.exp(0.3 * z) : 0.2 * Math.exp(0.6 * (z - 1.75))) },
};

export interface Traffic {
  /** Requests per second of both. */
  readonly rate: number;
  readonly share: number;
  /** Share of failures of stable, and of the canary where it is another. */
  readonly errors: number;
  readonly canaryErrors?: number;
  readonly shape: keyof typeof SHAPES;
  /** Second in which the canary begins to be another than stable. */
  readonly begins?: number;
  /** So many times as slow are the slowest of this share of the canary's. */
  readonly slower?: { readonly times: number; readonly of: number };
  /** In both alike: seconds in which a fifth fails and all are three times as slow. */
  readonly bursts?: boolean;
  /** In both alike: load rises and falls by half and latency by a quarter, in ten minutes. */
  readonly ramps?: boolean;
  /** Failures that come together, on average, of one user and so of one version. */
  readonly clusters?: number;
  /** Each of twenty endpoints (the canary has its share of them, one at least) pauses for a second, so often (per second). */
  readonly pauses?: number;
  /** Milliseconds of a window. */
  readonly window?: number;
}

const ENDPOINTS = 20;
/** Steps of the factors that latencies are multiplied by. */
const FINE = 8;

export class Source {
  readonly #traffic: Traffic;
  readonly #random: Random;
  readonly #tables = new Map<string, Alias>();
  #at = 0;
  #isWorse = true;
  #burst = 0;

  constructor(traffic: Traffic, random: Random) {
    this.#traffic = traffic;
    this.#random = random;
  }

  /** The next window. @param share of the canary, where it is another than the traffic's */
  next(share = this.#traffic.share): readonly [canary: Sample, stable: Sample] {
    const counts = [new Float64Array(BUCKETS), new Float64Array(BUCKETS)] as const;
    const totals = [
      { requests: 0, failures: 0 },
      { requests: 0, failures: 0 },
    ] as const;
    const window = this.#traffic.window ?? 1000;
    for (let second = 0; second < window / 1000; second++) this.#second(share, counts, totals);
    const of = (arm: 0 | 1): Sample => ({ at: this.#at, ...totals[arm], latency: latenciesOf(counts[arm]) });
    return [of(0), of(1)];
  }

  #second(
    share: number,
    counts: readonly Float64Array[],
    totals: readonly { requests: number; failures: number }[],
  ): void {
    const {
      rate,
      errors,
      canaryErrors = errors,
      bursts,
      ramps,
      clusters = 1,
      pauses = 0,
      begins = 0,
    } = this.#traffic;
    this.#isWorse = this.#at >= begins * 1000;
    this.#at += 1000;
    const random = this.#random;
    if (bursts && this.#burst === 0 && random.next() < 0.02) this.#burst = 1 + Math.floor(random.next() * 5);
    const isBurst = this.#burst > 0;
    if (isBurst) this.#burst--;
    const wave = ramps ? 0.5 * Math.sin((this.#at / 600_000) * 2 * Math.PI) : 0;
    const factor = (1 + wave / 2) * (isBurst ? 3 : 1);
    for (const arm of [0, 1] as const) {
      const requests = poisson(rate * (1 + wave) * (arm === 0 ? share : 1 - share), random);
      const fails = Math.min(1, (arm === 0 && this.#isWorse ? canaryErrors : errors) + (isBurst ? 0.2 : 0));
      let failures = 0;
      if (clusters === 1) failures = binomial(requests, fails, random);
      else {
        for (let left = poisson((requests * fails) / clusters, random); left > 0; left--) {
          do failures++;
          while (random.next() < 1 - 1 / clusters);
        }
      }
      const endpoints = Math.max(1, Math.round(ENDPOINTS * (arm === 0 ? share : 1 - share)));
      const paused = pauses === 0 ? 0 : binomial(endpoints, pauses, random) / endpoints;
      const table = this.#table(arm, factor);
      const slow = paused > 0 ? this.#table(arm, factor, 1) : table;
      for (let i = 0; i < requests; i++) {
        const chosen = paused > 0 && random.next() < paused ? slow : table;
        counts[arm]![chosen.draw(random)]!++;
      }
      totals[arm]!.requests += requests;
      totals[arm]!.failures += Math.min(requests, failures);
    }
  }

  /** Buckets by chance. @param added seconds, of a pause */
  #table(arm: 0 | 1, factor: number, added = 0): Alias {
    const step = Math.round(Math.log2(factor) * FINE);
    const isWorse = arm === 0 && this.#isWorse;
    const key = `${isWorse} ${step} ${added}`;
    let table = this.#tables.get(key);
    if (table === undefined) {
      const { shape, slower } = this.#traffic;
      const chances = new Float64Array(BUCKETS);
      const grain = 20_000;
      for (let i = 0; i < grain; i++) {
        const at = (i + 0.5) / grain;
        const times = isWorse && slower !== undefined && at >= 1 - slower.of ? slower.times : 1;
        const seconds = SHAPES[shape]!.latency(deviate(at)) * times * 2 ** (step / FINE) + added;
        chances[bucketOf(seconds)]! += 1 / grain;
      }
      table = new Alias(chances);
      this.#tables.set(key, table);
    }
    return table;
  }
}

/** Draws in constant time (Walker 1974, Vose 1991). */
class Alias {
  readonly #keep: Float64Array;
  readonly #other: Uint8Array;

  constructor(chances: Float64Array) {
    const n = chances.length;
    this.#keep = new Float64Array(n).fill(1);
    this.#other = new Uint8Array(n);
    const scaled = Array.from(chances, (chance) => chance * n);
    const small = scaled.flatMap((chance, at) => (chance < 1 ? [at] : []));
    const large = scaled.flatMap((chance, at) => (chance >= 1 ? [at] : []));
    while (small.length > 0 && large.length > 0) {
      const [few, many] = [small.pop()!, large.pop()!];
      this.#keep[few] = scaled[few]!;
      this.#other[few] = many;
      scaled[many]! -= 1 - scaled[few]!;
      (scaled[many]! < 1 ? small : large).push(many);
    }
  }

  draw(random: Random): number {
    const at = random.next() * this.#keep.length;
    const bucket = Math.floor(at);
    return at - bucket < this.#keep[bucket]! ? bucket : this.#other[bucket]!;
  }
}

export function poisson(mean: number, random: Random): number {
  if (mean > 60) return Math.max(0, Math.round(mean + Math.sqrt(mean) * deviate(random.next() || 1e-12)));
  let left = random.next();
  let chance = Math.exp(-mean);
  let k = 0;
  for (; left > chance && k < 1000; k++) {
    left -= chance;
    chance *= mean / (k + 1);
  }
  return k;
}

function binomial(n: number, p: number, random: Random): number {
  if (p <= 0 || n === 0) return 0;
  if (p >= 1) return n;
  // From one success to the next, as long as they are few.
  let count = 0;
  for (let at = 0; ; count++) {
    at += Math.floor(Math.log(1 - random.next()) / Math.log1p(-p)) + 1;
    if (at > n) return count;
  }
}

/** Standard normal, by its chance (Acklam). */
export function deviate(chance: number): number {
  const tail = (q: number): number =>
    (((((-7.784894002430293e-3 * q - 0.3223964580411365) * q - 2.400758277161838) * q - 2.549732539343734) *
      q +
      4.374664141464968) *
      q +
      2.938163982698783) /
    ((((7.784695709041462e-3 * q + 0.3224671290700398) * q + 2.445134137142996) * q + 3.754408661907416) * q +
      1);
  if (chance < 0.02425) return tail(Math.sqrt(-2 * Math.log(chance)));
  if (chance > 0.97575) return -tail(Math.sqrt(-2 * Math.log(1 - chance)));
  const q = chance - 0.5;
  const r = q * q;
  return (
    ((((((-39.69683028665376 * r + 220.9460984245205) * r - 275.9285104469687) * r + 138.357751867269) * r -
      30.66479806614716) *
      r +
      2.506628277459239) *
      q) /
    (((((-54.47609879822406 * r + 161.5858368580409) * r - 155.6989798598866) * r + 66.80131188771972) * r -
      13.28068155288572) *
      r +
      1)
  );
}

/** Chance of a standard normal below z (Abramowitz and Stegun 26.2.17). */
function normal(z: number): number {
  const t = 1 / (1 + 0.2316419 * Math.abs(z));
  const density = Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI);
  const upper =
    density *
    t *
    (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  return z >= 0 ? 1 - upper : upper;
}
