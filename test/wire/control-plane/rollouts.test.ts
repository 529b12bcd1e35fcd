/** Rollouts with a real control plane, a real gateway and units of two versions under load. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { Load } from "../../../loadtest/load/load.ts";
import { startControlPlane, startFollower, type TestControlPlane } from "../../support/control-plane.ts";
import { slotOf } from "../../../model/hash.ts";
import { ROUTES, until } from "../../support/gateway.ts";

const UNITS = ["sz", "sh", "hz"];

interface Fleet {
  readonly plane: TestControlPlane;
  readonly load: Load;
  readonly port: number;
  /** `unit version` → requests that it answered, by user. */
  readonly seen: Map<string, Map<string, number>>;
}

/** Three units of two versions each, under 300 requests a second. @param bad `unit version` → every n-th fails */
async function fleet(
  t: TestContext,
  rollout: string,
  bad: Readonly<Record<string, number>> = {},
): Promise<Fleet> {
  const seen: Fleet["seen"] = new Map();
  const pools: string[] = [];
  for (const unit of UNITS) {
    const origins: string[] = [];
    for (const version of ["stable", "canary"]) {
      const name = `${unit} ${version}`;
      const users = new Map<string, number>();
      seen.set(name, users);
      let asked = 0;
      const server = createServer((request, response) => {
        request.resume();
        if (request.url === "/healthz") {
          response.end();
          return;
        }
        const user = String(request.headers["x-user-id"]);
        users.set(user, (users.get(user) ?? 0) + 1);
        const every = bad[name];
        asked++;
        response.writeHead(every !== undefined && asked % every === 0 ? 500 : 200).end(name);
      }).listen(0, "127.0.0.1");
      await once(server, "listening");
      t.after(() => {
        server.closeAllConnections();
        server.close();
      });
      origins.push(`"http://127.0.0.1:${(server.address() as AddressInfo).port}"`);
    }
    pools.push(`      ${unit}: { stable: [ ${origins[0]} ], canary: [ ${origins[1]} ] }`);
  }
  const plane = await startControlPlane(t, {
    "fleet.yaml": `fleet: test
regions: { r: {} }
units: { hz: { region: r, center: true }, sh: { region: r }, sz: { region: r } }
placement: { key: [ { header: x-user-id } ], slots: 1024, map: { hz: 0-340, sh: 341-682, sz: 683-1023 } }
services:
  hall:
    health: { path: /healthz, interval: 200ms, timeout: 500ms, healthy: 1, unhealthy: 3 }
    pools:
${pools.join("\n")}
`,
    "routes.yaml": ROUTES,
    "rollouts/next.yaml": `summary: a test\nowner: ann\nservice: hall\n${rollout}`,
  });
  const gateway = await startFollower(t, plane, "one");
  const classes = [{ name: "cart", share: 1, path: "/cart/a", method: "GET" }];
  const load = new Load({ port: gateway.port, rate: 300, classes, timeout: 5_000, seed: 7 });
  t.after(() => load.stop());
  await until(
    "figures",
    async () => (await plane.call("GET", "/v1/figures")).body.total?.requests ?? 0,
    (requests) => requests > 600,
    15_000,
  );
  return { plane, load, seen, port: gateway.port };
}

const view = async (plane: TestControlPlane) => (await plane.call("GET", "/v1/rollouts/next")).body;

const STEPS = `waves: [ sz, sh, hz ]
steps: [ { share: 50%, bake: 2s }, { share: 100%, bake: 1s } ]
evidence: { samples: 40 }
`;

test("a good version goes through all units under load, and nobody notices", async (t) => {
  const { plane, load, seen } = await fleet(t, STEPS);
  const phase = load.phase("rollout");
  const started = await plane.call("POST", "/v1/rollouts/next/start", { reason: "a test" });
  assert.equal(started.status, 201);
  const users = new Set<string>();
  const ended = await until(
    "the end",
    async () => {
      // Who sees the canary of a unit goes on seeing it.
      for (const unit of UNITS) for (const user of seen.get(`${unit} canary`)!.keys()) users.add(user);
      return (await view(plane)).execution;
    },
    ({ state }) => ["succeeded", "held", "reverted"].includes(state),
    90_000,
  );
  assert.equal(ended.state, "succeeded", ended.says);
  await new Promise((resolve) => setTimeout(resolve, 500));
  const { all } = phase;
  assert.equal(all.ok, all.sent - load.underWay, [...all.causes].join(", "));
  const { body } = await plane.call("GET", "/v1/config");
  const { pools } = body.effective.fleet.services[0];
  assert.ok(UNITS.every((unit) => pools[unit].canary.length === 0));
  assert.deepEqual((await plane.call("GET", "/v1/overlays")).body.overlays, []);
  t.diagnostic(`${all.sent} requests, ${users.size} users on the new version`);
});

test("one that fails 2 % in the second unit is taken back there, and the others as the policy says", async (t) => {
  const { plane, seen } = await fleet(t, `${STEPS.replace("bake: 2s", "bake: 60s")}on-failure: unit\n`, {
    "sh canary": 50,
  });
  // The first unit need not bake for a minute here.
  const { body: started } = await plane.call("POST", "/v1/rollouts/next/start", { reason: "a test" });
  await until(
    "half of the first unit",
    async () => (await view(plane)).units[0],
    ({ share, left }) => share === 0.5 && left !== null,
    30_000,
  );
  const loads = await until(
    "what is under way is told by version",
    async () => (await plane.call("GET", "/v1/gateways")).body.gateways[0].report.canaries,
    (list) => list.length > 0,
    5_000,
  );
  assert.deepEqual(
    loads.map(({ service, unit }: { service: string; unit: string }) => [service, unit]),
    [["hall", "sz"]],
  );
  const baking = (await view(plane)).execution;
  const path = Object.keys(baking.runs).find((one) => baking.runs[one].state === "running");
  const skipped = await plane.call("POST", `/v1/executions/${started.id}/skip`, {
    reason: "it is well",
    step: path,
  });
  assert.equal(skipped.status, 200, JSON.stringify(skipped.body));
  const held = await until(
    "the verdict",
    () => view(plane),
    ({ execution }) => execution.state === "held",
    60_000,
  );
  const [sz, sh, hz] = held.units;
  assert.deepEqual([sz.share, sz.state], [1, "done"]);
  assert.deepEqual([sh.share, sh.state], [0, "failed"]);
  assert.deepEqual([hz.share, hz.state], [0, "to come"]);
  assert.match(sh.says, /%/);
  t.diagnostic(sh.says);
  assert.equal(seen.get("hz canary")!.size, 0, "nobody saw it in the third unit");
  const before = [...seen.get("sh canary")!.values()].reduce((sum, n) => sum + n, 0);
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  const after = [...seen.get("sh canary")!.values()].reduce((sum, n) => sum + n, 0);
  assert.equal(after, before, "nobody sees it in the second any more");
  const back = await plane.call("POST", `/v1/executions/${started.id}/revert`, { reason: "enough" });
  assert.equal(back.status, 200);
  await until(
    "all taken back",
    () => view(plane),
    ({ execution }) => execution.state === "reverted",
    10_000,
  );
  assert.deepEqual((await plane.call("GET", "/v1/overlays")).body.overlays, []);
});

test("what cannot be rolled is refused with the reason", async (t) => {
  const { plane } = await fleet(t, STEPS);
  const apply = async (rollout: string) => {
    const { body } = await plane.call("GET", "/v1/config");
    const files = { ...body.files, "rollouts/next.yaml": `summary: s\nowner: o\n${rollout}` };
    const answer = await plane.call("PUT", "/v1/config", { files, reason: "a test" });
    return JSON.stringify(answer.body);
  };
  assert.match(
    await apply("service: hall\nsteps: [ { share: 50%, bake: 1s }, { share: 5%, bake: 1s } ]"),
    /expected steps that grow/,
  );
  assert.match(await apply("service: hell\nsteps: [ { share: 50%, bake: 1s } ]"), /there is no service hell/);
  assert.match(
    await apply("service: hall\nsteps: [ { share: 50%, bake: 1s } ]\nevidence: { samples: 0 }"),
    /would pass without a request/,
  );
  assert.match(
    await apply("service: hall\nwaves: [ xx ]\nsteps: [ { share: 5%, bake: 1s } ]"),
    /there is no unit xx/,
  );
  const unknown = await plane.call("POST", "/v1/rollouts/other/start", { reason: "a test" });
  assert.equal(unknown.status, 404);
  assert.equal((await plane.call("POST", "/v1/rollouts/next/start", { reason: "a test" })).status, 201);
  const twice = await plane.call("POST", "/v1/rollouts/next/start", { reason: "a test" });
  assert.equal(twice.status, 409);
  assert.match(JSON.stringify(twice.body), /is running and rolls hall in sz, too/);
});

test("other routes reach the users of one unit first, and everybody at the end", async (t) => {
  const { plane, port } = await fleet(t, STEPS);
  const { body } = await plane.call("GET", "/v1/config");
  const fresh = "  - { name: fresh, match: { path: /fresh/* }, service: hall, scope: sharded }\n";
  const files = {
    ...body.files,
    "routes.yaml": body.files["routes.yaml"].replace("routes:\n", `routes:\n${fresh}`),
  };
  const rollout = `summary: s\nowner: o\nchange: routes\nwaves: [ sz, rest ]\nparallel: 2\nsteps: [ { share: 100%, bake: 1s } ]\napprove: operator\nevidence: { samples: 20 }\n`;
  const named = { ...body.files, "rollouts/next.yaml": rollout };
  assert.equal((await plane.call("PUT", "/v1/config", { files: named, reason: "a test" })).status, 200);
  const started = await plane.call("POST", "/v1/rollouts/next/start", {
    reason: "a test",
    files: { ...files, "rollouts/next.yaml": rollout },
  });
  assert.equal(started.status, 201, JSON.stringify(started.body));
  const waiting = await until(
    "the first approval",
    () => view(plane),
    ({ execution }) =>
      Object.values(execution.runs as Record<string, { says?: string }>).some(
        ({ says }) => says === "waits for 1 × operator",
      ),
    10_000,
  );
  const { id, digest, steps } = waiting.execution;
  const skip = async (title: RegExp) => {
    const step = steps.find((one: { title: string }) => title.test(one.title)).path;
    // In --dev everybody is the one who began it, and nobody agrees to their own.
    const answer = await plane.call("POST", `/v1/executions/${id}/skip`, { reason: "a test", step });
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
  };
  assert.match(digest, /^[0-9a-f]{64}$/);
  await skip(/agrees to wave 1/);
  await until(
    "the first unit",
    () => view(plane),
    ({ units }) => units[0].state === "done",
    20_000,
  );
  const users = Array.from({ length: 60 }, (_, i) => `user-${i}`);
  const statuses = async (): Promise<Map<string, number>> =>
    new Map(
      await Promise.all(
        users.map(async (user) => {
          const answer = await fetch(`http://127.0.0.1:${port}/fresh/1`, { headers: { "x-user-id": user } });
          return [user, answer.status] as const;
        }),
      ),
    );
  const first = await statuses();
  for (const [user, status] of first) assert.equal(status, slotOf(user, 1024) >= 683 ? 200 : 404, user);
  await skip(/agrees to wave 2/);
  await until(
    "the end",
    () => view(plane),
    ({ execution }) => execution.state === "succeeded",
    30_000,
  );
  await until("everybody", statuses, (all) => [...all.values()].every((status) => status === 200), 5_000);
  assert.match((await plane.call("GET", "/v1/config")).body.files["routes.yaml"], /name: fresh/);
});
