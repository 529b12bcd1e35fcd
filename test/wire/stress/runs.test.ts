/** Runs over real sockets, without a load generator: who may begin and end them, and that gateways hear of it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { readMark } from "../../../model/stress-mark.ts";
import { startControlPlane, startFollower, type TestControlPlane } from "../../support/control-plane.ts";
import { startGateway, until } from "../../support/gateway.ts";
import { filesOf, mark, marked, PAIR, scriptedUnits, tell } from "./support.ts";

const RUN = {
  unit: "sh",
  scenario: "unit-stress",
  mix: "GET /hall/{n}",
  rate: 100,
  for: "30s",
  reason: "a test",
};

const register = (plane: TestControlPlane, changes: object = {}, headers: Record<string, string> = {}) =>
  plane.call("POST", "/v1/stress-runs", { ...RUN, ...changes }, headers);

test("a run that is stopped is refused by every gateway within two seconds, and by those that start later", async (t) => {
  const units = await scriptedUnits(t);
  const plane = await startControlPlane(t, filesOf(units));
  const gateways = await Promise.all(["one", "two"].map((name) => startFollower(t, plane, name)));
  const [first, second] = [(await register(plane)).body, (await register(plane, { unit: "sz" })).body];
  assert.deepEqual([first.run.id, first.run.state, second.run.id], ["sr-1", "running", "sr-2"]);
  assert.equal(readMark(first.mark)!.rate, 125, "what a gateway takes: no generator is a metronome");
  for (const gateway of gateways) {
    assert.equal((await marked(gateway, "/hall/1", first.mark)).status, 200);
    assert.equal((await marked(gateway, "/hall/1", second.mark)).status, 200);
  }
  const began = performance.now();
  const stop = await plane.call("POST", "/v1/stress-runs/sr-1/stop", { reason: "enough" });
  assert.deepEqual([stop.status, stop.body.state], [200, "stopped"]);
  for (const gateway of gateways) {
    const told = await until(
      "the mark is refused",
      () => marked(gateway, "/hall/1", first.mark),
      ({ status }) => status === 403,
      2_000,
    );
    assert.equal(told.type, "stress-stopped");
    assert.equal((await marked(gateway, "/hall/1", second.mark)).status, 200, "another run goes on");
    assert.equal((await tell(gateway, "/hall/1")).status, 200);
  }
  t.diagnostic(`refused everywhere ${(performance.now() - began).toFixed(0)} ms after the command`);
  assert.equal(await gateways[0]!.metric("tidegate_requests_total", 'code="403"'), 0, "no user's figure");

  // A control plane that was killed knows it still, and so does a gateway that never heard of the run.
  await plane.stop("SIGKILL");
  assert.equal(
    (await marked(gateways[0]!, "/hall/1", first.mark)).type,
    "stress-stopped",
    "without a control plane",
  );
  await plane.start();
  const late = await startFollower(t, plane, "late");
  assert.equal((await marked(late, "/hall/1", first.mark)).type, "stress-stopped");
  assert.equal((await marked(late, "/hall/1", second.mark)).status, 200);
  const { runs } = (await plane.call("GET", "/v1/stress-runs")).body;
  assert.deepEqual(
    runs.map(({ id, state, endedBy }: Record<string, string>) => [id, state, endedBy]),
    [
      ["sr-1", "stopped", "dev"],
      ["sr-2", "running", undefined],
    ],
  );
});

test("users who suffer end a run, wherever they are; the runner hears of it with its next beat", async (t) => {
  const units = await scriptedUnits(t);
  const plane = await startControlPlane(t, filesOf(units));
  const gateway = await startFollower(t, plane, "one");
  let asking = true;
  const users = (async () => {
    while (asking) {
      // The gateway ends before they do where the test fails.
      await Promise.all(Array.from({ length: 5 }, (_, i) => tell(gateway, `/hall/${i}`).catch(() => {})));
      await new Promise((resolve) => setTimeout(resolve, 40));
    }
  })();
  t.after(() => {
    asking = false;
  });
  await until(
    "what is usual is known",
    async () => (await plane.call("GET", "/v1/figures?window=10s")).body.total,
    (total) => total?.requests > 150,
  );
  // The run stresses sh; those who suffer are users of hz.
  const { run, mark: text } = (await register(plane)).body;
  await marked(gateway, "/hall/1", text);
  const beat = async () => (await plane.call("POST", `/v1/stress-runs/${run.id}/beat`)).body;
  await until("gateways report more often", beat, ({ sample }) => sample !== null);
  assert.equal((await beat()).state, "running");
  units.hz.answer = (_request, response) => {
    response.statusCode = 500;
    response.end();
  };
  const harmed = performance.now();
  const ended = await until("it is aborted", beat, ({ state }) => state !== "running");
  const took = performance.now() - harmed;
  await until("its mark is refused", async () => (await marked(gateway, "/hall/1", text)).status === 403);
  asking = false;
  await users;
  t.diagnostic(
    `aborted ${took.toFixed(0)} ms after users began to fail, refused after ${(performance.now() - harmed).toFixed(0)} ms`,
  );
  assert.equal(ended.state, "aborted");
  assert.match(ended.says, /users of hz: \d+ of \d+ requests failed/);
  assert.equal((await plane.call("GET", `/v1/stress-runs/${run.id}`)).body.endedBy, "guardrail");
});

test("what may be asked for is checked, and a command that is sent again begins nothing", async (t) => {
  const units = await scriptedUnits(t);
  const plane = await startControlPlane(t, filesOf(units));
  for (const [wrong, expected] of [
    [{ unit: "gz" }, 404],
    [{ rate: 0 }, 400],
    [{ rate: 1.5 }, 400],
    [{ for: "60m" }, 400],
    [{ for: "10ms" }, 400],
    [{ scenario: "Unit Stress" }, 400],
    [{ abortOn: "success>1" }, 400],
    [{ abortOn: `p99>1s${" or p99>1s".repeat(100)}` }, 400],
    [{ mix: "a\u001b[2J" }, 400],
    [{ reason: "" }, 400],
    [{ fleet: "other" }, 400],
  ] as const) {
    const { status, body } = await register(plane, wrong);
    assert.deepEqual([status, typeof body.title], [expected, "string"], JSON.stringify(wrong));
  }
  const key = { "idempotency-key": "one" };
  assert.equal((await register(plane, {}, key)).status, 201);
  const again = await register(plane, {}, key);
  assert.deepEqual([again.status, (await plane.call("GET", "/v1/stress-runs")).body.runs.length], [409, 1]);
  for (const path of ["/v1/stress-runs/sr-9", "/v1/stress-runs/sr-9/stop", "/v1/stress-runs/sr-9/beat"]) {
    const { status } = await plane.call(
      path.endsWith("9") ? "GET" : "POST",
      path,
      path.endsWith("stop") ? { reason: "x" } : undefined,
    );
    assert.equal(status, 404, path);
  }
  // A mark alone cannot take a run's name, nor what only a watched run may have.
  const minted = { unit: "sh", run: "sr-7", ttl: "1m", reason: "a test" };
  assert.equal((await plane.call("POST", "/v1/stress-marks", minted)).status, 400);
  const huge = { outcome: "passed", says: "well", result: { x: "y".repeat(70_000) } };
  assert.equal((await plane.call("POST", "/v1/stress-runs/sr-1/end", huge)).status, 400);
  const done = { outcome: "passed", says: "well", result: { asked: 1 } };
  const end = await plane.call("POST", "/v1/stress-runs/sr-1/end", done);
  assert.deepEqual([end.status, end.body.state], [200, "passed"]);
  assert.deepEqual((await plane.call("GET", "/v1/stress-runs/sr-1")).body.result, { asked: 1 });
});

test("a capacity is filed by the run that measured it alone", async (t) => {
  const units = await scriptedUnits(t);
  const plane = await startControlPlane(t, filesOf(units, { unit: "capacity: 10rps" }));
  const gateway = await startFollower(t, plane, "one");
  const [plain, measuring] = [
    (await register(plane, { rate: 1_000, unit: "sz" })).body,
    (await register(plane, { rate: 1_000, measure: true })).body,
  ];
  const statuses = async (text: string): Promise<Set<number>> => {
    const all = await Promise.all(Array.from({ length: 60 }, (_, i) => marked(gateway, `/hall/${i}`, text)));
    return new Set(all.map(({ status }) => status));
  };
  assert.deepEqual(
    await statuses(plain.mark),
    new Set([200, 503]),
    "what was said of it holds stress traffic back",
  );
  assert.deepEqual(await statuses(measuring.mark), new Set([200]), "but not what finds it out");
  const body = {
    ...{ unit: "sh", rps: 246.5, error: 0.015, finds: [246, 247], probes: 20, isAbove: false },
    ...{ success: 0.995, p99: 74, mix: "GET /hall/{n}", build: "2.4", run: measuring.run.id },
  };
  assert.equal((await plane.call("POST", "/v1/capacities", { ...body, run: plain.run.id })).status, 409);
  assert.equal((await plane.call("POST", "/v1/capacities", { ...body, unit: "hz" })).status, 409);
  assert.equal((await plane.call("POST", "/v1/capacities", { ...body, rps: -1 })).status, 400);
  assert.equal((await plane.call("POST", "/v1/capacities", body)).status, 201);
  for (let i = 0; i < 25; i++) await plane.call("POST", "/v1/capacities", { ...body, rps: 100 + i });
  const { capacities } = (await plane.call("GET", "/v1/capacities")).body;
  assert.equal(capacities.length, 20, "of one unit the newest are kept");
  assert.deepEqual([capacities[0].rps, capacities[0].said, capacities[0].revision], [124, 10, 1]);
});

test("a gateway that follows files takes no mark that measures but a signed one, and knows of no stops", async (t) => {
  const units = await scriptedUnits(t);
  const gateway = await startGateway(t, filesOf(units, { unit: "capacity: 10rps" }));
  const measuring = mark({ measure: true }, PAIR.privateKey);
  assert.match(measuring, /;measure=1;kid=/);
  assert.equal((await marked(gateway, "/hall/1", measuring)).status, 200);
  const forged = mark().replace(";kid=", ";measure=1;kid=");
  assert.deepEqual((await marked(gateway, "/hall/1", forged)).type, "stress-mark");
});
