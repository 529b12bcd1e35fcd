/** Two control planes on one PostgreSQL: one leads, is killed or frozen, and the other one goes on. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test, type TestContext } from "node:test";
import { makeKeyPair } from "../../../control-plane/publish/signing-key.ts";
import { startControlPlane, type TestControlPlane } from "../../support/control-plane.ts";
import { fleetYaml, startGateway, type TestGateway, until } from "../../support/gateway.ts";
import { startPostgres, type TestPostgres } from "../../support/postgres.ts";
import { Load } from "../failover/load.ts";
import { upstream } from "../limits/support.ts";

let postgres: TestPostgres;
let dir: string;

before(async () => {
  dir = mkdtempSync(join(tmpdir(), "tidegate-ha-"));
  postgres = await startPostgres();
});
after(async () => {
  await postgres.close();
  rmSync(dir, { recursive: true, force: true });
});

const ROUTES = (path: string): string =>
  `routes:\n  - { name: hall, match: { path: /hall/* }, service: hall, scope: nearest }\n` +
  `  - { name: mark, match: { path: ${path} }, service: hall, scope: nearest }\n`;

interface Stand {
  readonly planes: readonly TestControlPlane[];
  readonly gateways: readonly TestGateway[];
  readonly files: (mark: string) => Record<string, string>;
}

async function stand(t: TestContext): Promise<Stand> {
  await postgres.sql("DROP SCHEMA IF EXISTS tidegate CASCADE");
  const unit = await upstream(t);
  const files = (mark: string): Record<string, string> => ({
    "fleet.yaml": fleetYaml({ hz: [unit] }).replace(/health: .*\n/, "health: none\n"),
    "routes.yaml": ROUTES(mark),
  });
  const { privateKey, publicKey } = makeKeyPair();
  const [signing, snapshot] = [join(dir, "signing.pem"), join(dir, "snapshot.pem")];
  writeFileSync(signing, privateKey);
  writeFileSync(snapshot, publicKey);
  const args = ["--dev", "--database", postgres.url, "--signing-key", signing];
  const first = await startControlPlane(t, files("/mark/0"), args);
  const second = await startControlPlane(t, undefined, args);
  const planes = [first, second];
  const gateways = await Promise.all(
    ["one", "two"].map((name, i) =>
      startGateway(t, undefined, [
        ...["--control-plane", [planes[i]!.url, planes[1 - i]!.url].join(","), "--name", name],
        ...["--state", join(first.dir, `state-${name}`), "--snapshot-key", snapshot],
      ]),
    ),
  );
  return { planes, gateways, files };
}

const leads = async (plane: TestControlPlane): Promise<boolean> =>
  (await plane.call("GET", "/v1/status").catch(() => undefined))?.body.leads === true;

/** Applies at whoever leads. @returns the revision; undefined when nobody said that it was done */
async function apply(
  planes: readonly TestControlPlane[],
  files: object,
  reason: string,
): Promise<number | undefined> {
  for (const plane of planes) {
    const answer = await plane.call("PUT", "/v1/config", { files, reason }).catch(() => undefined);
    if (answer?.status === 200) return answer.body.revision.number;
  }
  return undefined;
}

const served = async (gateway: TestGateway, path: string): Promise<boolean> => {
  const answer = await fetch(`${gateway.url}${path}`);
  await answer.text();
  return answer.status === 200;
};

function load(t: TestContext, gateways: readonly TestGateway[]): Load[] {
  const loads = gateways.map(
    ({ port }) => new Load({ port, rate: 100, request: () => ({ path: "/hall/a" }) }),
  );
  // One that goes on would keep the process of a test that failed.
  t.after(() => Promise.all(loads.map((one) => one.stop())));
  return loads;
}

async function unharmed(loads: readonly Load[]): Promise<void> {
  await Promise.all(loads.map((one) => one.stop()));
  for (const one of loads) {
    assert.ok(one.answers.length > 100, `${one.answers.length} requests`);
    assert.deepEqual(one.failures, []);
  }
}

test("a change at one control plane is at every gateway, and both say so", async (t) => {
  const { planes, gateways, files } = await stand(t);
  assert.deepEqual(await Promise.all(planes.map(leads)), [true, false]);
  const refused = await planes[1]!.call("PUT", "/v1/config", { files: files("/mark/1"), reason: "not here" });
  assert.equal(refused.status, 503);
  assert.match(refused.body.title, /does not lead/);
  assert.equal(await apply(planes, files("/mark/1"), "here"), 2);
  for (const gateway of gateways) await until("served", () => served(gateway, "/mark/1"));
  for (const plane of planes) {
    await until(
      "both gateways are known",
      async () => (await plane.call("GET", "/v1/status")).body.convergence,
      (found) => found.live === 2 && found.behind.length === 0,
    );
  }
});

test("the leader is killed in the middle of changes: none is lost or made twice, and another leads within 5 s", async (t) => {
  const { planes, gateways, files } = await stand(t);
  const loads = load(t, gateways);
  const acknowledged = new Map<string, number>();
  let killedAt = 0;
  let ledAt = 0;
  for (let n = 1; n <= 30; n++) {
    if (n === 10) {
      killedAt = performance.now();
      // In the middle of a change, whether it was written or not.
      const lost = planes[0]!
        .call("PUT", "/v1/config", { files: files("/mark/lost"), reason: "lost" })
        .catch(() => {});
      setTimeout(() => planes[0]!.process.kill("SIGKILL"), 3);
      await lost;
    }
    const reason = `change ${n}`;
    const revision = await until(
      reason,
      () => apply(planes, files(`/mark/${n}`), reason),
      (found) => found !== undefined,
    );
    acknowledged.set(reason, revision!);
    if (n === 10) ledAt = performance.now();
  }
  const took = ledAt - killedAt;
  t.diagnostic(`the next leader's first change came ${took.toFixed(0)} ms after the kill`);
  assert.ok(took < 5_000, `${took} ms`);
  for (const gateway of gateways) await until("served", () => served(gateway, "/mark/30"));
  await unharmed(loads);
  const { revisions } = (await planes[1]!.call("GET", "/v1/revisions?limit=500")).body;
  const numbers = revisions.map((r: { number: number }) => r.number);
  assert.deepEqual(
    numbers,
    numbers.map((_: number, i: number) => numbers.length - i),
  );
  for (const [reason, number] of acknowledged) {
    const found = revisions.filter((r: { reason: string }) => r.reason === reason);
    assert.deepEqual(
      found.map((r: { number: number }) => r.number),
      [number],
      reason,
    );
  }
  const { body } = await planes[1]!.call("GET", "/v1/audit/verification");
  assert.equal(body.whole, true);
});

test("a leader that is frozen beyond its lease and goes on writes nothing any more", async (t) => {
  const { planes, gateways, files } = await stand(t);
  const loads = load(t, gateways);
  planes[0]!.process.kill("SIGSTOP");
  // It is asked while it is frozen, and will find the question when it goes on.
  const late = planes[0]!.call("PUT", "/v1/config", { files: files("/mark/late"), reason: "late" });
  await until("the other one leads", () => leads(planes[1]!));
  assert.equal(await apply([planes[1]!], files("/mark/1"), "by the new leader"), 2);
  planes[0]!.process.kill("SIGCONT");
  const answer = await late;
  assert.equal(answer.status, 503, JSON.stringify(answer.body));
  assert.match(answer.body.type, /not-leader/);
  for (const gateway of gateways) await until("served", () => served(gateway, "/mark/1"));
  await unharmed(loads);
  for (const gateway of gateways) assert.equal(await served(gateway, "/mark/late"), false);
  const { revisions } = (await planes[1]!.call("GET", "/v1/revisions")).body;
  assert.deepEqual(revisions.map((r: { reason: string }) => r.reason).slice(0, 1), ["by the new leader"]);
  // Above the first one's; a new leader that a busy machine held up for longer than its lease leads again at the next.
  const [old, now] = await Promise.all(
    planes.map(async (plane) => (await plane.call("GET", "/v1/status")).body.epoch as number | null),
  );
  assert.equal(old, null);
  assert.ok(now! >= 2, `epoch ${now}`);
});

test("PostgreSQL is killed: changes are refused with a clear message, gateways serve, and all goes on when it is back", async (t) => {
  const { planes, gateways, files } = await stand(t);
  const loads = load(t, gateways);
  assert.equal(await apply(planes, files("/mark/1"), "before"), 2);
  await postgres.kill();
  const refused = await planes[0]!.call("PUT", "/v1/config", {
    files: files("/mark/2"),
    reason: "meanwhile",
  });
  assert.equal(refused.status, 503, JSON.stringify(refused.body));
  assert.match(refused.body.title, /store|lead/);
  assert.doesNotMatch(JSON.stringify(refused.body) + planes[0]!.stderr, /s3cr3t/);
  for (const gateway of gateways) assert.equal(await served(gateway, "/mark/1"), true);
  // Longer than any lease.
  await new Promise((resolve) => setTimeout(resolve, 4_000));
  await postgres.start();
  const revision = await until(
    "a change after it",
    () => apply(planes, files("/mark/3"), "after"),
    (found) => found !== undefined,
    20_000,
  );
  assert.equal(revision, 3);
  for (const gateway of gateways) await until("served", () => served(gateway, "/mark/3"));
  await unharmed(loads);
});

test("both control planes know the figures of the whole fleet, and who takes over had them before", async (t) => {
  const { planes, gateways } = await stand(t);
  for (const plane of planes) {
    await until(
      "both gateways report",
      async () => (await plane.call("GET", "/v1/figures?window=10s")).body.coverage,
      (coverage) => coverage.live === 2 && coverage.reported === 2,
    );
  }
  const ask = async (n: number): Promise<void> => {
    for (const gateway of gateways) {
      for (let i = 0; i < n; i++) assert.ok(await served(gateway, "/hall/a"));
    }
  };
  const requests = async (plane: TestControlPlane): Promise<number> =>
    (await plane.call("GET", "/v1/figures?window=10m&route=hall")).body.total?.requests ?? 0;
  await ask(10);
  for (const plane of planes)
    await until(
      "all of it is counted",
      () => requests(plane),
      (n) => n >= 20,
    );
  // Nothing twice, however often it is handed on.
  await new Promise((resolve) => setTimeout(resolve, 2_500));
  assert.deepEqual(await Promise.all(planes.map(requests)), [20, 20]);

  await planes[0]!.stop("SIGKILL");
  await until("the other one leads", () => leads(planes[1]!));
  await ask(5);
  await until(
    "it goes on counting",
    () => requests(planes[1]!),
    (n) => n >= 30,
  );
  assert.equal(await requests(planes[1]!), 30);
});
