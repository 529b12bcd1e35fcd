import assert from "node:assert/strict";
import { test } from "node:test";
import type { Caller } from "../../../control-plane/runbook/hooks.ts";
import { type PlanTurn, PlanWatch } from "../../../control-plane/runbook/plan-watch.ts";
import type { Config } from "../../../model/config.ts";
import { Runbook } from "../../support/runbook.ts";

test("a plan turns red with the change that it does not bear, and green again; each turn is told once", async () => {
  const fleet = new Runbook({
    p: "steps: [ { pin: a, unit: sz } ]\n",
    q: 'steps: [ { hook: "http://data.example/x" } ]\n',
  });
  await fleet.boot();
  const whole = fleet.standing.config;
  let [now, config, refusal]: [number, Config | undefined, string | undefined] = [0, undefined, undefined];
  let told: PlanTurn[] = [];
  let isDown = false;
  const hooks: Caller = {
    refusal: () => refusal,
    call: async () => ({ ok: true, status: 200, answer: {} }),
  };
  const watch = new PlanWatch({
    hooks,
    monotonic: () => now,
    config: () => config,
    tell: async (turns) => {
      if (isDown) throw new Error("the store is gone");
      told.push(...turns);
    },
  });
  const turns = async (): Promise<PlanTurn[]> => {
    told = [];
    await watch.look();
    return told;
  };
  assert.deepEqual(await turns(), []);
  config = whole;
  assert.deepEqual(await turns(), []);
  const { fleet: units } = whole;
  config = { ...whole, fleet: { ...units, units: units.units.filter(({ name }) => name !== "sz") } };
  const [red, ...others] = await turns();
  assert.deepEqual([red?.plan, red?.fits, others], ["p", false, []]);
  assert.match(red!.problems[0]!, /there is no unit sz/);
  assert.deepEqual(await turns(), []);
  config = whole;
  isDown = true;
  await assert.rejects(turns());
  isDown = false;
  assert.deepEqual(
    await turns(),
    [{ plan: "p", fits: true, problems: [] }],
    "told again: it was not written",
  );
  // What is no part of the configuration is looked at every five minutes.
  refusal = "data.example is not a host that it may call";
  assert.deepEqual(await turns(), []);
  now += 5 * 60_000;
  const later = await turns();
  assert.deepEqual(
    later.map(({ plan, fits }) => [plan, fits]),
    [["q", false]],
  );
});
