/** A thousand units and fifty gateways: everything is there, what is not well comes first, and the page stays small. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { startControlPlane } from "../../support/control-plane.ts";
import { ROUTES } from "../../support/gateway.ts";
import { picture, startBrowser, visit } from "./support.ts";

const [UNITS, REGIONS, GATEWAYS, SLOTS] = [1_000, 20, 50, 4_096];
const unitName = (i: number): string => `u${String(i).padStart(4, "0")}`;

function largeFleet(): string {
  const units = Array.from({ length: UNITS }, (_, i) => {
    const next = [1, 2, 3].map((step) => unitName((i + step) % UNITS)).join(", ");
    const center = i === 0 ? ", center: true" : "";
    return `  ${unitName(i)}: { region: r${i % REGIONS}${center}, capacity: 2000rps, failover: [${next}] }`;
  });
  const map = Array.from({ length: UNITS }, (_, i) => {
    const [first, next] = [Math.floor((i * SLOTS) / UNITS), Math.floor(((i + 1) * SLOTS) / UNITS)];
    return `    ${unitName(i)}: ${first}-${next - 1}`;
  });
  const pools = Array.from(
    { length: UNITS },
    (_, i) => `      ${unitName(i)}: { stable: [ "http://127.0.0.1:1" ] }`,
  );
  return `fleet: large
regions: { ${Array.from({ length: REGIONS }, (_, i) => `r${i}: {}`).join(", ")} }
units:
${units.join("\n")}
placement:
  key: [ { header: x-user-id } ]
  slots: ${SLOTS}
  map:
${map.join("\n")}
services:
  hall:
    pools:
${pools.join("\n")}
`;
}

test("the map and the list of a large fleet are whole, live, and light", async (t) => {
  let [going, talk] = [true, Promise.resolve()];
  // Before the control plane ends.
  t.after(async () => {
    going = false;
    await talk;
  });
  const [plane, browser] = await Promise.all([
    startControlPlane(t, { "fleet.yaml": largeFleet(), "routes.yaml": ROUTES }),
    startBrowser(t),
  ]);
  const streams = new AbortController();
  let down = new Set<number>([17]);
  const report = async (gateway: number): Promise<void> => {
    const units = Object.fromEntries(
      Array.from({ length: UNITS }, (_, i) => [
        unitName(i),
        { healthy: !down.has(i), inflight: 3, rate: down.has(i) ? 0 : 20, drained: 0 },
      ]),
    );
    await plane.call("POST", `/v1/gateways/gw-${gateway}/reports`, { epoch: 1, revision: 1, units });
  };
  const all = Array.from({ length: GATEWAYS }, (_, i) => i);
  // An answer that nobody holds is thrown away, and its connection with it.
  const held: Response[] = [];
  for (const i of all) {
    held.push(await fetch(`${plane.url}/v1/gateways/gw-${i}/stream`, { signal: streams.signal }));
  }
  t.after(() => {
    streams.abort();
    assert.equal(held.length, GATEWAYS);
  });
  talk = (async () => {
    while (going) {
      for (const i of all) if (going) await report(i);
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  })();
  for (const i of all) await report(i);

  // With --dev nobody signs in.
  const { page, complaints } = await visit(browser, plane);
  await page.getByText("no tokens: whoever reaches this page is an admin").waitFor();
  await page.getByText("50 gateways serve revision 1").waitFor();
  assert.equal(await page.locator(".cell").count(), UNITS);
  assert.equal(await page.locator(".region").count(), REGIONS);
  await page.locator(".banner", { hasText: "Down: u0017" }).waitFor();
  // What is not well stands first in its region.
  assert.equal(
    await page.getByRole("region", { name: "r17" }).locator(".cell").first().getAttribute("data-unit"),
    "u0017",
  );
  // One stop for the tabulator key in each region, and arrow keys inside.
  assert.equal(await page.locator(".cell[tabindex='0']").count(), REGIONS);
  await page.getByRole("region", { name: "r17" }).locator(".cell").first().focus();
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: "u0037" }).waitFor();
  await page.goBack();
  await picture(page, "large");

  down = new Set([17, 500, 501]);
  await page.locator(".banner", { hasText: "Down: u0017, u0500, u0501" }).waitFor();
  await page.getByLabel("Only what is not well").check();
  assert.equal(await page.locator(".tile").count(), 3, "few are tiles that say everything");
  await page.getByLabel("Only what is not well").uncheck();
  await page.getByRole("button", { name: "List" }).click();
  const table = page.getByRole("table", { name: "List" });
  assert.equal(await table.getAttribute("aria-rowcount"), `${UNITS + 1}`);
  const rows = await table.getByRole("row").count();
  assert.ok(rows < 60, `${rows} rows are drawn`);
  await page.evaluate(
    `{ const box = document.querySelector(".virtual"); box.scrollTo(0, box.scrollHeight); }`,
  );
  await table.getByRole("link", { name: "u0999" }).waitFor();
  await page.getByLabel("Filter").fill("u0421");
  await table.getByRole("link", { name: "u0421" }).waitFor();
  assert.equal(await table.getByRole("row").count(), 2);
  // The longest that the page was busy at once while all of it was told anew.
  const busy = (await page.evaluate(`new Promise((resolve) => {
    let [last, worst] = [performance.now(), 0];
    const timer = setInterval(() => {
      const now = performance.now();
      worst = Math.max(worst, now - last);
      last = now;
    }, 10);
    setTimeout(() => { clearInterval(timer); resolve(worst); }, 2500);
  })`)) as number;
  t.diagnostic(`the page was busy for ${busy.toFixed(0)} ms at most`);
  assert.deepEqual(complaints, []);
});
