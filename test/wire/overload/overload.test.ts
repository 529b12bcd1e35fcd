/**
 * Overload over real sockets, as short as it can be; bounds leave room for a busy machine. `npm run bench:overload` runs
 * the same scenarios longer, with more kinds of units, and holds the promised figures.
 */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { burst } from "../../../loadtest/overload/burst.ts";
import { loss } from "../../../loadtest/overload/loss.ts";
import { describe, figureOf, type Outcome } from "../../../loadtest/overload/outcome.ts";
import { Stage } from "../../../loadtest/overload/processes.ts";
import { WHOLE } from "../../support/whole.ts";
import { storm } from "../../../loadtest/overload/storm.ts";

async function on(t: TestContext, run: (stage: Stage) => Promise<Outcome>): Promise<Outcome> {
  const stage = new Stage(1);
  t.after(() => stage.close());
  const outcome = await run(stage);
  t.diagnostic(describe(outcome));
  return outcome;
}

const BURST = { workers: 5, work: 40, spread: "fixed", times: 5, seconds: 6, unloaded: 3 } as const;

test("five times a unit's capacity: what it can do is done, and critical requests are answered", async (t) => {
  const outcome = await on(t, (stage) => burst(stage, { ...BURST, protect: true }));
  const goodput = figureOf(outcome, "goodput ÷ capacity");
  assert.ok(goodput > 0.75, describe(outcome));
  assert.ok(figureOf(outcome, "critical") > 0.97, describe(outcome));
  assert.ok(figureOf(outcome, "critical") >= figureOf(outcome, "high"), describe(outcome));
  assert.ok(figureOf(outcome, "high") > figureOf(outcome, "sheddable"), describe(outcome));
});

if (WHOLE) {
  test("the same without protection: the unit works for clients that have left", async (t) => {
    const outcome = await on(t, (stage) => burst(stage, { ...BURST, protect: false }));
    assert.ok(figureOf(outcome, "goodput ÷ capacity") < 0.4, describe(outcome));
    assert.ok(figureOf(outcome, "critical") < 0.3, describe(outcome));
  });
}

test("one of three units at 70 % is killed: the others keep critical and high requests", async (t) => {
  const outcome = await on(t, (stage) =>
    loss(stage, { protect: true, how: "killed", workers: 10, work: 20, before: 2, after: 5 }),
  );
  assert.ok(figureOf(outcome, "critical") > 0.97, describe(outcome));
  assert.ok(figureOf(outcome, "high") > 0.95, describe(outcome));
  assert.ok(figureOf(outcome, "goodput ÷ offered") > 0.8, describe(outcome));
});

test("every unit answers 503: hardly more is asked than was offered", async (t) => {
  const outcome = await on(t, (stage) =>
    storm(stage, { protect: true, how: "503", rate: 100, breaker: false, seconds: 4 }),
  );
  assert.ok(figureOf(outcome, "attempts ÷ offered") <= 1.2, describe(outcome));
});
