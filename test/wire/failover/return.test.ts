/** A whole unit that comes back is given its traffic slowly: its caches are as cold as one endpoint's. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { startGateway, until } from "../../support/gateway.ts";
import { fleet, routes } from "./fleet.ts";
import { byUnit, Load, pause, summary } from "./load.ts";
import { startUnits, urls } from "./units.ts";

test("traffic returns to a whole unit with slow start", async (t) => {
  const units = await startUnits(t, { hz: 2, sh: 1 });
  const gateway = await startGateway(t, {
    "fleet.yaml": fleet(urls(units), {
      health: "{ path: /healthz, interval: 200ms, timeout: 200ms }",
      slowStart: "2s",
    }),
    "routes.yaml": routes(),
  });
  const usable = async (): Promise<number> =>
    (await gateway.status()).endpoints.filter((e) => e.unit === "hz" && e.health === "up").length;
  await until("all up", usable, (n) => n === 2);
  for (const unit of units.hz) await unit.turn({ health: "fail" });
  await until("out", usable, (n) => n === 0);
  const load = new Load({ port: gateway.port, rate: 300, request: (n) => ({ path: `/hall/${n}` }) });
  t.after(() => load.stop());
  await Promise.all(units.hz.map((unit) => unit.turn({ health: "ok" })));
  await until("back", usable, (n) => n > 0);
  const back = performance.now();
  await pause(2_800);
  await load.stop();
  assert.equal(load.failures.length, 0, summary(load));
  const share = (from: number, to: number): number => {
    const answers = load.between(back + from, back + to);
    return (byUnit(answers).hz ?? 0) / answers.length;
  };
  assert.equal(share(2_500, 2_800), 1, "all of it at last");
  assert.ok(share(0, 400) < 0.6, `in the first 400 ms it has ${share(0, 400) * 100} % of its traffic`);
});
