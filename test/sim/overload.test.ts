/**
 * Overload in simulated time, minutes of it in seconds. The bounds leave room for the scatter of one seed; real sockets
 * and exact figures are `npm run bench:overload`'s. Another seed: `SEED=7 node --test test/sim/overload.test.ts`.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { seededRandom } from "../../model/clock.ts";
import { quantile, type Result, simulate, type Unit } from "./overload.ts";

const SEED = Number(process.env.SEED ?? 1);
const SHARES = [0.1, 0.2, 0.4, 0.3] as const;
const AT_EASE = 10_000;
const DURATION = 30_000;
/** What is sent in the last second is not answered in time; see simulate. */
const SECONDS = (DURATION - AT_EASE) / 1_000 - 1;

const capacityOf = (unit: Unit): number => (unit.workers * 1_000) / unit.work;
const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
const success = (result: Result, urgency: number): number => result.good[urgency]! / result.sent[urgency]!;

/** Ten seconds at a fifth of the capacity, then five times the capacity. */
function overload(unit: Unit, protect = true): { unloaded: Result; loaded: Result; goodput: number } {
  const capacity = capacityOf(unit);
  const traffic = { rate: (now: number) => (now < AT_EASE ? capacity / 5 : capacity * 5), shares: SHARES };
  const unloaded = simulate(
    unit,
    { rate: () => capacity / 5, shares: SHARES },
    seededRandom(SEED),
    AT_EASE,
    2_000,
  );
  const loaded = simulate(unit, traffic, seededRandom(SEED), DURATION, AT_EASE, protect);
  return { unloaded, loaded, goodput: sum(loaded.good) / (capacity * SECONDS) };
}

describe(`five times a unit's capacity (seed ${SEED})`, () => {
  const units: [Unit, number][] = [
    [{ workers: 10, work: 20, spread: "fixed" }, 3],
    [{ workers: 40, work: 80, spread: "fixed" }, 4],
    [{ workers: 200, work: 50, spread: "fixed" }, 4],
    [{ workers: 16, work: 5, spread: "fixed" }, 4.5],
    [{ workers: 10, work: 20, spread: "exponential" }, 3],
    [{ workers: 40, work: 80, spread: "exponential" }, 3],
    [{ workers: 200, work: 50, spread: "exponential" }, 3],
  ];
  for (const [unit, most] of units) {
    const name = `${unit.workers} workers of ${unit.work} ms, ${unit.spread}`;
    it(`leaves its goodput, its critical requests and its latency: ${name}`, () => {
      const { unloaded, loaded, goodput } = overload(unit);
      assert.equal(sum(unloaded.good), sum(unloaded.sent), "nothing is shed while there is room");
      assert.ok(goodput > 0.85, `goodput ${goodput}`);
      assert.ok(success(loaded, 0) > 0.97, `critical ${success(loaded, 0)}`);
      assert.ok(success(loaded, 0) > success(loaded, 1), "critical before high");
      assert.ok(success(loaded, 1) > success(loaded, 2), "high before normal");
      assert.ok(success(loaded, 2) >= success(loaded, 3), "normal before sheddable");
      const ratio = quantile(loaded.latencies, 0.99) / quantile(unloaded.latencies, 0.99);
      assert.ok(ratio < most, `p99 ${ratio} times the unloaded one`);
    });
  }

  it("breaks a unit down that nothing protects", () => {
    const { goodput } = overload({ workers: 10, work: 20, spread: "fixed" }, false);
    assert.ok(goodput < 0.3, `goodput ${goodput}`);
  });
});

describe("a unit's limit", () => {
  it("follows a deployment that makes answers three times as long, and sheds hardly anything for it", () => {
    const unit: Unit = { workers: 100, work: 20, spread: "fixed" };
    const result = simulate(
      unit,
      { rate: () => 1_000, shares: SHARES },
      seededRandom(SEED),
      30_000,
      5_000,
      true,
      (now) => {
        if (now === 10_000) unit.work = 60;
      },
    );
    assert.ok(sum(result.good) / sum(result.sent) > 0.97, `${sum(result.good)} of ${sum(result.sent)}`);
  });

  it("follows a unit that loses half of its workers, and gets them back", () => {
    const unit: Unit = { workers: 20, work: 20, spread: "fixed" };
    const result = simulate(
      unit,
      { rate: () => 900, shares: SHARES },
      seededRandom(SEED),
      40_000,
      5_000,
      true,
      (now) => {
        if (now === 10_000) unit.workers = 10;
        if (now === 25_000) unit.workers = 20;
      },
    );
    const between = (from: number, to: number): number => sum(result.perSecond.slice(from, to)) / (to - from);
    assert.ok(between(12, 24) > 425, `${between(12, 24)} of 500 a second`);
    assert.ok(between(30, 38) > 880, `${between(30, 38)} of 900 a second`);
    assert.ok(success(result, 0) > 0.99, `critical ${success(result, 0)}`);
  });
});
