/** The sample unit behind a guard: writes that are not its own never reach its handler. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createUnit } from "../../loadtest/unit/app.ts";

test("a guarded sample unit refuses other units' writes, and still obeys its switches", async (t) => {
  const placement = { slots: 2, map: ["hz", "sh"], pins: {}, epoch: 1 };
  const unit = createUnit({ unit: "hz", clock: { now: () => performance.now() }, guard: { placement } });
  await unit.listen();
  t.after(() => unit.close());
  const write = async (slot: number, path = "/cart/x"): Promise<number> => {
    const headers = {
      "x-tidegate-unit": "hz",
      "x-tidegate-slot": `${slot}`,
      "x-tidegate-epoch": "1",
    };
    const answer = await fetch(`${unit.origin}${path}`, { method: "POST", headers, body: "x" });
    await answer.text();
    return answer.status;
  };
  assert.equal(await write(0), 200);
  assert.equal(await write(1), 421);
  const bare = await fetch(`${unit.origin}/cart/x`, { method: "POST", body: "x" });
  assert.equal(bare.status, 421);
  const turned = await fetch(`${unit.origin}/__unit`, { method: "POST", body: '{"mode":"ok"}' });
  assert.equal(turned.status, 200);
  assert.equal((await fetch(`${unit.origin}/healthz`)).status, 200);
  assert.deepEqual(unit.report().requests, { POST: 1 });
});
