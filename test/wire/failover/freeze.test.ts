/** SIGSTOP: the kernel goes on accepting for a unit that says nothing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { startGateway, until } from "../../support/gateway.ts";
import { fleet, routes } from "./fleet.ts";
import { byUnit, Load, pause, summary } from "./load.ts";
import { startUnits, urls } from "./units.ts";

const HEALTH = "{ path: /healthz, interval: 1s, timeout: 500ms, healthy: 2, unhealthy: 3 }";
const RATE = 150;
/** The contract: a frozen unit is out after at most this. */
const OUT = 3_000;

test("a frozen unit's reads go elsewhere within the headers timeout, and nothing more is sent to it after 3 s", async (t) => {
  const units = await startUnits(t, { hz: 2, sh: 1 });
  const gateway = await startGateway(t, {
    "fleet.yaml": fleet(urls(units), { health: HEALTH }),
    // Everything goes to the frozen unit at first, so that every request of a second must be sent again.
    "routes.yaml": routes("timeout: { connect: 300ms, headers: 1s }, retry: { attempts: 2, budget: 100% }"),
  });
  await until("all up", async () => (await gateway.status()).endpoints.every((e) => e.health === "up"));
  const attempts = () => gateway.metric("tidegate_attempts_total", 'unit="hz"');

  const load = new Load({ port: gateway.port, rate: RATE, request: (n) => ({ path: `/hall/${n}` }) });
  t.after(() => load.stop());
  await pause(1_000);
  await Promise.all(units.hz.map((unit) => unit.signal("SIGSTOP")));
  t.after(() => Promise.all(units.hz.map((unit) => unit.signal("SIGCONT"))));
  const stopped = performance.now();
  await pause(OUT);
  const out = performance.now();
  // What was sent before is counted when it times out, at most a headers timeout later.
  await pause(1_200);
  const counted = await attempts();
  await pause(1_000);
  assert.equal(await attempts(), counted, "attempts at the frozen unit go on");

  await load.stop();
  assert.equal(load.failures.length, 0, summary(load));
  assert.deepEqual(Object.keys(byUnit(load.between(out))), ["sh"]);
  const slowest = Math.max(...load.between(out).map((a) => a.took));
  assert.ok(slowest < 1_000, `requests after ${OUT} ms still wait: ${slowest} ms`);
  const retried = load.between(stopped, out);
  const longest = Math.max(...retried.map((a) => a.took));
  // One headers timeout per endpoint of the unit, a tick of 50 ms each, and the other unit's answer.
  assert.ok(longest < 2_300, `the slowest took ${longest} ms`);

  // What the kernel had accepted for it is answered to nobody, and its own count agrees with the gateway's.
  await Promise.all(units.hz.map((unit) => unit.signal("SIGCONT")));
  await until("home again", async () => (await gateway.status()).endpoints.every((e) => e.health === "up"));
  const home = await (await fetch(`${gateway.url}/hall/home`)).json();
  assert.equal((home as { unit: string }).unit, "hz");
});

test("one frozen endpoint of two: the other takes its unit's requests, and none fails", async (t) => {
  const units = await startUnits(t, { hz: 2, sh: 1 });
  const gateway = await startGateway(t, {
    "fleet.yaml": fleet(urls(units), { health: HEALTH }),
    "routes.yaml": routes("timeout: { connect: 300ms, headers: 1s }"),
  });
  await until("all up", async () => (await gateway.status()).endpoints.every((e) => e.health === "up"));
  const load = new Load({ port: gateway.port, rate: RATE, request: (n) => ({ path: `/hall/${n}` }) });
  t.after(() => load.stop());
  await pause(1_000);
  const frozen = units.hz[0]!;
  await frozen.signal("SIGSTOP");
  t.after(() => frozen.signal("SIGCONT"));
  const stopped = performance.now();
  await until("out", async () => {
    const { endpoints } = await gateway.status();
    return endpoints.some((e) => e.endpoint === frozen.url && e.health !== "up");
  });
  assert.ok(performance.now() - stopped <= OUT, `out after ${performance.now() - stopped} ms`);
  await pause(1_300);
  await load.stop();
  assert.equal(load.failures.length, 0, summary(load));
  assert.deepEqual(
    Object.keys(byUnit(load.between(stopped))),
    ["hz"],
    "the unit is well, so nothing leaves it",
  );
});
