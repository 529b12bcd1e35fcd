/** A hundred executions at once. Another seed: `SEED=7 node --test test/sim/executions.test.ts`. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { executionsChecked } from "./executions.ts";

const SEED = Number(process.env.SEED ?? 1);

test(`100 executions at once: each act once, none beside another, taken back exactly (seed ${SEED})`, async (t) => {
  const began = performance.now();
  const { problems, sum } = await executionsChecked(SEED, 1);
  t.diagnostic(`${JSON.stringify(sum)} in ${((performance.now() - began) / 1000).toFixed(1)} s`);
  assert.deepEqual(problems, []);
  assert.ok(sum.together >= 100, `${sum.together} together`);
  assert.ok(sum.kills > 3 && sum.refused > 5 && sum.commands > 100, JSON.stringify(sum));
});
