/**
 * Slots move under writes while one gateway is frozen and another never hears of it: what they send by their old tables is
 * refused by the units, and corrected or answered 503. No slot is written to by two units in overlapping epochs.
 */
import assert from "node:assert/strict";
import http from "node:http";
import { test } from "node:test";
import { slotOf } from "../../../model/hash.ts";
import { startControlPlane, startFollower, type TestControlPlane } from "../../support/control-plane.ts";
import { fleetYaml, ROUTES, startGateway, until } from "../../support/gateway.ts";
import { dataSystem, following, type GuardedUnit, guardedUnit, SECRET, type Write } from "./support.ts";

const UNITS = ["hz", "sh", "sz"];
const MOVE = `
summary: Moves everybody off sh.
owner: ann
steps:
  - { evacuate: sh, to: "hz,sz", batch: 200, catch-up: CATCH_UP }
`;

const executionOf = (plane: TestControlPlane, id: string) => async () =>
  (await plane.call("GET", `/v1/executions/${id}`)).body;

/** Whoever takes a slot over does so under a later epoch, and nobody else takes a write of it afterwards. */
function violations(writes: readonly Write[]): string[] {
  const found: string[] = [];
  for (const [slot, all] of Map.groupBy(writes, (write) => write.slot)) {
    const newest = new Map<string, number>();
    for (const { unit, epoch } of all.toSorted((a, b) => a.began - b.began)) {
      for (const [other, theirs] of newest) {
        if (other !== unit && theirs >= epoch)
          found.push(`slot ${slot}: ${unit} under ${epoch}, and ${other} under ${theirs}`);
      }
      newest.set(unit, Math.max(epoch, newest.get(unit) ?? 0));
    }
  }
  return found;
}

/** On a connection that stands already, so that a frozen gateway has it in its buffer. */
function write(agent: http.Agent, port: number, user: string, body: string): Promise<[number, string]> {
  return new Promise((resolve, reject) => {
    const request = http.request({
      ...{ agent, port, host: "127.0.0.1", method: "POST", path: "/cart/x" },
      headers: { "x-user-id": user, "content-type": "text/plain" },
    });
    request.on("error", reject);
    request.on("response", (response) => {
      let text = "";
      response.on("data", (chunk) => {
        text += chunk;
      });
      response.on("end", () => resolve([response.statusCode!, text]));
    });
    request.end(body);
  });
}

test("what a gateway that was frozen sends by its old table, no unit takes that has lost the slot", async (t) => {
  process.env.TIDEGATE_HOOK_SECRET = SECRET;
  const units: GuardedUnit[] = [];
  const data = await dataSystem(t, () => units);
  const shape = (pools: Record<string, string[]>) => ({
    "fleet.yaml": fleetYaml(pools).replace(/health: .*\n/, "health: none\n"),
    "routes.yaml": ROUTES,
    "plans/move.yaml": MOVE.replace("CATCH_UP", `"http://${data.host}/caught-up"`),
  });
  const nowhere = Object.fromEntries(UNITS.map((unit) => [unit, ["http://127.0.0.1:9"]]));
  const plane = await startControlPlane(t, shape(nowhere), ["--dev", "--hook-host", data.host]);
  const writes: Write[] = [];
  for (const unit of UNITS) units.push(await guardedUnit(t, following(plane, unit), writes));
  const files = shape(Object.fromEntries(UNITS.map((unit, i) => [unit, [units[i]!.url]])));
  const applied = await plane.call("PUT", "/v1/config", { files, reason: "real units", expect: 1 });
  assert.equal(applied.status, 200, JSON.stringify(applied.body));
  const { "plans/move.yaml": _, ...old } = files;
  const [one, two, forgotten] = await Promise.all([
    startFollower(t, plane, "one"),
    startFollower(t, plane, "two"),
    // It follows files, and nobody tells it anything.
    startGateway(t, old),
  ]);
  await until(
    "guards know the placement",
    () => units.map(({ app }) => app.tidegate.epoch),
    (epochs) => epochs.every((epoch) => epoch >= 0),
  );
  const users = Array.from({ length: 96 }, (_, i) => `user-${i}`);
  const agent = new http.Agent({ keepAlive: true, maxSockets: 96 });
  t.after(() => agent.destroy());
  for (const { port } of [one, two, forgotten]) {
    const all = await Promise.all(users.map((user) => write(agent, port, user, "before")));
    assert.deepEqual(
      all.filter(([status]) => status !== 200),
      [],
    );
  }
  const moving = users.filter((user) => {
    const slot = slotOf(user, 1024);
    return slot >= 341 && slot < 682;
  });
  assert.ok(moving.length > 10, `${moving.length} users live in sh`);

  two.process.kill("SIGSTOP");
  const made = await plane.call("POST", "/v1/executions", { plan: "move", reason: "a test" });
  assert.equal(made.status, 201, JSON.stringify(made.body));
  const { id } = made.body;
  const held = await until(
    "somebody has to decide",
    executionOf(plane, id),
    ({ state }) => state === "held",
    30_000,
  );
  assert.match(held.says, /two/);
  const resumed = await plane.call("POST", `/v1/executions/${id}/resume`, {
    reason: "it is frozen",
    without: ["two"],
  });
  assert.equal(resumed.status, 200, JSON.stringify(resumed.body));
  // Writes go on through the gateway that lives; none of them fails.
  let going = true;
  const failed: string[] = [];
  const client = async (user: string): Promise<void> => {
    while (going) {
      const [status, text] = await write(agent, one.port, user, "during");
      if (status !== 200) failed.push(`${status} ${text}`);
    }
  };
  const clients = users.slice(0, 24).map(client);
  const done = await until("it ended", executionOf(plane, id), ({ state }) => state !== "running", 30_000);
  going = false;
  await Promise.all(clients);
  assert.equal(done.state, "succeeded", done.says);
  assert.deepEqual(failed, []);
  assert.ok(data.answers.length >= 6 && data.answers.every((status) => status === 200), `${data.answers}`);

  // It wakes up with what it had, and with writes in its buffers.
  const from = writes.length;
  const late = users.map((user) => write(agent, two.port, user, "late"));
  await new Promise((resolve) => setTimeout(resolve, 100));
  two.process.kill("SIGCONT");
  const answers = await Promise.all(late);
  assert.deepEqual(
    answers.filter(([status]) => status !== 200),
    [],
    "each is corrected: the new table is on its way",
  );
  const sh = units[1]!.app.tidegate;
  const refused = [...sh.refused.values()].reduce((sum, n) => sum + n, 0);
  t.diagnostic(`refused by sh: ${JSON.stringify([...sh.refused])}`);
  assert.ok(refused > 0, "sh refused what came by the old table");
  const taken = writes.slice(from).filter(({ body }) => body === "late");
  assert.deepEqual(
    taken.map(({ key }) => key).sort(),
    [...users].sort(),
    "each was done exactly once, corrected or not",
  );
  assert.deepEqual(
    taken.filter(({ unit }) => unit === "sh"),
    [],
  );
  assert.ok((await two.metric("tidegate_misdirected_total", 'unit="sh"')) > 0);
  // Nobody took sh's refusals for failures of its endpoints.
  const { endpoints } = await two.status();
  assert.deepEqual(
    endpoints.filter(({ health }) => health !== "up"),
    [],
  );

  // The one that nobody tells waits for a table that does not come, and refuses; who did not move is served.
  const rest = users.filter((user) => !moving.includes(user));
  const [gone, stayed] = await Promise.all([
    Promise.all(moving.slice(0, 8).map((user) => write(agent, forgotten.port, user, "forgotten"))),
    Promise.all(rest.slice(0, 8).map((user) => write(agent, forgotten.port, user, "forgotten"))),
  ]);
  for (const [status, text] of gone) {
    assert.equal(status, 503, text);
    assert.equal(JSON.parse(text).type, "urn:tidegate:problem:misdirected");
    assert.match(JSON.parse(text).detail, /unit sh refused it, and did nothing, also when it was sent again/);
  }
  assert.deepEqual(
    stayed.filter(([status]) => status !== 200),
    [],
  );
  // Reads of anybody are served wherever they come.
  const read = await fetch(`${forgotten.url}/cart/x`, { headers: { "x-user-id": moving[0]! } });
  assert.equal(read.status, 200);
  assert.deepEqual(violations(writes), []);
  assert.ok(new Set(writes.map(({ epoch }) => epoch)).size >= 3, "writes were made in several epochs");
});
