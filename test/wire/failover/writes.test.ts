/** Sharded writes belong to their home unit: when it dies they fail, and no other unit ever sees one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { startGateway, until } from "../../support/gateway.ts";
import { fleet, keyOf, routes } from "./fleet.ts";
import { Load, pause, summary } from "./load.ts";
import { startUnits, urls } from "./units.ts";

test("writes of a dead unit fail with 502 or 503 and never reach another unit, while its reads go on", async (t) => {
  const units = await startUnits(t, { hz: 1, sh: 2, sz: 1 });
  const gateway = await startGateway(t, { "fleet.yaml": fleet(urls(units)), "routes.yaml": routes() });
  await until("all up", async () => (await gateway.status()).endpoints.every((e) => e.health === "up"));
  const key = await keyOf(gateway, "sh");
  const writes = new Load({
    port: gateway.port,
    rate: 100,
    request: (n) => ({ method: n % 2 === 0 ? "POST" : "PUT", path: `/cart/${n}?uid=${key}`, body: "{}" }),
  });
  const reads = new Load({
    port: gateway.port,
    rate: 100,
    request: (n) => ({ path: `/cart/${n}?uid=${key}` }),
  });
  t.after(() => Promise.all([writes.stop(), reads.stop()]));
  await pause(700);
  const killed = performance.now();
  await Promise.all(units.sh.map((unit) => unit.signal("SIGKILL")));
  await pause(1_500);
  await Promise.all(units.sh.map((unit) => unit.start()));
  await until("home again", async () => (await gateway.status()).endpoints.every((e) => e.health === "up"));
  const back = performance.now();
  await pause(500);
  await Promise.all([writes.stop(), reads.stop()]);

  assert.equal(reads.failures.length, 0, summary(reads));
  const failed = writes.failures;
  assert.ok(failed.length > 100, summary(writes));
  for (const answer of failed) {
    assert.ok(answer.status === 502 || answer.status === 503, `${answer.status} ${answer.error}`);
    assert.equal(answer.contentType, "application/problem+json");
    assert.ok(answer.at > killed - 200 && answer.at < back + 200);
  }
  for (const answer of writes.answers) {
    if (answer.status < 500) assert.equal(answer.unit, "sh");
  }
  for (const other of [...units.hz, ...units.sz]) {
    const { requests } = await other.report();
    assert.equal(requests.POST ?? 0, 0, `${other.unit} took writes of sh`);
    assert.equal(requests.PUT ?? 0, 0, `${other.unit} took writes of sh`);
  }
});

test("a write that one endpoint refuses goes to its unit's other endpoint", async (t) => {
  const units = await startUnits(t, { hz: 1, sh: 2 });
  const gateway = await startGateway(t, {
    // Without checks the gateway goes on choosing the dead endpoint.
    "fleet.yaml": fleet(urls(units), { health: "none", outlier: "none" }),
    "routes.yaml": routes(),
  });
  const key = await keyOf(gateway, "sh");
  const [dead, alive] = units.sh as [(typeof units.sh)[0], (typeof units.sh)[0]];
  await dead.signal("SIGKILL");
  for (let n = 0; n < 20; n++) {
    const answer = await fetch(`${gateway.url}/cart/${n}?uid=${key}`, { method: "POST", body: `write ${n}` });
    assert.equal(answer.status, 200);
    const told = (await answer.json()) as { unit: string; port: number; body: { bytes: number } };
    assert.equal(told.port, alive.port);
    assert.equal(told.body.bytes, `write ${n}`.length);
  }
  assert.equal((await alive.report()).requests.POST, 20, "each write came once");
  assert.ok((await gateway.metric("tidegate_attempts_total", 'unit="sh"', 'outcome="refused"')) > 0);
});

test("a write that a unit may have seen is not repeated, unless the route says that it may", async (t) => {
  const units = await startUnits(t, { hz: 1, sh: 2 });
  const gateway = await startGateway(t, {
    "fleet.yaml": fleet(urls(units), { health: "none", outlier: "none" }),
    "routes.yaml": `${routes()}  - { name: idempotent, match: { path: /pay/* }, service: hall, scope: sharded, retry: { unsafe: true } }\n`,
  });
  const key = await keyOf(gateway, "sh");
  const [ill, well] = units.sh as [(typeof units.sh)[0], (typeof units.sh)[0]];
  await ill.turn({ mode: "reset" });
  let failed = 0;
  for (let n = 0; n < 20; n++) {
    const answer = await fetch(`${gateway.url}/cart/${n}?uid=${key}`, { method: "POST", body: "x" });
    await answer.text();
    if (answer.status === 502) failed++;
    else assert.equal(answer.status, 200);
  }
  assert.equal((await ill.report()).requests.POST, failed, "every write that was reset failed, and once");
  assert.equal((await well.report()).requests.POST, 20 - failed);
  for (let n = 0; n < 10; n++) {
    const answer = await fetch(`${gateway.url}/pay/${n}?uid=${key}`, { method: "POST", body: "x" });
    await answer.text();
    assert.equal(answer.status, 200);
  }
});
