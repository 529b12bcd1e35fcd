/** A slice of `npm run bench:analysis`: seeded, so that it ends as it did before. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Traffic } from "../../../loadtest/analysis/traffic.ts";
import { failsAfter, interval, isTakenBack } from "../../../loadtest/analysis/trials.ts";
import { seededRandom } from "../../../model/clock.ts";

const USUAL: Traffic = { rate: 1000, share: 0.05, errors: 0.001, shape: "wide" };
const SHORT = { units: 2, shares: [0.01, 0.05, 0.5, 1], bake: 30 };

function caught(traffic: Traffic, within: number, runs: number): number {
  return Array.from({ length: runs }, (_, run) => failsAfter(traffic, within, seededRandom(run))).filter(
    (found) => found !== undefined,
  ).length;
}

test("errors of 1 % instead of 0.1 % are caught within 30 s, of 10 % within 5 s", () => {
  assert.ok(caught({ ...USUAL, canaryErrors: 0.01 }, 30, 300) >= 298);
  assert.equal(caught({ ...USUAL, canaryErrors: 0.1 }, 6, 100), 100);
});

test("twice the latency is caught within 30 s, of all requests or of the slowest 2 %", () => {
  for (const shape of ["even", "wide", "heavy", "twofold"]) {
    assert.equal(caught({ ...USUAL, shape, slower: { times: 2, of: 1 } }, 30, 30), 30, shape);
  }
  assert.equal(caught({ ...USUAL, slower: { times: 2, of: 0.02 } }, 30, 50), 50);
});

test("rollouts of a canary that is alike are let be, in bursts, ramps and clusters too", () => {
  const kinds: Traffic[] = [
    { ...USUAL, rate: 300 },
    { ...USUAL, rate: 100, errors: 0.01, shape: "heavy" },
    { ...USUAL, rate: 300, bursts: true, ramps: true },
    { ...USUAL, rate: 300, errors: 0.01, clusters: 4, pauses: 0.02 },
  ];
  const found = kinds.flatMap((traffic, kind) =>
    Array.from(
      { length: 12 },
      (_, run) => isTakenBack(traffic, SHORT, seededRandom(kind * 1000 + run)) ?? [],
    ).flat(),
  );
  assert.ok(found.length <= 1, found.map(({ reason }) => reason).join("\n"));
});

test("a false alarm is no likelier than alpha, whatever the traffic and however often one looks", () => {
  const alpha = 0.1;
  const runs = 120;
  const alarms = Array.from({ length: runs }, (_, run) =>
    failsAfter({ ...USUAL, rate: 200, share: 0.2, errors: 0.02, bursts: true }, 60, seededRandom(run), {
      alpha,
      maxErrorIncrease: 0,
      maxLatencyRatio: 1,
      minLatencyIncrease: 0,
    }),
  ).filter((found) => found !== undefined).length;
  const [low] = interval(alarms, runs);
  assert.ok(low <= alpha, `${alarms} of ${runs}`);
  assert.ok(alarms > 0, "a test that never fails anything has no power");
});
