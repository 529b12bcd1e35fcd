/** A drain and the WebSockets that are open: kept until its deadline, and new ones go elsewhere at once. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createRequire } from "node:module";
import { test } from "node:test";
import { startControlPlane, startFollower } from "../../support/control-plane.ts";
import { fleetYaml, until } from "../../support/gateway.ts";
import { sampleUnit } from "../forwarding/support.ts";

interface Socket extends NodeJS.EventEmitter {
  send(data: string): void;
  terminate(): void;
}
// A dependency of @fastify/http-proxy, without types.
const WebSocket = createRequire(import.meta.url)("ws") as new (url: string) => Socket;

test("a drain keeps open WebSockets until its deadline, and gives the unit no new ones", async (t) => {
  const [first, second] = [await sampleUnit(t), await sampleUnit(t)];
  const plane = await startControlPlane(t, {
    "fleet.yaml": fleetYaml({ hz: [first.origin], sh: [second.origin] }),
    "routes.yaml": "routes:\n  - { name: hall, match: { path: /hall/* }, service: hall, scope: nearest }\n",
  });
  const gateway = await startFollower(t, plane, "one");
  const upgrades = { hz: 0, sh: 0 };
  first.events.on("upgrade", () => upgrades.hz++);
  second.events.on("upgrade", () => upgrades.sh++);
  const open = async (): Promise<Socket> => {
    const socket = new WebSocket(`${gateway.url.replace("http", "ws")}/hall/ws`);
    socket.on("error", () => {});
    await once(socket, "open");
    return socket;
  };
  const kept = await open();
  const laid = await plane.call("POST", "/v1/overlays", {
    kind: "drain",
    unit: "hz",
    ramp: "0s",
    deadline: "2s",
    reason: "a test",
  });
  assert.equal(laid.status, 201, JSON.stringify(laid.body));
  const began = performance.now();
  await until(
    "drained",
    async () => (await plane.call("GET", "/v1/status")).body,
    ({ units }) => units[0].drained === 1,
  );
  const status = (await plane.call("GET", "/v1/status")).body;
  assert.equal(status.units[0].inflight, 1, "the open WebSocket is under way");
  kept.send("still here?");
  assert.match(String((await once(kept, "message"))[0]), /still here/);
  await once(kept, "close", { signal: AbortSignal.timeout(5_000) });
  const lasted = performance.now() - began;
  assert.ok(lasted > 1_200 && lasted < 4_000, `${lasted} ms`);
  const other = await open();
  other.send("and you?");
  await once(other, "message");
  await until(
    "the unit is empty",
    async () => (await plane.call("GET", "/v1/status")).body.units,
    (units) => units[0].inflight === 0 && units[1].inflight === 1,
  );
  other.terminate();
});
