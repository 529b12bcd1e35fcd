/** Short k6 runs against the real gateway: a scenario that no longer runs is found here, and not on the big night. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { findK6 } from "../../../host/k6.ts";
import { playAsUsers } from "../../../loadtest/stress/as-users.ts";
import type { RunResult } from "../../../model/load/run-result.ts";
import { directory, sleep, startStage, tidegate } from "./k6-support.ts";

/** Throws where there is none, and says how to get it. */
const k6 = findK6({ env: process.env });

test("unit-stress: a ramp of one unit, registered and recorded, with a report that stands alone", async (t) => {
  const stage = await startStage(t, { workers: 5, work: 10 });
  stage.users(45);
  await sleep(3_000);
  const out = directory(t);
  const load = ["--unit", "sh", "--to", "150rps", "--for", "4s", "--out", out, "--gateway", stage.gateway];
  const { code, stdout, stderr } = await tidegate(
    stage,
    "stress",
    ...load,
    "--abort-on",
    "success<95%",
    "--json",
  );
  assert.equal(code, 0, stdout + stderr);
  const { runs, passed, result } = JSON.parse(stdout) as {
    runs: string[];
    passed: boolean;
    result: RunResult;
  };
  assert.deepEqual([runs, passed], [["sr-1"], true]);
  assert.ok(result.asked > 350 && result.dropped === 0, JSON.stringify(result));
  assert.deepEqual(result.statuses, { "200": result.asked });
  assert.deepEqual(
    result.rules.map(({ metric, rule, holds }) => [metric, rule, holds]),
    [["tidegate_ok{unit:sh}", "rate>=0.95", true]],
  );
  const [first, last] = [result.slots[0]!, result.slots.at(-1)!];
  assert.ok(last.asked > 2 * first.asked, "it ramps");
  assert.deepEqual(JSON.parse(readFileSync(join(out, "sr-1.json"), "utf8")), result);
  const page = readFileSync(join(out, "sr-1.html"), "utf8");
  assert.ok(page.includes("<svg") && !/<script|https?:/.test(page));
  const shown = await tidegate(stage, "stress", "show", "sr-1", "--json");
  const run = JSON.parse(shown.stdout) as { state: string; samples: unknown[]; result: RunResult };
  assert.deepEqual([run.state, run.samples.length > 1, run.result.asked], ["passed", true, result.asked]);
});

test("failover: a unit dies under steady load, and its users' reads are answered all the same", async (t) => {
  const stage = await startStage(t, { workers: 5, work: 10 });
  const out = directory(t);
  const result = await playAsUsers(k6, stage, "failover", { rate: 100, seconds: 6, unit: "sh", out });
  assert.ok(result !== undefined);
  assert.ok(result.asked > 550, JSON.stringify(result));
  assert.equal(result.passed, true, JSON.stringify(result.rules));
  assert.ok(
    result.units.every(({ asked }) => asked > 100),
    "users of all units asked",
  );
  const answer = await fetch(`${stage.plane.origin}/v1/status`);
  const { units } = (await answer.json()) as { units: { unit: string; healthy: boolean }[] };
  const healthy = units.find(({ unit }) => unit === "sh")?.healthy;
  assert.equal(healthy, false, "the unit did die");
});
