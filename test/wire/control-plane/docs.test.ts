/** The commands of the pages for operators, one after the other, against a control plane and a gateway of the demo. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { startControlPlane, startFollower } from "../../support/control-plane.ts";
import { until } from "../../support/gateway.ts";

const ROOT = join(import.meta.dirname, "../../..");
const DEMO = Object.fromEntries(
  globSync("**/*", { cwd: join(ROOT, "configs/demo") })
    .filter((name) => name.includes("."))
    .map((name) => [name, readFileSync(join(ROOT, "configs/demo", name), "utf8")]),
);
/** Those that serve, or need no control plane, are tried elsewhere. */
const OPERATES =
  /^npx tidegate (status|figures|apply|diff|history|rollback|drain|undrain|overlay|audit|token|plan)\b/;

for (const page of [
  "control-plane.md",
  "change.md",
  "drain.md",
  "undo.md",
  "add-a-gateway.md",
  "access.md",
  "figures.md",
  "plans.md",
]) {
  const commands = [...readFileSync(join(ROOT, "docs", page), "utf8").matchAll(/```sh\n([\s\S]*?)```/g)]
    .flatMap((block) => block[1]!.split("\n"))
    .filter((line) => OPERATES.test(line));

  test(`docs/${page}: its commands do what they say`, async (t) => {
    assert.ok(commands.length > 0);
    const plane = await startControlPlane(t, DEMO);
    await startFollower(t, plane, "one");
    await until(
      "a report",
      async () => (await plane.call("GET", "/v1/status")).body.units,
      (units) => units[0].drained !== null,
    );
    for (const command of commands) {
      const line = command.replace(/^npx tidegate/, '"$NODE" cli/tidegate.mjs');
      const child = spawn("sh", ["-c", line], {
        cwd: ROOT,
        env: { ...process.env, NODE: process.execPath, TIDEGATE_CONTROL_PLANE: plane.url, NO_COLOR: "1" },
        stdio: ["ignore", "pipe", "pipe"],
        timeout: 30_000,
      });
      let said = "";
      for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (said += chunk));
      const [code] = await once(child, "close");
      assert.equal(code, 0, `${command}\n${said}`);
    }
  });
}
