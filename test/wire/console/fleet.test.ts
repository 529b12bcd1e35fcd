/** The map of a real fleet: a unit dies on it, comes back, is drained by hand and seen by whoever may only look. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "../../support/gateway.ts";
import { picture, signIn, startBrowser, startStage, startTraffic, visit } from "./support.ts";

/** What an SRE is promised: from the death of a unit to the map (ms). */
const SEEN = 2_000;

test("a unit dies on the map within two seconds, and is well on it again when it is back", async (t) => {
  const [stage, browser] = await Promise.all([startStage(t), startBrowser(t)]);
  const { plane, units, token } = stage;
  startTraffic(t, stage);
  const ann = await visit(browser, plane);
  const { page, complaints } = ann;
  await page.getByRole("heading", { name: "Tidegate" }).waitFor();
  await picture(page, "sign-in");
  await page.getByLabel("Token", { exact: true }).fill("tg_wrong");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("alert").filter({ hasText: "the token is unknown" }).waitFor();
  await signIn(ann, await token("ann", "operator"));
  assert.deepEqual(await page.getByRole("navigation").getByRole("link").allTextContents(), [
    "Fleet",
    "Plans",
    "Rollouts",
    "Alerts",
    "Errors",
    "Overlays",
    "Revisions",
    "Routes",
    "Audit",
  ]);
  const tile = (unit: string, state: string) => page.locator(`.tile[data-unit=${unit}][data-state=${state}]`);
  for (const unit of ["hz", "sh", "sz"]) await tile(unit, "well").waitFor();
  await until(
    "traffic on the map",
    async () => Number.parseFloat((await tile("sh", "well").locator(".rate b").textContent()) ?? ""),
    (rps) => rps > 5,
  );
  assert.equal(await page.locator(".banner").count(), 0);
  await page.getByText("1 gateway serves revision 1").waitFor();

  const killed = performance.now();
  units.sh!.kill();
  await tile("sh", "down").waitFor();
  const took = performance.now() - killed;
  t.diagnostic(`on the map after ${took.toFixed(0)} ms`);
  assert.ok(took < SEEN, `${took} ms`);
  await page.locator(".banner", { hasText: "Down: sh" }).waitFor();
  await page.getByText("What routes let go of sh goes to hz: 100 %").waitFor();
  assert.equal(await page.locator(".arrows .arrow").count(), 1);
  await picture(page, "fleet");
  await page.locator(".banner").getByRole("link", { name: "Look" }).click();
  await page.getByRole("heading", { level: 1, name: "sh" }).waitFor();
  await page.getByText("0 of 1 usable").waitFor();
  await picture(page, "unit");

  await units.sh!.start();
  await page.getByRole("heading", { level: 1 }).getByText(/well$/).waitFor();
  await page.locator(".banner").waitFor({ state: "detached" });

  await page.getByRole("button", { name: "Drain …" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("rowheader", { name: "fleet.units.sh.drain" }).waitFor();
  await dialog.getByLabel("Ramp").fill("0s");
  assert.equal(await dialog.getByRole("button", { name: "Lay it now" }).isEnabled(), false, "no reason yet");
  await dialog.getByLabel("Reason").fill("looks tired");
  await dialog.getByText('"ramp":0').waitFor();
  await picture(page, "drain");
  await dialog.getByRole("button", { name: "Lay it now" }).click();
  await page
    .getByRole("heading", { level: 1 })
    .getByText(/drained$/)
    .waitFor();
  await page.getByRole("link", { name: "Overlays" }).click();
  await page.getByRole("cell", { name: "looks tired" }).waitFor();
  await picture(page, "overlays");
  await page.getByRole("button", { name: "Remove …" }).click();
  await dialog.getByRole("rowheader", { name: "fleet.units.sh.drain" }).waitFor();
  await dialog.getByLabel("Reason").fill("slept well");
  await dialog.getByRole("button", { name: /^Remove ov-\d+ now$/ }).click();
  await page.getByText("Nothing lies over the base.").waitFor();
  await page.getByRole("link", { name: "Revisions" }).click();
  await page.getByRole("radio", { name: "From 1" }).check();
  await page.getByRole("radio", { name: "To 2" }).check();
  await page.getByRole("heading", { name: "Revision 1 → 2" }).waitFor();
  await page.getByRole("rowheader", { name: "fleet.units.sh.drain" }).waitFor();
  await picture(page, "revisions");
  await page.getByRole("link", { name: "Routes" }).click();
  await page.getByRole("cell", { name: "/cart/*" }).waitFor();
  await picture(page, "routes");
  await page.getByRole("link", { name: "cart", exact: true }).click();
  await page.getByText("2 beyond the first").waitFor();
  await picture(page, "route");
  await page.getByRole("link", { name: "Audit" }).click();
  await page.getByText("slept well").waitFor();
  await page.getByRole("button", { name: "Check the chain" }).click();
  await page.getByText(/The chain of \d+ entries is whole\./).waitFor();
  await picture(page, "audit");
  assert.deepEqual(complaints, []);

  const eve = await visit(browser, plane);
  await signIn(eve, await token("eve", "viewer"));
  await eve.page.getByRole("link", { name: /^sh/ }).click();
  await eve.page.getByText("Failover order").waitFor();
  for (const path of ["#/units/sh", "#/overlays", "#/plans/drain-region", "#/revisions", "#/routes/hall"]) {
    await eve.page.goto(`${plane.url}/${path}`);
    await eve.page.locator("main .panel").first().waitFor();
    assert.equal(await eve.page.getByRole("button", { name: /…$/ }).count(), 0, `${path}: may only look`);
  }
  await eve.page.getByRole("button", { name: "Sign out" }).click();
  await eve.page.getByLabel("Token", { exact: true }).waitFor();
  await eve.page.reload();
  await eve.page.getByLabel("Token", { exact: true }).waitFor();
  assert.deepEqual(eve.complaints, []);
});
