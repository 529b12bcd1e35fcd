/** A gateway whose disk takes nothing: what it serves it says, but not that a fence holds which a restart would forget. */
import assert from "node:assert/strict";
import { mkdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { startControlPlane, startFollower } from "../../support/control-plane.ts";
import { fleetYaml, ROUTES, until } from "../../support/gateway.ts";
import { upstream } from "../limits/support.ts";

test("a fence that a gateway cannot keep on its disk is not acknowledged, until it can", async (t) => {
  const unit = await upstream(t);
  const plane = await startControlPlane(t, {
    "fleet.yaml": fleetYaml({ hz: [unit], sh: [unit] }).replace(/health: .*\n/, "health: none\n"),
    "routes.yaml": ROUTES,
    "plans/hold.yaml": "summary: s\nowner: ann\nsteps: [ { fence: 0-1023, hold: 50ms }, { wait: 1m } ]\n",
  });
  const gateway = await startFollower(t, plane, "one");
  const behind = async (): Promise<{ revision: number; behind: string[] }> => {
    const { convergence, revision } = (await plane.call("GET", "/v1/status")).body;
    return { revision: revision.number, behind: convergence.behind };
  };
  const converged = (revision: number) =>
    until(`revision ${revision}`, behind, (seen) => seen.revision === revision && seen.behind.length === 0);
  const pin = async (key: string): Promise<void> => {
    const pinned = { kind: "pin", key, unit: "sh", reason: "a test" };
    const { status, body } = await plane.call("POST", "/v1/overlays", pinned);
    assert.equal(status, 201, JSON.stringify(body));
  };
  const write = async (): Promise<number> =>
    (await fetch(`${gateway.url}/cart/x`, { method: "POST", headers: { "x-user-id": "ann" } })).status;
  await converged(1);
  // Nothing can be written aside.
  const aside = join(plane.dir, "state-one", "snapshot.json.new");
  mkdirSync(aside);
  await pin("a");
  await converged(2);
  assert.equal(await write(), 200);
  assert.equal((await plane.call("POST", "/v1/executions", { plan: "hold", reason: "a test" })).status, 201);
  await until("writes are fenced", write, (status) => status === 503);
  // Longer than it takes to say so, and than a report.
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  assert.deepEqual(await behind(), { revision: 3, behind: ["one"] });
  assert.match(gateway.stdout + gateway.stderr, /cannot be kept on disk/);
  rmdirSync(aside);
  await pin("b");
  await converged(4);
});
