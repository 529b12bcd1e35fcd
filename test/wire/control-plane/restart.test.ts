/** What a control plane finds when it starts: another one, the lease of one that was killed, commands of yesterday. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type TestContext, test } from "node:test";
import { startControlPlane, TestControlPlane } from "../../support/control-plane.ts";
import { fleetYaml, ROUTES, until } from "../../support/gateway.ts";

const FILES = {
  "fleet.yaml": fleetYaml({ hz: ["http://127.0.0.1:1"], sh: ["http://127.0.0.1:2"] }),
  "routes.yaml": ROUTES,
};

function database(t: TestContext, plane: TestControlPlane): DatabaseSync {
  const db = new DatabaseSync(join(plane.data, "tidegate.db"), { timeout: 2_000 });
  t.after(() => db.close());
  return db;
}

test("a second control plane on the same data is refused, and the first serves on", async (t) => {
  const plane = await startControlPlane(t, FILES);
  const second = new TestControlPlane(plane.dir, ["--dev"]);
  t.after(() => second.stop("SIGKILL"));
  await assert.rejects(
    second.start(),
    /another control plane runs on .*tidegate\.db; stop it, or give this one its own --data/,
  );
  assert.equal((await plane.call("GET", "/v1/status")).body.leads, true);
});

test("killed before the clock was set back an hour, it starts within seconds and leads", async (t) => {
  const plane = await startControlPlane(t, FILES);
  await plane.stop("SIGKILL");
  database(t, plane).exec("UPDATE leadership SET until = until + 3600000");
  const began = performance.now();
  await plane.start();
  assert.ok(performance.now() - began < 8_000, "it does not wait for an hour");
  assert.equal((await plane.call("GET", "/v1/status")).body.leads, true);
});

test("the leader forgets the commands of yesterday, and no others", async (t) => {
  const plane = await startControlPlane(t, FILES);
  const pin = { kind: "pin", key: "ann", unit: "hz", reason: "a test" };
  const headers = { "idempotency-key": "today" };
  assert.equal((await plane.call("POST", "/v1/overlays", pin, headers)).status, 201);
  await plane.stop();
  const db = database(t, plane);
  const body = JSON.stringify({ digest: "", at: 1, answer: { status: 200, headers: {}, body: {} } });
  db.prepare("INSERT INTO documents VALUES ('command', 'yesterday', 1, ?)").run(body);
  await plane.start();
  const ids = (): unknown[] => db.prepare("SELECT id FROM documents WHERE kind = 'command'").all();
  await until("it is forgotten", ids, (list) => list.length === 1);
  const again = await plane.call("POST", "/v1/overlays", pin, headers);
  assert.equal(again.headers.get("idempotency-replayed"), "true");
});
