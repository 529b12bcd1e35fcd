/**
 * A slice of Double 11 in simulated time: the seconds around the worst minute, with a unit that dies in it, against what
 * the forecast says of that loss. The whole night: `npm run sim:double11`. Another seed: `SEED=7 node --test …`.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readConfigDir } from "../../host/config-dir.ts";
import { seededRandom } from "../../model/clock.ts";
import { type Forecast, peakOf } from "../../model/forecast/forecast.ts";
import type { Loss } from "../../model/forecast/losses.ts";
import { outlookOf } from "../../model/forecast/outlook.ts";
import { entriesOf } from "../../model/forecast/traffic.ts";
import { PRIORITIES } from "../../model/route.ts";
import {
  type NightOptions,
  nightFleet,
  nightForecast,
  recoversAfter,
  type Second,
  simulateNight,
  successOf,
  total,
  VICTIM,
} from "./double11.ts";

const SEED = Number(process.env.SEED ?? 11);
const THIN = 2;
const DIES = 5;
const MOVES = 15;
const shipped = readConfigDir(new URL("../../configs/double11", import.meta.url).pathname).config!.forecast!;
const forecast = nightForecast(shipped, THIN);
const peak = shipped.times[peakOf(shipped)]!;

function night(changes: Partial<NightOptions> = {}): Second[] {
  const seconds: Second[] = [];
  const usual = {
    forecast,
    thin: THIN,
    before: 2,
    after: 28,
    wholeDay: false,
    dies: DIES,
    movesAfter: MOVES,
  };
  simulateNight({ ...usual, random: seededRandom(SEED), ...changes }, (second) => seconds.push(second));
  return seconds;
}

function predicted(): Loss {
  const whole = nightFleet(THIN);
  const { zone, routes } = forecast;
  const at = Object.entries(routes).map(([name, rps]) => [name, [rps[peakOf(forecast)]!]]);
  const first: Forecast = { zone, times: [peak], routes: Object.fromEntries(at) };
  const { losses } = outlookOf(whole, first, { writes: 0.5, entries: entriesOf(whole) });
  return losses.find(({ unit }) => unit === VICTIM)!;
}

describe(`the peak of Double 11 with a unit that dies in it (seed ${SEED})`, () => {
  const seconds = night();
  const since = (from: number, to: number): Second[] =>
    seconds.filter(({ at }) => at >= peak + from * 1_000 && at < peak + to * 1_000);

  it("is 50,000 requests a second at midnight in Shanghai", () => {
    const rps = Object.values(shipped.routes).reduce((sum, rates) => sum + rates[peakOf(shipped)]!, 0);
    assert.deepEqual(
      [rps, new Date(peak).toISOString(), shipped.zone],
      [50_000, "2026-11-10T16:00:00.000Z", 480],
    );
    const sent = PRIORITIES.reduce((sum, _, p) => sum + total(since(0, 5), "sent", p), 0) / 5;
    assert.ok(Math.abs(sent * THIN - 50_000) < 1_500, `${sent * THIN}`);
  });

  it("is served whole before", () => {
    for (const [p, name] of PRIORITIES.entries()) {
      const success = successOf(since(-2, DIES))[p]!;
      assert.ok(success > 0.995, `${name} ${success}`);
    }
  });

  it("loses then what the forecast says, by priority", () => {
    const loss = predicted();
    // The most urgent have room everywhere; of their writes those fail whose unit is gone.
    const steady = since(DIES + 4, DIES + MOVES);
    for (const [p, name] of PRIORITIES.entries()) {
      for (const [field, wanted] of [
        ["shed", loss.shed[name] ?? 0],
        ["failed", loss.failing[name] ?? 0],
      ] as const) {
        const seen = total(steady, field, p) / steady.length;
        const sent = total(steady, "sent", p) / steady.length;
        // Within 1.5 % of what was asked: users are no even spread, and seconds no average.
        assert.ok(
          Math.abs(seen - wanted) < 0.015 * sent,
          `${name} ${field}: ${seen}/s, and not ${wanted}/s of ${sent}/s`,
        );
      }
    }
  });

  it("fails nobody once the slots have moved, and sheds what is too much for the units that are left", () => {
    const moved = since(DIES + MOVES + 1, 28);
    const all = (field: "failed" | "shed", p: number): number => total(moved, field, p) / moved.length;
    for (const p of PRIORITIES.keys()) assert.equal(all("failed", p), 0);
    for (const p of [0, 1, 2])
      assert.ok(successOf(moved)[p]! > 0.99, `${PRIORITIES[p]} ${successOf(moved)[p]}`);
    const { short } = predicted();
    assert.equal(Math.round(short! * THIN), 600, "50,000 for nineteen units of 2,600");
    // At the brink chance costs a little more than what is too much, and less than a hundredth of all.
    const shed = all("shed", 3);
    assert.ok(shed > 0.9 * short! && shed < short! + 250, `${shed}/s, and not ${short}/s`);
  });

  it("is well again when the load falls, and not before its slots have moved", () => {
    const at = (second: number, good: number): Second => ({
      ...{ at: second * 1_000, sent: [10, 10, 10, 10], shed: [0, 0, 0, 0], failed: [0, 0, 0, 0] },
      good: [10, good, 10, 10],
    });
    const timeline = [10, 9, 9, 10, 9, 10, 10, 10].map((good, second) => at(second, good));
    assert.equal(recoversAfter(timeline, 1_000, 0.99, 3), 4);
    assert.equal(recoversAfter(timeline, 1_000, 0.9, 3), 0);
    assert.equal(recoversAfter(timeline, 1_000, 0.99, 4), undefined);
  });

  it("is the same for the same seed, and another one for another", () => {
    const few = { before: 1, after: 2, dies: 0 };
    assert.deepEqual(night(few), night(few));
    assert.notDeepEqual(night({ ...few, random: seededRandom(SEED + 1) }), night(few));
  });
});
