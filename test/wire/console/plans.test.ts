/** A plan from the first look to the proof that it is taken back, by two people in two browsers. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { picture, signIn, startBrowser, startStage, startTraffic, visit } from "./support.ts";

test("one runs a plan that another one approves; its steps are watched live, and it is reverted", async (t) => {
  const [stage, browser] = await Promise.all([startStage(t), startBrowser(t)]);
  const { plane, token } = stage;
  startTraffic(t, stage);
  const [ann, bob] = await Promise.all([visit(browser, plane), visit(browser, plane)]);
  await Promise.all([
    signIn(ann, await token("ann", "approver")),
    signIn(bob, await token("bob", "approver")),
  ]);
  await ann.page.getByRole("link", { name: "Plans" }).click();
  await picture(ann.page, "plans");
  await ann.page.getByRole("link", { name: /^drain-region/ }).click();
  await ann.page.getByRole("heading", { level: 1, name: "drain-region" }).waitFor();
  const dry = ann.page.locator("main .dry-run .dry-steps");
  await dry.getByText("drain sh").waitFor();
  await ann.page.getByLabel("region").selectOption("shenzhen");
  await dry.getByText("drain sz").waitFor();
  assert.equal(await ann.page.locator("main .bar").count(), 3);
  await picture(ann.page, "plan");
  await ann.page.getByRole("button", { name: "Run …" }).click();
  const dialog = ann.page.getByRole("dialog");
  const run = dialog.getByRole("button", { name: "Run drain-region now" });
  await dialog.getByRole("rowheader", { name: "fleet.units.sz.drain" }).waitFor();
  assert.equal(await run.isEnabled(), false, "it asks why");
  await dialog.getByLabel("Reason").fill("cooling fails in shenzhen");
  await picture(ann.page, "plan-run");
  await run.click();

  await ann.page.getByText("You run it: somebody else has to agree.").waitFor();
  assert.equal(
    await ann.page.getByRole("button", { name: "Approve" }).count(),
    0,
    "nobody agrees to their own",
  );
  const banner = bob.page.locator(".banner");
  await banner.getByText("run by ann, waits for an approval (approver)").waitFor();
  await picture(bob.page, "approval");
  await banner.getByRole("link", { name: "Look" }).click();
  await bob.page.getByRole("button", { name: "Approve" }).click();
  const agree = bob.page.getByRole("dialog");
  await agree.locator(".steps").getByText("drain sz").waitFor();
  await agree.getByText("cooling fails in shenzhen").waitFor();
  await agree.getByLabel("Reason").fill("I saw the thermometer");
  await agree.getByRole("button", { name: /^Approve ex-/ }).click();

  await ann.page.getByRole("heading", { level: 1 }).getByText("succeeded").waitFor();
  await ann.page.locator(".step-done[data-step='2']").waitFor();
  await ann.page.getByText("bob: I saw the thermometer").first().waitFor();
  await banner.waitFor({ state: "detached" });
  await picture(ann.page, "execution");
  await bob.page.getByRole("link", { name: "Fleet" }).click();
  await bob.page.locator(".tile[data-unit=sz][data-state=drained]").waitFor();

  await ann.page.getByRole("button", { name: "Revert" }).click();
  await dialog.getByText("drain sz").waitFor();
  await dialog.getByLabel("Reason").fill("cool again");
  await dialog.getByRole("button", { name: /^Revert ex-/ }).click();
  await ann.page.getByText("What holds is what would hold had it never run.").waitFor();
  await bob.page.locator(".tile[data-unit=sz][data-state=well]").waitFor();
  assert.deepEqual([...ann.complaints, ...bob.complaints], []);
});

test("what a safety rule forbids is refused with the way out: another one agrees, and then it is done", async (t) => {
  const [stage, browser] = await Promise.all([startStage(t), startBrowser(t)]);
  const { plane, token, admin } = stage;
  const laid = { kind: "drain", unit: "sz", ramp: "0s", reason: "a test" };
  assert.equal((await plane.call("POST", "/v1/overlays", laid, admin)).status, 201);
  const [ann, bob] = await Promise.all([visit(browser, plane), visit(browser, plane)]);
  await Promise.all([
    signIn(ann, await token("ann", "operator")),
    signIn(bob, await token("bob", "approver")),
  ]);
  await ann.page.locator(".tile[data-unit=sh]").click();
  await ann.page.getByRole("button", { name: "Drain …" }).click();
  const dialog = ann.page.getByRole("dialog");
  await dialog.getByLabel("Reason").fill("it must be");
  await dialog.getByRole("button", { name: "Lay it now" }).click();
  await dialog.getByText("1 unit would serve").waitFor();
  await dialog.getByRole("button", { name: "Ask for leave to break it" }).click();
  await dialog.getByText("Somebody else has to agree").waitFor();
  await bob.page.locator(".banner").getByRole("button", { name: "Look" }).click();
  const agree = bob.page.getByRole("dialog");
  await agree.getByText("it must be").waitFor();
  await agree.getByLabel("Reason").fill("it must");
  await agree.getByRole("button", { name: "Agree" }).click();
  await agree.waitFor({ state: "detached" });
  await dialog.getByRole("button", { name: "Lay it now" }).click();
  await dialog.waitFor({ state: "detached" });
  await ann.page.getByRole("button", { name: "Undrain …" }).waitFor();
  assert.deepEqual([...ann.complaints, ...bob.complaints], []);
});
