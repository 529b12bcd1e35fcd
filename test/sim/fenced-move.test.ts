/**
 * The fenced move when everything goes wrong. A failure names its seed: `SEED=7 node --test test/sim/fenced-move.test.ts`
 * begins there. More seeds: `npm run sim:plans`.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FencedMove, type Settings } from "./fenced-move.ts";
import { WHOLE } from "../support/whole.ts";
import { checked, PROPERTIES, SOUND } from "./fenced-move-runs.ts";

const SEED = Number(process.env.SEED ?? 1);

describe(`a fenced move (from seed ${SEED})`, () => {
  for (const { what, settings, seeds: some } of PROPERTIES) {
    const seeds = WHOLE ? some * 5 : Math.ceil(some / 2);
    it(`${what}: no two units in one epoch, nothing lost, and it ends (${seeds} seeds)`, async (t) => {
      const { problems, sum } = await checked(settings, SEED, seeds);
      t.diagnostic(JSON.stringify(sum));
      assert.deepEqual(problems, []);
      // A world in which nothing moves, or nothing is held, would prove nothing.
      assert.ok(sum.switches > seeds && sum.held > seeds && sum.leaders > seeds, JSON.stringify(sum));
    });
  }

  const mutations: readonly [string, Partial<Settings>][] = [
    ["the engine waits for no acknowledgement", { flaws: { isDeaf: true } }],
    [
      "a gateway acknowledges while writes are under way",
      { flaws: { isEager: true }, clients: 40, harms: ["a control plane freezes"] },
    ],
    [
      "a gateway acknowledges what a restart would not know of",
      {
        flaws: { isForgetful: true },
        clients: 30,
        harms: ["a gateway crashes", "a gateway's disk is full, or no longer"],
      },
    ],
    [
      "a new leader counts on the gateways that it has heard of",
      { flaws: { isNew: true }, planes: 1, harms: ["a control plane dies", "somebody is cut off"] },
    ],
    [
      "the operator goes on without gateways, and units take whatever comes",
      {
        ...{ guards: true, flaws: { isUnguarded: true } },
        ...{ clients: 40, harms: ["a gateway freezes", "somebody is cut off"] },
      },
    ],
    ["data is said to be there at once", { flaws: { isHasty: true } }],
  ];
  for (const [what, broken] of mutations) {
    it(`breaks where ${what}`, async (t) => {
      for (let seed = SEED; seed < SEED + 60; seed++) {
        const { violations, lost } = await new FencedMove(seed, { ...SOUND, ...broken }).run();
        if (violations.length + lost === 0) continue;
        t.diagnostic(`seed ${seed}: ${violations[0] ?? `${lost} lost`}`);
        return;
      }
      assert.fail("60 seeds found nothing");
    });
  }

  it("is the same again by the same seed", async () => {
    const run = (): Promise<object> => new FencedMove(SEED, SOUND).run();
    assert.deepEqual(await run(), await run());
  });
});
