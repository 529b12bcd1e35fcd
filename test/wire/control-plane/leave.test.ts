/** Gateways that end: one that was stopped is waited for by nobody, one that was killed may serve on for all anybody knows. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { startControlPlane, startFollower, type TestControlPlane } from "../../support/control-plane.ts";
import { fleetYaml, ROUTES, type TestGateway, until } from "../../support/gateway.ts";
import { upstream } from "../limits/support.ts";

const MOVE = "summary: s\nowner: o\nsteps: [ { move: 0-9, to: sh, timeout: 20s } ]\n";

const states = async (plane: TestControlPlane): Promise<string[]> =>
  (await plane.call("GET", "/v1/status")).body.gateways.map(
    ({ gateway, state }: { gateway: string; state: string }) => `${gateway} ${state}`,
  );

async function end(gateway: TestGateway, signal: NodeJS.Signals): Promise<void> {
  const exited = once(gateway.process, "exit");
  gateway.process.kill(signal);
  await exited;
}

test("a gateway that is stopped leaves; its successor of the same name stays; one that is killed is waited for", async (t) => {
  const unit = await upstream(t);
  const plane = await startControlPlane(t, {
    "fleet.yaml": fleetYaml({ hz: [unit], sh: [unit] }).replace(/health: .*\n/, "health: none\n"),
    "routes.yaml": ROUTES,
    "plans/move.yaml": MOVE,
  });
  const stays = await startFollower(t, plane, "stays");
  const old = await startFollower(t, plane, "changes");
  await until(
    "both serve",
    () => states(plane),
    (list) => list.join() === "changes serves,stays serves",
  );
  const successor = await startFollower(t, plane, "changes");
  await end(old, "SIGTERM");
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  assert.deepEqual(await states(plane), ["changes serves", "stays serves"]);
  await end(successor, "SIGTERM");
  await until(
    "it left",
    () => states(plane),
    (list) => list.join() === "stays serves",
    5_000,
  );
  const run = async (): Promise<string> => {
    const { body } = await plane.call("POST", "/v1/executions", { plan: "move", reason: "a test" });
    const { state, says } = await until(
      "its end",
      async () => (await plane.call("GET", `/v1/executions/${body.id}`)).body,
      (one) => one.state === "succeeded" || one.state === "held",
      40_000,
    );
    return `${state} ${says ?? ""}`;
  };
  assert.match(await run(), /^succeeded/, "nobody waits for those that left");
  const killed = await startFollower(t, plane, "killed");
  await until(
    "it serves",
    () => states(plane),
    (list) => list.includes("killed serves"),
  );
  await end(killed, "SIGKILL");
  await until(
    "it is gone",
    () => states(plane),
    (list) => list.includes("killed gone"),
    10_000,
  );
  assert.ok((await stays.status()).servedRevision >= 1);
});
