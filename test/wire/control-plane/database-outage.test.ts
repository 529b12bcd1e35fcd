/** PostgreSQL that answers nothing, or has no room: commands say so, nothing that was acknowledged is lost, gateways serve. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { makeKeyPair } from "../../../control-plane/publish/signing-key.ts";
import { type Answer, startControlPlane, type TestControlPlane } from "../../support/control-plane.ts";
import { fleetYaml, startGateway, type TestGateway, until } from "../../support/gateway.ts";
import { startPostgres, type TestPostgres, unmount } from "../../support/postgres.ts";
import { Load } from "../failover/load.ts";
import { upstream } from "../limits/support.ts";

/** Every command is answered within this (ms), whatever the database does. */
const ANSWERED = 8_000;

interface Stand {
  readonly plane: TestControlPlane;
  readonly gateway: TestGateway;
  readonly load: Load;
  readonly files: (mark: string) => Record<string, string>;
}

async function stand(t: TestContext, postgres: TestPostgres): Promise<Stand> {
  const dir = mkdtempSync(join(tmpdir(), "tidegate-outage-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const unit = await upstream(t);
  const files = (mark: string): Record<string, string> => ({
    "fleet.yaml": fleetYaml({ hz: [unit] }).replace(/health: .*\n/, "health: none\n"),
    "routes.yaml":
      "routes:\n  - { name: hall, match: { path: /hall/* }, service: hall, scope: nearest }\n" +
      `  - { name: mark, match: { path: ${mark} }, service: hall, scope: nearest }\n`,
  });
  const { privateKey, publicKey } = makeKeyPair();
  const [signing, snapshot] = [join(dir, "signing.pem"), join(dir, "snapshot.pem")];
  writeFileSync(signing, privateKey);
  writeFileSync(snapshot, publicKey);
  const args = ["--dev", "--database", postgres.url, "--signing-key", signing];
  const plane = await startControlPlane(t, files("/mark/0"), args);
  const gateway = await startGateway(t, undefined, [
    ...["--control-plane", plane.url, "--name", "one"],
    ...["--state", join(dir, "state"), "--snapshot-key", snapshot],
  ]);
  const load = new Load({ port: gateway.port, rate: 50, request: () => ({ path: "/hall/a" }) });
  t.after(() => load.stop());
  return { plane, gateway, load, files };
}

const put = (plane: TestControlPlane, files: object, reason: string): Promise<Answer> =>
  plane.call("PUT", "/v1/config", { files, reason });
const pin = (plane: TestControlPlane, key: string): Promise<Answer> =>
  plane.call("POST", "/v1/overlays", { kind: "pin", key, unit: "hz", reason: `pin ${key}` });

function refusedFor(answer: Answer, why: RegExp, what: string): void {
  assert.equal(answer.status, 503, `${what}: ${JSON.stringify(answer.body)}`);
  assert.match(answer.body.type, /:(store|not-leader)$/, what);
  assert.match(answer.body.title, why, what);
  assert.doesNotMatch(JSON.stringify(answer.body), /s3cr3t/);
}

/** Every revision once, one after the other; those that were acknowledged where they were, and the audit log whole. */
async function checkHistory(
  plane: TestControlPlane,
  acknowledged: ReadonlyMap<string, number>,
): Promise<void> {
  const { revisions } = (await plane.call("GET", "/v1/revisions?limit=500")).body;
  const numbers = revisions.map((r: { number: number }) => r.number);
  assert.deepEqual(
    numbers,
    numbers.map((_: number, i: number) => numbers.length - i),
  );
  const reasons = revisions.map((r: { reason: string }) => r.reason);
  assert.equal(new Set(reasons).size, reasons.length, `nothing twice: ${reasons.join(", ")}`);
  for (const [reason, number] of acknowledged) assert.equal(reasons[numbers.length - number], reason);
  assert.equal((await plane.call("GET", "/v1/audit/verification")).body.whole, true);
}

async function goesOn(
  { plane, gateway, load, files }: Stand,
  acknowledged: Map<string, number>,
): Promise<void> {
  const after = await until(
    "a change after it",
    () => put(plane, files("/mark/after"), "after"),
    ({ status }) => status === 200,
    20_000,
  );
  acknowledged.set("after", after.body.revision.number);
  await until(
    "it is served",
    async () => (await fetch(`${gateway.url}/mark/after`)).status,
    (status) => status === 200,
  );
  await checkHistory(plane, acknowledged);
  await load.stop();
  assert.ok(load.answers.length > 50, `${load.answers.length} requests`);
  assert.deepEqual(load.failures, []);
}

test("a database that answers nothing for longer than a lease", { timeout: 90_000 }, async (t) => {
  const postgres = await startPostgres();
  t.after(() => postgres.close());
  const here = await stand(t, postgres);
  const { plane, gateway, files } = here;
  const acknowledged = new Map([["pin before", (await pin(plane, "before")).body.revision.number as number]]);
  postgres.freeze();
  try {
    const began = performance.now();
    const commands: readonly [string, Promise<Answer>][] = [
      ["apply", put(plane, files("/mark/1"), "frozen")],
      ["overlay", pin(plane, "frozen")],
      ["rollback", plane.call("POST", "/v1/rollback", { to: 1, reason: "frozen back" })],
      [
        "token",
        plane.call("POST", "/v1/tokens", { name: "t", role: "viewer", expires: "1h", reason: "a test" }),
      ],
      ["audit", plane.call("GET", "/v1/audit")],
    ];
    const wanted = /does not answer|did not take it|not known whether|PostgreSQL/;
    for (const [what, answer] of commands) refusedFor(await answer, wanted, what);
    assert.ok(performance.now() - began < ANSWERED, `${(performance.now() - began).toFixed(0)} ms`);
    // By now its lease is over.
    await until(
      "it leads no more",
      async () => (await plane.call("GET", "/v1/status")).body,
      (s) => !s.leads,
    );
    const late = performance.now();
    refusedFor(await pin(plane, "late"), /does not lead now, because the store does not answer/, "late");
    assert.ok(performance.now() - late < 1_000, "what cannot be done is said at once");
    // What it knows it says.
    const { status, body } = await plane.call("GET", "/v1/status");
    assert.deepEqual([status, body.revision.number, body.gateways[0].state], [200, 2, "serves"]);
    assert.equal((await plane.call("GET", "/v1/overlays")).body.overlays.length, 1);
    assert.equal((await fetch(`${gateway.url}/mark/0`)).status, 200);
    assert.equal((await fetch(`${gateway.url}/mark/1`)).status, 404, "what was refused is not served");
  } finally {
    postgres.thaw();
  }
  await goesOn(here, acknowledged);
});

test("a database whose disk is full", { timeout: 90_000 }, async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "tidegate-small-"));
  const walDir = mkdtempSync(join(tmpdir(), "tidegate-wal-"));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=64m", "tmpfs", dir], { stdio: "pipe" });
  } catch {
    rmSync(dir, { recursive: true });
    rmSync(walDir, { recursive: true });
    return t.skip("this user may mount nothing");
  }
  let postgres: TestPostgres | undefined;
  t.after(async () => {
    await postgres?.kill();
    await unmount(dir);
    rmSync(dir, { recursive: true });
    rmSync(walDir, { recursive: true });
  });
  postgres = await startPostgres(dir, walDir);
  const ballast = join(dir, "ballast");
  writeFileSync(ballast, Buffer.alloc(16 * 1024 * 1024));
  const here = await stand(t, postgres);
  const { plane, files } = here;
  const acknowledged = new Map<string, number>();
  let refused: Answer | undefined;
  for (let n = 1; n <= 40 && refused === undefined; n++) {
    // Random, so that the server cannot make it smaller.
    const noise = { "hall.txt": randomBytes(1024 * 1024).toString("base64") };
    const answer = await put(plane, { ...files(`/mark/${n}`), ...noise }, `change ${n}`);
    if (answer.status === 200) acknowledged.set(`change ${n}`, answer.body.revision.number);
    else refused = answer;
  }
  assert.ok(refused !== undefined && acknowledged.size > 0, `${acknowledged.size} were written`);
  refusedFor(refused, /No space left on device|could not extend file/, "the disk is full");
  assert.equal((await plane.call("GET", "/v1/status")).body.revision.number, acknowledged.size + 1);
  rmSync(ballast);
  await goesOn(here, acknowledged);
});
