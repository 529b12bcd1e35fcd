/**
 * Whether the canary is slower than stable, window by window, by the whole distribution of their latencies.
 *
 * Stable's past gives levels: latencies that half of its requests exceed, a tenth, … a thousandth. In each window, of the
 * requests of both that exceed one level, so many exceed the next: which of these are the canary's is chance alone while
 * the two are alike, level by level (which makes one exact test of the whole table). The alternatives are stable's own
 * distribution moved: all requests slower, or only the slowest, or a few that hang. The levels and the alternatives come
 * from before the window, so that they cannot be made to fit it.
 */
import { BOUNDS, BUCKETS, bucketOf, type Latencies } from "../latency-histogram.ts";
import { binomial, type Chances, hypergeometric } from "./chances.ts";
import { CLEARLY_OF_SEVERAL, type Dispersion, disperse, dispersionOf, NO_DISPERSION } from "./dispersion.ts";
import { bet, capitalOf, goIn, tempered, type Wager, wagerOn } from "./wager.ts";

/** Plain JSON. */
export interface QuantilesState {
  readonly alpha: number;
  readonly wager: Wager;
  /** Of counts beyond each level. */
  readonly dispersions: readonly Dispersion[];
  /** Of stable and of the canary, for each bucket, the older the less. */
  readonly stable: readonly number[];
  readonly canary: readonly number[];
}

/** Of the unit, and so many times as slow the canary may be. */
export interface Past {
  readonly counts: ArrayLike<number>;
  readonly slack: number;
}

/** Shares of stable's requests that are slower than a level. */
const LEVELS = [0.5, 0.1, 0.02, 0.01, 0.004, 0.001];
/** Of a level, requests in the reference that are slower, at least. */
const KNOWN = 4;
/** Milliseconds after which what was seen counts half. */
const HALF_LIFE = 30_000;

interface Alternative {
  readonly weight: number;
  /** So many times as slow … */
  readonly slower?: number;
  /** … are the slowest of this share. */
  readonly share?: number;
  /** So many are slower than anything. */
  readonly hang?: number;
}

const ALTERNATIVES: readonly Alternative[] = [
  { weight: 0.05, slower: 1.25, share: 1 },
  { weight: 0.1, slower: 1.5, share: 1 },
  { weight: 0.25, slower: 2, share: 1 },
  { weight: 0.1, slower: 4, share: 1 },
  { weight: 0.1, slower: 2, share: 0.1 },
  { weight: 0.2, slower: 2, share: 0.02 },
  { weight: 0.05, slower: 4, share: 0.05 },
  { weight: 0.1, hang: 0.02 },
  { weight: 0.05, hang: 0.2 },
];

const WEIGHTS = ALTERNATIVES.map(({ weight }) => weight);
/** Odds of an alternative over those of stable, at most (logarithm). */
const MOST_TILT = 4;

export function beginQuantiles(alpha: number): QuantilesState {
  return {
    alpha,
    wager: wagerOn(WEIGHTS),
    dispersions: [...LEVELS, 0].map(() => NO_DISPERSION),
    stable: [],
    canary: [],
  };
}

/**
 * @param elapsed from the beginning to the end of the window (ms)
 * @param past where there is no stable traffic
 */
export function stepQuantiles(
  before: QuantilesState,
  canary: Latencies,
  stable: Latencies,
  elapsed: number,
  span: number,
  past?: Past,
): QuantilesState {
  const [mine, theirs] = [counted(canary), counted(stable)];
  // What both do together is as good as the past to choose levels by: whose requests they are is not looked at.
  const known =
    past?.counts ?? (before.stable.length > 0 ? before.stable : mine.map((n, at) => n + theirs[at]!));
  const law = new Law(known, past?.slack ?? 1);
  const dispersions = [...before.dispersions];
  let wager = goIn(before.wager, WEIGHTS, elapsed, span);
  let beyond = -1;
  for (const [at, level] of levelsOf(law).entries()) {
    if (level < 0) continue;
    const drawn = above(mine, beyond);
    const count = above(mine, level);
    let chances: Chances;
    if (past) chances = binomial(drawn, law.shareOf(beyond, level));
    else {
      const marked = count + above(theirs, level);
      chances = hypergeometric(drawn + above(theirs, beyond), marked, drawn);
    }
    const tilts = ALTERNATIVES.map((alternative) => law.tilt(alternative, beyond, level));
    wager = bet(wager, chances, count, tilts);
    dispersions[at] = disperse(dispersions[at]!, chances, count);
    beyond = level;
  }
  return {
    alpha: before.alpha,
    wager: tempered(before.wager, wager, before.alpha, span),
    dispersions,
    stable: aged(before.stable, theirs, span),
    canary: aged(before.canary, mine, span),
  };
}

/** 0 is none, 1 is proof. */
export function evidenceOfQuantiles(state: QuantilesState): number {
  const share = capitalOf(state.wager) / -Math.log(state.alpha) / dispersionOfQuantiles(state);
  if (share >= 1 - 1e-9) return 1;
  return Math.max(0, share);
}

export function dispersionOfQuantiles({ dispersions }: QuantilesState): number {
  return Math.max(...dispersions.map((one) => dispersionOf(one, CLEARLY_OF_SEVERAL)));
}

/** Bucket of each level, or -1 where too little is known of it; the last is beyond all of which enough is known. */
function levelsOf(law: Law): number[] {
  let last = 1;
  let bucket = 0;
  const levels = LEVELS.map((share) => {
    while (bucket < BUCKETS - 1 && law.beyond(bucket) > share * 1.15) bucket++;
    const beyond = law.beyond(bucket);
    if (beyond * law.total < KNOWN || beyond > last * 0.75) return -1;
    last = beyond;
    return bucket;
  });
  let far = Math.max(0, ...levels.map((level) => level + 1));
  while (far < BUCKETS - 1 && law.beyond(far) * law.total >= KNOWN) far++;
  return [...levels, far < BUCKETS - 1 ? far : -1];
}

/** The distribution of stable's latencies, as far as it is known. */
class Law {
  readonly total: number;
  /** Share that is slower than each bucket. */
  readonly #beyond = new Float64Array(BUCKETS);

  constructor(counts: ArrayLike<number>, slack: number) {
    let slower = 0;
    for (let bucket = BUCKETS - 1; bucket >= 0; bucket--) {
      this.#beyond[bucket] = slower;
      slower += counts[bucket]!;
    }
    this.total = slower;
    if (slower > 0) for (let i = 0; i < BUCKETS; i++) this.#beyond[i]! /= slower;
    if (slack > 1) this.#beyond.set(BOUNDS.map((bound) => this.#slowerThan(bound / slack)));
  }

  /** Slower than what is in the bucket; all of them are slower than bucket -1. */
  beyond(bucket: number): number {
    return bucket < 0 ? 1 : this.#beyond[bucket]!;
  }

  #slowerThan(seconds: number): number {
    const bucket = bucketOf(seconds);
    const upper = this.beyond(bucket);
    if (bucket === 0 || bucket >= BOUNDS.length) return upper;
    const [from, to] = [BOUNDS[bucket - 1]!, BOUNDS[bucket]!];
    const lower = this.beyond(bucket - 1);
    return lower + ((upper - lower) * Math.log(seconds / from)) / Math.log(to / from);
  }

  #moved({ slower = 1, share = 1, hang = 0 }: Alternative, bucket: number): number {
    if (bucket < 0) return 1;
    const here = this.beyond(bucket);
    const moved = Math.max(here, Math.min(share, this.#slowerThan(BOUNDS[bucket]! / slower)));
    return moved + (1 - moved) * hang;
  }

  /** Of what is slower than one level, the share that is slower than the next; never none. */
  shareOf(from: number, to: number): number {
    const all = this.beyond(from);
    return Math.max(this.beyond(to) / all, 0.5 / (all * this.total + 1));
  }

  /** Logarithm of the odds that what is slower than one level is slower than the next, over those of stable. */
  tilt(alternative: Alternative, from: number, to: number): number {
    const odds = (slow: number, all: number): number => {
      const share = Math.min(0.999, Math.max(0.0005, slow / all));
      return Math.log(share / (1 - share));
    };
    const moved = odds(this.#moved(alternative, to), this.#moved(alternative, from));
    const tilt = moved - odds(this.beyond(to), this.beyond(from));
    return Math.min(MOST_TILT, Math.max(-MOST_TILT, tilt));
  }
}

function counted(latencies: Latencies): Float64Array {
  const counts = new Float64Array(BUCKETS);
  for (let i = 0; i + 1 < latencies.length; i += 2) counts[latencies[i]!]! += latencies[i + 1]!;
  return counts;
}

/** How many are slower than what is in the bucket. */
function above(counts: Float64Array, bucket: number): number {
  let slower = 0;
  for (let i = bucket + 1; i < BUCKETS; i++) slower += counts[i]!;
  return slower;
}

function aged(before: readonly number[], counts: Float64Array, span: number): readonly number[] {
  if (!counts.some((n) => n > 0)) return before;
  const keep = 0.5 ** (span / HALF_LIFE);
  return Array.from(counts, (n, at) => Math.round(((before[at] ?? 0) * keep + n) * 1000) / 1000);
}
