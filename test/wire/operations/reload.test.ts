/** Configuration changes under load: within a second of the save, whole or not at all. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { acceptKey } from "../../../loadtest/unit/websocket.ts";
import { startGateway, type TestGateway, until } from "../../support/gateway.ts";
import { fleet, routes } from "../failover/fleet.ts";
import { byUnit, Load, pause, summary } from "../failover/load.ts";
import { startUnits, urls } from "../failover/units.ts";

/** The contract: a saved change is in effect after at most this. */
const IN_EFFECT = 1_000;

const HEALTH = "{ path: /healthz, interval: 200ms, timeout: 200ms, healthy: 2, unhealthy: 3 }";

/** Milliseconds from `change` until the gateway serves a higher revision. */
async function applied(gateway: TestGateway, change: () => void): Promise<number> {
  const { servedRevision } = await gateway.status();
  const saved = performance.now();
  change();
  await until(
    "applied",
    async () => (await gateway.status()).servedRevision,
    (n) => n > servedRevision,
    5_000,
  );
  return performance.now() - saved;
}

function underLoad(t: TestContext, gateway: TestGateway): Load {
  const load = new Load({
    port: gateway.port,
    rate: 200,
    request: (n) => ({ path: n % 2 === 0 ? `/hall/${n}` : `/cart/${n}?uid=u${n}` }),
  });
  t.after(() => load.stop());
  return load;
}

test("fleet.yaml and routes.yaml take effect within a second, and no request fails", async (t) => {
  const units = await startUnits(t, { hz: 1, sh: 1 });
  const files = fleet(urls(units), { health: HEALTH });
  const gateway = await startGateway(t, { "fleet.yaml": files, "routes.yaml": routes() });
  const load = underLoad(t, gateway);
  await pause(500);

  // Written in place: hall's traffic moves to the other unit.
  const toCenter = routes().replace("scope: nearest, failover: all", "scope: center, failover: all");
  const swapped = files
    .replace("center: true", "center: false")
    .replace("region: r-sh", "region: r-sh, center: true");
  let took = await applied(gateway, () => gateway.write("routes.yaml", toCenter));
  assert.ok(took <= IN_EFFECT, `routes.yaml took ${took} ms`);
  took = await applied(gateway, () => gateway.write("fleet.yaml", swapped));
  assert.ok(took <= IN_EFFECT, `fleet.yaml took ${took} ms`);
  const moved = performance.now();
  await pause(200);
  const after = load.between(moved).filter((a) => a.request.path.startsWith("/hall/"));
  assert.deepEqual(Object.keys(byUnit(after)), ["sh"]);

  // Written aside and renamed, as editors do.
  const aside = join(gateway.dir, ".routes.yaml.swp");
  took = await applied(gateway, () => {
    writeFileSync(aside, routes());
    renameSync(aside, join(gateway.dir, "routes.yaml"));
  });
  assert.ok(took <= IN_EFFECT, `a rename took ${took} ms`);

  // An endpoint is added and another taken away while requests are under way to it.
  const only = fleet({ hz: [units.sh[0]!.url], sh: [units.hz[0]!.url] }, { health: HEALTH });
  await applied(gateway, () => gateway.write("fleet.yaml", only));
  await pause(300);
  await load.stop();
  assert.equal(load.failures.length, 0, summary(load));
  assert.equal(load.answers.filter((a) => a.status !== 200).length, 0);
  assert.equal(await gateway.metric("tidegate_config_refused_total"), 0);
});

test("an invalid file is refused with its place, the old table serves on, and the fix is applied", async (t) => {
  const units = await startUnits(t, { hz: 1, sh: 1 });
  const files = fleet(urls(units), { health: HEALTH });
  const gateway = await startGateway(t, { "fleet.yaml": files, "routes.yaml": routes() });
  const load = underLoad(t, gateway);
  const { revision } = await gateway.status();

  const saved = performance.now();
  gateway.write(
    "routes.yaml",
    `${routes()}  - { name: broken, match: { path: /x }, service: hal, scope: nearest }\n`,
  );
  const { configError } = await until(
    "refused",
    () => gateway.status(),
    (status) => status.configError !== null,
  );
  assert.ok(performance.now() - saved <= IN_EFFECT);
  assert.match(configError!, /^routes\.yaml:4:\d+: .*hal\b/);
  assert.equal((await gateway.status()).revision, revision);
  assert.equal(await gateway.metric("tidegate_config_refused_total"), 1);
  assert.equal(await gateway.metric("tidegate_snapshot_revision"), revision);
  const lines = gateway.stderr.split("\n").filter((line) => line.includes("configuration refused"));
  assert.equal(lines.length, 1);
  assert.match((JSON.parse(lines[0]!) as { problem: string }).problem, /^routes\.yaml:4:\d+: /);
  assert.equal((await gateway.admin("/readyz")).status, 200);

  // Nothing of it is applied, however often it is read.
  gateway.process.kill("SIGHUP");
  await until(
    "refused again",
    () => gateway.metric("tidegate_config_refused_total"),
    (n) => n === 2,
  );
  // No YAML at all, an empty file, and no file.
  for (const [count, broken] of [
    [3, "routes: [ { name: x"],
    [4, ""],
  ] as const) {
    gateway.write("routes.yaml", broken);
    await until(
      "refused",
      () => gateway.metric("tidegate_config_refused_total"),
      (n) => n === count,
    );
  }
  rmSync(join(gateway.dir, "routes.yaml"));
  await until(
    "refused",
    () => gateway.metric("tidegate_config_refused_total"),
    (n) => n === 5,
  );

  const took = await applied(gateway, () => gateway.write("routes.yaml", routes()));
  assert.ok(took <= IN_EFFECT, `the fix took ${took} ms`);
  assert.equal((await gateway.status()).configError, null);
  await load.stop();
  assert.equal(load.failures.length, 0, summary(load));
});

test("SIGHUP reads the files again at once", async (t) => {
  const gateway = await startGateway(t, {
    "fleet.yaml": fleet({ hz: ["http://127.0.0.1:9"] }, { health: "none" }),
    "routes.yaml": routes(),
  });
  const { revision } = await gateway.status();
  gateway.process.kill("SIGHUP");
  await until(
    "read again",
    async () => (await gateway.status()).servedRevision,
    (n) => n === revision + 1,
  );
  assert.match(gateway.stderr, /SIGHUP/);
});

test("a swapped symlink is seen: Kubernetes mounts a ConfigMap as links", async (t) => {
  const units = await startUnits(t, { hz: 1, sh: 1 });
  const fleetText = fleet(urls(units), { health: HEALTH });
  const gateway = await startGateway(t, { "fleet.yaml": fleetText, "routes.yaml": routes() });
  const mount = join(gateway.dir, "mount");
  const version = (name: string, routesText: string): void => {
    mkdirSync(join(mount, name), { recursive: true });
    writeFileSync(join(mount, name, "fleet.yaml"), fleetText);
    writeFileSync(join(mount, name, "routes.yaml"), routesText);
  };
  version("..1", routes());
  symlinkSync("..1", join(mount, "..data"));
  symlinkSync("..data/fleet.yaml", join(mount, "fleet.yaml"));
  symlinkSync("..data/routes.yaml", join(mount, "routes.yaml"));
  const mounted = await startGateway(t, {}, ["--config", mount]);
  const load = underLoad(t, mounted);
  const took = await applied(mounted, () => {
    version("..2", routes().replace("/hall/*", "/hall2/*"));
    symlinkSync("..2", join(mount, "..data_tmp"));
    renameSync(join(mount, "..data_tmp"), join(mount, "..data"));
    rmSync(join(mount, "..1"), { recursive: true });
  });
  assert.ok(took <= IN_EFFECT, `${took} ms`);
  const answer = await fetch(`${mounted.url}/hall2/x`);
  assert.equal(answer.status, 200);
  await load.stop();
  assert.equal(load.failures.length, 0, summary(load));
});

test("what lives outlives a swap: health, ejections, a long request and a WebSocket", async (t) => {
  const units = await startUnits(t, { hz: 3, sh: 1 });
  const files = fleet(urls(units), { health: HEALTH, outlier: "{ consecutive: 5, baseEjection: 60s }" });
  const gateway = await startGateway(t, { "fleet.yaml": files, "routes.yaml": routes("retry: none") });
  const [dead, ill, well] = units.hz as [(typeof units.hz)[0], (typeof units.hz)[0], (typeof units.hz)[0]];
  await dead.signal("SIGKILL");
  await ill.turn({ mode: "fail", health: "always" });
  const healthOf = async (url: string) =>
    (await gateway.status()).endpoints.find((e) => e.endpoint === url)?.health;
  await until(
    "one down, one ejected",
    async () => {
      await (await fetch(`${gateway.url}/hall/x`)).text();
      return [await healthOf(dead.url), await healthOf(ill.url)].join();
    },
    (health) => health === "down,ejected" || health === "down and ejected,ejected",
  );
  await ill.turn({ mode: "ok" });

  const slow = fetch(`${gateway.url}/hall/delay/1500`);
  const socket = net.connect(gateway.port, "127.0.0.1");
  t.after(() => socket.destroy());
  const key = "dGhlIHNhbXBsZSBub25jZQ==";
  socket.write(
    `GET /hall/ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`,
  );
  const [head] = (await once(socket, "data")) as [Buffer];
  assert.match(head.toString(), /^HTTP\/1.1 101/);
  assert.ok(head.toString().includes(acceptKey(key)));

  // Everything around them changes, three times, so that rows that were given up are given out again.
  for (const [i, text] of [
    files.replaceAll(well.url, units.sh[0]!.url),
    files.replace("slowStart: 0s", "slowStart: 1s"),
    files.replace("fleet: test", "fleet: other"),
  ].entries()) {
    await applied(gateway, () => gateway.write("fleet.yaml", text));
    assert.match((await healthOf(dead.url))!, /^down/, `after swap ${i + 1}`);
    assert.equal(await healthOf(ill.url), "ejected", `after swap ${i + 1}`);
  }
  const answer = await slow;
  assert.equal(answer.status, 200);
  assert.equal(((await answer.json()) as { port: number }).port, well.port);
  const mask = Buffer.from([1, 2, 3, 4]);
  const text = Buffer.from("still here");
  const payload = Buffer.from(text.map((byte, i) => byte ^ mask[i & 3]!));
  socket.write(Buffer.concat([Buffer.from([0x81, 0x80 | text.length]), mask, payload]));
  // A frame may come in pieces.
  let echo = Buffer.alloc(0);
  while (echo.length < 2 + text.length)
    echo = Buffer.concat([echo, ...((await once(socket, "data")) as [Buffer])]);
  assert.equal(echo.subarray(2).toString(), "still here");
  socket.destroy();
  await until(
    "nothing under way",
    () => gateway.metric("tidegate_upstream_inflight"),
    (n) => n === 0,
  );
});
