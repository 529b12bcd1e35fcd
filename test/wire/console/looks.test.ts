/** How it looks and is reached: on a phone, in the dark, in Chinese, without a mouse, with weak eyes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Page } from "playwright-core";
import { picture, signIn, startBrowser, startStage, startTraffic, visit } from "./support.ts";

const PATHS = [
  "fleet",
  "units/sh",
  "plans",
  "plans/drain-region",
  "executions/ex-1",
  "rollouts",
  "alerts",
  "errors",
  "overlays",
  "revisions",
  "routes",
  "routes/hall",
  "audit",
];

/** Texts whose contrast with what is behind them is below WCAG AA. */
const CONTRAST = `(() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => [r, g, b]
    .map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    for (let at = element; at !== null; at = at.parentElement) {
      const color = rgb(getComputedStyle(at).backgroundColor);
      if (color[3] === 255) return color;
    }
    return [255, 255, 255, 255];
  };
  const weak = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
    const element = node.parentElement;
    if (node.textContent.trim() === "" || element.closest("option, svg, :disabled, .unseen")) continue;
    if (!element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const [a, b] = [light(rgb(style.color)), light(ground(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const size = Number.parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (isLarge ? 3 : 4.5)) weak.push(ratio.toFixed(2) + " " + element.className + ": " + node.textContent.slice(0, 40));
  }
  return weak;
})()`;

/** Things that one can press and that say nothing to a screen reader, and headings that are missing. */
const NAMES = `(() => {
  const nameless = [...document.querySelectorAll("a, button, input, select")]
    .filter((one) => one.checkVisibility())
    .filter((one) => !(one.textContent.trim() || one.ariaLabel || one.labels?.length));
  return [...nameless.map((one) => one.outerHTML.slice(0, 80)), ...(document.querySelectorAll("h1").length === 1 ? [] : ["not one h1"])];
})()`;

async function goTo(page: Page, url: string, path: string): Promise<void> {
  await page.goto(`${url}/#/${path}`);
  await page.locator("main .panel, main .card").first().waitFor();
}

test("every page is legible in light and dark, fits a phone, speaks Chinese, and works without a mouse", async (t) => {
  const [stage, browser] = await Promise.all([startStage(t), startBrowser(t)]);
  const { plane, token, admin, units } = stage;
  startTraffic(t, stage);
  const ran = { plan: "drain-region", values: {}, reason: "a test" };
  assert.equal((await plane.call("POST", "/v1/executions", ran, admin)).status, 201);
  const laid = { kind: "limit", limit: "hall", rate: 50, reason: "a test", expires: "2h" };
  assert.equal((await plane.call("POST", "/v1/overlays", laid, admin)).status, 201);
  units.sz!.kill();
  const text = await token("ann", "approver");

  const light = await visit(browser, plane);
  await signIn(light, text);
  for (const path of PATHS) {
    await goTo(light.page, plane.url, path);
    assert.deepEqual(await light.page.evaluate(CONTRAST), [], `${path}, light`);
    assert.deepEqual(await light.page.evaluate(NAMES), [], path);
  }
  await light.page.getByLabel("Theme").selectOption("dark");
  for (const path of PATHS) {
    await goTo(light.page, plane.url, path);
    assert.deepEqual(await light.page.evaluate(CONTRAST), [], `${path}, dark`);
  }
  await goTo(light.page, plane.url, "fleet");
  await picture(light.page, "dark");

  // By keys alone: past the menu, into the plans, a dialog that keeps the focus and gives it back.
  await light.page.reload();
  await light.page.getByRole("navigation").waitFor();
  await light.page.keyboard.press("Tab");
  assert.equal(await light.page.evaluate("document.activeElement.textContent"), "Skip to the content");
  await light.page.keyboard.press("Enter");
  assert.equal(await light.page.evaluate("document.activeElement.id"), "main");
  await goTo(light.page, plane.url, "plans/drain-region");
  assert.equal(
    await light.page.evaluate("document.activeElement.tagName"),
    "H1",
    "a new page says what it is",
  );
  await light.page.getByRole("button", { name: "Run …" }).focus();
  await light.page.keyboard.press("Enter");
  const dialog = light.page.getByRole("dialog");
  await dialog.locator(".dry-steps").getByText("drain sh").waitFor();
  assert.deepEqual(await light.page.evaluate(CONTRAST), [], "the dialog, dark");
  for (let i = 0; i < 25; i++) {
    await light.page.keyboard.press("Tab");
    const isInside = await light.page.evaluate(
      `document.activeElement === document.body || document.querySelector("dialog").contains(document.activeElement)`,
    );
    assert.ok(isInside, "the focus stays in the dialog");
  }
  await light.page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  assert.equal(await light.page.evaluate("document.activeElement.textContent"), "Run …");

  const phone = await visit(browser, plane, { width: 360, height: 740, dark: true, locale: "zh-CN" });
  await phone.page.getByLabel("令牌", { exact: true }).fill(text);
  await phone.page.getByRole("button", { name: "登录" }).click();
  await phone.page.getByRole("navigation").waitFor();
  assert.equal(await phone.page.evaluate("document.documentElement.lang"), "zh-CN");
  for (const path of PATHS) {
    await goTo(phone.page, plane.url, path);
    const width = (await phone.page.evaluate("document.documentElement.scrollWidth")) as number;
    assert.ok(width <= 360, `${path} is ${width} px wide`);
    assert.deepEqual(await phone.page.evaluate(CONTRAST), [], `${path}, on a phone`);
    if (path === "fleet") await picture(phone.page, "phone");
  }
  await phone.page.getByLabel("语言").selectOption("en");
  await phone.page.getByRole("heading", { name: "Audit log" }).waitFor();
  assert.deepEqual([...light.complaints, ...phone.complaints], []);
});
