/** Traffic that a rollout's analysis has to judge. */
import { ALPHA_OF_LATER_STEP } from "./trials.ts";
import type { Traffic } from "./traffic.ts";

const USUAL: Traffic = { rate: 1000, share: 0.05, errors: 0.001, shape: "wide" };

/** Nothing is wrong with the canary: whatever is taken back is a false alarm. */
export const ALIKE: Readonly<Record<string, Traffic>> = {
  "no errors, latencies even": { ...USUAL, errors: 0, shape: "even" },
  "0.1 % errors, wide": USUAL,
  "1 % errors, twofold": { ...USUAL, errors: 0.01, shape: "twofold" },
  "1 % errors, heavy tail, 100 rps": { ...USUAL, rate: 100, errors: 0.01, shape: "heavy" },
  "1 % errors, wide, 10 rps": { ...USUAL, rate: 10, errors: 0.01 },
  "0.1 %, windows of 10 s": { ...USUAL, window: 10_000 },
  "0.1 %, bursts in both": { ...USUAL, bursts: true },
  "0.1 %, load and latency rise and fall": { ...USUAL, ramps: true },
  "0.1 %, failures in clusters of 4": { ...USUAL, clusters: 4 },
  "1 %, failures in clusters of 4": { ...USUAL, errors: 0.01, clusters: 4 },
  "0.1 %, endpoints pause for 1 s": { ...USUAL, pauses: 0.02 },
};

export interface Harmful {
  readonly traffic: Traffic;
  /** Seconds in which 99 % are to be caught, where that is promised. */
  readonly promised?: number;
  readonly alpha?: number;
}

const twice = (of: number): NonNullable<Traffic["slower"]> => ({ times: 2, of });

/** The canary is worse; each in a single step of 5 %. */
export const HARMFUL: Readonly<Record<string, Harmful>> = {
  "errors 0.1 → 1 %": { traffic: { ...USUAL, canaryErrors: 0.01 }, promised: 30 },
  "errors 0.1 → 1 %, in windows of 10 s": { traffic: { ...USUAL, canaryErrors: 0.01, window: 10_000 } },
  "errors 0.1 → 1 %, in a later unit": {
    traffic: { ...USUAL, canaryErrors: 0.01 },
    alpha: ALPHA_OF_LATER_STEP,
  },
  "errors 0.1 → 1 %, amid bursts in both": { traffic: { ...USUAL, canaryErrors: 0.01, bursts: true } },
  "errors 0.1 → 1 %, from the 10th minute on": { traffic: { ...USUAL, canaryErrors: 0.01, begins: 600 } },
  "errors 0.1 → 3 %": { traffic: { ...USUAL, canaryErrors: 0.03 }, promised: 15 },
  "errors 0.1 → 10 %": { traffic: { ...USUAL, canaryErrors: 0.1 }, promised: 5 },
  "errors 0.1 → 10 %, at 100 rps": { traffic: { ...USUAL, rate: 100, canaryErrors: 0.1 } },
  "all twice as slow, even": { traffic: { ...USUAL, shape: "even", slower: twice(1) }, promised: 30 },
  "all twice as slow, wide": { traffic: { ...USUAL, slower: twice(1) }, promised: 30 },
  "all twice as slow, heavy tail": {
    traffic: { ...USUAL, shape: "heavy", slower: twice(1) },
    promised: 30,
  },
  "all twice as slow, twofold": { traffic: { ...USUAL, shape: "twofold", slower: twice(1) }, promised: 30 },
  "all twice as slow, wide, from the 10th minute on": {
    traffic: { ...USUAL, slower: twice(1), begins: 600 },
  },
  "all 4 times as slow, wide": { traffic: { ...USUAL, slower: { times: 4, of: 1 } }, promised: 5 },
  "slowest 2 % twice as slow, even": {
    traffic: { ...USUAL, shape: "even", slower: twice(0.02) },
    promised: 30,
  },
  "slowest 2 % twice as slow, wide": { traffic: { ...USUAL, slower: twice(0.02) } },
  "slowest 2 % twice as slow, twofold": { traffic: { ...USUAL, shape: "twofold", slower: twice(0.02) } },
  "slowest 2 % twice as slow, heavy tail": { traffic: { ...USUAL, shape: "heavy", slower: twice(0.02) } },
  "slowest 1 % twice as slow, even": { traffic: { ...USUAL, shape: "even", slower: twice(0.01) } },
  "slowest 1 % twice as slow, wide": { traffic: { ...USUAL, slower: twice(0.01) } },
};
