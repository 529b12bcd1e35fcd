/** What active checks and real traffic make of endpoints. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { startGateway, type TestGateway, until } from "../../support/gateway.ts";
import { type ByteServer, byteServer } from "../../support/upstream.ts";
import { fleet, routes } from "./fleet.ts";
import { byUnit, Load, pause, shareOf, summary } from "./load.ts";
import { startUnit, startUnits, urls } from "./units.ts";

const FAST = "interval: 100ms, timeout: 100ms";

async function healthOf(gateway: TestGateway, url: string): Promise<string | undefined> {
  return (await gateway.status()).endpoints.find((e) => e.endpoint === url)?.health;
}

async function becomes(gateway: TestGateway, url: string, health: string): Promise<void> {
  await until(
    `${url} ${health}`,
    () => healthOf(gateway, url),
    (seen) => seen === health,
  );
}

test("a check expects a status and a text in the body", async (t) => {
  const server = (head: string, body: string) => {
    const made: Promise<ByteServer> = byteServer(t, (_request, socket) =>
      socket.end(`HTTP/1.1 ${head}\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`),
    );
    return made;
  };
  const [good, wrongText, wrongStatus, long] = await Promise.all([
    server("204 No Content", ""),
    server("203 Fine", "all is lost"),
    server("200 OK", "all is well"),
    server("203 Fine", `${"x".repeat(70_000)}all is well`),
  ]);
  const well = await server("203 Fine", "today all is well, thanks");
  const gateway = await startGateway(t, {
    "fleet.yaml": fleet(
      { hz: [well.url, wrongText.url, wrongStatus.url, long.url, good.url] },
      { health: `{ path: /check, status: [201-204], body: all is well, ${FAST} }` },
    ),
    "routes.yaml": routes(),
  });
  for (const ill of [wrongText, wrongStatus, good, long]) await becomes(gateway, ill.url, "down");
  await pause(300);
  assert.equal(await healthOf(gateway, well.url), "up");
  assert.match(well.requests[0]!, /^GET \/check HTTP\/1.1\r\n/);
  const down = gateway.stderr.split("\n").filter((line) => line.includes("endpoint down"));
  const reasons = new Map(down.map((line) => [JSON.parse(line).endpoint, JSON.parse(line).reason]));
  assert.equal(reasons.get(wrongStatus.url), "answered 200");
  assert.equal(reasons.get(wrongText.url), 'the body lacks "all is well"');
  assert.equal(reasons.get(long.url), 'the first 64 KiB lack "all is well"');
  assert.equal(
    await gateway.metric("tidegate_unit_healthy", 'unit="hz"'),
    1,
    "one usable endpoint is enough",
  );
  assert.equal(await gateway.metric("tidegate_endpoint_healthy", `endpoint="${well.url}"`), 1);
  assert.equal(await gateway.metric("tidegate_endpoint_healthy", `endpoint="${long.url}"`), 0);
});

test("checks fall and rise in the counts that are asked for", async (t) => {
  const units = await startUnits(t, { hz: 2 });
  const gateway = await startGateway(t, {
    "fleet.yaml": fleet(urls(units), { health: `{ path: /healthz, ${FAST}, healthy: 4, unhealthy: 5 }` }),
    "routes.yaml": routes(),
  });
  const unit = units.hz[0]!;
  await until(
    "checked",
    () => unit.report(),
    (report) => report.healthChecks > 2,
  );
  await unit.turn({ health: "fail" });
  const failing = (await unit.report()).healthChecks;
  await becomes(gateway, unit.url, "down");
  const fell = (await unit.report()).healthChecks - failing;
  assert.ok(fell >= 4 && fell <= 8, `down after ${fell} checks`); // one may have been under way, a few follow
  await unit.turn({ health: "ok" });
  const passing = (await unit.report()).healthChecks;
  await becomes(gateway, unit.url, "up");
  const rose = (await unit.report()).healthChecks - passing;
  assert.ok(rose >= 3 && rose <= 6, `up after ${rose} checks`);
});

test("when every check fails traffic still flows, spread over all endpoints", async (t) => {
  const units = await startUnits(t, { hz: 1, sh: 1 });
  const gateway = await startGateway(t, {
    "fleet.yaml": fleet(urls(units), { health: `{ path: /healthz, ${FAST} }` }),
    "routes.yaml": routes(),
  });
  for (const unit of [...units.hz, ...units.sh]) await unit.turn({ health: "fail" });
  await becomes(gateway, units.hz[0]!.url, "down");
  await becomes(gateway, units.sh[0]!.url, "down");
  assert.equal(await gateway.metric("tidegate_unit_healthy"), 0);
  assert.equal((await gateway.admin("/readyz")).status, 200, "the gateway itself is well");
  const load = new Load({ port: gateway.port, rate: 200, request: (n) => ({ path: `/hall/${n}` }) });
  await pause(500);
  await load.stop();
  assert.equal(load.failures.length, 0, summary(load));
  const shares = byUnit(load.answers);
  assert.ok(shares.hz! > load.sent * 0.25 && shares.sh! > load.sent * 0.25, JSON.stringify(shares));

  // In panic a sharded write still goes home, and nowhere else.
  for (let n = 0; n < 20; n++) {
    const explained = await gateway.admin(
      `/explain?method=POST&url=${encodeURIComponent(`/cart/x?uid=u${n}`)}`,
    );
    const { home } = (await explained.json()) as { home: string };
    const answer = await fetch(`${gateway.url}/cart/${n}?uid=u${n}`, { method: "POST" });
    assert.equal(((await answer.json()) as { unit: string }).unit, home);
  }
});

test("five 5xx in a row eject an endpoint whose checks pass; it returns with slow start", async (t) => {
  const units = await startUnits(t, { hz: 2, sh: 1 });
  const gateway = await startGateway(t, {
    "fleet.yaml": fleet(urls(units), {
      health: `{ path: /healthz, ${FAST} }`,
      outlier: "{ consecutive: 5, baseEjection: 1s }",
      slowStart: "2s",
    }),
    "routes.yaml": routes(),
  });
  const ill = units.hz[0]!;
  await ill.turn({ mode: "fail", status: 503, health: "always" });
  const load = new Load({ port: gateway.port, rate: 200, request: (n) => ({ path: `/hall/${n}` }) });
  t.after(() => load.stop());
  await becomes(gateway, ill.url, "ejected");
  assert.equal(await gateway.metric("tidegate_ejections_total", 'unit="hz"'), 1);
  const seen = (await ill.report()).total;
  assert.ok(seen >= 5 && seen < 30, `${seen} requests until it was ejected`);
  assert.equal(await gateway.metric("tidegate_unit_healthy", 'unit="hz"'), 1);
  await pause(300);
  assert.ok((await ill.report()).total - seen <= 5, "nothing more is sent to it");
  await ill.turn({ mode: "ok" });
  await becomes(gateway, ill.url, "up");
  const returned = performance.now();
  await pause(2_600);
  await load.stop();
  assert.equal(load.failures.length, 0, summary(load));
  const early = shareOf(load.between(returned, returned + 400), ill.port);
  const late = shareOf(load.between(returned + 2_000), ill.port);
  assert.ok(late > 0.35 && late < 0.65, `its share at last: ${late}`);
  assert.ok(early < late * 0.6, `slow start: ${early} at first, ${late} at last`);
});

test("the last endpoint of a pool is never ejected, and a second ejection lasts longer", async (t) => {
  const units = await startUnits(t, { hz: 2 });
  const gateway = await startGateway(t, {
    "fleet.yaml": fleet(urls(units), {
      health: "none",
      outlier: "{ consecutive: 3, baseEjection: 500ms, maxShare: 100% }",
    }),
    "routes.yaml": routes("retry: none"),
  });
  for (const unit of units.hz) await unit.turn({ mode: "fail", status: 500 });
  const load = new Load({ port: gateway.port, rate: 100, request: (n) => ({ path: `/hall/${n}` }) });
  t.after(() => load.stop());
  const ejected = async (): Promise<number> =>
    (await gateway.status()).endpoints.filter((e) => e.health === "ejected").length;
  await until("ejected", ejected, (n) => n === 1);
  const first = await gateway.metric("tidegate_ejections_total");
  assert.equal(first, 1);
  for (let i = 0; i < 60; i++) assert.ok((await ejected()) <= 1);
  await until(
    "ejected again",
    () => gateway.metric("tidegate_ejections_total"),
    (n) => n >= 3,
  );
  await load.stop();
  assert.ok(load.answers.every((a) => a.status === 500));
  const lengths = gateway.stderr
    .split("\n")
    .filter((line) => line.includes("endpoint ejected"))
    .map((line) => JSON.parse(line) as { endpoint: string; reason: string });
  assert.match(lengths[0]!.reason, /3 failures in a row/);
});

test("an endpoint that flaps costs no request", async (t) => {
  const steady = await startUnit(t, "hz");
  const flapping = await startUnit(t, "hz");
  const gateway = await startGateway(t, {
    "fleet.yaml": fleet({ hz: [steady.url, flapping.url] }, { health: `{ path: /healthz, ${FAST} }` }),
    "routes.yaml": routes(),
  });
  await flapping.turn({ mode: "flap", period: 500 });
  const load = new Load({ port: gateway.port, rate: 200, request: (n) => ({ path: `/hall/${n}` }) });
  await pause(3_500);
  await load.stop();
  assert.equal(load.failures.length, 0, summary(load));
  assert.ok(shareOf(load.answers, steady.port) > 0.5);
});
