/** Plans rehearsed for real on few: on a share of the users, and on stress traffic that stands in for them. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { type TestContext, test } from "node:test";
import { startControlPlane, startFollower, type TestControlPlane } from "../../support/control-plane.ts";
import { fleetYaml, ROUTES, type TestGateway, until } from "../../support/gateway.ts";
import { namedUnit } from "../../support/named-unit.ts";

const CLI = new URL("../../../cli/tidegate.mjs", import.meta.url).pathname;

const LEAVE = `summary: Nobody's reads go to a unit.
owner: ann
parameters: { unit: { type: unit, default: sh } }
steps:
  - { drain: "\${unit}", ramp: 0s }
  - { evacuate: "\${unit}", to: hz }
  - { degrade: hall }
`;

interface Stand {
  readonly plane: TestControlPlane;
  readonly gateway: TestGateway;
  /** Asks for the carts of so many users. @returns unit → users */
  readonly ask: (headers?: Record<string, string>, method?: string) => Promise<Map<string, Set<string>>>;
}

async function stand(t: TestContext): Promise<Stand> {
  const units = {
    hz: [await namedUnit(t, "hz")],
    sh: [await namedUnit(t, "sh")],
    sz: [await namedUnit(t, "sz")],
  };
  const plane = await startControlPlane(t, {
    "fleet.yaml": fleetYaml(units).replace(/health: .*\n/, "health: none\n"),
    "routes.yaml": ROUTES.replace(
      "scope: nearest",
      "scope: nearest\n    fallback: { status: 200, file: closed.html }",
    ),
    "closed.html": "closed",
    "plans/leave.yaml": LEAVE,
    "plans/call.yaml":
      'summary: s\nowner: o\nsteps: [ { gate: "gateways >= 9", timeout: 1s }, { drain: sh } ]\n',
  });
  const gateway = await startFollower(t, plane, "one");
  const ask = async (headers: Record<string, string> = {}, method = "GET") => {
    const served = new Map<string, Set<string>>();
    let next = 0;
    // A few at a time: what a cold unit may have at once is not what is looked at.
    const client = async (): Promise<void> => {
      while (next < 300) {
        const user = `u${next++}`;
        const answer = await fetch(`${gateway.url}/cart/a`, {
          method,
          headers: { ...headers, "x-user-id": user },
        });
        const name = await answer.text();
        served.set(name, (served.get(name) ?? new Set()).add(user));
      }
    };
    await Promise.all([client(), client(), client(), client()]);
    for (const [name, users] of served) served.set(name, new Set([...users].sort()));
    return served;
  };
  return { plane, gateway, ask };
}

const rehearse = (plane: TestControlPlane, body: object, plan = "leave") =>
  plane.call("POST", `/v1/plans/${plan}/rehearse`, { reason: "a test", ...body });

const state = (plane: TestControlPlane, id: string) => async (): Promise<string> =>
  (await plane.call("GET", `/v1/executions/${id}`)).body.state;

test("on a share of the users: theirs move, everybody else's stay, and it takes itself back and files what came of it", async (t) => {
  const { plane, gateway, ask } = await stand(t);
  const before = await ask();
  const own = before.get("sh")!;
  const started = await rehearse(plane, { on: "30%", for: "10m" });
  assert.equal(started.status, 201, JSON.stringify(started.body));
  const { id } = started.body;
  await until("it went through", state(plane, id), (is) => is === "succeeded", 15_000);
  const during = await ask();
  const stayed = during.get("sh")!;
  assert.ok(stayed.size > own.size * 0.5 && stayed.size < own.size * 0.9, `${stayed.size} of ${own.size}`);
  for (const user of stayed) assert.ok(own.has(user), user);
  for (const name of ["hz", "sz"]) {
    for (const user of before.get(name)!) assert.ok(during.get(name)!.has(user), `${user} of ${name} moved`);
  }
  assert.deepEqual(await ask({}, "POST"), before, "nobody's writes move");
  const { overlays } = (await plane.call("GET", "/v1/overlays")).body;
  assert.deepEqual(
    overlays.map(({ does }: { does: string }) => does),
    [
      "drain sh, for 30 % of the users alone (a rehearsal)",
      "degrade hall, for 30 % of the users alone (a rehearsal)",
    ],
  );
  const hall = await Promise.all(
    [...own].map(async (user) => {
      const answer = await fetch(`${gateway.url}/hall/a`, { headers: { "x-user-id": user } });
      return [user, await answer.text()] as const;
    }),
  );
  const degraded = new Set(hall.filter(([, text]) => text === "closed").map(([user]) => user));
  assert.deepEqual(degraded, new Set([...own].filter((user) => !stayed.has(user))), "the same users");
  const second = await rehearse(plane, { on: "10%" });
  assert.equal(second.status, 409, JSON.stringify(second.body));
  await until(
    "their figures are here",
    async () => (await plane.call("GET", "/v1/figures?window=10s&version=canary")).body.total?.requests ?? 0,
    (requests) => requests > 0,
    8_000,
  );
  const back = await plane.call("POST", `/v1/executions/${id}/revert`, { reason: "seen" });
  assert.equal(back.status, 200, JSON.stringify(back.body));
  await until("it is taken back", state(plane, id), (is) => is === "reverted", 15_000);
  const { proof } = (await plane.call("GET", `/v1/executions/${id}`)).body;
  assert.equal(proof.effective, proof.without);
  await until("everybody is where they were", ask, (served) => served.get("sh")?.size === own.size, 5_000);
  const report = (await plane.call("GET", "/v1/plans/leave/rehearsal")).body;
  assert.deepEqual(
    [report.manner, report.on, report.outcome, report.reverted, report.values.unit],
    ["traffic", "30 % of the users", "succeeded", "reverted", "sh"],
  );
  assert.deepEqual(
    report.steps.map(({ state: is }: { state: string }) => is),
    ["done", "done", "done"],
  );
  assert.match(report.assumed[0], /evacuate .*left out: users' data would have to move with them/);
  assert.ok(report.tried.requests > 0, JSON.stringify(report.tried));
  assert.equal(report.tried.errors, 0);
  const { rehearsed } = (await plane.call("GET", "/v1/plans")).body.plans.find(
    ({ name }: { name: string }) => name === "leave",
  );
  assert.deepEqual([rehearsed.manner, rehearsed.changed], ["traffic", false]);
});

test("on stress traffic: it goes where users would go, and users notice nothing", async (t) => {
  const { plane, ask } = await stand(t);
  const before = await ask();
  const minted = await plane.call("POST", "/v1/stress-marks", {
    ...{ unit: "sz", run: "evening-1", ttl: "10m", reason: "a test" },
  });
  const marked = { "x-tidegate-stress": minted.body.mark as string };
  assert.deepEqual([...(await ask(marked)).keys()], ["sz"], "a mark names its unit");
  const child = new Promise<{ code: number; out: string }>((resolve) => {
    const args = [
      "plan",
      "rehearse",
      "leave",
      "--on",
      "evening-1",
      "--for",
      "3s",
      "--control-plane",
      plane.url,
    ];
    execFile(CLI, args, { env: { ...process.env, NO_COLOR: "1" } }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), out: `${stdout}${stderr}` });
    });
  });
  await until(
    "marked requests are drained",
    () => ask(marked),
    (served) => !served.has("sh") && served.has("hz") && served.has("sz"),
    15_000,
  );
  assert.deepEqual(await ask(), before);
  const writes = await ask(marked, "POST");
  assert.deepEqual([...writes.keys()].sort(), ["hz", "sz"], "what is evacuated is written elsewhere");
  assert.deepEqual(writes.get("sz"), before.get("sz"));
  assert.deepEqual(await ask({}, "POST"), before);
  const { code, out } = await child;
  assert.equal(code, 0, out);
  assert.match(out, /leave, rehearsed by .*: succeeded, then reverted/);
  assert.match(out, /on the stress traffic of run evening-1/);
  assert.doesNotMatch(out, /left out/);
  assert.deepEqual([...(await ask(marked)).keys()], ["sz"]);
});

test("what cannot be rehearsed is refused, and what fails is taken back and said", async (t) => {
  const { plane } = await stand(t);
  for (const [body, expected] of [
    [{ on: "60%" }, /up to 50%/],
    [{ on: "0%" }, /up to 50%/],
    [{ on: "1%", for: "2h" }, /from 1s to 1h/],
    [{ on: "a b" }, /on/],
  ] as const) {
    const { status, body: said } = await rehearse(plane, body);
    assert.equal(status, 400, JSON.stringify(said));
    assert.match(JSON.stringify(said), expected);
  }
  assert.equal((await rehearse(plane, { on: "1%" }, "none")).status, 404);
  const { body } = await rehearse(plane, { on: "1%" }, "call");
  await until("it is taken back", state(plane, body.id), (is) => is === "reverted", 15_000);
  const report = (await plane.call("GET", "/v1/plans/call/rehearsal")).body;
  assert.equal(report.outcome, "failed");
  assert.match(report.says, /not in time: gateways/);
});
