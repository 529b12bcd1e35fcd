/** `tidegate store`: copies of what a control plane keeps, and another place for it. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { startControlPlane } from "../support/control-plane.ts";
import { fleetYaml } from "../support/gateway.ts";

const FILES = {
  "fleet.yaml": fleetYaml({ hz: ["http://127.0.0.1:1"] }),
  "routes.yaml": "routes:\n  - { name: hall, match: { path: /* }, service: hall, scope: nearest }\n",
};

function run(...args: string[]) {
  const result = spawnSync(
    process.execPath,
    [join(import.meta.dirname, "../../cli/tidegate.mjs"), "store", ...args],
    {
      encoding: "utf8",
      timeout: 30_000,
    },
  );
  return { code: result.status, out: result.stdout, err: result.stderr };
}

test("a backup of a control plane that runs starts another, with everything but its later changes", async (t) => {
  const plane = await startControlPlane(t, FILES);
  const pin = { kind: "pin", key: "qa", unit: "hz", reason: "a test" };
  assert.equal((await plane.call("POST", "/v1/overlays", pin)).status, 201);
  const file = join(plane.dir, "backup.db");
  const { code, out } = run("backup", file, "--data", plane.data);
  assert.equal(code, 0);
  assert.match(out, /is backed up in .*backup\.db/);
  assert.equal(statSync(file).mode & 0o077, 0, "nobody else may read it");
  assert.equal((await plane.call("DELETE", "/v1/overlays/ov-2?reason=later")).status, 200);
  await plane.stop();
  for (const name of readdirSync(plane.data).filter((n) => n.startsWith("tidegate.db"))) {
    renameSync(join(plane.data, name), join(plane.dir, `old-${name}`));
  }
  renameSync(file, join(plane.data, "tidegate.db"));
  await plane.start();
  const { revision, overlays } = (await plane.call("GET", "/v1/status")).body;
  assert.equal(revision.number, 2);
  assert.equal(overlays[0].does, "key qa to hz");
  assert.equal((await plane.call("GET", "/v1/audit/verification")).body.whole, true);
});

test("a move keeps everything, and its epochs begin above the one that it is told", async (t) => {
  const plane = await startControlPlane(t, FILES);
  const before = (await plane.call("GET", "/v1/revisions")).body;
  await plane.stop();
  const old = `${plane.data}-old`;
  renameSync(plane.data, old);
  mkdirSync(plane.data);
  const { code, out, err } = run("move", "--data", old, "--to-data", plane.data, "--epoch", "41");
  assert.equal(code, 0, err);
  assert.match(out, /is copied to .*: 1 revisions, /);
  await plane.start();
  assert.deepEqual((await plane.call("GET", "/v1/revisions")).body, before);
  assert.equal((await plane.call("GET", "/v1/status")).body.epoch, 42);
});

test("what cannot be done is said in a sentence", async (t) => {
  const plane = await startControlPlane(t, FILES);
  const there = join(plane.dir, "config", "fleet.yaml");
  const cases: [string[], number, RegExp][] = [
    [
      ["backup", "x.db", "--data", "/nowhere"],
      1,
      /there is no \/nowhere\/tidegate\.db; say where it is with --data/,
    ],
    [["backup", there, "--data", plane.data], 1, /is there already; expected a new file/],
    [["move", "--data", plane.data], 2, /expected either --to-data or --to-database/],
    [["move", "--data", plane.data, "--to-data", plane.data], 1, /empty/],
    [["backup", "x.db", "--database", "mysql://x"], 2, /--database .* is no URL such as postgres:/],
  ];
  for (const [args, code, message] of cases) {
    const result = run(...args);
    assert.equal(result.code, code, `${args.join(" ")}: ${result.err}`);
    assert.match(result.err, message);
  }
});
