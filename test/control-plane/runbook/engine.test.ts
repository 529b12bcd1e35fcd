/** The runbook engine: steps in order, killed at every commit, taken back exactly. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as command from "../../../control-plane/runbook/commands.ts";
import { ANN, type Kill, Runbook } from "../../support/runbook.ts";

const BOB = { name: "bob", role: "approver" } as const;

/** Every kind of step that changes something, a branch, two at once, a wait, a call. */
const ALL = `
steps:
  - { limit: slow, scale: 50% }
  - { wait: 1s }
  - parallel:
      - { drain: sz, ramp: 2s }
      - { hook: "https://ops.example/go", retries: 1 }
      - { pin: ann, unit: sh }
  - if: gateways >= 1
    then: [ { degrade: orders } ]
    else: [ { pin: bob, unit: sh } ]
  - { evacuate: sh, to: "hz", batch: 200, catch-up: "https://ops.example/data" }
  - { fence: 0-9 }
  - { notify: done }
`;

async function run(kill: Kill | undefined): Promise<{ book: Runbook; id: string; commits: number }> {
  const book = new Runbook({ all: ALL });
  await book.boot();
  const { id } = await book.start("all");
  const before = book.commits;
  // From here on it may be killed.
  await book.boot(kill);
  for (let i = 0; i < 12; i++) {
    await book.pass(1_000);
    if (book.isDead) await book.boot();
  }
  assert.deepEqual(book.errors, []);
  return { book, id, commits: book.commits + before };
}

test("steps run in order, in parallel and by condition, and what is left is what they laid", async () => {
  const { book, id } = await run(undefined);
  const execution = await book.execution(id);
  assert.equal(execution.state, "succeeded", JSON.stringify(execution.timeline.at(-1)));
  const { config } = book.standing;
  const { placement } = config.fleet;
  assert.ok(!placement.map.includes("sh"), "sh has no slot left");
  assert.equal(placement.fences, undefined, "no fence outlives its execution");
  assert.equal(placement.pins.ann, "hz", "the key that was pinned to sh moved with it");
  assert.equal(config.limits[0]!.rate, 50);
  assert.equal(config.routes.find(({ name }) => name === "orders")!.degraded, true);
  assert.ok(config.fleet.units.find(({ name }) => name === "sz")!.drain !== undefined);
  assert.equal(placement.epoch, 1 + 1 + 2, "a pin, and two batches of at most 200 of 341 slots");
  const states = Object.values(execution.runs).map(({ state }) => state);
  assert.ok(
    states.filter((state) => state !== "running").every((state) => state === "done"),
    states.join(),
  );
});

test("killed before and after every commit, it goes on, and each act is there once", async () => {
  const whole = await run(undefined);
  const wanted = bare(whole.book);
  const calls = new Set(whole.book.calls.map(stable)).size;
  let kills = 0;
  for (let commit = 1; commit < 60; commit++) {
    for (const when of ["before", "after"] as const) {
      const { book, id } = await run({ commit, when });
      const execution = await book.execution(id);
      assert.equal(execution.state, "succeeded", `killed ${when} commit ${commit}: ${execution.says}`);
      assert.deepEqual(bare(book), wanted, `killed ${when} commit ${commit}`);
      // A call that nobody heard the answer of is made again, under its own key.
      assert.equal(new Set(book.calls.map(stable)).size, calls, `killed ${when} commit ${commit}`);
      kills++;
      await book.disk.close();
    }
    if (commit > whole.commits) break;
  }
  assert.ok(kills > 40, `${kills} kills`);
});

/** Keys without the times that are part of them. */
function stable(key: string): string {
  return key.replaceAll(/\d{10,}/g, "T");
}

/** What holds, without when it was laid. */
function bare({ standing }: Runbook): unknown {
  const { config, overlays } = standing;
  return {
    overlays: overlays.map(({ change }) => change),
    placement: config.fleet.placement,
    limits: config.limits,
    revision: standing.revision.number,
  };
}

test("a revert gives back exactly what would hold without it, in the safe order, and what it took away of others", async () => {
  const book = new Runbook({ all: ALL, back: "steps: [ { undrain: hz } ]" });
  await book.boot();
  const request = { change: { kind: "drain" as const, unit: "hz", ramp: 0, deadline: 1_000 } };
  const more = { reason: "mine", expiresIn: undefined, supersedes: undefined };
  await book.desk.addOverlay({ ...request, ...more }, undefined, ANN);
  const before = JSON.stringify({ ...book.standing.config.fleet.placement, epoch: 0 });
  const { id: first } = await book.start("back");
  await book.settle();
  assert.equal(book.standing.overlays.length, 0, "another's drain was taken away");
  const { id } = await book.start("all");
  for (let i = 0; i < 12; i++) await book.pass(1_000);
  assert.equal((await book.execution(id)).state, "succeeded");
  const epoch = book.standing.config.fleet.placement.epoch;
  for (const one of [id, first]) {
    await book.command(one, (execution) => command.revert(execution, "ann"));
    await book.settle();
    await book.pass(1_000);
    const { state, proof, says } = await book.execution(one);
    assert.equal(state, "reverted", says ?? "");
    assert.ok(proof !== undefined && proof.effective === proof.without);
  }
  assert.deepEqual(
    book.standing.overlays.map(({ change, owner }) => [change.kind, owner]),
    [["drain", "ann"]],
  );
  const { placement } = book.standing.config.fleet;
  assert.equal(JSON.stringify({ ...placement, epoch: 0 }), before);
  assert.ok(placement.epoch > epoch, "slots that go back have moved again");
  assert.deepEqual(book.errors, []);
});

test("a gateway that cannot be reached keeps a fence from holding: it is lifted, said, and decided upon", async () => {
  const book = new Runbook({ move: 'steps: [ { move: 0-9, to: "sz" } ]' });
  await book.boot();
  book.gatewayNames.set("gw-2", true);
  book.acknowledge();
  book.gateways.disconnected("gw-2");
  book.gatewayNames.delete("gw-2");
  const { id } = await book.start("move");
  await book.settle();
  const fenced = book.standing.config.fleet.placement.fences!;
  assert.equal(fenced.length, 1);
  await book.pass(10_000);
  const held = await book.execution(id);
  assert.equal(held.state, "held");
  assert.match(held.says ?? "", /gw-2 cannot be reached.*--without gw-2/);
  assert.equal(book.standing.config.fleet.placement.fences, undefined, "writes go on where they were");
  assert.equal(book.standing.config.fleet.placement.map[0], "hz");
  await book.command(id, (execution) => command.resume(execution, ["gw-2"]));
  await book.settle();
  assert.equal((await book.execution(id)).state, "succeeded");
  assert.equal(book.standing.config.fleet.placement.map[9], "sz");
});

test("a gateway that does not acknowledge fails an act by name; skipped with a reason, it goes on", async () => {
  const book = new Runbook({ pin: "steps: [ { pin: ann, unit: sz }, { notify: over } ]" });
  await book.boot();
  book.gatewayNames.set("gw-2", false);
  const { id } = await book.start("pin");
  await book.settle();
  for (let i = 0; i < 8; i++) await book.pass(4_000);
  const held = await book.execution(id);
  assert.equal(held.state, "held");
  assert.match(held.says ?? "", /step 1 failed: gw-2 has not acknowledged revision 2/);
  await book.command(id, (execution) => command.skip(execution, undefined, "gw-2 is being built", book.wall));
  await book.settle();
  const { state, runs } = await book.execution(id);
  assert.equal(state, "succeeded");
  assert.deepEqual([runs["1"]!.state, runs["1"]!.says], ["skipped", "gw-2 is being built"]);
});

test("a gate over what nobody knows holds, and then fails with that reason", async () => {
  const book = new Runbook({ gate: "steps: [ { gate: 'errors{unit=sh} < 1%', timeout: 30s } ]" });
  await book.boot();
  const { id } = await book.start("gate");
  await book.settle();
  await book.pass(29_000);
  assert.equal((await book.execution(id)).state, "running");
  await book.pass(2_000);
  const { state, says } = await book.execution(id);
  assert.deepEqual([state, says], ["held", "step 1 failed: not in time: errors{unit=sh} < 1% (no data)"]);
});

test("approval is another's, of the right role, of what was looked at, and in time", async () => {
  const book = new Runbook({
    ask: "steps: [ { approve: approver, count: 1, timeout: 1m }, { notify: over } ]",
  });
  await book.boot();
  const { id, digest } = await book.start("ask");
  await book.settle();
  const agree = (by: { name: string; role: "operator" | "approver" }, of = digest) =>
    book.command(id, (execution) => command.approve(execution, by, of, "seen", book.wall));
  await assert.rejects(agree({ name: "ann", role: "approver" }), /nobody agrees to their own/);
  await assert.rejects(agree({ name: "bob", role: "operator" }), /needs the role approver/);
  await assert.rejects(agree(BOB, "0".repeat(64)), /not what you looked at/);
  await agree(BOB);
  await book.settle();
  assert.equal((await book.execution(id)).state, "succeeded");
  const late = await book.start("ask");
  await book.settle();
  await book.pass(61_000);
  assert.match((await book.execution(late.id)).says ?? "", /nobody agreed in time/);
});

test("a hook that fails is called again under its own key, and fails the step with its reason", async () => {
  const book = new Runbook({
    call: 'steps: [ { hook: "https://ops.example/go", retries: 2 } ]\non-failure: revert',
  });
  book.answer = async () => ({ ok: false, reason: "https://ops.example/go answered 500" });
  await book.boot();
  const { id } = await book.start("call");
  await book.settle();
  assert.equal(book.calls.length, 3);
  assert.equal(new Set(book.calls).size, 3);
  const { state, runs } = await book.execution(id);
  assert.deepEqual([state, runs["1"]!.says], ["reverted", "https://ops.example/go answered 500"]);
});

test("two that write the same do not run together, and a plan that is edited does not change what runs", async () => {
  const book = new Runbook({
    one: "steps: [ { pin: ann, unit: sz }, { wait: 1m } ]",
    two: "steps: [ { pin: bob, unit: sz }, { pin: ann, unit: sh } ]",
    three: "steps: [ { pin: cid, unit: sz } ]",
  });
  await book.boot();
  const { id } = await book.start("one");
  await book.settle();
  await assert.rejects(
    book.start("two"),
    /ex-1 \(plan one, by ann\) is running and writes placement\.pins\.ann, too/,
  );
  await book.start("three");
  await book.settle();
  assert.equal((await book.execution("ex-2")).state, "succeeded");
  const files = new Map(book.standing.base);
  files.set("plans/one.yaml", "summary: other\nowner: ann\nsteps: [ { notify: other } ]\n");
  await book.desk.apply(files, undefined, "edited", ANN);
  await book.pass(61_000);
  const { state, steps } = await book.execution(id);
  assert.deepEqual([state, steps.length], ["succeeded", 2]);
});

test("a wall clock that jumps ends no wait, and holds none up", async () => {
  const book = new Runbook({ wait: "steps: [ { wait: 1m } ]" });
  await book.boot();
  const { id } = await book.start("wait");
  await book.settle();
  book.wall += 3_600_000;
  await book.settle();
  assert.equal((await book.execution(id)).state, "running");
  book.wall -= 7_200_000;
  await book.pass(61_000);
  assert.equal((await book.execution(id)).state, "succeeded");
});

test("paused, nothing new begins; aborted, what it laid stays and no fence does", async () => {
  const book = new Runbook({ stop: "steps: [ { fence: 0-99 }, { wait: 1m }, { pin: ann, unit: sz } ]" });
  await book.boot();
  const { id } = await book.start("stop");
  await book.settle();
  await book.command(id, command.pause);
  await book.pass(120_000);
  assert.equal(book.standing.overlays.length, 1);
  await book.command(id, (execution) => command.abort(execution, book.wall));
  await book.settle();
  assert.equal(book.standing.overlays.length, 0);
  assert.equal((await book.execution(id)).state, "aborted");
});

test("what an activation laid ends by itself, where its plan says so", async () => {
  const book = new Runbook({
    short: "steps: [ { pin: ann, unit: sz } ]\nexpires: { after: 10m, then: revert }",
  });
  await book.boot();
  const { id } = await book.start("short");
  await book.settle();
  assert.equal((await book.execution(id)).state, "succeeded");
  await book.pass(599_000);
  assert.equal(book.standing.overlays.length, 1);
  await book.pass(2_000);
  assert.equal(book.standing.overlays.length, 0);
  assert.equal((await book.execution(id)).state, "reverted");
});

test("the users of a dead unit go elsewhere when little is lost, or somebody else knows what", async () => {
  const plan = `kind: failover
lag: { hook: "http://data.example/lag?unit=\${unit}", bear: 5s }
parameters: { unit: { type: unit } }
steps: [ { pin: a, unit: "\${unit}" } ]
`;
  const lagging = async (answer: object | undefined): Promise<{ fleet: Runbook; id: string }> => {
    const fleet = new Runbook({ p: plan });
    const asked: string[] = [];
    fleet.answer = async (url) => {
      asked.push(url);
      return answer === undefined
        ? { ok: false, reason: "nobody answers" }
        : { ok: true, status: 200, answer };
    };
    await fleet.boot();
    const { id } = await fleet.start("p", { unit: "sz" });
    await fleet.settle();
    assert.equal(asked[0], "http://data.example/lag?unit=sz");
    return { fleet, id };
  };
  const little = await lagging({ seconds: 4.5 });
  assert.equal((await little.fleet.execution(little.id)).state, "succeeded");
  const record = (await little.fleet.execution(little.id)).timeline.map(({ what }) => what).join("\n");
  assert.match(record, /answer\{step=lag,field=seconds\} <= 5 \(is 4.5\)/, "what may be lost is on record");
  for (const answer of [{ seconds: 6 }, {}, undefined]) {
    const { fleet, id } = await lagging(answer);
    const execution = await fleet.execution(id);
    assert.equal(execution.state, "running");
    assert.equal(execution.runs["loss.else.1"]?.says, "waits for 1 × approver");
    const bob = { name: "bob", role: "approver" as const };
    await fleet.command(id, (one) => command.approve(one, bob, execution.digest, "we bear it", fleet.wall));
    await fleet.settle();
    assert.equal((await fleet.execution(id)).state, "succeeded");
  }
});
