/** Who watches hears of everything, once, also over a restart. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { startControlPlane } from "../../support/control-plane.ts";
import { fleetYaml, until } from "../../support/gateway.ts";

test("a watcher hears of each event once, in order, and goes on where it was when the control plane is back", async (t) => {
  const plane = await startControlPlane(t, {
    "fleet.yaml": fleetYaml({ hz: ["http://127.0.0.1:1"], sh: ["http://127.0.0.1:2"] }),
    "routes.yaml": "routes:\n  - { name: hall, match: { path: /* }, service: hall, scope: nearest }\n",
  });
  const cli = join(import.meta.dirname, "../../../cli/tidegate.mjs");
  const child = spawn(process.execPath, [cli, "watch", "--after", "0", "--json"], {
    env: { ...process.env, TIDEGATE_CONTROL_PLANE: plane.url },
    stdio: ["ignore", "pipe", "ignore"],
  });
  t.after(() => child.kill("SIGKILL"));
  let said = "";
  child.stdout.on("data", (chunk) => {
    said += chunk;
  });
  const heard = (): { number: number; type: string; revision: number; cause: string }[] =>
    said
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line));
  const pin = (key: string) =>
    plane.call("POST", "/v1/overlays", { kind: "pin", key, unit: "hz", reason: "a test" });
  assert.equal((await pin("ann")).status, 201);
  await until("two events", () => heard().length === 2);
  await plane.stop("SIGKILL");
  await plane.start();
  assert.equal((await pin("bob")).status, 201);
  await until("three events", () => heard().length >= 3);
  assert.deepEqual(
    heard().map(({ number, type, revision, cause }) => [number, type, revision, cause]),
    [
      [1, "revision", 1, "apply"],
      [2, "revision", 2, "overlay"],
      [3, "revision", 3, "overlay"],
    ],
  );
});
