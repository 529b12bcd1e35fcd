/** The demo as a person plays it: its own buttons in one window, the console in another. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { until } from "../../support/gateway.ts";
import { picture, startBrowser, visit } from "./support.ts";

const MAIN = join(import.meta.dirname, "../../../loadtest/demo/main.ts");

interface Places {
  readonly console: string;
  readonly buttons: string;
}

async function startDemo(t: TestContext): Promise<Places> {
  const ports = ["port", "admin-port", "control-port", "buttons-port", "unit-ports-from"];
  const args = [...ports.flatMap((name) => [`--${name}`, "0"]), "--rate", "120", "--seconds", "110"];
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  t.after(async () => {
    if (child.exitCode !== null) return;
    const exited = once(child, "exit");
    child.kill("SIGTERM");
    await exited;
  });
  let out = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    out += chunk;
  });
  await until(
    "traffic",
    () => out,
    (said) => said.includes("traffic begins") && said.includes("\nbuttons "),
    30_000,
  );
  const at = (name: string): string =>
    new RegExp(`^${name} +(http://127\\.0\\.0\\.1:\\d+)`, "m").exec(out)![1]!;
  return { console: at("console"), buttons: at("buttons") };
}

test("a unit is killed, one made slow, a bad canary released: alert, plan, dry run, execution and revert", async (t) => {
  const [places, browser] = await Promise.all([startDemo(t), startBrowser(t)]);
  const [player, ann] = [
    await visit(browser, { url: places.buttons }),
    await visit(browser, { url: places.console }),
  ];
  const unit = (name: string) => player.page.locator("#units > div").filter({ hasText: `${name}: ` });
  const { page } = ann;

  await unit("sh").getByRole("button", { name: "Kill" }).click();
  await page.locator(".tile[data-unit=sh][data-state=down]").waitFor();
  await unit("sh").getByRole("button", { name: "Start again" }).click();
  await page.locator(".tile[data-unit=sh][data-state=well]").waitFor({ timeout: 20_000 });

  await unit("sz").getByRole("button", { name: "Make slow" }).click();
  await page.getByRole("link", { name: "Alerts" }).click();
  const card = page.locator("li", { hasText: "unit-slow" }).filter({ hasText: "unit sz" });
  await card.getByText("fires (warning)").waitFor({ timeout: 30_000 });
  await picture(page, "demo-alert");
  await card.getByRole("link", { name: "Plan: drain-unit" }).click();
  await page.getByRole("heading", { level: 1, name: "drain-unit" }).waitFor();
  await page.locator("section", { hasText: "Dry run" }).last().getByText("drain sz").first().waitFor();
  await page.getByRole("button", { name: "Run …" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("rowheader", { name: "fleet.units.sz.drain" }).waitFor();
  await dialog.getByLabel("Reason").fill("as the alert says");
  await dialog.getByRole("button", { name: "Run drain-unit now" }).click();
  await page.getByRole("heading", { level: 1 }).getByText("succeeded").waitFor({ timeout: 30_000 });
  await unit("sz").getByRole("button", { name: "As quick as before" }).click();
  await page.getByRole("button", { name: "Revert" }).click();
  await dialog.getByLabel("Reason").fill("seen");
  await dialog.getByRole("button", { name: /^Revert ex-/ }).click();
  await page.getByText("What holds is what would hold had it never run.").waitFor({ timeout: 15_000 });

  await player.page.getByRole("button", { name: "A bad canary" }).click();
  await player.page.getByRole("log").getByText("a bad canary is released").waitFor();
  await picture(player.page, "demo-buttons");
  await page.getByRole("link", { name: "Rollouts" }).click();
  await page.getByRole("link", { name: /^shop/ }).click();
  await page.getByRole("heading", { level: 1 }).getByText("reverted").waitFor({ timeout: 60_000 });
  await picture(page, "demo-canary");
  await page.getByRole("link", { name: "Alerts" }).click();
  await page.getByText("rollout-taken-back").first().waitFor();
  assert.deepEqual([...player.complaints, ...ann.complaints], []);
});

test("nobody else presses the buttons", async (t) => {
  const { buttons } = await startDemo(t);
  const act = (headers: Record<string, string>, body: object = { action: "kill", target: "sh" }) =>
    fetch(`${buttons}/act`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify(body),
    });
  assert.equal((await act({ origin: "https://evil.example" })).status, 403);
  assert.equal((await act({}, { action: "burn", target: "sh" })).status, 400);
  assert.equal((await act({}, { action: "kill" })).status, 400);
  const { units } = (await (await fetch(`${buttons}/state`)).json()) as { units: { condition: string }[] };
  assert.deepEqual(
    units.map(({ condition }) => condition),
    ["running", "running", "running"],
  );
});
