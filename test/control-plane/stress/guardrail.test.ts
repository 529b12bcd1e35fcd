/** What the guardrail takes for harm, and what for chance. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { breaks, parseAbortOn } from "../../../control-plane/stress/abort-on.ts";
import { chanceOfMore } from "../../../control-plane/stress/chance.ts";
import { beforeOf, harmOf, watchedUnits, type Window } from "../../../control-plane/stress/guardrail.ts";
import type { Seen } from "../../../control-plane/stress/seen.ts";
import { seededRandom } from "../../../model/clock.ts";
import { BUCKETS, bucketOf } from "../../../model/latency-histogram.ts";
import { config, route } from "../../support/config.ts";

/** @param took milliseconds of each request */
function seen(took: readonly number[], ill = 0): Seen {
  const latencies = new Float64Array(BUCKETS);
  for (const one of took) latencies[bucketOf(one / 1_000)]!++;
  return { asked: took.length, ill, latencies };
}
const even = (n: number, ms: number): number[] => new Array<number>(n).fill(ms);
const window = (users: Record<string, Seen>, own?: Seen, seconds = 2): Window => ({
  seconds,
  users: new Map(Object.entries(users)),
  own,
});
const usual = beforeOf("sh", seen(even(1_000, 20), 1));
const none = parseAbortOn("") as [];
const guard = { unit: "sh", before: [usual, beforeOf("hz", seen(even(1_000, 20)))], abortOn: none };

describe("chances", () => {
  test("are those of the binomial distribution", () => {
    assert.equal(chanceOfMore(10, 0, 0.5), 1);
    assert.ok(Math.abs(chanceOfMore(10, 10, 0.5) - 2 ** -10) < 1e-12);
    assert.ok(Math.abs(chanceOfMore(10, 9, 0.5) - 11 * 2 ** -10) < 1e-12);
    assert.equal(chanceOfMore(100, 3, 0.03), 1, "as many as were to be expected");
    assert.equal(chanceOfMore(5, 1, 0), 0);
    const far = chanceOfMore(1_000_000, 6_000, 0.005);
    assert.ok(far > 0 && far < 1e-30, `${far}`);
  });
});

describe("the guardrail", () => {
  test("ends what makes users fail, or wait, in the unit or beside it, at the first look", () => {
    const failing = window({ sh: seen(even(40, 20), 10) });
    assert.match(
      harmOf(guard, [failing])!,
      /users of sh: 10 of 40 requests failed or were shed \(0\.1 % before\)/,
    );
    const slow = window({ hz: seen([...even(30, 20), ...even(10, 400)]) });
    assert.match(harmOf(guard, [slow])!, /users of hz: p99 was \d+ ms \(\d+ before\)|users of hz: p99/);
    assert.match(harmOf(guard, [slow])!, /10 of 40 requests took more than/);
  });

  test("finds a slight harm as soon as it is more than chance", () => {
    const slight = (n: number): Seen => seen(even(n, 20), Math.round(n * 0.03));
    assert.equal(harmOf(guard, [window({ sh: slight(60) })]), undefined);
    assert.match(
      harmOf(guard, [window({ sh: slight(60) }), window({ sh: slight(1_800) }, undefined, 58)])!,
      /in the last 58 s/,
    );
  });

  test("takes chance for chance: what is as before goes on, look after look", () => {
    const random = seededRandom(11);
    for (let look = 0; look < 2_000; look++) {
      // As before: one in a hundred takes five times as long, one in a thousand fails.
      const took = Array.from({ length: 60 }, () => (random.next() < 0.008 ? 100 : 20));
      const ill = took.filter(() => random.next() < 0.001).length;
      const harm = harmOf(guard, [window({ sh: seen(took, ill), hz: seen(took) })]);
      assert.equal(harm, undefined, `look ${look}: ${harm}`);
    }
  });

  test("does not blame a run for a unit that was ill before", () => {
    const before = [beforeOf("sh", seen(even(1_000, 300), 100))];
    assert.equal(harmOf({ ...guard, before }, [window({ sh: seen(even(100, 300), 10) })]), undefined);
    assert.match(harmOf({ ...guard, before }, [window({ sh: seen(even(100, 300), 40) })])!, /40 of 100/);
  });

  test("watches who reached no unit, and units without usual figures for failures alone", () => {
    const before = [beforeOf("", undefined), beforeOf("sz", seen(even(10, 20)))];
    assert.match(
      harmOf({ ...guard, before }, [window({ "": { ...seen([]), asked: 100, ill: 30 } })])!,
      /users whom no unit served: 30 of 100/,
    );
    assert.equal(harmOf({ ...guard, before }, [window({ sz: seen(even(50, 900)) })]), undefined);
    assert.match(harmOf({ ...guard, before }, [window({ sz: seen(even(50, 20), 9) })])!, /users of sz/);
  });

  test("watches the unit, those its users go to, and those of its region", () => {
    const { units } = config([route("hall", "/*")]).fleet;
    assert.deepEqual(new Set(watchedUnits("sh", units)), new Set(units.map(({ name }) => name)));
    const many = Array.from({ length: 100 }, (_, i) => ({
      ...units[0]!,
      name: `u${i}`,
      center: false,
      failover: ["u7"],
    }));
    const watched = watchedUnits("u7", many);
    assert.ok(watched.length <= 20 && watched[0] === "u7");
  });
});

describe("a condition to abort on", () => {
  test("is of users and of the run itself", () => {
    const abortOn = parseAbortOn("success<99.5% or p99>300ms");
    assert.ok(typeof abortOn !== "string");
    const well = seen(even(200, 20));
    const shed = seen(even(200, 20), 20);
    assert.equal(harmOf({ ...guard, abortOn }, [window({ sh: well }, well)]), undefined);
    assert.match(
      harmOf({ ...guard, abortOn }, [window({ sh: well }, shed)])!,
      /unit sh answered the run: success<99\.5%/,
    );
    const slow = seen(even(200, 400));
    assert.match(harmOf({ ...guard, before: [], abortOn }, [window({}, slow)])!, /p99>300ms/);
    const both = parseAbortOn("success<99% and p99>300ms");
    assert.ok(typeof both !== "string");
    assert.equal(breaks(both, shed), undefined);
    assert.equal(breaks(both, seen(even(200, 400), 20)), "success<99% and p99>300ms");
  });

  test("is not broken by one failure of a few, nor by a few requests", () => {
    const abortOn = parseAbortOn("success<99.5%");
    assert.ok(typeof abortOn !== "string");
    assert.equal(breaks(abortOn, seen(even(30, 20), 1)), undefined);
    assert.equal(breaks(abortOn, seen(even(10, 20), 10)), undefined);
    assert.equal(breaks(abortOn, seen(even(30, 20), 6)), "success<99.5%");
  });

  test("that can never be, or that nobody understands, is refused with the way out", () => {
    for (const wrong of [
      "success",
      "success>99%",
      "errors<1%",
      "p99<1ms",
      "rps>5",
      "success{unit=sh}<99%",
      "success<200%",
      "p99>0ms",
    ]) {
      assert.match(String(parseAbortOn(wrong)), /expected success < 99\.5%/, wrong);
    }
  });
});
