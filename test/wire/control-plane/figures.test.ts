/** What gateways counted, at a real control plane: each request once, and what nobody knows is no data. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import http from "node:http";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { startControlPlane, startFollower, type TestControlPlane } from "../../support/control-plane.ts";
import { fleetYaml, type TestGateway, until } from "../../support/gateway.ts";

/** Answers `/hall/STATUS` with that status, and `/hall/cut` with nothing. */
async function statuses(t: TestContext): Promise<string> {
  const server = http.createServer((request, response) => {
    const what = request.url!.split("/")[2]!;
    if (what === "cut") request.socket.destroy();
    else response.writeHead(Number(what) || 200).end("ok");
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as { port: number }).port}`;
}

async function files(t: TestContext): Promise<Record<string, string>> {
  const quiet = "    outlier: { consecutive: 0 }\n";
  const canary = await statuses(t);
  const fleet = fleetYaml(
    { hz: [await statuses(t)] },
    "",
    `${quiet}    canary: { header: { name: x-canary, value: "1" } }\n`,
  )
    .replace(/health: .*\n/, "health: none\n")
    .replace(/ \] \}\n$/, ` ], canary: [ "${canary}" ] }\n`);
  return {
    "fleet.yaml": fleet,
    "routes.yaml": `routes:
  - { name: hall, match: { path: /hall/* }, service: hall, scope: nearest, retry: { attempts: 1 } }
  - { name: soft, match: { path: /soft/* }, service: hall, scope: nearest, retry: { attempts: 1 }, fallback: { status: 200, body: soft } }
  - { name: tight, match: { path: /tight/* }, service: hall, scope: nearest, limits: [ few ] }
  - { name: own, match: { path: /own/* }, service: hall, scope: sharded }
limits:
  few: { rate: 1/h, burst: 2, by: [], scope: gateway }
`,
  };
}

async function ask(gateway: TestGateway, path: string, times = 1, headers = {}): Promise<number[]> {
  const got: number[] = [];
  for (let i = 0; i < times; i++) {
    const answer = await fetch(`${gateway.url}${path}`, { headers });
    await answer.text();
    got.push(answer.status);
  }
  return got;
}

const figures = async (plane: TestControlPlane, query = "window=10m") =>
  (await plane.call("GET", `/v1/figures?${query}`)).body;

/** Those that are not 0. */
const some = (outcomes: Record<string, number>): Record<string, number> =>
  Object.fromEntries(Object.entries(outcomes).filter(([, n]) => n > 0));

test("requests of known outcomes are counted once, by route, unit, version and outcome, within three seconds", async (t) => {
  const plane = await startControlPlane(t, await files(t));
  const nobody = await figures(plane);
  assert.deepEqual([nobody.total, nobody.coverage.live, nobody.coverage.share], [null, 0, null]);
  const gateways = await Promise.all(["one", "two"].map((name) => startFollower(t, plane, name)));
  const idle = await until(
    "two reports",
    () => figures(plane),
    (f) => f.coverage.reported === 2 && f.coverage.seconds > 1,
  );
  assert.deepEqual(
    [idle.total.requests, idle.total.rps, idle.total.successShare, idle.total.p99, idle.series],
    [0, 0, null, null, []],
  );
  for (const gateway of gateways) {
    await ask(gateway, "/hall/200", 7);
    await ask(gateway, "/hall/404", 2);
    await ask(gateway, "/hall/500", 3);
    await ask(gateway, "/hall/cut");
    await ask(gateway, "/hall/201", 4, { "x-canary": "1" });
    assert.deepEqual(await ask(gateway, "/soft/cut"), [200]);
    await ask(gateway, "/tight/200", 5);
    assert.deepEqual(await ask(gateway, "/own/200"), [400]);
  }
  const asked = performance.now();
  const seen = await until(
    "all requests",
    () => figures(plane),
    (f) => f.total.requests >= 48,
    3_000,
  );
  t.diagnostic(`all are counted ${(performance.now() - asked).toFixed(0)} ms after the last`);
  const expected = (f: typeof seen) =>
    assert.deepEqual(
      f.series.map((s: never) => {
        const { route, unit, version, outcomes } = s as Record<string, never>;
        return [route, unit, version, some(outcomes!)];
      }),
      [
        ["hall", "hz", "stable", { success: 14, clientError: 4, error: 8, retried: 2 }],
        ["hall", "hz", "canary", { success: 8 }],
        ["own", "", "stable", { refused: 2 }],
        ["soft", "hz", "stable", { fallback: 2, retried: 2 }],
        ["tight", "", "stable", { limited: 6 }],
        ["tight", "hz", "stable", { success: 4 }],
      ],
    );
  expected(seen);
  assert.equal(seen.total.requests, 48);
  assert.deepEqual(seen.limits, [{ limit: "few", limited: 6 }]);
  assert.deepEqual([seen.coverage.live, seen.coverage.reported, seen.coverage.silent], [2, 2, []]);
  const { p50, p99 } = seen.total;
  assert.ok(p50 > 0 && p50 <= p99 && p99 < 5_000, `${p50} ${p99}`);
  // Two more reports bring nothing new.
  await until(
    "more reports",
    () => figures(plane),
    (f) => f.coverage.seconds > seen.coverage.seconds + 2,
  );
  expected(await figures(plane));
  const hall = await figures(plane, "window=1h&route=hall&version=stable");
  assert.deepEqual([hall.total.requests, hall.total.errorShare], [26, 8 / 26]);
  assert.deepEqual([hall.total.successShare, hall.series.length], [14 / 26, 1]);
  const own = await figures(plane, "route=own&unit=hz");
  assert.deepEqual([own.total.requests, own.total.errorShare], [0, null]);
  assert.equal((await plane.call("GET", "/v1/figures?route=nothing")).status, 404);
  assert.equal((await plane.call("GET", "/v1/figures?window=2m")).status, 400);
  const cli = join(import.meta.dirname, "../../../cli/tidegate.mjs");
  const shown = spawnSync(process.execPath, [cli, "figures", "--window", "10m"], {
    env: { ...process.env, TIDEGATE_CONTROL_PLANE: plane.url, NO_COLOR: "1" },
    encoding: "utf8",
  });
  assert.equal(shown.status, 0, shown.stderr);
  assert.match(shown.stdout, /2 of 2 gateways reported/);
  assert.match(shown.stdout, /hall +│ hz +│ stable +│ 26 .* 53\.84 % +│ 30\.76 %/);
  // Who is stopped says what it counted until the end.
  const [one, two] = gateways;
  await ask(one!, "/hall/200", 2);
  assert.equal(await one!.stop("SIGTERM"), 0);
  assert.equal((await figures(plane)).total.requests, 50);
  await two!.stop("SIGKILL");
  const gone = await until(
    "no gateway",
    () => figures(plane),
    (f) => f.coverage.live === 0,
  );
  assert.deepEqual([gone.coverage.reported, gone.coverage.share, gone.total.requests], [0, null, 50]);
});

test("a control plane that was killed guesses nothing: what was counted before is no data, what comes since is whole", async (t) => {
  const plane = await startControlPlane(t, await files(t));
  const gateway = await startFollower(t, plane, "one");
  await ask(gateway, "/hall/200", 11);
  const known = (requests: number) => (f: Awaited<ReturnType<typeof figures>>) =>
    f.total !== null && f.total.requests >= requests;
  const before = await until("eleven", () => figures(plane), known(11));
  // What was counted is acknowledged, too.
  await until(
    "a report more",
    () => figures(plane),
    (f) => f.coverage.seconds > before.coverage.seconds + 0.5,
  );
  await plane.stop("SIGKILL");
  await ask(gateway, "/hall/500", 5);
  await plane.start();
  const back = await figures(plane);
  if (back.total !== null) assert.ok(back.total.requests < 6, "nothing of what the first one had");
  await ask(gateway, "/hall/200", 3);
  const seen = await until("five and three", () => figures(plane), known(8));
  assert.deepEqual(some(seen.total.outcomes), { success: 3, error: 5 });
  assert.ok(seen.coverage.seconds < 60 && seen.coverage.share < 0.2, JSON.stringify(seen.coverage));
  await until(
    "more reports",
    () => figures(plane),
    (f) => f.coverage.seconds > seen.coverage.seconds + 2,
  );
  assert.equal((await figures(plane)).total.requests, 8);
  // A gateway that is another one now is counted on from there.
  await gateway.stop("SIGKILL");
  const again = await startFollower(t, plane, "one");
  await ask(again, "/hall/200", 2);
  await until("ten", () => figures(plane), known(10));
  assert.equal((await figures(plane)).total.requests, 10);
});

test("what is not as it should be is in the status: a pool without endpoints, a breaker that is forced", async (t) => {
  const given = await files(t);
  const fleet = given["fleet.yaml"]!.replace(/stable: \[ /, 'stable: [ "http://127.0.0.1:1", ');
  const plane = await startControlPlane(t, {
    ...given,
    "fleet.yaml": fleet.replace("health: none", "health: { kind: tcp, interval: 100ms }"),
    "routes.yaml": given["routes.yaml"]!.replace(
      "retry: { attempts: 1 } }",
      "retry: { attempts: 1 }, breaker: { errors: 50%, volume: 20, window: 10s, open: 5s } }",
    ),
  });
  assert.equal((await plane.call("GET", "/v1/status")).body.views, null);
  const gateway = await startFollower(t, plane, "one");
  const forced = await gateway.admin("/breakers/hall/hz", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ state: "open", for: "1m", reason: "a test" }),
  });
  assert.equal(forced.status, 200, await forced.text());
  const { views } = await until(
    "both",
    async () => (await plane.call("GET", "/v1/status")).body,
    (status) => status.views?.pools.length === 1 && status.views.breakers.length === 1,
  );
  const where = { service: "hall", unit: "hz", seenBy: 1 };
  assert.deepEqual(views.pools, [{ ...where, version: "stable", usable: 1, total: 2 }]);
  assert.deepEqual(views.breakers, [{ ...where, state: "closed", forced: "open" }]);
  const known = (await plane.call("GET", "/v1/gateways")).body.gateways[0];
  assert.equal(known.report.slice, undefined, "what was counted is not kept with how things stand");
});
