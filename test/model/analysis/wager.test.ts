import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { binomial, type Chances, hypergeometric, logFactorial } from "../../../model/analysis/chances.ts";
import { betOnGoal, tailOf } from "../../../model/analysis/goal.ts";
import { add, bet, capitalOf, goIn, tempered, wagerOn } from "../../../model/analysis/wager.ts";

/** Requests of both, those of them that failed, those of the canary. */
const windows = fc
  .record({ canary: fc.integer({ min: 0, max: 400 }), stable: fc.integer({ min: 0, max: 2000 }) })
  .chain(({ canary, stable }) =>
    fc.record({
      total: fc.constant(canary + stable),
      marked: fc.integer({ min: 0, max: canary + stable }),
      drawn: fc.constant(canary),
    }),
  );

const each = (chances: Chances, value: (count: number) => number): number => {
  const { from, chance } = chances.spread();
  return chance.reduce((sum, one, at) => sum + one * value(from + at), 0);
};

/** Logarithm of a mean over every count that can be, however unlikely. */
const logMeanOf = (
  { total, marked, drawn }: { total: number; marked: number; drawn: number },
  log: (count: number) => number,
): number => {
  const ways = (n: number, k: number): number => logFactorial(n) - logFactorial(k) - logFactorial(n - k);
  const terms: number[] = [];
  for (let x = Math.max(0, marked + drawn - total); x <= Math.min(marked, drawn); x++) {
    terms.push(ways(marked, x) + ways(total - marked, drawn - x) - ways(total, drawn) + log(x));
  }
  return capitalOf(terms);
};

const near = (a: number, b: number, error = 1e-9): void =>
  assert.ok(Math.abs(a - b) <= error * Math.max(1, Math.abs(a), Math.abs(b)), `${a} is not ${b}`);

test("of few requests every way to draw them is counted", () => {
  // 3 failures among 10 requests, 4 of them the canary's: 210 ways.
  const chances = hypergeometric(10, 3, 4);
  assert.deepEqual(
    [...chances.spread().chance].map((chance) => Math.round(chance * 210)),
    [35, 105, 63, 7],
  );
  near(chances.mean, 1.2);
  near(chances.variance, 0.56);
  near(chances.logMean(Math.log(3)), Math.log((35 + 3 * 105 + 9 * 63 + 27 * 7) / 210));
});

test("chances come to 1, and have their mean and their variance", () => {
  fc.assert(
    fc.property(windows, ({ total, marked, drawn }) => {
      const chances = hypergeometric(total, marked, drawn);
      near(
        each(chances, () => 1),
        1,
      );
      near(
        each(chances, (count) => count),
        chances.mean,
        1e-7,
      );
      near(
        each(chances, (count) => (count - chances.mean) ** 2),
        chances.variance,
        1e-7,
      );
    }),
  );
  const chances = binomial(1_000, 0.01);
  near(
    each(chances, (count) => count),
    10,
    1e-7,
  );
  near(
    each(chances, (count) => (count - 10) ** 2),
    9.9,
    1e-7,
  );
});

test("the mean that a tilt is divided by is the mean", () => {
  const tilts = fc.double({ min: -1, max: 1, noNaN: true });
  fc.assert(
    fc.property(windows, tilts, (window, tilt) => {
      const chances = hypergeometric(window.total, window.marked, window.drawn);
      near(
        chances.logMean(tilt),
        logMeanOf(window, (count) => count * tilt),
        1e-9,
      );
    }),
  );
  const chances = binomial(500, 0.02);
  near(chances.logMean(0.7), Math.log(each(chances, (count) => Math.exp(count * 0.7))), 1e-7);
});

test("factorials are exact to where they are looked up, and beyond", () => {
  let log = 0;
  for (let n = 1; n <= 1_000; n++) {
    log += Math.log(n);
    near(logFactorial(n), log, 1e-12);
  }
});

test("a bet is fair: over what chance may bring, the capital stays what it was", () => {
  const capitals = fc.double({ min: -20, max: 5, noNaN: true });
  fc.assert(
    fc.property(windows, capitals, (window, capital) => {
      const chances = hypergeometric(window.total, window.marked, window.drawn);
      const wager = wagerOn([0.3, 0.5, 0.2], capital);
      const tilts = [Math.log(1.5), Math.log(10), -0.5];
      near(
        logMeanOf(window, (count) => capitalOf(bet(wager, chances, count, tilts))),
        capital,
        1e-9,
      );
    }),
  );
});

test("what is kept back goes into the bets without a loss or a gain", () => {
  const wager = wagerOn([0.3, 0.7]);
  near(capitalOf(wager), 0);
  near(capitalOf(goIn(wager, [0.3, 0.7], 60_000, 1_000)), 0);
  near(capitalOf(add(wager, [0.3, 0.7], 0)), Math.log(2));
});

test("one window multiplies the capital by 20 at most, a small alpha's by 10", () => {
  const before = wagerOn([0.5, 0.5]);
  const after = bet(before, hypergeometric(1_000, 30, 50), 30, [Math.log(5), Math.log(50)]);
  assert.ok(capitalOf(after) > Math.log(1e6));
  near(capitalOf(tempered(before, after, 0.004, 1_000)), Math.log(20));
  near(capitalOf(tempered(before, after, 0.0001, 1_000)), Math.log(10));
  assert.equal(tempered(before, before, 0.004, 1_000), before);
});

test("a bet on a goal is fair, never beyond it, and higher counts are never worth less", () => {
  const shares = fc.double({ min: 1e-6, max: 0.99, noNaN: true });
  const left = fc.double({ min: 0, max: 80, noNaN: true });
  const ceilings = fc.constantFrom(3, 20, 1e9);
  fc.assert(
    fc.property(windows, shares, left, ceilings, ({ total, marked, drawn }, capital, rest, times) => {
      const chances = hypergeometric(total, marked, drawn);
      if (chances.variance === 0) return;
      const after = (count: number): number => betOnGoal(capital, chances, count, rest, capital * times);
      const { from, chance } = chances.spread();
      const worth = Array.from(chance, (_, at) => after(from + at));
      near(each(chances, after), capital, 1e-6);
      for (const [at, one] of worth.entries()) {
        assert.ok(one >= 0 && one <= Math.min(1, capital * times) + 1e-9, `${one}`);
        assert.ok(at === 0 || one >= worth[at - 1]! - 1e-9);
      }
    }),
  );
});

test("when nothing is left to come, what is enough reaches the goal, and what is not is lost", () => {
  const chances = binomial(100, 0.01);
  assert.equal(betOnGoal(0.02, chances, 6, 0, 1), 1);
  assert.equal(betOnGoal(0.02, chances, 0, 0, 1), 0);
});

test("the tail of a Poisson count", () => {
  near(tailOf(7, 1.5), 0.000926, 1e-6);
  near(tailOf(1, 1e-9), 1e-9, 1e-6);
  near(tailOf(2, 5), 1 - 6 * Math.exp(-5));
  assert.deepEqual([tailOf(0, 3), tailOf(-2, 0), tailOf(1, 0)], [1, 1, 0]);
  // Where it is approximate: 100 of a mean of 80 (exact 0.0171).
  assert.ok(Math.abs(tailOf(100, 80) - 0.0171) < 0.002);
});
