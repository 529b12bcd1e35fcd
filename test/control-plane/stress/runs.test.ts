/** Runs without sockets: registered, watched, ended, and taken over by the next leader. */
import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { Refused } from "../../../control-plane/refused.ts";
import type { RunRequest } from "../../../control-plane/stress/registration.ts";
import { STRESS_RUN, type StressRun } from "../../../control-plane/stress/run.ts";
import { StressRuns } from "../../../control-plane/stress/runs.ts";
import { bucketOf } from "../../../model/latency-histogram.ts";
import { OUTCOME, OUTCOMES } from "../../../model/outcome.ts";
import { ANN, Runbook } from "../../support/runbook.ts";

const BOB = { name: "bob", from: "127.0.0.1", overrides: [] };
const REQUEST: RunRequest = {
  ...{ unit: "sh", scenario: "unit-stress", mix: "GET /hall/{n}", rate: 100, lasts: 60_000, measure: false },
  ...{ abortOn: "", reason: "a test" },
};

let fleet: Runbook;
let runs: StressRuns;
let slices: number;

async function lead(): Promise<void> {
  await fleet.boot();
  const epoch = (await fleet.disk.leader())!.epoch;
  const { desk, figures, gateways } = fleet;
  runs = new StressRuns({
    ...{ desk, figures, gateways, store: fleet.disk, epoch: () => epoch },
    now: () => fleet.wall,
    monotonic: () => fleet.monotonic,
  });
}

beforeEach(async () => {
  fleet = new Runbook({});
  slices = 0;
  await lead();
});

/** A second in which users were answered, as one gateway reports it. */
function second(users: Readonly<Record<string, { n: number; ill?: number; ms?: number }>>): void {
  fleet.wall += 1_000;
  fleet.monotonic += 1_000;
  const series = Object.entries(users).map(([unit, { n, ill = 0, ms = 20 }]) => {
    const outcomes = new Array<number>(OUTCOMES.length).fill(0);
    outcomes[OUTCOME.success] = n - ill;
    outcomes[OUTCOME.error] = ill;
    return ["hall", unit, "stable", outcomes, [bucketOf(ms / 1_000), n]] as const;
  });
  const slice = { start: "s", number: ++slices, span: 1_000, age: 0, folded: 0, series, limited: [] };
  fleet.figures.add("gw-1", slice);
}
const WELL = { hz: { n: 50 }, sh: { n: 50 }, sz: { n: 50 } };

async function seconds(n: number, users: Parameters<typeof second>[0] = WELL, id?: string): Promise<void> {
  for (let i = 0; i < n; i++) {
    second(users);
    if (id !== undefined) await runs.beat(id);
    await runs.look();
  }
}

const stopped = (): readonly string[] => fleet.standing.config.gateway.stress?.stopped ?? [];
const stored = async (id: string): Promise<StressRun> =>
  JSON.parse((await fleet.disk.document(STRESS_RUN, id))!.body) as StressRun;
const refused = (kind: string, message: RegExp) => (error: unknown) =>
  error instanceof Refused && error.kind === kind && message.test(error.message);

describe("a run", () => {
  test("goes on while users are well, and is recorded with what was seen", async () => {
    await seconds(20);
    const run = await runs.register(REQUEST, ANN, () => []);
    assert.deepEqual([run.id, run.state, runs.pace], ["sr-1", "running", 250]);
    assert.deepEqual(
      run.before.map(({ unit }) => unit),
      ["sh", "hz", "sz", ""],
    );
    await seconds(30, WELL, run.id);
    await runs.end(run.id, "passed", "everything held", ANN, () => [], { asked: 1 });
    const kept = await stored("sr-1");
    assert.deepEqual([kept.state, kept.endedBy, kept.result], ["passed", "ann", { asked: 1 }]);
    assert.ok(kept.samples.length >= 29 && kept.samples[5]!.users.sz!.rps > 20);
    assert.deepEqual([stopped(), runs.pace], [["sr-1"], undefined], "its mark ends with it");
    assert.equal((await runs.list()).length, 1);
    const audit = await fleet.disk.audit(0, 100);
    assert.deepEqual(
      audit.filter(({ action }) => action.startsWith("stress")).map(({ action, actor }) => [action, actor]),
      [
        ["stress.start", "ann"],
        ["stress.end", "ann"],
      ],
    );
  });

  test("is aborted at the look that sees users suffer, beside it too, and gateways are told in that commit", async () => {
    await seconds(20);
    const run = await runs.register(REQUEST, ANN, () => []);
    await seconds(5, WELL, run.id);
    assert.deepEqual(stopped(), []);
    await seconds(1, { ...WELL, hz: { n: 50, ms: 900 } }, run.id);
    const kept = await stored(run.id);
    assert.deepEqual([kept.state, kept.endedBy], ["aborted", "guardrail"]);
    assert.match(kept.says!, /users of hz: p99 was/);
    assert.deepEqual(stopped(), [run.id]);
    assert.equal((await runs.beat(run.id)).state, "aborted");
    // What its runner says afterwards changes nothing but its results.
    await runs.end(run.id, "passed", "well", ANN, () => [], { asked: 7 });
    const after = await stored(run.id);
    assert.deepEqual([after.state, after.result], ["aborted", { asked: 7 }]);
    assert.deepEqual((await fleet.disk.events(0, 100)).filter(({ type }) => type === "stress-run").length, 2);
  });

  test("is stopped by anybody with the right, also where a rule forbids every change", async () => {
    const run = await runs.register(REQUEST, ANN, () => []);
    fleet.passes = () => "a freeze";
    await runs.end(run.id, "stopped", "enough", BOB, () => []);
    const kept = await stored(run.id);
    assert.deepEqual(
      [kept.state, kept.endedBy, kept.says, stopped()],
      ["stopped", "bob", "enough", [run.id]],
    );
    // The stop itself is taken away when no clock takes the mark any more.
    const overlay = fleet.standing.overlays.find(({ change }) => change.kind === "stress-stop")!;
    assert.ok(overlay.expires! >= run.until + 300_000);
    fleet.wall = overlay.expires! + 1;
    fleet.monotonic += 3_600_000;
    await fleet.desk.expire();
    assert.deepEqual(stopped(), []);
  });

  test("ends with its runner, with its mark, and when nobody sees what it does", async () => {
    await seconds(5);
    const gone = await runs.register(REQUEST, ANN, () => []);
    await seconds(11);
    assert.match((await stored(gone.id)).says!, /runner was not heard of for 10 s/);
    const late = await runs.register({ ...REQUEST, lasts: 1_000 }, ANN, () => []);
    fleet.wall += 40_000;
    await runs.look();
    assert.match((await stored(late.id)).says!, /its mark has expired/);
    const blind = await runs.register(REQUEST, ANN, () => []);
    for (let i = 0; i < 14; i++) {
      fleet.wall += 1_000;
      fleet.monotonic += 1_000;
      await runs.beat(blind.id);
      await runs.look();
    }
    assert.match((await stored(blind.id)).says!, /no gateway reported for 10 s/);
    assert.deepEqual(stopped(), [gone.id, late.id, blind.id]);
  });

  test("is taken over by the next leader, who goes on watching it by what was usual before it", async () => {
    await seconds(20);
    const run = await runs.register(REQUEST, ANN, () => []);
    const other = await runs.register({ ...REQUEST, unit: "sz" }, ANN, () => []);
    await runs.end(other.id, "stopped", "enough", BOB, () => []);
    await lead();
    assert.deepEqual(stopped(), [other.id], "what was stopped stays stopped");
    await seconds(3, WELL, run.id);
    assert.equal((await runs.find(run.id)).state, "running");
    await seconds(1, { ...WELL, sh: { n: 50, ill: 20 } }, run.id);
    assert.equal((await stored(run.id)).state, "aborted");
    assert.equal((await runs.register(REQUEST, ANN, () => [])).id, "sr-3", "no name is given twice");
  });

  test("that cannot be written down as ended is ended for its runner, and written as soon as it can be", async () => {
    await seconds(20);
    const run = await runs.register(REQUEST, ANN, () => []);
    const { write, change } = fleet.desk;
    const away = async (): Promise<never> => {
      throw new Refused("store", "the store is away");
    };
    Object.assign(fleet.desk, { write: away, change: away });
    await seconds(1, { ...WELL, sh: { n: 50, ill: 30 } }, run.id);
    assert.equal((await runs.beat(run.id)).state, "aborted");
    assert.equal((await stored(run.id)).state, "running");
    Object.assign(fleet.desk, { write, change });
    await runs.look();
    assert.equal((await stored(run.id)).state, "aborted");
    assert.deepEqual(stopped(), [run.id]);
  });
});

describe("what is refused before anything begins", () => {
  test("is a second run of a unit, an ill unit, a condition that holds already or that nobody understands", async () => {
    await seconds(20, { ...WELL, hz: { n: 50, ill: 5 } });
    await assert.rejects(
      runs.register({ ...REQUEST, unit: "gz" }, ANN, () => []),
      refused("not-found", /no unit gz/),
    );
    await assert.rejects(
      runs.register({ ...REQUEST, abortOn: "success<99%" }, ANN, () => []),
      refused("conflict", /users of hz see success<99% already/),
    );
    await assert.rejects(
      runs.register({ ...REQUEST, abortOn: "luck<1" }, ANN, () => []),
      refused("bad-request", /abortOn: .*expected success < 99\.5%/),
    );
    await runs.register(REQUEST, ANN, () => []);
    await assert.rejects(
      runs.register(REQUEST, BOB, () => []),
      refused("conflict", /sr-1 \(by ann\) stresses sh already; stop it first: tidegate stress stop sr-1/),
    );
    fleet.gateways.reported("gw-1", {
      ...{ epoch: 1, revision: 1 },
      units: { sz: { healthy: false, inflight: 0, rate: 0, drained: 0 } },
    });
    await assert.rejects(
      runs.register({ ...REQUEST, unit: "sz" }, ANN, () => []),
      refused("conflict", /unit sz fails its health checks already/),
    );
    await assert.rejects(runs.beat("sr-9"), refused("not-found", /tidegate stress ls/));
  });

  test("is one more than gateways are told of", async () => {
    for (let i = 0; i < 100; i++) {
      const { id } = await runs.register(REQUEST, ANN, () => []);
      await runs.end(id, "passed", "", ANN, () => []);
    }
    await assert.rejects(
      runs.register(REQUEST, ANN, () => []),
      refused("too-many", /100 runs/),
    );
  });

  test("is anything, by a control plane that does not lead; it only looks whether one runs", async () => {
    await runs.register(REQUEST, ANN, () => []);
    const { desk, figures, gateways } = fleet;
    const other = new StressRuns({
      ...{ desk, figures, gateways, store: fleet.disk, epoch: () => undefined },
      now: () => fleet.wall,
      monotonic: () => fleet.monotonic,
    });
    await assert.rejects(
      other.register({ ...REQUEST, unit: "sz" }, ANN, () => []),
      refused("not-leader", /lead/),
    );
    await assert.rejects(other.beat("sr-1"), refused("not-leader", /lead/));
    assert.equal(other.pace, undefined);
    await other.look();
    assert.equal(other.pace, 250, "its gateways report as often");
    assert.equal((await other.find("sr-1")).state, "running");
    fleet.wall += 100_000;
    assert.equal(other.pace, undefined);
  });
});
