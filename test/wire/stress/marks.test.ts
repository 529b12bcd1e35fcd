/** Marks that a control plane mints, and those of a key of one's own; and what the fleet's figures say of both traffics. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { readMark, STRESS_HEADER } from "../../../model/stress-mark.ts";
import { startControlPlane, startFollower, type TestControlPlane } from "../../support/control-plane.ts";
import { startGateway, until, writeFiles } from "../../support/gateway.ts";
import { filesOf, marked, scriptedUnits, statuses, tally, tell, websocket } from "./support.ts";

const CLI = new URL("../../../cli/tidegate.mjs", import.meta.url).pathname;

function tidegate(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(CLI, args, { timeout: 30_000 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

const mint = (plane: TestControlPlane, changes: object = {}, headers: Record<string, string> = {}) =>
  plane.call(
    "POST",
    "/v1/stress-marks",
    { unit: "sh", run: "evening-1", ttl: "10m", reason: "a test", ...changes },
    headers,
  );

const figures = async (plane: TestControlPlane, query: string) =>
  (await plane.call("GET", `/v1/figures?window=10m&${query}`)).body;

test("a control plane mints marks that its gateways take; figures of users know nothing of them", async (t) => {
  const units = await scriptedUnits(t);
  const plane = await startControlPlane(t, { ...filesOf(units), "gateway.yaml": "" });
  const gateway = await startFollower(t, plane, "one");
  const { status, body } = await mint(plane, { rate: 500 });
  assert.equal(status, 201);
  assert.deepEqual([body.header, body.unit, body.run, body.rate], [STRESS_HEADER, "sh", "evening-1", 500]);
  const read = readMark(body.mark)!;
  assert.deepEqual([read.unit, read.run, read.rate, read.fleet], ["sh", "evening-1", 500, "test"]);
  assert.equal(read.expires, body.expiresAt);
  assert.ok(read.expires - Date.now() > 590_000 && read.expires - Date.now() <= 600_000);

  units.sh.answer = (_request, response) => {
    response.statusCode = 500;
    response.end();
  };
  assert.deepEqual(tally(await statuses(30, () => marked(gateway, "/hall/1", body.mark))), { 500: 30 });
  assert.deepEqual(tally(await statuses(7, () => tell(gateway, "/hall/1"))), { 200: 7 });
  const users = await until(
    "users' figures are here",
    () => figures(plane, ""),
    ({ total }) => total?.requests >= 7,
  );
  assert.deepEqual([users.traffic, users.total.requests, users.total.errorShare], ["users", 7, 0]);
  assert.deepEqual(
    users.series.map((s: { unit: string }) => s.unit),
    ["hz"],
  );
  const stress = await until(
    "and those of stress traffic",
    () => figures(plane, "traffic=stress"),
    ({ total }) => total?.requests >= 30,
  );
  assert.deepEqual([stress.traffic, stress.total.requests, stress.total.errorShare], ["stress", 30, 1]);
  assert.deepEqual(
    stress.series.map(({ route, unit, version }: Record<string, string>) => [route, unit, version]),
    [["hall", "sh", "stable"]],
  );
  assert.equal((await figures(plane, "unit=sh")).total.requests, 0, "of the unit, too");
  assert.equal((await plane.call("GET", "/v1/figures?traffic=all")).status, 400);

  const { entries } = (await plane.call("GET", "/v1/audit?limit=100")).body;
  const entry = entries.find(({ action }: { action: string }) => action === "stress.mark");
  assert.deepEqual([entry.target, entry.reason], ["sh", "a test"]);
  assert.ok(!JSON.stringify(entries).includes(body.mark.slice(-40)), "the log keeps no mark");
});

test("what may be asked for is checked; a command that is sent again mints nothing", async (t) => {
  const units = await scriptedUnits(t);
  const plane = await startControlPlane(t, filesOf(units));
  for (const [wrong, expected] of [
    [{ unit: "gz" }, 404],
    [{ unit: undefined }, 400],
    [{ ttl: "61m" }, 400],
    [{ ttl: "10ms" }, 400],
    [{ ttl: "soon" }, 400],
    [{ rate: 0 }, 400],
    [{ rate: 1.5 }, 400],
    [{ rate: "2000/s" }, 400],
    [{ run: "a;unit=hz" }, 400],
    [{ run: "" }, 400],
    [{ fleet: "other" }, 400],
    [{ reason: "" }, 400],
  ] as const) {
    const { status, body } = await mint(plane, wrong);
    assert.deepEqual([status, typeof body.title], [expected, "string"], JSON.stringify(wrong));
  }
  assert.equal((await mint(plane, { ttl: "1h" })).status, 201);
  const key = { "idempotency-key": "one" };
  assert.equal((await mint(plane, {}, key)).status, 201);
  const again = await mint(plane, {}, key);
  assert.equal(again.status, 409);
  assert.match(again.body.title, /mint another/);
});

test("a run of marks that were minted by hand is stopped by its name, its WebSockets, too", async (t) => {
  const units = await scriptedUnits(t);
  const plane = await startControlPlane(t, { ...filesOf(units), "gateway.yaml": "" });
  const gateway = await startFollower(t, plane, "one");
  const { mark } = (await mint(plane)).body;
  const { mark: other } = (await mint(plane, { run: "evening-2" })).body;
  units.sh.upgrades();
  const [stopped, stays] = [await websocket(gateway.port, mark), await websocket(gateway.port, other)];
  assert.equal((await marked(gateway, "/hall/1", mark)).status, 200);
  for (const run of ["sr-1", "sr-99"]) {
    const registered = await plane.call("POST", `/v1/stress-marks/${run}/stop`, { reason: "a test" });
    assert.equal(registered.status, 400, JSON.stringify(registered.body));
  }
  const said = await tidegate(
    "stress",
    "stop",
    "evening-1",
    "--reason",
    "enough",
    "--control-plane",
    plane.url,
  );
  assert.equal(said.code, 0, said.stderr);
  assert.match(said.stdout, /marks of run evening-1 count no longer/);
  await until(
    "its marks are refused",
    () => marked(gateway, "/hall/1", mark),
    ({ status }) => status === 403,
    5_000,
  );
  await until("its WebSocket is closed", async () => stopped.closed, Boolean, 5_000);
  assert.equal(stays.closed, false);
  assert.equal((await marked(gateway, "/hall/1", other)).status, 200);
  // Said twice is said.
  const again = await plane.call("POST", "/v1/stress-marks/evening-1/stop", { reason: "a test" });
  assert.equal(again.status, 200, JSON.stringify(again.body));
  const { overlays } = (await plane.call("GET", "/v1/overlays")).body;
  assert.deepEqual(
    overlays.map(({ does }: { does: string }) => does),
    ["stop stress run evening-1"],
  );
});

test("tidegate stress mark prints a mark that works, and nothing else", async (t) => {
  const units = await scriptedUnits(t);
  const plane = await startControlPlane(t, { ...filesOf(units), "gateway.yaml": "" });
  const gateway = await startFollower(t, plane, "one");
  const made = await tidegate(
    "stress",
    "mark",
    "--unit",
    "sh",
    "--for",
    "5m",
    "--rate",
    "100/s",
    "--control-plane",
    plane.url,
  );
  assert.equal(made.code, 0, made.stderr);
  assert.match(
    made.stderr,
    /for unit sh, run manual, until .*, at most 100 requests a second at each gateway/,
  );
  assert.equal((await marked(gateway, "/hall/1", made.stdout.trim())).status, 200);
  assert.equal(units.sh.stressed.length, 1);
  const wrong = await tidegate("stress", "mark", "--unit", "gz", "--control-plane", plane.url);
  assert.deepEqual([wrong.code, wrong.stdout], [1, ""]);
  assert.match(wrong.stderr, /there is no unit gz/);
});

function directory(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "tidegate-stress-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

test("without a control plane: a key pair, its public half in gateway.yaml, and marks signed by hand", async (t) => {
  const units = await scriptedUnits(t);
  const dir = directory(t);
  const key = join(dir, "stress-key.pem");
  const made = await tidegate("stress", "key", "--out", key);
  assert.equal(made.code, 0, made.stderr);
  assert.equal(statSync(key).mode & 0o777, 0o600);
  const files = { ...filesOf(units), "gateway.yaml": made.stdout };
  const config = join(dir, "config");
  writeFiles(config, files);
  const gateway = await startGateway(t, files);
  const sign = (...more: string[]) =>
    tidegate("stress", "mark", "--unit", "sh", "--key", key, "--config", config, ...more);
  const signed = await sign("--json");
  assert.equal(signed.code, 0, signed.stderr);
  const minted = JSON.parse(signed.stdout) as { header: string; mark: string };
  assert.equal((await marked(gateway, "/hall/1", minted.mark)).status, 200);
  assert.equal(units.sh.stressed.length, 1);

  const before = readFileSync(key, "utf8");
  assert.equal((await tidegate("stress", "key", "--out", key)).code, 1, "a key is not overwritten");
  assert.equal(readFileSync(key, "utf8"), before);
  for (const [more, code, said] of [
    [["--unit", "gz"], 1, /there is no unit gz/],
    [["--for", "2h"], 2, /expected a duration from 1s to 1h/],
    [["--rate", "0.5/s"], 2, /expected whole requests per second/],
    [["--run", "Evening 1"], 2, /--run is Evening 1/],
    [["--key", join(dir, "none.pem")], 1, /cannot sign with/],
  ] as const) {
    const answer = await sign(...more);
    assert.equal(answer.code, code, more.join(" "));
    assert.match(answer.stderr, said);
  }
  writeFiles(config, { "gateway.yaml": "" });
  assert.match((await sign()).stderr, /does not name this key: stress: \{ keys/);
});
