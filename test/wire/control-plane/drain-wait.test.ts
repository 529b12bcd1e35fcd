/** A drain that is waited for: how far it has come, when its unit is empty, and what `tidegate status` says meanwhile. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { startControlPlane, startFollower, type TestControlPlane } from "../../support/control-plane.ts";
import { fleetYaml, until } from "../../support/gateway.ts";

const CLI = join(import.meta.dirname, "../../../cli/tidegate.mjs");

/** Answers at once, but for `/hall/slow`, which waits until it is let go. */
async function unit(t: TestContext): Promise<{ origin: string; held: ServerResponse[] }> {
  const held: ServerResponse[] = [];
  const server = createServer((request, response) => {
    if (request.url === "/hall/slow") held.push(response);
    else response.end("ok");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, held };
}

function run(plane: TestControlPlane, ...args: string[]) {
  const child = spawn(process.execPath, [CLI, ...args], {
    env: { ...process.env, TIDEGATE_CONTROL_PLANE: plane.url, NO_COLOR: "1" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const said = { out: "", err: "" };
  child.stdout.on("data", (chunk) => {
    said.out += chunk;
  });
  child.stderr.on("data", (chunk) => {
    said.err += chunk;
  });
  const code = once(child, "close").then(([status]) => status as number);
  return { said, code };
}

test("a drain waits for what is under way, says so, and an event tells everybody that the unit is empty", async (t) => {
  const [hz, sh] = [await unit(t), await unit(t)];
  const plane = await startControlPlane(t, {
    "fleet.yaml": fleetYaml({ hz: [hz.origin], sh: [sh.origin] }),
    "routes.yaml": "routes:\n  - { name: hall, match: { path: /hall/* }, service: hall, scope: center }\n",
  });
  const gateway = await startFollower(t, plane, "one");
  await until(
    "the gateway reports",
    async () => (await plane.call("GET", "/v1/status")).body.gateways[0],
    (one) => one?.units === 2 && one.state === "serves",
  );
  const slow = fetch(`${gateway.url}/hall/slow`);
  await until("it is under way", () => hz.held.length === 1);
  const drain = ["drain", "hz", "--reason", "a test", "--ramp", "0s", "--wait"];
  const text = run(plane, ...drain);
  await until("it waits", () => /100 % moved, 1 under way/.test(text.said.err));
  const { drains } = (await plane.call("GET", "/v1/status")).body;
  const [{ moved, inflight, empty }] = drains;
  assert.deepEqual([moved, inflight, empty], [1, 1, false]);
  const events = async () =>
    (await plane.call("GET", "/v1/events")).body.events.filter((e: { type: string }) => e.type === "drained");
  assert.deepEqual(await events(), []);

  hz.held[0]!.end("done");
  assert.equal(await (await slow).text(), "done");
  assert.equal(await text.code, 0, text.said.err);
  assert.match(text.said.out, /hz is empty, \d+ s after the drain began/);
  const told = await until("everybody is told", events, (list) => list.length === 1);
  const event = JSON.parse(told[0].body);
  assert.equal(event.unit, "hz");
  assert.ok(event.took > 0);

  const status = run(plane, "status");
  assert.equal(await status.code, 0);
  assert.match(status.said.out, /one +│ serves +│ \d+ s ago +│ 2 +│ \d+ +│ 0 +│ 2 healthy/);
  assert.match(status.said.out, /hz is empty/);

  // For scripts it is one document, and a drain that does not end is a failure.
  assert.equal(await run(plane, "undrain", "hz", "--reason", "a test").code, 0);
  await until(
    "hz is the center again",
    async () => (await plane.call("GET", "/v1/status")).body.units[0],
    (one) => one.drained === 0,
  );
  const json = run(plane, ...drain, "--json");
  assert.equal(await json.code, 0, json.said.out);
  const answer = JSON.parse(json.said.out);
  assert.deepEqual(
    [answer.drain.unit, answer.drain.empty, answer.overlay.change.kind],
    ["hz", true, "drain"],
  );
  await gateway.stop("SIGKILL");
  await until(
    "the gateway is gone",
    async () => (await plane.call("GET", "/v1/status")).body,
    (body) => body.gateways[0].state === "gone" && body.drains[0].moved === null,
  );
  assert.equal(await run(plane, "undrain", "hz", "--reason", "a test").code, 0);
  const never = run(plane, ...drain, "--timeout", "1");
  assert.equal(await never.code, 1);
  assert.match(never.said.err, /hz: no gateway reports it; not connected, so that nobody knows: one/);
  assert.match(never.said.err, /hz is not empty after 1 s/);
});
