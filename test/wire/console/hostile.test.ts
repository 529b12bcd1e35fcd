/** Texts of others on every page: none of them becomes markup, none runs, and none leads elsewhere. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { signIn, startBrowser, startStage, visit } from "./support.ts";

const EVIL = `"><img src=x onerror=alert(1)><script>alert(2)</script>'\`{{7*7}}javascript:alert(3)`;
const SHOWN = `<img src=x onerror=alert(1)>`;

test("hostile reasons, keys, summaries, routes and refusals are shown as the text that they are", async (t) => {
  const plan = JSON.stringify({
    summary: EVIL,
    owner: EVIL,
    parameters: { what: { type: "text", summary: EVIL, default: EVIL } },
    steps: [{ notify: EVIL }, { pin: EVIL, unit: "sz" }],
  });
  const [stage, browser] = await Promise.all([startStage(t, { "plans/evil.yaml": plan }), startBrowser(t)]);
  const { plane, token, admin } = stage;
  const command = async (method: string, path: string, body: unknown, headers = admin): Promise<void> => {
    const answer = await plane.call(method, path, body, headers);
    assert.ok(answer.status < 300, `${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  };
  await command("POST", "/v1/overlays", { kind: "pin", key: EVIL, unit: "sz", reason: EVIL });
  await command("POST", "/v1/executions", { plan: "drain-region", reason: EVIL });
  // A gateway that was taken over says what it likes.
  const gateway = { authorization: `Bearer ${await token("bad", "gateway")}` };
  const stream = new AbortController();
  t.after(() => stream.abort());
  // An answer that nobody holds is thrown away, and its connection with it.
  const held = await fetch(`${plane.url}/v1/gateways/bad/stream`, {
    headers: gateway,
    signal: stream.signal,
  });
  assert.equal(held.status, 200);
  const said = { epoch: 1, revision: 99, outcome: "refused", reasons: [EVIL] };
  await command("POST", "/v1/gateways/bad/acks", said, gateway);
  const slice = {
    ...{ start: "s", number: 1, span: 1000, age: 0, folded: 0, limited: [[EVIL, 3]] },
    series: [[EVIL, "sh", "stable", [5], []]],
  };
  const units = Object.fromEntries(
    [EVIL, "sh"].map((unit) => [unit, { healthy: true, inflight: 1, rate: 1, drained: 0 }]),
  );
  const report = await plane.call(
    "POST",
    "/v1/gateways/bad/reports",
    { epoch: 1, revision: 1, units, slice },
    gateway,
  );
  assert.ok(report.status < 300, JSON.stringify(report.body));

  const ann = await visit(browser, plane);
  const { page, complaints } = ann;
  await signIn(ann, await token("ann", "approver"));
  const looks: [path: string, word: string][] = [
    ["fleet", `Refused by bad: `],
    ["units/sh", SHOWN],
    [`units/${encodeURIComponent(EVIL)}`, SHOWN],
    ["plans", SHOWN],
    ["plans/evil", SHOWN],
    [`plans/${encodeURIComponent(EVIL)}`, SHOWN],
    ["executions/ex-1", SHOWN],
    ["overlays", SHOWN],
    ["revisions", SHOWN],
    [`routes/${encodeURIComponent(EVIL)}`, SHOWN],
    ["audit", SHOWN],
  ];
  for (const [path, word] of looks) {
    await page.goto(`${plane.url}/#/${path}`);
    await page.locator("main").getByText(word).first().waitFor();
  }
  await page.goto(`${plane.url}/#/overlays`);
  await page.getByRole("button", { name: "Remove …" }).click();
  await page.getByRole("dialog").getByText(SHOWN).first().waitFor();
  assert.equal(await page.locator("img, iframe, object, embed, script:not([src])").count(), 0);
  const links = await page
    .locator("a")
    .evaluateAll((all) => all.map((one) => (one as unknown as { href: string }).href));
  for (const link of links) assert.ok(link.startsWith(`${plane.url}/#/`), link);
  assert.deepEqual(complaints, []);
  assert.equal(held.bodyUsed, false);
  // And were a mistake made, the browser would not go along with it.
  const sink = page.evaluate(`document.querySelector("main").innerHTML = "<img src=x onerror=alert(4)>"`);
  await assert.rejects(sink, /TrustedHTML/);
});
