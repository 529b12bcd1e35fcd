/** A forecast against a live control plane: its safety rule, its check, and dry runs at another load and by a log. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { slotOf } from "../../../model/hash.ts";
import { startControlPlane, type TestControlPlane } from "../../support/control-plane.ts";

const FLEET = `fleet: test
regions: { r: {} }
units:
  hz: { region: r, center: true, capacity: 1000rps }
  sh: { region: r, capacity: 1000rps, failover: [sz, hz] }
  sz: { region: r, capacity: 1000rps }
placement: { key: [ { query: uid } ], slots: 100, map: { hz: 0-49, sh: 50-79, sz: 80-99 } }
services:
  hall: { health: { path: /healthz }, pools: { hz: { stable: [ "http://127.0.0.1:1" ] }, sh: { stable: [ "http://127.0.0.1:2" ] }, sz: { stable: [ "http://127.0.0.1:3" ] } } }
`;
const ROUTES = `routes:
  - { name: cart, match: { path: /cart/*, methods: [GET] }, service: hall, scope: sharded, failover: reads }
`;
const PLAN = `summary: Leaves sh.
owner: ann
steps: [ { evacuate: sh, to: sz } ]
`;
const MINUTE = 60_000;

/** By the hour from the last full one on. */
function forecastCsv(...rps: number[]): string {
  const hour = Math.floor(Date.now() / (60 * MINUTE)) * 60 * MINUTE;
  const rows = rps.map((rate, i) => `${timeOf(hour + i * 60 * MINUTE)},cart,${rate}\n`);
  return `time,route,rps\n${rows.join("")}`;
}

function timeOf(at: number): string {
  return `${new Date(at).toISOString().slice(0, 16)}Z`;
}

function files(forecast: string, rule = "{ capacity: 100%, losing: none, load: forecast, within: 90m }") {
  return {
    ...{ "fleet.yaml": FLEET, "routes.yaml": ROUTES, "forecast.csv": forecast, "plans/leave-sh.yaml": PLAN },
    "safety.yaml": `rules: { night: ${rule} }\n`,
  };
}

async function tidegate(plane: TestControlPlane, ...args: string[]) {
  const cli = join(import.meta.dirname, "../../../cli/tidegate.mjs");
  const child = spawn(process.execPath, [cli, ...args], {
    env: { ...process.env, TIDEGATE_CONTROL_PLANE: plane.url, NO_COLOR: "1" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const said = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].on("data", (chunk) => {
      said[name] += chunk;
    });
  }
  const [code] = await once(child, "close");
  return { code: code as number, ...said };
}

test("a change is held against what is expected in the next hours, and not against what comes later", async (t) => {
  const plane = await startControlPlane(t, files(forecastCsv(500, 1_900, 1_900, 1_900, 9_000)));
  const drain = await tidegate(plane, "drain", "sh", "--reason", "a test");
  assert.equal(drain.code, 0, drain.stderr + drain.stdout);
  assert.equal((await tidegate(plane, "undrain", "sh", "--reason", "a test")).code, 0);

  const apply = async (forecast: string | undefined) => {
    const { "forecast.csv": _, ...others } = files("");
    const given = forecast === undefined ? others : files(forecast);
    return await plane.call("PUT", "/v1/config", { files: given, reason: "another forecast" });
  };
  assert.equal((await apply(forecastCsv(500, 2_100, 2_100, 2_100))).status, 200);
  const refused = await tidegate(plane, "drain", "sh", "--reason", "a test");
  assert.equal(refused.code, 1);
  assert.match(
    refused.stderr,
    /night: 2000 requests\/s would remain; 2100 requests\/s are needed \(100 % of 2100 requests\/s, the most that is expected until .*Z\)/,
  );
  const wrong = await apply("time,route,rps\n2026-11-11T00:00Z,carts,1\n");
  assert.equal(wrong.status, 422);
  assert.match(JSON.stringify(wrong.body.problems), /forecast\.csv:2:19: unknown-route/);
  assert.equal((await apply(undefined)).status, 200);
  const none = await tidegate(plane, "drain", "sh", "--reason", "a test");
  assert.match(none.stderr, /there is no forecast of the load until .*apply a forecast\.csv/);
});

test("the check goes by what holds now, overlays and all", async (t) => {
  const plane = await startControlPlane(t, files(forecastCsv(1_000, 1_100), "{ drained: 2 }"));
  const check = async () => {
    const { code, stdout } = await tidegate(plane, "forecast", "check", "--json");
    const { units, holds } = JSON.parse(stdout) as {
      holds: boolean;
      units: { unit: string; peak: { rps: number } }[];
    };
    return {
      code,
      holds,
      rps: Object.fromEntries(units.map(({ unit, peak }) => [unit, Math.round(peak.rps)])),
    };
  };
  assert.deepEqual(await check(), { code: 0, holds: true, rps: { hz: 550, sh: 330, sz: 220 } });
  assert.equal((await tidegate(plane, "drain", "hz", "--reason", "a test", "--ramp", "0s")).code, 0);
  assert.deepEqual(await check(), { code: 0, holds: true, rps: { hz: 0, sh: 880, sz: 220 } });
  assert.equal((await tidegate(plane, "drain", "sz", "--reason", "a test", "--ramp", "0s")).code, 0);
  // Its own users are shed there beside those who come, while who comes may go back to a unit that is only drained.
  assert.deepEqual(await check(), { code: 1, holds: false, rps: { hz: 0, sh: 1_100, sz: 0 } });
});

test("a dry run at a forecast's peak, or one of its minutes, asks whether it would hold then", async (t) => {
  const plane = await startControlPlane(t, files(forecastCsv(1_000, 2_400), "{ drained: 2 }"));
  const file = join(plane.dir, "night.csv");
  writeFileSync(file, forecastCsv(1_000, 2_400));
  const peak = await tidegate(plane, "plan", "dry-run", "leave-sh", "--at", file, "--json");
  assert.equal(peak.code, 1);
  const lines = peak.stdout.split("\n}\n");
  const run = JSON.parse(`${lines[0]}\n}`);
  assert.deepEqual(
    [run.before.units, run.steps[0].load.units].map((units) =>
      units.map((unit: { rps: number }) => Math.round(unit.rps)),
    ),
    [
      [1_200, 720, 480],
      [1_200, 0, 1_200],
    ],
  );
  assert.equal(
    "config" in run || "routing" in run,
    false,
    "what decides is sent only to whoever asks for it",
  );
  const text = await tidegate(plane, "plan", "dry-run", "leave-sh", "--at", file);
  assert.match(text.stderr, /sz does not bear its load/);
  const hour = Math.floor(Date.now() / (60 * MINUTE)) * 60 * MINUTE;
  const calm = await tidegate(
    plane,
    "plan",
    "dry-run",
    "leave-sh",
    "--at",
    `${file}@${timeOf(hour + 5 * MINUTE)}`,
  );
  assert.equal(calm.code, 0, calm.stderr);
  const [never, broken] = [
    await tidegate(plane, "plan", "dry-run", "leave-sh", "--at", `${file}@2001-01-01T00:00Z`),
    await tidegate(plane, "plan", "dry-run", "leave-sh", "--at", "3"),
  ];
  assert.match(never.stderr, /says nothing of 2001-01-01T00:00Z/);
  assert.match(broken.stderr, /3 cannot be read/);
  writeFileSync(file, "time,route,rps\n2026-11-11T00:00Z,hall,1\n");
  const unknown = await tidegate(plane, "plan", "dry-run", "leave-sh", "--at", file);
  assert.match(unknown.stderr, /night\.csv:2:19: unknown-route: there is no route `hall`/);
});

test("a dry run by a log says which users move and what each unit would carry", async (t) => {
  const plane = await startControlPlane(t, files(forecastCsv(1), "{ drained: 2 }"));
  const log = join(plane.dir, "access.log");
  const users = Array.from({ length: 400 }, (_, i) => `u${i}`);
  const movers = users.filter((user) => slotOf(user, 100) >= 50 && slotOf(user, 100) < 80);
  const lines = users.flatMap((user, i) => {
    const second = `${i % 60}`.padStart(2, "0");
    const line = `192.0.2.1 - - [11/Nov/2026:00:00:${second} +0800] "GET /cart/1?uid=${user} HTTP/1.1" 200 1 "-" "-"`;
    return [line, line];
  });
  writeFileSync(log, `${lines.join("\n")}\nthe log was rotated here\n`);
  const text = await tidegate(plane, "plan", "dry-run", "leave-sh", "--replay", log);
  assert.match(
    text.stdout,
    new RegExp(
      `${movers.length} of 400 users would move \\(.* %\\), and ${movers.length * 2} of their requests`,
    ),
  );
  assert.match(
    text.stdout,
    /1 of 801 lines are no line of a log and were left out; such as\n {2}801: the log was rotated here/,
  );
  const { stdout } = await tidegate(plane, "plan", "dry-run", "leave-sh", "--replay", log, "--json");
  const { replayed } = JSON.parse(stdout);
  assert.deepEqual(replayed.moved.ways, [{ from: "sh", to: "sz", requests: movers.length * 2 }]);
  const [hz, sh, sz] = replayed.units as { before: number; after: number }[];
  assert.deepEqual(
    [hz!.before, sh!.before, sh!.after, sz!.after - sz!.before],
    [hz!.after, movers.length * 2, 0, movers.length * 2],
  );
  writeFileSync(log, "nothing\nof use\n");
  const garbage = await tidegate(plane, "plan", "dry-run", "leave-sh", "--replay", log);
  assert.equal(garbage.code, 1);
  assert.match(garbage.stderr, /has no request that could be replayed in 2 lines; line 1 begins "nothing"/);
});
