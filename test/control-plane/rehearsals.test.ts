import assert from "node:assert/strict";
import { test } from "node:test";
import {
  asRehearsal,
  checkNobodyRehearses,
  checkRehearsable,
} from "../../control-plane/rehearsals/on-traffic.ts";
import { digestOfTouched } from "../../control-plane/rehearsals/rehearsal.ts";
import { simulate } from "../../control-plane/rehearsals/simulate.ts";
import type { Execution } from "../../control-plane/runbook/execution.ts";
import type { Caller } from "../../control-plane/runbook/hooks.ts";
import { prepare } from "../../control-plane/runbook/preparation.ts";
import type { Violation } from "../../model/safety-check.ts";
import { ANN, Runbook } from "../support/runbook.ts";

const hooks: Caller = { refusal: () => undefined, call: async () => ({ ok: true, status: 200, answer: {} }) };
const EVACUATE = `steps:
  - { drain: sh, ramp: 5s }
  - { approve: approver, count: 2 }
  - { evacuate: sh, to: "hz", batch: 100, catch-up: "http://example.com/there" }
  - { gate: "rps{unit=sh} < 1", timeout: 1m }
`;

async function rehearsed(
  plan: string,
  { violations = [] as Violation[], load = new Map([["cart", 300]]) } = {},
) {
  const fleet = new Runbook({ p: plan });
  await fleet.boot();
  const { standing } = fleet;
  const head = await fleet.disk.head();
  const request = { plan: "p", values: {}, reason: "a test", supersedes: undefined };
  const prepared = prepare(request, standing.config, hooks);
  const rehearsal = await simulate(prepared, request, standing, ANN, {
    violations: () => violations,
    load,
    unhealthy: new Set(),
    writes: 0.5,
    gateways: ["gw-1", "gw-2"],
    now: fleet.wall,
    monotonic: () => 0,
  });
  assert.equal(await fleet.disk.head(), head, "nothing of the fleet is touched");
  assert.deepEqual(fleet.standing.overlays, []);
  return { rehearsal, fleet, prepared };
}

test("a plan goes through in simulation, with what each step takes, the load before and after, and back again", async () => {
  const { rehearsal } = await rehearsed(EVACUATE);
  assert.deepEqual(
    [rehearsal.outcome, rehearsal.says, rehearsal.reverted],
    ["succeeded", undefined, "reverted"],
  );
  const took = rehearsal.steps.map((step) => step.took!);
  assert.ok(took[0]! >= 5_000 && took[0]! < 6_000, `the ramp takes ${took[0]}`);
  assert.ok(took[2]! > 1_000 && took[2]! < 10_000, `four batches take ${took[2]}`);
  const sh = (units: typeof rehearsal.before): number => units.find(({ unit }) => unit === "sh")!.rps;
  assert.ok(sh(rehearsal.before) > 90);
  assert.equal(sh(rehearsal.after), 0);
});

test("what would break at night breaks here: a rule, a gate that never holds, a wait of days", async () => {
  const broken = await rehearsed(EVACUATE, {
    violations: [{ rule: "units", message: "too few", figures: {}, satisfy: "more" } as never],
  });
  assert.equal(broken.rehearsal.outcome, "held");
  assert.match(broken.rehearsal.says!, /step 1 failed: units: too few/);
  const gate = await rehearsed(
    'steps: [ { pin: a, unit: sz }, { gate: "rps{unit=sh} < 1", timeout: 10m } ]\n',
  );
  assert.match(gate.rehearsal.says!, /not in time: rps\{unit=sh\} < 1 \(is 100\)/);
  const waits = await rehearsed("steps: [ { wait: 72h }, { pin: a, unit: sz } ]\n");
  assert.equal(waits.rehearsal.outcome, "succeeded");
  assert.ok(waits.rehearsal.took >= 3 * 24 * 3_600_000);
});

test("its digest changes with the plan and with what it touches, and with nothing else", async () => {
  const { fleet, prepared, rehearsal } = await rehearsed("steps: [ { limit: slow, scale: 50% } ]\n");
  const { steps } = prepared.checked;
  const { config } = fleet.standing;
  const digest = (one: typeof config, plan = prepared.plan) => digestOfTouched(plan, steps, one);
  assert.equal(digest(config), rehearsal.digest);
  const limits = config.limits.map((limit) => ({ ...limit, rate: limit.rate * 2 }));
  assert.notEqual(digest({ ...config, limits }), rehearsal.digest);
  assert.notEqual(digest(config, { ...prepared.plan, summary: "another" }), rehearsal.digest);
  const routes = config.routes.map((route) => ({ ...route, failover: "none" as const }));
  assert.equal(digest({ ...config, routes }), rehearsal.digest);
});

test("on traffic: one at a time, and on users not beside a rollout, nor a rollout beside it", async () => {
  const fleet = new Runbook({ p: "steps: [ { wait: 1h } ]\n" });
  await fleet.boot();
  const { id } = await fleet.start("p");
  const plain = await fleet.execution(id);
  const users = { kind: "users", share: 0.01, salt: "a" } as const;
  const stress = { kind: "stress", run: "sr-1" } as const;
  const rollout = { ...plain, rollout: {} } as Execution;
  checkRehearsable(users, [plain]);
  checkNobodyRehearses([plain, asRehearsal(plain, stress, 1_000)]);
  checkRehearsable(stress, [rollout]);
  assert.throws(() => checkRehearsable(users, [rollout]), /rollout p\) is judged by its users' figures/);
  checkRehearsable(users, [{ ...rollout, state: "succeeded" }]);
  const rehearsed = asRehearsal(plain, users, 1_000);
  assert.throws(() => checkNobodyRehearses([rehearsed]), /is rehearsed on users/);
  for (const one of [rehearsed, { ...rehearsed, state: "succeeded", overlays: ["ov-1"] } as Execution]) {
    assert.throws(() => checkRehearsable(stress, [one]), /is rehearsed on traffic; wait/);
  }
  checkRehearsable(users, [{ ...rehearsed, state: "reverted" }]);
});
