/** Sessions that end in mid-action, and browsers that were away for an hour. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { signIn, startBrowser, startStage, visit } from "./support.ts";

test("a session that ends in mid-action says so, and what was typed is sent after signing in again", async (t) => {
  const [stage, browser] = await Promise.all([startStage(t), startBrowser(t)]);
  const { plane, token, admin } = stage;
  const ann = await visit(browser, plane);
  const { page, complaints } = ann;
  await signIn(ann, await token("ann", "operator"));
  await page.getByRole("link", { name: "Overlays" }).click();
  await page.getByRole("button", { name: "Lay an overlay …" }).click();
  const dialog = page.getByRole("dialog", { name: "Lay an overlay …" });
  await dialog.getByLabel("Kind").selectOption("pin");
  await dialog.getByLabel("Key").fill("user-7");
  await dialog.getByLabel("Unit").selectOption("sz");
  await dialog.getByLabel("Reason").fill("a long story that nobody types twice");
  await dialog.getByRole("rowheader", { name: "fleet.placement.pins.user-7" }).waitFor();
  // Her token is revoked while she types.
  const { tokens } = (await plane.call("GET", "/v1/tokens", undefined, admin)).body;
  const { id } = tokens.find(({ name }: { name: string }) => name === "ann");
  assert.equal((await plane.call("DELETE", `/v1/tokens/${id}?reason=a`, undefined, admin)).status, 200);
  const over = page.getByRole("dialog", { name: "The session is over" });
  // The streams notice within a second or two by themselves; a press of the button, at once.
  await over.waitFor();
  const second = await token("ann", "operator");
  await over.getByLabel("Token", { exact: true }).fill(second);
  await over.getByRole("button", { name: "Sign in" }).click();
  await over.waitFor({ state: "detached" });
  assert.equal(await dialog.getByLabel("Reason").inputValue(), "a long story that nobody types twice");
  assert.equal(await dialog.getByLabel("Key").inputValue(), "user-7");
  await dialog.getByRole("button", { name: "Lay it now" }).click();
  await dialog.waitFor({ state: "detached" });
  await page.getByText("key user-7 to sz").waitFor();
  const { overlays } = (await plane.call("GET", "/v1/overlays", undefined, admin)).body;
  assert.equal(overlays.length, 1);
  assert.deepEqual(complaints, []);
});

test("a browser that was away for an hour says that it is, and shows what holds when it is back", async (t) => {
  const [stage, browser] = await Promise.all([startStage(t), startBrowser(t)]);
  const { plane, token, admin, units } = stage;
  const ann = await visit(browser, plane);
  const { page, context, complaints } = ann;
  await page.clock.install();
  await page.reload();
  await signIn(ann, await token("ann", "operator"));
  await page.locator(".tile[data-unit=sh][data-state=well]").waitFor();
  await context.setOffline(true);
  await page.clock.fastForward(3_600_000);
  await page.getByText("The control plane has not answered").waitFor();
  const laid = { kind: "drain", unit: "sz", ramp: "0s", reason: "meanwhile" };
  assert.equal((await plane.call("POST", "/v1/overlays", laid, admin)).status, 201);
  const ran = { plan: "drain-region", values: { region: "hangzhou" }, reason: "meanwhile" };
  assert.equal((await plane.call("POST", "/v1/executions", ran, admin)).status, 201);
  units.sh!.kill();
  await context.setOffline(false);
  await page.locator(".tile[data-unit=sh][data-state=down]").waitFor();
  await page.locator(".tile[data-unit=sz][data-state=drained]").waitFor();
  await page.getByText("waits for an approval").waitFor();
  await page.getByText("The control plane has not answered").waitFor({ state: "detached" });
  assert.deepEqual(complaints, []);
});
