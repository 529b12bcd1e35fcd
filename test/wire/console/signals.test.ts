/** Rollouts, alerts and errors in a browser: promoted, taken back, acknowledged, and followed to their cause. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { picture, signIn, startBrowser, startStage, startTraffic, visit } from "./support.ts";

const ROLLOUT = `summary: hall 2.4
owner: shop
service: hall
waves: [ sz, sh, hz ]
steps: [ { share: 20%, bake: 10m }, { share: 100%, bake: 10m } ]
evidence: { samples: 20 }
`;

const ALERTS = `rules:
  unit-down:
    is: unit-unhealthy
    severity: critical
    summary: unit \${unit} is unhealthy
    plan: { name: leave, values: { unit: "\${unit}" } }
`;

const LEAVE = `summary: Gives a unit no new work.
owner: sre
parameters:
  unit: { type: unit, default: hz, summary: the unit that is left }
steps: [ { drain: "\${unit}", ramp: 0s } ]
`;

test("a rollout is begun, promoted and taken back, and its evidence is on the screen meanwhile", async (t) => {
  const [stage, browser] = await Promise.all([startStage(t), startBrowser(t)]);
  const { plane, token, admin } = stage;
  startTraffic(t, stage, 8);
  const { files } = (await plane.call("GET", "/v1/config", undefined, admin)).body;
  const fleet = (files["fleet.yaml"] as string).replace(
    /"http:\/\/127\.0\.0\.1:(\d+)" \]/g,
    '$& , canary: [ "http://localhost:$1" ]',
  );
  const next = { ...files, "fleet.yaml": fleet, "rollouts/hall.yaml": ROLLOUT };
  const applied = await plane.call(
    "PUT",
    "/v1/config",
    { files: next, reason: "a canary", expect: 1 },
    admin,
  );
  assert.equal(applied.status, 200, JSON.stringify(applied.body));
  const ann = await visit(browser, plane);
  await signIn(ann, await token("ann", "approver"));
  const { page } = ann;
  await page.getByRole("link", { name: "Rollouts" }).click();
  await page.getByRole("link", { name: /^hall/ }).click();
  await page.getByText("It never ran.").waitFor();
  await page.getByRole("button", { name: "Begin" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("sz → sh → hz").waitFor();
  await dialog.getByLabel("Reason").fill("hall 2.4");
  await dialog.getByRole("button", { name: "Begin" }).click();
  await dialog.waitFor({ state: "detached" });

  const row = page.getByRole("row", { name: /\bsz\b/ });
  await row.getByText("20.0 %").or(row.getByText("20 %")).first().waitFor();
  await row.locator(".band svg").first().waitFor();
  await picture(page, "rollout");
  await page
    .getByRole("button", { name: /^Promote: / })
    .first()
    .click();
  await dialog.getByLabel("Reason").fill("seen enough");
  await dialog.getByRole("button", { name: "Promote" }).click();
  await dialog.waitFor({ state: "detached" });
  await row.getByText("100 %").first().waitFor();
  await page.getByRole("button", { name: "Revert" }).click();
  await dialog.getByLabel("Reason").fill("not tonight");
  await dialog.getByRole("button", { name: /^Revert ex-/ }).click();
  await page.getByRole("heading", { level: 1 }).getByText("reverted").waitFor();
  await row.getByText("taken back").waitFor();
  assert.deepEqual((await plane.call("GET", "/v1/overlays", undefined, admin)).body.overlays, []);
  assert.deepEqual(ann.complaints, []);
});

test("a unit dies: its alert is acknowledged and leads to the plan, its errors to their cause", async (t) => {
  const extra = { "alerts.yaml": ALERTS, "plans/leave.yaml": LEAVE };
  const [stage, browser] = await Promise.all([startStage(t, extra), startBrowser(t)]);
  const { plane, gateway, token, units } = stage;
  startTraffic(t, stage);
  const ann = await visit(browser, plane);
  await signIn(ann, await token("ann", "operator"));
  const { page } = ann;
  await page.getByRole("link", { name: "Alerts" }).click();
  await page.getByText("Nothing fires.").waitFor();
  units.sh!.kill();
  const card = page.locator(".card", { hasText: "unit sh is unhealthy" });
  await card.getByText("fires (critical)").waitFor();
  await page.locator(".banner").getByText("unit-down").waitFor();
  await picture(page, "alerts");
  await card.getByRole("button", { name: "Acknowledge" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Reason").fill("on it");
  await dialog.getByRole("button", { name: "Acknowledge" }).click();
  await card.getByText("ann: on it").waitFor();
  await card.getByRole("link", { name: "Plan: leave" }).click();
  await page.getByRole("heading", { level: 1, name: "leave" }).waitFor();
  assert.equal(await page.getByLabel("unit").inputValue(), "sh", "as the alert filled it in");

  // A write of sh's own users fails: what comes of it is shown, the header's words as words.
  const headers = {
    "x-user-id": "user-3",
    "user-agent": "<img src=x onerror=alert(1)>",
    traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
  };
  for (let i = 0; i < 40; i++) {
    const answer = await fetch(`${gateway.url}/cart/1`, {
      method: "POST",
      headers: { ...headers, "x-user-id": `user-${i}` },
    });
    await answer.arrayBuffer();
    if (answer.status >= 500) break;
  }
  await page.getByRole("link", { name: "Errors" }).click();
  const line = page.getByRole("row").filter({ hasText: "0af7651916cd" }).first();
  await line.waitFor();
  await picture(page, "errors");
  await line.getByRole("link").click();
  await page.getByRole("heading", { name: "Where the time went" }).waitFor();
  await page.getByText("<img src=x onerror=alert(1)>").first().waitFor();
  assert.ok((await page.locator(".waterfall rect").count()) > 0);
  await picture(page, "error");
  assert.deepEqual(ann.complaints, []);
});
