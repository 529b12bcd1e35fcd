/** A unit that has as many requests under way as it may: a bounded line, first come first served. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { startGateway, until } from "../../support/gateway.ts";
import { fleet, routes } from "./fleet.ts";
import { pause } from "./load.ts";
import { startUnits, urls } from "./units.ts";

test("who waits longest is served first, and who finds the line full is refused", async (t) => {
  const units = await startUnits(t, { hz: 1 });
  const gateway = await startGateway(t, {
    "fleet.yaml": fleet(urls(units)).replace(
      "center: true",
      "center: true, inflight: 1, queue: { size: 5, wait: 10s }",
    ),
    "routes.yaml": routes(),
  });
  const served: string[] = [];
  const get = async (name: string, path = `/hall/delay/1?${name}`): Promise<number> => {
    const answer = await fetch(`${gateway.url}${path}`);
    await answer.text();
    if (answer.status === 200) served.push(name);
    return answer.status;
  };
  const first = get("first", "/hall/delay/900");
  await until(
    "under way",
    () => gateway.metric("tidegate_upstream_inflight"),
    (n) => n === 1,
  );
  const waiting: Promise<number>[] = [];
  for (const name of ["a", "b", "c", "d", "e"]) {
    waiting.push(get(name));
    await pause(60); // so that their order is plain to all
  }
  assert.equal(await get("too many"), 503);
  assert.deepEqual(await Promise.all([first, ...waiting]), [200, 200, 200, 200, 200, 200]);
  assert.deepEqual(served, ["first", "a", "b", "c", "d", "e"]);
});
