/** Two control planes on one PostgreSQL, and a plan that runs: its leader is killed, and the other one brings it to its end. */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test, type TestContext } from "node:test";
import { makeKeyPair } from "../../../control-plane/publish/signing-key.ts";
import { startControlPlane, type TestControlPlane } from "../../support/control-plane.ts";
import { fleetYaml, ROUTES, startGateway, until } from "../../support/gateway.ts";
import { startPostgres, type TestPostgres } from "../../support/postgres.ts";
import { WHOLE } from "../../support/whole.ts";
import { Load } from "../failover/load.ts";
import { upstream } from "../limits/support.ts";

let postgres: TestPostgres;
let dir: string;

before(async () => {
  dir = mkdtempSync(join(tmpdir(), "tidegate-plan-leader-"));
  postgres = await startPostgres();
});
after(async () => {
  await postgres.close();
  rmSync(dir, { recursive: true, force: true });
});

interface Stand {
  readonly planes: readonly [TestControlPlane, TestControlPlane];
  readonly loads: readonly Load[];
  /** Whether data has arrived, as the data system says it; and how often it was asked. */
  readonly data: { hasArrived: boolean; asked: number };
}

async function stand(t: TestContext): Promise<Stand> {
  await postgres.sql("DROP SCHEMA IF EXISTS tidegate CASCADE");
  const data = { hasArrived: false, asked: 0 };
  const server = createServer((request, response) => {
    data.asked++;
    request.resume();
    response.writeHead(data.hasArrived ? 200 : 202).end();
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  process.env.TIDEGATE_HOOK_SECRET = "nobody knows";
  const [unit, canary] = [await upstream(t), await upstream(t, "canary")];
  const fleet = fleetYaml({ hz: [unit], sh: [unit], sz: [unit] }).replace(/health: .*\n/, "health: none\n");
  const files = {
    "fleet.yaml": fleet.replace(/(sz: \{ stable: \[ [^\]]*\])/, `$1, canary: [ "${canary}" ]`),
    "routes.yaml": ROUTES,
    "plans/long.yaml": `summary: Acts, waits, moves.
owner: ann
steps:
  - { pin: before, unit: sz }
  - { wait: 2s }
  - { pin: between, unit: sz }
  - { move: 0-19, to: sz, batch: 10, catch-up: "http://${host}/caught-up", timeout: 60s }
  - { pin: behind, unit: sz }
`,
    "rollouts/next.yaml": `summary: a test
owner: ann
service: hall
waves: [ sz ]
steps: [ { share: 30%, bake: 8s }, { share: 100%, bake: 2s } ]
evidence: { samples: 20 }
promote: false
`,
  };
  const { privateKey, publicKey } = makeKeyPair();
  const [signing, snapshot] = [join(dir, "signing.pem"), join(dir, "snapshot.pem")];
  writeFileSync(signing, privateKey);
  writeFileSync(snapshot, publicKey);
  const args = ["--dev", "--database", postgres.url, "--signing-key", signing, "--hook-host", host];
  const planes = [
    await startControlPlane(t, files, args),
    await startControlPlane(t, undefined, args),
  ] as const;
  const gateways = await Promise.all(
    ["one", "two"].map((name, i) =>
      startGateway(t, undefined, [
        ...["--control-plane", [planes[i]!.url, planes[1 - i]!.url].join(","), "--name", name],
        ...["--state", join(planes[0].dir, `state-${name}`), "--snapshot-key", snapshot],
      ]),
    ),
  );
  await until(
    "both gateways are known",
    async () => (await planes[0].call("GET", "/v1/status")).body.convergence,
    (found) => found?.live === 2,
  );
  const loads = gateways.map(
    ({ port }) =>
      new Load({
        port,
        rate: 50,
        request: (n) => ({ path: "/cart/a", headers: { "x-user-id": `u${n % 400}` } }),
      }),
  );
  t.after(() => Promise.all(loads.map((one) => one.stop())));
  return { planes, loads, data };
}

type Record = {
  readonly state: string;
  readonly says?: string;
  readonly runs: { readonly [path: string]: { state: string; transfers?: { phase: string }[] } };
};

const found = (plane: TestControlPlane, id: string) => async (): Promise<Record | undefined> =>
  (await plane.call("GET", `/v1/executions/${id}`).catch(() => undefined))?.body;

/** Kills the leader where `when` says, and has the other one bring the plan to its end. */
async function killed(
  t: TestContext,
  { planes, loads, data }: Stand,
  when: (execution: Record | undefined) => boolean,
): Promise<void> {
  const [leader, other] = planes;
  const made = await leader.call("POST", "/v1/executions", { plan: "long", reason: "a test" });
  assert.equal(made.status, 201, JSON.stringify(made.body));
  const { id } = made.body;
  await until("the moment", found(leader, id), when, 20_000);
  const killedAt = performance.now();
  leader.process.kill("SIGKILL");
  await once(leader.process, "exit");
  setTimeout(() => {
    data.hasArrived = true;
  }, 4_000).unref();
  const done = await until(
    "the other one brings it to its end",
    found(other, id),
    (seen) => seen !== undefined && !["running", "paused"].includes(seen.state),
    60_000,
  );
  t.diagnostic(`it ended ${((performance.now() - killedAt) / 1000).toFixed(1)} s after the kill`);
  assert.equal(done?.state, "succeeded", JSON.stringify(done?.says));
  assert.ok(data.asked > 0);

  const { revisions } = (await other.call("GET", "/v1/revisions?limit=500")).body;
  const reasons = (revisions as { reason: string; cause: string }[])
    .filter(({ cause }) => cause === "overlay")
    .map(({ reason }) => reason)
    .reverse();
  const counts = Object.fromEntries(
    [...Map.groupBy(reasons, (reason) => reason)].map(([reason, all]) => [reason, all.length]),
  );
  // Of each batch, a fence and a switch.
  assert.deepEqual(Object.values(counts).sort(), [1, 1, 1, 4], JSON.stringify(reasons));
  const { overlays } = (await other.call("GET", "/v1/overlays")).body;
  const kinds = (overlays as { change: { kind: string } }[]).map(({ change }) => change.kind).sort();
  assert.deepEqual(kinds, ["move", "move", "pin", "pin", "pin"]);
  assert.equal((await other.call("GET", "/v1/audit/verification")).body.whole, true);
  await Promise.all(loads.map((one) => one.stop()));
  for (const one of loads) {
    assert.ok(one.answers.length > 100, `${one.answers.length} requests`);
    assert.deepEqual(one.failures, []);
  }
}

if (WHOLE) {
  test("its leader is killed while it waits: the other one goes on by itself, and no act is done twice", async (t) => {
    const made = await stand(t);
    await killed(t, made, (seen) => seen?.runs["2"]?.state === "running");
  });
}

test("its leader is killed while writes are held: the other one asks for the data again, and switches once", async (t) => {
  const made = await stand(t);
  await killed(t, made, (seen) => seen?.runs["4"]?.transfers?.[0]?.phase === "data");
});

test("its leader is killed while a canary bakes: its share stays, and grows on the other one", async (t) => {
  const { planes, loads } = await stand(t);
  const [leader, other] = planes;
  // Who bakes holds the canary against stable of the same seconds.
  await until(
    "figures",
    async () => (await leader.call("GET", "/v1/figures")).body.total?.requests ?? 0,
    (requests) => requests > 200,
    15_000,
  );
  const made = await leader.call("POST", "/v1/rollouts/next/start", { reason: "a test" });
  assert.equal(made.status, 201, JSON.stringify(made.body));
  const view = async (plane: TestControlPlane) =>
    (await plane.call("GET", "/v1/rollouts/next").catch(() => undefined))?.body;
  await until(
    "it bakes",
    () => view(leader),
    (seen) => seen?.units[0].share === 0.3 && seen.units[0].left !== null,
    20_000,
  );
  leader.process.kill("SIGKILL");
  await once(leader.process, "exit");
  const shares: number[] = [];
  const done = await until(
    "the other one brings it to its end",
    async () => {
      const seen = await view(other);
      const share = seen?.units[0].share;
      if (share !== undefined && shares.at(-1) !== share) shares.push(share);
      return seen?.execution;
    },
    (execution) => !["running", "paused"].includes(execution?.state ?? "running"),
    60_000,
  );
  assert.equal(done.state, "succeeded", JSON.stringify(done.says));
  assert.deepEqual(shares, [0.3, 1]);
  const { revisions } = (await other.call("GET", "/v1/revisions?limit=500")).body;
  const causes = (revisions as { cause: string }[]).map(({ cause }) => cause);
  assert.ok(causes.filter((cause) => cause === "overlay").length <= 4, `no act is done twice: ${causes}`);
  await Promise.all(loads.map((one) => one.stop()));
  for (const one of loads) assert.deepEqual(one.failures, []);
  // Who saw the canary went on seeing it.
  const users = new Map<string, string[]>();
  for (const { answers } of loads) {
    for (const { at, unit, request } of answers) {
      const user = request.headers!["x-user-id"]!;
      users.set(user, [...(users.get(user) ?? []), `${Math.floor(at)} ${unit}`]);
    }
  }
  let saw = 0;
  for (const [user, list] of users) {
    const seen = list
      .sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10))
      .map((one) => one.endsWith("canary"));
    const first = seen.indexOf(true);
    if (first === -1) continue;
    saw++;
    assert.ok(seen.slice(first).every(Boolean), `${user} went back and forth`);
  }
  assert.ok(saw > 50, `${saw} users saw it`);
});
