/**
 * The promise of isolation: a unit that stress traffic drives to collapse is given back to its users by the guardrail, and
 * those of the other units notice nothing. Each unit is a process of its own; gateways do not protect this one.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { UNITS } from "../../../loadtest/stress/stage.ts";
import { directory, sleep, startStage, tidegate } from "./k6-support.ts";

/** This machine has few cores, and other things to do: what a stretch of nothing may differ by, and much more. */
const NOISE = 150;

test("a unit that is driven to collapse is aborted by the guardrail; the others' users see no error", async (t) => {
  const stage = await startStage(t, { workers: 5, work: 50, unit: "concurrency: fixed" });
  const users = stage.users(60);
  await sleep(3_000);
  users.phase("control");
  await sleep(8_000);
  users.phase("stress");
  const began = performance.now();
  // Six times what it bears, at once and for twenty seconds: unless it is stopped, its users wait for minutes.
  const load = [
    "--unit",
    "sh",
    "--to",
    "600rps",
    "--for",
    "20s",
    "--gateway",
    stage.gateway,
    "--timeout",
    "2s",
  ];
  const { code, stdout } = await tidegate(stage, "stress", "run", ...load, "--out", directory(t), "--json");
  const took = performance.now() - began;
  users.phase("after");
  await sleep(8_000);
  await users.stop();

  assert.equal(code, 1);
  const { says, passed } = JSON.parse(stdout) as { says: string; passed: boolean };
  assert.equal(passed, false);
  assert.match(says, /^sr-1 was aborted by guardrail: /);
  assert.ok(took < 15_000, `it ended by itself after ${took.toFixed(0)} ms`);
  t.diagnostic(`${says}; ${took.toFixed(0)} ms after the command`);
  const p99 = (phase: string, unit: string): number =>
    users.phases
      .find(({ name }) => name === phase)!
      .of(unit)
      .latency(0.99);
  for (const unit of UNITS) {
    const [control, stress, after] = ["control", "stress", "after"].map((phase) => p99(phase, unit)) as [
      number,
      number,
      number,
    ];
    const failed = users.phases.reduce((sum, phase) => sum + phase.of(unit).failed + phase.of(unit).shed, 0);
    t.diagnostic(
      `users of ${unit}: p99 ${control.toFixed(1)} ms before, ${stress.toFixed(1)} ms meanwhile, ${after.toFixed(1)} ms after; ${failed} failed`,
    );
    if (unit === "sh") continue;
    assert.equal(failed, 0, `users of ${unit}`);
    assert.ok(stress < control + NOISE, `users of ${unit}: p99 ${stress} ms, ${control} ms before`);
  }
  const own = await fetch(`${stage.plane.origin}/v1/figures?window=10s&unit=sh`);
  const { total } = (await own.json()) as { total: { p99: number } };
  assert.ok(total.p99 < 1_000, `users of sh wait no longer: p99 ${total.p99} ms`);
});
