/** Units and their endpoints die by kill -9 under load, and come back: nobody sees a failed request. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { startGateway, until } from "../../support/gateway.ts";
import { WHOLE } from "../../support/whole.ts";
import { fleet, routes } from "./fleet.ts";
import { byUnit, Load, pause, shareOf, summary } from "./load.ts";
import { startUnits, urls } from "./units.ts";

const RATE = 500;

const REQUESTS = {
  nearest: (n: number) => ({ path: `/hall/${n}` }),
  sharded: (n: number) => ({ path: `/cart/${n}?uid=u${n % 997}` }),
};

for (const kind of WHOLE ? (["nearest", "sharded"] as const) : (["sharded"] as const)) {
  test(`${RATE} reads a second on a ${kind} route outlive one endpoint, and then its whole unit`, async (t) => {
    const units = await startUnits(t, { hz: 2, sh: 2, sz: 2 });
    const gateway = await startGateway(t, {
      "fleet.yaml": fleet(urls(units), { slowStart: "2s" }),
      "routes.yaml": routes(),
    });
    const [first, second] = units.hz as [(typeof units.hz)[0], (typeof units.hz)[0]];
    const healthy = async (ports: readonly number[]) => {
      const { endpoints } = await gateway.status();
      return ports.every((p) => endpoints.some((e) => e.endpoint.endsWith(`:${p}`) && e.health === "up"));
    };
    await until("all up", () => healthy([first.port, second.port]));

    const load = new Load({ port: gateway.port, rate: RATE, request: REQUESTS[kind] });
    t.after(() => load.stop());
    await pause(1_000);

    // One of two endpoints: its unit keeps all of its traffic.
    await first.signal("SIGKILL");
    await until(
      "down",
      () => healthy([first.port]),
      (up) => !up,
    );
    const alone = performance.now();
    await pause(700);
    const whileAlone = load.between(alone, performance.now() - 200);
    assert.equal(shareOf(whileAlone, first.port), 0);
    assert.ok(shareOf(whileAlone, second.port) > (kind === "nearest" ? 0.99 : 0.25));

    await first.start();
    await until("up again", () => healthy([first.port]));
    const returned = performance.now();
    await pause(2_700);
    const early = shareOf(load.between(returned, returned + 400), first.port);
    const late = shareOf(load.between(returned + 2_000), first.port);
    const fair = kind === "nearest" ? 0.5 : 1 / 6;
    assert.ok(late > fair * 0.75 && late < fair * 1.25, `its fair share at last, not ${late}`);
    assert.ok(early < late * 0.6, `slow start: ${early} at first, ${late} at last`);

    // The whole unit at once.
    await Promise.all([first.signal("SIGKILL"), second.signal("SIGKILL")]);
    await until(
      "both down",
      async () => (await healthy([first.port])) || (await healthy([second.port])),
      (up) => !up,
    );
    const away = performance.now();
    await pause(700);
    assert.equal(byUnit(load.between(away)).hz ?? 0, 0);
    assert.equal(await gateway.metric("tidegate_unit_healthy", 'unit="hz"'), 0);

    await Promise.all([first.start(), second.start()]);
    await until("home again", () => healthy([first.port, second.port]));
    await pause(2_300);
    const home = performance.now();
    await pause(500);
    await load.stop();
    assert.equal(load.failures.length, 0, summary(load));
    const shares = byUnit(load.between(home));
    const total = load.between(home).length;
    assert.ok(shares.hz! / total > (kind === "nearest" ? 0.99 : 0.25), JSON.stringify(shares));
    assert.equal(await gateway.metric("tidegate_unit_healthy", 'unit="hz"'), 1);
    assert.ok((await gateway.metric("tidegate_failovers_total", 'from="hz"')) > 0);
    await until(
      "nothing under way",
      () => gateway.metric("tidegate_upstream_inflight"),
      (n) => n === 0,
    );
  });
}
