import assert from "node:assert/strict";
import { test } from "node:test";
import * as command from "../../../control-plane/runbook/commands.ts";
import { unitViews } from "../../../control-plane/rollouts/view.ts";
import { Rolling, UNITS } from "../../support/rolling.ts";
import { WHOLE } from "../../support/whole.ts";

const STEPS = `waves: [ sz, "sh, hz" ]
steps: [ { share: 5%, bake: 20s }, { share: 50%, bake: 20s }, { share: 100%, bake: 10s } ]
evidence: { samples: 50 }
`;
/** Longer than a rollout that goes well. */
const LONG = 200;

async function started(written = STEPS, plans = {}): Promise<{ fleet: Rolling; id: string }> {
  const fleet = new Rolling(written, plans);
  await fleet.boot();
  await fleet.seconds(5);
  const { id } = await fleet.roll();
  return { fleet, id };
}

const ended = (fleet: Rolling, id: string): Promise<string> =>
  fleet.execution(id).then(({ state, says }) => `${state} ${says ?? ""}`);

test("a good version goes through the units in order, a share at a time, and becomes stable in the base", async () => {
  const { fleet, id } = await started();
  await fleet.seconds(LONG);
  const execution = await fleet.execution(id);
  assert.equal(execution.state, "succeeded", execution.says ?? "");
  assert.deepEqual(fleet.shares.get("sz"), [0, 0.05, 0.5, 1, 0]);
  assert.deepEqual(fleet.shares.get("hz"), [0, 0.05, 0.5, 1, 0]);
  const begun = (unit: string): number =>
    execution.timeline.find(
      ({ what, step }) =>
        step?.startsWith("") && what.includes("revision") && titleOf(step) === `5 % of hall in ${unit}`,
    )!.at;
  const titleOf = (path: string | undefined): string | undefined =>
    flat(execution.steps).find((one) => one.path === path)?.title;
  assert.ok(
    begun("sz") < begun("sh") && begun("sh") < begun("hz"),
    "one wave after the other, one unit at a time",
  );
  assert.deepEqual(fleet.standing.overlays, [], "nothing is left of it");
  const { pools } = fleet.standing.config.fleet.services[0]!;
  assert.deepEqual(
    UNITS.map((unit) => pools[unit]),
    [1, 2, 3].map((n) => ({ stable: [`http://127.0.0.1:1${n}`], canary: [] })),
  );
  assert.match(fleet.standing.base.get("fleet.yaml")!, /# reviewed by bob/, "comments are kept");
  assert.deepEqual(fleet.errors, []);
});

function flat(steps: readonly { path: string; title: string }[]): { path: string; title: string }[] {
  return steps.flatMap((step) => [step, ...flat((step as { steps?: [] }).steps ?? [])]);
}

test("a version that fails in the second unit is taken back there first, and then everywhere", async () => {
  const { fleet, id } = await started();
  fleet.manners.set("sh canary", { failures: 0.4 });
  await fleet.seconds(LONG, () => false);
  const execution = await fleet.execution(id);
  assert.equal(execution.state, "reverted", execution.says ?? "");
  assert.deepEqual(fleet.shares.get("sh"), [0, 0.05, 0]);
  assert.deepEqual(fleet.shares.get("sz"), [0, 0.05, 0.5, 1, 0], "taken back with it");
  assert.deepEqual(fleet.shares.get("hz"), [0], "never begun");
  const views = Object.fromEntries(unitViews(execution).map((view) => [view.unit, view]));
  assert.equal(views.sh!.state, "failed");
  assert.match(views.sh!.says!, /%/, "its evidence stays");
  assert.equal(views.sh!.assessment?.verdict, "fail");
  assert.deepEqual(execution.proof?.effective, execution.proof?.without);
});

test("policy unit: what is done stays, the unit that failed is taken back, and somebody decides", async () => {
  const { fleet, id } = await started(`${STEPS}on-failure: unit\n`);
  fleet.manners.set("sh canary", { seconds: 2 });
  await fleet.seconds(LONG);
  const execution = await fleet.execution(id);
  assert.equal(execution.state, "held", execution.says ?? "");
  assert.deepEqual([fleet.share("sz"), fleet.share("sh"), fleet.share("hz")], [1, 0, 0]);
  // The new build of it is well: it is tried again.
  fleet.manners.clear();
  await fleet.command(id, (one) => command.resume(one, []));
  await fleet.seconds(LONG);
  assert.match(await ended(fleet, id), /^succeeded/);
});

test("users are never given back to a dead stable", async () => {
  const { fleet, id } = await started(
    `waves: [ sz ]\nsteps: [ { share: 50%, bake: 30s } ]\nevidence: { samples: 50 }\n`,
  );
  fleet.manners.set("sz canary", { failures: 0.3 });
  fleet.down.add("sz stable");
  await fleet.seconds(60);
  assert.match(await ended(fleet, id), /^held .*stable of sz is dead, so its users stay on the canary/);
  assert.equal(fleet.share("sz"), 0.5);
  fleet.down.clear();
  await fleet.seconds(2);
  await fleet.command(id, (one) => command.revert(one, "ann"));
  await fleet.seconds(5);
  assert.match(await ended(fleet, id), /^reverted/);
  assert.equal(fleet.share("sz"), 0);
});

test("a canary that is not well is seen by nobody; figures that stop hold it, and fail it by the deadline", async () => {
  const { fleet, id } = await started(`${STEPS}deadline: 5m\n`);
  fleet.down.add("sz canary");
  await fleet.seconds(20);
  assert.equal(fleet.share("sz"), 0);
  assert.match(
    (await fleet.execution(id)).runs["1.1"]!.says!,
    /0 of 1 canary endpoints of hall in sz are well/,
  );
  fleet.down.clear();
  await fleet.seconds(10);
  assert.equal(fleet.share("sz"), 0.05);
  fleet.isSilent = true;
  await fleet.seconds(60);
  assert.equal(fleet.share("sz"), 0.05, "it holds");
  assert.equal((await fleet.execution(id)).state, "running");
  await fleet.seconds(300);
  assert.equal(fleet.share("sz"), 0);
  const { state, runs } = await fleet.execution(id);
  assert.equal(state, "reverted");
  assert.match(Object.values(runs).find((run) => run.state === "failed")!.says!, /deadline/);
});

test("killed before and after every commit, it goes on: shares only grow, and each act is done once", async (t) => {
  const { fleet: whole } = await started();
  await whole.seconds(LONG);
  const commits = whole.commits;
  const revisions = await whole.disk.head();
  t.diagnostic(`${commits} commits, ${revisions} revisions`);
  for (const when of ["before", "after"] as const) {
    // Some of them here; which these are the acts and bakes of three units see to.
    const stride = WHOLE ? 1 : 3;
    for (let commit = when === "before" ? 2 : 3; commit <= commits; commit += stride) {
      const fleet = new Rolling(STEPS);
      await fleet.boot();
      await fleet.seconds(5);
      const first = fleet.commits;
      await fleet.boot({ commit: Math.max(1, commit - first), when });
      const { id } = await fleet.roll().catch(() => ({ id: "ex-1" }));
      await fleet.seconds(LONG);
      if (!fleet.isDead) continue;
      await fleet.boot();
      if ((await fleet.disk.document("execution", id)) === undefined) continue;
      await fleet.seconds(LONG);
      const place = `${when} commit ${commit}`;
      assert.match(await ended(fleet, id), /^succeeded/, place);
      assert.equal(await fleet.disk.head(), revisions, place);
      for (const unit of UNITS) {
        const rising = fleet.shares.get(unit)!.slice(0, -1);
        assert.deepEqual(
          rising,
          [...new Set(rising)].sort((a, b) => a - b),
          `${place}: ${unit} ${rising.join(" ")}`,
        );
      }
    }
  }
});

test("pause holds the shares for hours; promote goes on without the bake; a plan in the unit suspends it", async () => {
  const plans = { calm: "steps: [ { drain: sz } ]\n" };
  const { fleet, id } = await started(STEPS, plans);
  await fleet.seconds(10);
  await fleet.command(id, command.pause);
  await fleet.pass(5 * 3_600_000);
  await fleet.seconds(30);
  assert.equal(fleet.share("sz"), 0.05);
  await fleet.command(id, (one) => command.resume(one, []));
  const { runs } = await fleet.execution(id);
  const baking = Object.keys(runs).find((path) => runs[path]!.state === "running")!;
  await fleet.command(id, (one) => command.skip(one, baking, "we have seen enough", fleet.wall));
  await fleet.seconds(2);
  assert.equal(fleet.share("sz"), 0.5);
  await fleet.start("calm");
  await fleet.seconds(60);
  const { state, says } = await fleet.execution(id);
  assert.deepEqual([state, fleet.share("sz")], ["paused", 0.5]);
  assert.match(says!, /suspended: ex-2 \(plan calm\) works on sz/);
});

test("two rollouts of one service in one unit do not run together", async () => {
  const { fleet } = await started();
  await assert.rejects(fleet.roll(), /ex-1 \(rollout hall, by ann\) is running and rolls hall in sz, too/);
});

test("somebody else agrees before a wave, and before a step", async () => {
  const { fleet, id } = await started(
    "waves: [ sz ]\napprove: approver\nsteps: [ { share: 5%, bake: 5s }, { share: 100%, bake: 5s, approve: operator } ]\nevidence: { samples: 5 }\n",
  );
  await fleet.seconds(20);
  assert.equal(fleet.share("sz"), 0);
  const { digest } = await fleet.execution(id);
  const agree = (name: string) =>
    fleet.command(id, (one) => command.approve(one, { name, role: "approver" }, digest, "ok", fleet.wall));
  await assert.rejects(agree("ann"), /nobody agrees to their own/);
  await agree("bob");
  await fleet.seconds(30);
  assert.equal(fleet.share("sz"), 0.05);
  await agree("bob");
  await fleet.seconds(60);
  assert.match(await ended(fleet, id), /^succeeded/);
});

const PLAIN = `waves: [ sz, "sh, hz" ]
steps: [ { share: 20%, bake: 20s }, { share: 100%, bake: 10s } ]
evidence: { samples: 50 }
`;

/** The base's routes, one of them with another timeout, and one more. */
function nextRoutes(fleet: Rolling): Record<string, string> {
  const text = fleet.standing.base.get("routes.yaml")!;
  const next = text
    .replace("    scope: sharded\n", "    scope: sharded\n    timeout: { total: 7s }\n")
    .replace(
      "routes:\n",
      "routes:\n  - { name: fresh, match: { path: /fresh/* }, service: hall, scope: sharded }\n",
    );
  assert.notEqual(next, text);
  return { "routes.yaml": next };
}

test("other routes go through the units, and are the base at the end", async () => {
  const fleet = new Rolling(PLAIN);
  await fleet.boot();
  await fleet.seconds(5);
  const { id } = await fleet.roll("routes", nextRoutes(fleet));
  await fleet.seconds(3);
  const { routes } = fleet.standing.config;
  const staged = fleet.standing.config.staged!;
  assert.equal(staged.routes.find(({ name }) => name === "cart")!.timeout.total, 7_000);
  assert.notEqual(routes.find(({ name }) => name === "cart")!.timeout.total, 7_000, "the others keep theirs");
  assert.deepEqual(staged.units, { sz: 0.2 });
  await fleet.seconds(LONG);
  assert.match(await ended(fleet, id), /^succeeded/);
  const { config, overlays } = fleet.standing;
  assert.deepEqual([config.staged, overlays], [undefined, []]);
  assert.equal(config.routes.find(({ name }) => name === "cart")!.timeout.total, 7_000);
  assert.deepEqual(fleet.shares.get("sh"), [0, 0.2, 1, 0]);
});

test("routes that do harm are taken back; a base that changed meanwhile is not written over", async () => {
  const fleet = new Rolling(PLAIN);
  await fleet.boot();
  await fleet.seconds(5);
  fleet.manners.set("sh canary", { failures: 0.3 });
  const { id } = await fleet.roll("routes", nextRoutes(fleet));
  await fleet.seconds(LONG);
  assert.match(await ended(fleet, id), /^reverted/);
  assert.deepEqual([fleet.standing.config.staged, fleet.standing.overlays], [undefined, []]);
  fleet.manners.clear();
  const again = await fleet.roll("routes", nextRoutes(fleet));
  const safety = new Map([...fleet.standing.base, ["safety.yaml", "rules: {}\n"]]);
  await fleet.desk.apply(safety, undefined, "meanwhile", { name: "bob", from: "", overrides: [] });
  await fleet.seconds(LONG);
  const execution = await fleet.execution(again.id);
  assert.equal(execution.state, "reverted");
  assert.match(
    Object.values(execution.runs).find((run) => run.state === "failed")!.says!,
    /changed meanwhile/,
  );
});

test("a rollout of routes brings routes and nothing else, and does not share a unit with a canary", async () => {
  const { fleet } = await started();
  await assert.rejects(fleet.roll("routes"), /needs them: --files DIR/);
  await assert.rejects(fleet.roll("routes", {}), /the files change no route/);
  const limits = `${fleet.standing.base.get("routes.yaml")!}  more: { rate: 1/s, burst: 1 }\n`;
  await assert.rejects(
    fleet.roll("routes", { "routes.yaml": limits }),
    /change limits, too; apply that first/,
  );
  await assert.rejects(fleet.roll("routes", nextRoutes(fleet)), /is running and rolls hall in sz, too/);
});

test("a canary whose requests pile up is taken back, though those that it answers are as quick", async () => {
  const { fleet, id } = await started(
    "waves: [ sz ]\nsteps: [ { share: 50%, bake: 30m } ]\nevidence: { samples: 50 }\n",
  );
  fleet.underWay.set("sz", { stable: 2, canary: 3 });
  await fleet.seconds(120);
  assert.equal((await fleet.execution(id)).state, "running", "half as much again is no harm");
  fleet.underWay.set("sz", { stable: 2, canary: 40 });
  await fleet.seconds(1_200);
  const { state, runs } = await fleet.execution(id);
  assert.equal(state, "reverted");
  const { says } = Object.values(runs).find((run) => run.state === "failed")!;
  assert.match(
    says!,
    /time under way per request of the canary is .* worse by more than the tolerated 2 times/,
  );
});
