/** Previews: what each kind of a change would do, and that it does just that. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { startControlPlane, type TestControlPlane } from "../../support/control-plane.ts";
import { fleetYaml } from "../../support/gateway.ts";

const FLEET = fleetYaml({ hz: ["http://127.0.0.1:1"], sh: ["http://127.0.0.1:2"] });
const ROUTES = "routes:\n  - { name: hall, match: { path: /hall/* }, service: hall, scope: nearest }\n";
const MORE = `${ROUTES}  - { name: cart, match: { path: /cart/* }, service: hall, scope: sharded }\n`;
const FILES = { "fleet.yaml": FLEET, "routes.yaml": ROUTES };
/** Everything stands still from now on, but for what is named. */
const day = (from: number): string =>
  new Date(Date.now() + from * 86_400_000).toISOString().replace(/\.\d+Z/, "+00:00");
const FREEZE = `rules: { the-night: { freeze: [ { from: "${day(-1)}", to: "${day(1)}", except: [ drain ] } ] } }\n`;

async function apply(plane: TestControlPlane, files: Readonly<Record<string, string>>): Promise<void> {
  const { status, body } = await plane.call("PUT", "/v1/config", { files, reason: "a test" });
  assert.equal(status, 200, JSON.stringify(body));
}

async function drain(plane: TestControlPlane): Promise<string> {
  const overlay = { kind: "drain", unit: "sh", ramp: "0s", reason: "a test" };
  const { status, body } = await plane.call("POST", "/v1/overlays", overlay);
  assert.equal(status, 201, JSON.stringify(body));
  return body.overlay.id;
}

/** What the last change made gateways serve differently. */
async function done(plane: TestControlPlane, revision: number): Promise<unknown> {
  return (await plane.call("GET", `/v1/diff?from=${revision - 1}&to=${revision}`)).body.differences;
}

test("a rollback's preview is what the rollback does, and changes nothing", async (t) => {
  const plane = await startControlPlane(t, FILES);
  await apply(plane, { ...FILES, "routes.yaml": MORE });
  await drain(plane);
  const { status, body } = await plane.call("GET", "/v1/revisions/1/rollback");
  assert.equal(status, 200, JSON.stringify(body));
  assert.deepEqual([body.revision, body.violations], [3, []]);
  assert.ok(body.differences.length > 0 && JSON.stringify(body.differences).includes("cart"));
  assert.equal((await plane.call("GET", "/v1/status")).body.revision.number, 3, "nothing has changed");
  const back = await plane.call("POST", "/v1/rollback", { to: 1, reason: "a test", expect: body.revision });
  assert.equal(back.status, 200, JSON.stringify(back.body));
  assert.deepEqual(await done(plane, 4), body.differences);
  for (const [number, expected] of [
    ["1", 409],
    ["99", 404],
    ["x", 400],
  ] as const) {
    assert.equal((await plane.call("GET", `/v1/revisions/${number}/rollback`)).status, expected, number);
  }
});

test("the preview of a removal is what the removal does", async (t) => {
  const plane = await startControlPlane(t, FILES);
  const id = await drain(plane);
  const { status, body } = await plane.call("GET", `/v1/overlays/${id}/removal`);
  assert.equal(status, 200, JSON.stringify(body));
  assert.deepEqual([body.overlay.id, body.revision, body.violations], [id, 2, []]);
  assert.ok(JSON.stringify(body.differences).includes("drain"), JSON.stringify(body.differences));
  assert.equal((await plane.call("DELETE", `/v1/overlays/${id}?reason=over`)).status, 200);
  assert.deepEqual(await done(plane, 3), body.differences);
  assert.equal((await plane.call("GET", `/v1/overlays/${id}/removal`)).status, 404);
});

test("a preview names the rule that the change itself is refused by", async (t) => {
  const plane = await startControlPlane(t, FILES);
  await apply(plane, { ...FILES, "routes.yaml": MORE });
  const id = await drain(plane);
  await apply(plane, { ...FILES, "routes.yaml": MORE, "safety.yaml": FREEZE });
  for (const [preview, method, path, sent] of [
    ["/v1/revisions/1/rollback", "POST", "/v1/rollback", { to: 1, reason: "a test" }],
    [`/v1/overlays/${id}/removal`, "DELETE", `/v1/overlays/${id}?reason=over`, undefined],
  ] as const) {
    const { body } = await plane.call("GET", preview);
    assert.deepEqual(
      body.violations.map(({ rule }: { rule: string }) => rule),
      ["the-night"],
      preview,
    );
    const refused = await plane.call(method, path, sent);
    assert.equal(refused.status, 422, JSON.stringify(refused.body));
    assert.equal(refused.body.violations[0].message, body.violations[0].message);
  }
});
