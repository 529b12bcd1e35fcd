/** Changes on their way from a control plane to gateways' traffic, over real sockets and real disks. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { startControlPlane, startFollower, type TestControlPlane } from "../../support/control-plane.ts";
import { fleetYaml, type TestGateway, until } from "../../support/gateway.ts";
import { upstream } from "../limits/support.ts";

const ROUTES = (path: string): string =>
  `routes:\n  - { name: hall, match: { path: ${path} }, service: hall, scope: nearest }\n`;

async function files(t: TestContext, path = "/hall/*"): Promise<Record<string, string>> {
  return {
    "fleet.yaml": fleetYaml({ hz: [await upstream(t)] }),
    "routes.yaml": ROUTES(path),
  };
}

const status = async (gateway: TestGateway, path: string): Promise<number> => {
  const answer = await fetch(`${gateway.url}${path}`);
  await answer.text();
  return answer.status;
};

const serving = (gateway: TestGateway, revision: number): Promise<unknown> =>
  until(
    `revision ${revision}`,
    () => gateway.status(),
    (s) => s.servedRevision === revision,
  );

const known = async (
  plane: TestControlPlane,
): Promise<{ gateway: string; revision: number; refused: unknown }[]> =>
  (await plane.call("GET", "/v1/status")).body.gateways;

test("a change reaches every gateway's traffic, and the control plane knows when", async (t) => {
  const first = await files(t);
  const plane = await startControlPlane(t, first);
  const gateways = await Promise.all(["one", "two", "three"].map((name) => startFollower(t, plane, name)));
  for (const gateway of gateways) assert.equal(await status(gateway, "/hall/a"), 200);
  const next = { ...first, "routes.yaml": ROUTES("/lobby/*") };
  const applied = await plane.call("PUT", "/v1/config", { files: next, reason: "another path", expect: 1 });
  assert.equal(applied.status, 200, JSON.stringify(applied.body));
  assert.equal(applied.body.revision.number, 2);
  const began = performance.now();
  await Promise.all(
    gateways.map((gateway) =>
      until(
        "the new route",
        () => status(gateway, "/lobby/a"),
        (s) => s === 200,
      ),
    ),
  );
  t.diagnostic(`${(performance.now() - began).toFixed(0)} ms to three gateways`);
  for (const gateway of gateways) assert.equal(await status(gateway, "/hall/a"), 404);
  const seen = await until(
    "three acknowledgements",
    () => known(plane),
    (list) => list.every((g) => g.revision === 2),
  );
  assert.deepEqual(seen.map((g) => g.gateway).sort(), ["one", "three", "two"]);
});

test("a gateway starts and serves with the control plane gone, and hears of changes when it is back", async (t) => {
  const first = await files(t);
  const plane = await startControlPlane(t, first);
  const gateway = await startFollower(t, plane, "one");
  assert.equal(await status(gateway, "/hall/a"), 200);
  await plane.stop("SIGKILL");
  await gateway.stop("SIGKILL");
  const again = await startFollower(t, plane, "one");
  assert.equal(await status(again, "/hall/a"), 200);
  assert.match(again.stderr, /starting with the snapshot on disk/);
  await plane.start();
  const next = { ...first, "routes.yaml": ROUTES("/lobby/*") };
  const applied = await plane.call("PUT", "/v1/config", { files: next, reason: "back" });
  assert.equal(applied.status, 200);
  await serving(again, 2);
  assert.equal(await status(again, "/lobby/a"), 200);
});

test("a snapshot on disk that is damaged, cut off, empty or older is refused with a clear message", async (t) => {
  const first = await files(t);
  const plane = await startControlPlane(t, first);
  const gateway = await startFollower(t, plane, "one");
  const file = join(plane.dir, "state-one", "snapshot.json");
  const old = readFileSync(file, "utf8");
  await plane.call("PUT", "/v1/config", {
    files: { ...first, "routes.yaml": ROUTES("/lobby/*") },
    reason: "newer",
  });
  await serving(gateway, 2);
  const newest = await until(
    "the snapshot on disk",
    () => readFileSync(file, "utf8"),
    (text) => text !== old,
  );
  await gateway.stop("SIGKILL");
  const section = newest.indexOf("/lobby/");
  const cases: [string, string, RegExp][] = [
    ["flipped", `${newest.slice(0, section)}/LOBBY/${newest.slice(section + 7)}`, /is not what was signed/],
    ["cut off", newest.slice(0, newest.length / 2), /is refused: .*JSON/],
    ["empty", "", /it is empty/],
    ["older", old, /it is revision 1 of epoch 1, and this gateway served 2/],
  ];
  for (const [name, text, message] of cases) {
    writeFileSync(file, text);
    const again = await startFollower(t, plane, "one");
    assert.match(again.stderr, message, name);
    // What it could not have from the disk, the control plane sends.
    assert.equal(await status(again, "/lobby/a"), 200, name);
    await again.stop("SIGKILL");
  }
});

test("what another key signed is refused, everywhere and visibly, and the old snapshot serves on", async (t) => {
  const first = await files(t);
  const plane = await startControlPlane(t, first);
  const gateway = await startFollower(t, plane, "one");
  // A control plane of another key takes the place of the one that the gateway was told to trust.
  const other = await startControlPlane(t, { ...first, "routes.yaml": ROUTES("/evil/*") });
  await plane.stop("SIGKILL");
  const taken = await other.stop("SIGTERM");
  assert.equal(taken, 0);
  other.port = plane.port;
  await other.start();
  const [seen] = await until(
    "the refusal is known",
    () => known(other),
    (list) => list.some((g) => g.refused !== null),
  );
  assert.match(JSON.stringify(seen!.refused), /signature/);
  assert.equal(await status(gateway, "/hall/a"), 200);
  assert.equal(await status(gateway, "/evil/a"), 404);
  assert.match((await gateway.status()).configError ?? "", /signature/);
});
