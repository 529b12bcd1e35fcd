/** Rollouts that go by numbers of the user's own: taken back by them, held without them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Rolling } from "../../support/rolling.ts";

const STEPS = "waves: [ sz ]\nsteps: [ { share: 50%, bake: 40s } ]\n";
const RATIO = `evidence:
  samples: 20
  metrics:
    queue: { query: 'avg(queue{unit="$unit",version="$version",job="$service"})', ratio: 150%, windows: 2 }
`;
const LIMIT = "evidence: { samples: 20, metrics: { cpu: { query: cpu, limit: 0.8, windows: 2 } } }\n";
const query = (version: string): string => `avg(queue{unit="sz",version="${version}",job="hall"})`;

async function started(written: string): Promise<{ fleet: Rolling; id: string }> {
  const fleet = new Rolling(written);
  await fleet.boot();
  await fleet.seconds(5);
  const { id } = await fleet.roll();
  return { fleet, id };
}

test("a number within what is borne lets it through, after it was told often enough", async () => {
  const { fleet, id } = await started(STEPS.replace("40s", "5s") + RATIO);
  fleet.numbers.set(query("canary"), 12).set(query("stable"), 10);
  await fleet.seconds(9);
  const waiting = await fleet.execution(id);
  assert.equal(waiting.state, "running");
  const says = Object.values(waiting.runs).find(({ state }) => state === "running")!.says!;
  assert.match(says, /metric queue was told 1 times of 2/);
  await fleet.seconds(60);
  const { state, says: why } = await fleet.execution(id);
  assert.equal(state, "succeeded", why ?? "");
});

test("a canary whose number is beyond its limit is taken back, in one sentence", async () => {
  const { fleet, id } = await started(STEPS + LIMIT);
  fleet.numbers.set("cpu", 0.93);
  await fleet.seconds(60);
  const { state, runs } = await fleet.execution(id);
  assert.equal(state, "reverted");
  const { says } = Object.values(runs).find((run) => run.state === "failed")!;
  assert.match(says!, /cpu of the canary is 0\.93, more than 0\.8 in 2 windows in a row/);
  assert.equal(fleet.share("sz"), 0);
});

test("a canary whose number is more than stable's by more than is borne is taken back on enough answers", async () => {
  const { fleet, id } = await started(STEPS.replace("40s", "30m") + RATIO);
  fleet.numbers.set(query("canary"), 40).set(query("stable"), 10);
  await fleet.seconds(600);
  const { state, runs } = await fleet.execution(id);
  assert.equal(state, "reverted");
  const { says } = Object.values(runs).find((run) => run.state === "failed")!;
  assert.match(says!, /queue of the canary is 40 and of stable 10/);
});

test("a number that nobody tells, or tells no more, holds it until its deadline", async () => {
  const { fleet, id } = await started(`${STEPS + LIMIT}deadline: 5m\n`);
  fleet.numbers.set("cpu", new Error("no answer in 5000 ms"));
  await fleet.seconds(80);
  const held = await fleet.execution(id);
  assert.equal(held.state, "running");
  const { says } = Object.values(held.runs).find(({ state }) => state === "running")!;
  assert.match(says!, /metric cpu is not known \(no answer in 5000 ms\)/);
  await fleet.seconds(300);
  const { state, runs } = await fleet.execution(id);
  assert.equal(state, "reverted");
  assert.match(Object.values(runs).find((run) => run.state === "failed")!.says!, /deadline/);
});
