/** Retries are bounded by a budget, and a breaker sends requests past a unit that keeps failing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { startGateway, until } from "../../support/gateway.ts";
import { fleet, routes } from "./fleet.ts";
import { byUnit, Load, pause, summary } from "./load.ts";
import { startUnits, urls } from "./units.ts";

test("upstreams that always reset see no storm: once that is plain, each request is tried once", async (t) => {
  const units = await startUnits(t, { hz: 2, sh: 1 });
  const gateway = await startGateway(t, {
    "fleet.yaml": fleet(urls(units), { health: "none", outlier: "none" }),
    "routes.yaml": routes("retry: { attempts: 3, budget: 20% }"),
  });
  const all = [...units.hz, ...units.sh];
  for (const unit of all) await unit.turn({ mode: "reset" });
  const load = new Load({ port: gateway.port, rate: 300, request: (n) => ({ path: `/hall/${n}` }) });
  await pause(3_000);
  await load.stop();
  assert.equal(load.failures.length, load.sent);
  for (const { status, contentType } of load.answers) {
    assert.equal(status, 502);
    assert.equal(contentType, "application/problem+json");
  }
  let attempts = 0;
  for (const unit of all) attempts += (await unit.report()).total;
  // A few failures in a row at every endpoint make it plain; well below the 1.2 that the budget would allow.
  const most = load.sent + 30;
  assert.ok(attempts <= most, `${attempts} attempts for ${load.sent} requests; at most ${most}`);
  assert.ok(attempts > load.sent, `${attempts} attempts: the first ones were tried again`);
  assert.equal(await gateway.metric("tidegate_attempts_total"), attempts);
  const refused = await gateway.metric("tidegate_retry_budget_exhausted_total", 'route="hall"');
  assert.ok(refused > load.sent * 0.5, `${refused} retries were forbidden`);
});

test("two threads together keep the budget as well", async (t) => {
  const units = await startUnits(t, { hz: 2 });
  const gateway = await startGateway(
    t,
    {
      "fleet.yaml": fleet(urls(units), { health: "none", outlier: "none" }),
      "routes.yaml": routes("retry: { attempts: 3, budget: 20% }"),
    },
    ["--threads", "2"],
  );
  for (const unit of units.hz) await unit.turn({ mode: "fail", status: 503 });
  const load = new Load({ port: gateway.port, rate: 200, request: (n) => ({ path: `/hall/${n}` }) });
  await pause(2_000);
  await load.stop();
  let attempts = 0;
  for (const unit of units.hz) attempts += (await unit.report()).total;
  // Both endpoints fail: each thread finds that out for both.
  assert.ok(attempts <= load.sent * 1.2, `${attempts} attempts for ${load.sent} requests`);
});

test("a breaker opens, requests skip to the next unit, and it closes after the recovery", async (t) => {
  const units = await startUnits(t, { hz: 1, sh: 1 });
  const [ill] = units.hz as [(typeof units.hz)[0]];
  const gateway = await startGateway(t, {
    "fleet.yaml": fleet(urls(units), { health: "none", outlier: "none" }),
    "routes.yaml": routes(
      "breaker: { errors: 50%, volume: 5, window: 2s, open: 500ms }, retry: { budget: 100% }",
    ),
  });
  await ill.turn({ mode: "fail", status: 503 });
  const load = new Load({ port: gateway.port, rate: 100, request: (n) => ({ path: `/hall/${n}` }) });
  t.after(() => load.stop());
  const state = () => gateway.metric("tidegate_breaker_state", 'unit="hz"', 'service="hall"');
  await until("open", state, (n) => n === 2);
  const before = (await ill.report()).total;
  const opened = performance.now();
  await pause(1_500);
  const trials = (await ill.report()).total - before;
  const most = Math.ceil((performance.now() - opened) / 500) + 1;
  assert.ok(trials >= 1 && trials <= most, `${trials} trials, one each 500 ms`);
  assert.deepEqual(Object.keys(byUnit(load.between(opened + 50))), ["sh"]);
  assert.ok((await gateway.metric("tidegate_failovers_total", 'from="hz"', 'cause="breaker"')) > 50);

  // A write of the unit's own has nowhere to go: it is refused by the breaker, at once.
  await ill.turn({ mode: "ok" });
  await until("closed", state, (n) => n === 0);
  const closed = performance.now();
  await pause(300);
  await load.stop();
  assert.deepEqual(Object.keys(byUnit(load.between(closed + 50))), ["hz"]);
  assert.equal(load.failures.length, 0, summary(load));
});

test("a write whose unit's breaker is open is refused at once, and says so", async (t) => {
  const units = await startUnits(t, { hz: 1 });
  const gateway = await startGateway(t, {
    "fleet.yaml": fleet(urls(units), { health: "none", outlier: "none" }),
    "routes.yaml": routes("breaker: { errors: 50%, volume: 5, window: 2s, open: 10s }"),
  });
  const write = () => fetch(`${gateway.url}/cart/1?uid=u1`, { method: "POST", body: "x" });
  await units.hz[0]!.turn({ mode: "reset" });
  await until(
    "open",
    async () => {
      const answer = await write();
      return (await answer.json()) as { type: string; status: number };
    },
    (problem) => problem.type === "urn:tidegate:problem:breaker",
  );
  const seen = (await units.hz[0]!.report()).total;
  const answer = await write();
  assert.equal(answer.status, 503);
  assert.equal(answer.headers.get("content-type"), "application/problem+json");
  assert.ok(Number(answer.headers.get("retry-after")) >= 1);
  await answer.text();
  assert.equal((await units.hz[0]!.report()).total, seen);
});
