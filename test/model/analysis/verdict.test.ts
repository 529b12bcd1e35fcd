import assert from "node:assert/strict";
import { test } from "node:test";
import { Source, type Traffic } from "../../../loadtest/analysis/traffic.ts";
import type { Sample } from "../../../model/analysis/sample.ts";
import {
  type AnalysisSettings,
  type AnalysisState,
  alphas,
  begin,
  step,
  verdict,
} from "../../../model/analysis/verdict.ts";
import { seededRandom } from "../../../model/clock.ts";
import { bucketOf } from "../../../model/latency-histogram.ts";

const USUAL: Traffic = { rate: 1000, share: 0.05, errors: 0.001, shape: "wide" };

/** All requests of a window that took so long (s). */
const sample = (second: number, requests: number, failures = 0, seconds = 0.05): Sample => ({
  at: second * 1000,
  requests,
  failures,
  latency: requests > 0 ? [bucketOf(seconds), requests] : [],
});

function watched(
  traffic: Traffic,
  seconds: number,
  settings: Partial<AnalysisSettings> = {},
  seed = 1,
): AnalysisState {
  const source = new Source(traffic, seededRandom(seed));
  let state = begin(settings);
  for (let second = 0; second < seconds && state.harm === null; second++)
    state = step(state, ...source.next());
  return state;
}

/** The same two windows, second after second. */
function repeated(
  seconds: number,
  window: (second: number) => readonly [Sample | null, Sample | null],
  state = begin(),
): AnalysisState {
  let after = state;
  for (let second = 1; second <= seconds; second++) after = step(after, ...window(second));
  return after;
}

test("before anything is seen it holds, and says what is missing", () => {
  const found = verdict(begin());
  assert.deepEqual(
    [found.verdict, found.enough, found.clean, found.reason],
    ["hold", false, false, "no requests of the canary yet"],
  );
  assert.deepEqual([found.errors.canary, found.errors.high, found.latency.change], [null, null, null]);
  const few = verdict(repeated(3, (at) => [sample(at, 4), sample(at, 500)]));
  assert.equal(few.reason, "12 requests of the canary so far, expected 100");
  assert.equal(few.verdict, "hold");
});

test("a canary that fails more is taken back, with the figures", () => {
  const found = verdict(watched({ ...USUAL, canaryErrors: 0.1 }, 30));
  assert.equal(found.verdict, "fail");
  assert.equal(found.by, "errors");
  assert.match(
    found.reason,
    /^the canary fails [\d.]+ % of its requests \(\d+ of \d+ so far\) and stable 0\.\d+ %: [\d.]+ points more, where 0\.20 points are tolerated$/,
  );
  assert.equal(found.errors.evidence, 1);
  assert.ok(found.errors.low! > 0 && found.errors.low! < found.errors.change!);
});

test("a canary that is slower is taken back, by all its latencies or by the slowest", () => {
  for (const slowest of [1, 0.02]) {
    const found = verdict(watched({ ...USUAL, slower: { times: 3, of: slowest } }, 30));
    assert.deepEqual([found.verdict, found.by], ["fail", "latency"]);
    assert.match(
      found.reason,
      /^p99 of the canary is .* and of stable .*: [\d.]+ times, where 1\.3 times are tolerated$/,
    );
    assert.ok(found.latency.change! > 1.3);
  }
});

test("proof stays proof, whatever comes after", () => {
  let state = watched({ ...USUAL, canaryErrors: 0.1 }, 30);
  const { reason } = verdict(state);
  const source = new Source(USUAL, seededRandom(4));
  for (let second = 0; second < 60; second++) {
    const [canary, stable] = source.next();
    state = step(state, { ...canary, at: canary.at + 60_000 }, { ...stable, at: stable.at + 60_000 });
  }
  assert.deepEqual([verdict(state).verdict, verdict(state).reason], ["fail", reason]);
});

test("a canary that is alike holds with a clean record, and passes when there is enough to rule harm out", () => {
  const early = verdict(watched(USUAL, 20, {}, 3));
  assert.deepEqual([early.verdict, early.enough, early.clean], ["hold", true, true]);
  assert.match(
    early.reason,
    /^no sign of harm, and too little to rule it out: it fails 0\.\d+ % of [\d,]+ requests/,
  );
  const late = verdict(watched({ ...USUAL, share: 0.5 }, 120, {}, 3));
  assert.equal(late.verdict, "pass", late.reason);
  assert.ok(late.errors.high! <= 0.002 && late.latency.high! <= 1.3);
  assert.match(late.reason, /^no worse than is tolerated: /);
});

test("a canary that is better passes", () => {
  const found = verdict(
    watched({ ...USUAL, share: 0.2, errors: 0.02, canaryErrors: 0.001, slower: { times: 0.5, of: 1 } }, 60),
  );
  assert.equal(found.verdict, "pass", found.reason);
  assert.ok(found.errors.high! < 0 && found.latency.high! < 1);
  assert.deepEqual([found.errors.evidence, found.latency.evidence], [0, 0]);
});

test("harm below what is tolerated is no reason to take it back, however sure it is", () => {
  const worse: Traffic = { ...USUAL, share: 0.5, canaryErrors: 0.004 };
  const tolerant = { maxErrorIncrease: 0.01 };
  assert.equal(verdict(watched(worse, 120, {})).verdict, "fail");
  const found = verdict(watched(worse, 120, tolerant));
  assert.notEqual(found.verdict, "fail");
  assert.equal(found.clean, false, "it is known to be worse");
  const slower: Traffic = { ...USUAL, shape: "even", share: 0.5, slower: { times: 1.2, of: 1 } };
  assert.notEqual(verdict(watched(slower, 60)).verdict, "fail");
});

test("an increase of a few milliseconds is no harm, whatever the ratio", () => {
  const of = (at: number, seconds: number, n: number): Sample => sample(at, n, 0, seconds);
  const windows = (slow: number) => (at: number) => [of(at, slow, 50), of(at, 0.001, 950)] as const;
  assert.notEqual(verdict(repeated(60, windows(0.004))).verdict, "fail");
  assert.equal(verdict(repeated(60, windows(0.04))).verdict, "fail");
});

test("what strikes both alike is nobody's fault, and does not hide what is the canary's", () => {
  const struck = (canaryRate: number) =>
    verdict(
      repeated(40, (at) => {
        const rate = at % 10 < 3 ? 0.5 : 0.001;
        const failures = Math.round(100 * Math.min(1, rate + canaryRate));
        return [sample(at, 100, failures, 0.05 + rate), sample(at, 900, Math.round(900 * rate), 0.05 + rate)];
      }),
    );
  assert.notEqual(struck(0).verdict, "fail");
  assert.deepEqual([struck(0.1).verdict, struck(0.1).by], ["fail", "errors"]);
});

test("nothing at all is sure: no failures, one latency, and one window", () => {
  const same = verdict(repeated(60, (at) => [sample(at, 50), sample(at, 950)]));
  assert.notEqual(same.verdict, "fail");
  assert.equal(same.errors.change, 0);
  assert.equal(same.latency.change, 1);
  const once = verdict(repeated(1, (at) => [sample(at, 50, 50), sample(at, 950)]));
  assert.equal(once.verdict, "hold", "one window alone proves nothing");
  const all = verdict(repeated(4, (at) => [sample(at, 50, 50), sample(at, 950)]));
  assert.equal(all.verdict, "fail");
});

test("everything fails in both: that is not the canary", () => {
  const found = verdict(repeated(60, (at) => [sample(at, 50, 50), sample(at, 950, 950)]));
  assert.notEqual(found.verdict, "fail");
});

test("few failures are not enough, however unlikely", () => {
  const window = (at: number) => [sample(at, 50, at % 10 === 0 ? 1 : 0), sample(at, 950)] as const;
  assert.notEqual(verdict(repeated(49, window)).verdict, "fail");
  assert.equal(verdict(repeated(49, window, begin({ minFailures: 4 }))).verdict, "fail");
});

test("when figures stop it holds, and goes on where it was when they come again", () => {
  let state = watched(USUAL, 20);
  for (let i = 0; i < 12; i++) state = step(state, null, null);
  const silent = verdict(state);
  assert.deepEqual([silent.verdict, silent.enough, silent.clean], ["hold", false, false]);
  assert.equal(silent.reason, "no requests of the canary in the last 12 of 32 windows");
  state = step(state, sample(40, 50), sample(40, 950));
  assert.equal(verdict(state).enough, true);
});

test("rare requests are not silence", () => {
  const state = repeated(400, (at) => [at % 8 === 0 ? sample(at, 3) : null, sample(at, 100)]);
  assert.equal(verdict(state).enough, true);
});

test("without stable traffic and without a past there is nothing to compare with", () => {
  const found = verdict(repeated(60, (at) => [sample(at, 100, 50), null]));
  assert.equal(found.verdict, "hold");
  assert.equal(found.reason, "nothing to compare the canary with: no stable traffic, and no past is known");
});

test("without stable traffic the past stands for it, with more slack", () => {
  const past = sample(0, 100_000, 100);
  const alone = (rate: number, seconds: number, slow = 0.05) =>
    verdict(repeated(seconds, (at) => [sample(at, 1_000, 1_000 * rate, slow), null], begin({}, past)));
  const alike = alone(0.001, 300);
  assert.deepEqual([alike.verdict, alike.past, alike.clean], ["pass", true, true], alike.reason);
  assert.notEqual(alone(0.003, 300).verdict, "fail");
  assert.deepEqual([alone(0.01, 300).verdict, alone(0.01, 300).by], ["fail", "errors"]);
  assert.match(alone(0.01, 300).reason, /where 0\.35 % are tolerated after the unit's past/);
  assert.deepEqual([alone(0.6, 5).verdict, alone(0.6, 5).by], ["fail", "errors"], "what is gross is quick");
  assert.deepEqual([alone(0.001, 300, 0.2).verdict, alone(0.001, 300, 0.2).by], ["fail", "latency"]);
  assert.deepEqual([alone(0.001, 10, 0.5).verdict, alone(0.001, 10, 0.5).by], ["fail", "latency"]);
});

test("a burst is not proof against the past, where nothing says whether stable has it too", () => {
  const past = sample(0, 100_000, 100);
  const found = verdict(
    repeated(300, (at) => [sample(at, 1_000, at % 60 < 5 ? 200 : 1), null], begin({ alpha: 0.0003 }, past)),
  );
  assert.notEqual(found.verdict, "fail");
});

test("against the past a stretch counts as a whole, not its worst second", () => {
  const past = sample(0, 100_000, 100);
  const seconds = (worst: number) =>
    repeated(300, (at) => [sample(at, 1_000, at % 10 === 1 ? worst : 1), null], begin({}, past));
  assert.notEqual(verdict(seconds(20)).verdict, "fail");
  assert.equal(verdict(seconds(100)).verdict, "fail");
});

test("a metric of neighbouring windows is hardly a new one", () => {
  const rule = { maxRatio: 1.2, worse: "higher", minWindows: 5 } as const;
  const each = (span: number) =>
    repeated(
      25,
      (at) => [
        { ...sample(at * span, 50), metrics: { cpu: 0.9 } },
        { ...sample(at * span, 950), metrics: { cpu: 0.5 } },
      ],
      begin({ metrics: { cpu: rule } }),
    );
  assert.notEqual(verdict(each(1)).verdict, "fail");
  assert.equal(verdict(each(10)).verdict, "fail");
});

test("a metric by its limit, and against stable's in most windows", () => {
  const rule = { limit: 0.9, worse: "higher", minWindows: 3 } as const;
  const with_ = (
    name: string,
    rules: AnalysisSettings["metrics"][string],
    values: (at: number) => [number, number],
  ) =>
    repeated(
      60,
      (at) => {
        const [mine, theirs] = values(at);
        const window = { ...sample(at * 10, 50), metrics: { [name]: mine } };
        return [window, { ...sample(at * 10, 950), metrics: { [name]: theirs } }];
      },
      begin({ metrics: { [name]: rules } }),
    );
  const high = verdict(with_("cpu", rule, () => [0.95, 0.95]));
  assert.equal(high.verdict, "fail");
  assert.equal(high.reason, "cpu of the canary is 0.95, more than 0.9 in 3 windows in a row");
  assert.notEqual(verdict(with_("cpu", rule, (at) => [at % 3 === 0 ? 0.5 : 0.95, 0.5])).verdict, "fail");
  const ratio = { maxRatio: 1.2, worse: "lower", minWindows: 5 } as const;
  assert.equal(verdict(with_("orders", ratio, () => [50, 100])).by, "metric");
  assert.notEqual(verdict(with_("orders", ratio, (at) => [at % 2 === 0 ? 50 : 100, 100])).verdict, "fail");
  assert.notEqual(verdict(with_("orders", ratio, () => [Number.NaN, 100])).verdict, "fail");
});

test("saturation: twice as long under way in most windows", () => {
  const under = (mine: number) =>
    verdict(
      repeated(60, (at) => [
        { ...sample(at * 10, 50), inflight: mine },
        { ...sample(at * 10, 950), inflight: 19 },
      ]),
    );
  assert.notEqual(under(1.5).verdict, "fail");
  assert.deepEqual([under(3).verdict, under(3).by], ["fail", "saturation"]);
});

test("what is kept is plain JSON, and goes on from there to the same end", () => {
  const source = new Source({ ...USUAL, canaryErrors: 0.008 }, seededRandom(3));
  const windows = Array.from({ length: 40 }, () => source.next());
  const settings = { metrics: { cpu: { limit: 1, worse: "higher", minWindows: 3 } } } as const;
  let straight = begin(settings, sample(0, 100, 1));
  let resumed = begin(settings, sample(0, 100, 1));
  for (const window of windows) {
    straight = step(straight, ...window);
    resumed = step(JSON.parse(JSON.stringify(resumed)), ...window);
    assert.deepEqual(resumed, straight);
  }
  assert.deepEqual(verdict(resumed), verdict(straight));
  assert.ok(JSON.stringify(straight).length < 16_384);
});

test("it takes windows of 10 s too, and starts at any time", () => {
  const source = new Source({ ...USUAL, canaryErrors: 0.05, window: 10_000 }, seededRandom(2));
  let state = begin({}, null, 1_700_000_000_000);
  for (let window = 0; window < 3; window++) {
    const [canary, stable] = source.next();
    const at = 1_700_000_000_000 + canary.at;
    state = step(state, { ...canary, at }, { ...stable, at });
  }
  assert.equal(verdict(state).verdict, "fail");
});

test("samples that cannot be are made what they can, and a window that is over is not seen again", () => {
  const state = step(begin(), sample(1, 10, 20), sample(1, 100, -5));
  assert.deepEqual(
    [state.canary, state.stable],
    [
      { requests: 10, failures: 10 },
      { requests: 100, failures: 0 },
    ],
  );
  const again = step(state, sample(1, 10, 0), sample(1, 100, 0));
  assert.deepEqual([again.canary, again.windows], [state.canary, 2]);
});

test("a rollout's alpha is shared among its units and steps, most of it where it counts", () => {
  const steps = ["hz", "sh", "sz"].flatMap((unit) =>
    [0.01, 0.05, 0.2, 0.5, 1].map((share) => ({ unit, share })),
  );
  const shared = alphas(0.01, steps);
  const all = shared.reduce((sum, alpha) => sum + alpha, 0);
  assert.ok(Math.abs(all - 0.01) < 1e-12);
  assert.ok(shared[1]! > 0.004 && shared[6]! > 0.002 && shared[0]! > shared[2]!);
  assert.deepEqual(alphas(0.02, [{ unit: "hz", share: 1 }]), [0.02]);
  assert.deepEqual(alphas(0.01, []), []);
});
