/** `tidegate top` over a real control plane: once, as JSON, in a terminal, and while the control plane is gone. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { test } from "node:test";
import { startControlPlane, startFollower } from "../../support/control-plane.ts";
import { fleetYaml, ROUTES, until } from "../../support/gateway.ts";
import { upstream } from "../limits/support.ts";

const CLI = join(import.meta.dirname, "../../../cli/tidegate.mjs");

test("top shows units once and live, says when it is not live, and gives the terminal back", async (t) => {
  const unit = await upstream(t);
  const plane = await startControlPlane(t, {
    "fleet.yaml": fleetYaml({ hz: [unit] }).replace(/health: .*\n/, "health: none\n"),
    "routes.yaml": ROUTES,
  });
  const gateway = await startFollower(t, plane, "gw-1");
  await fetch(`${gateway.url}/hall/a`).then((answer) => answer.text());
  await until(
    "a report",
    async () => (await plane.call("GET", "/v1/figures")).body.total?.requests ?? 0,
    (n) => n > 0,
  );
  const args = ["top", "--control-plane", plane.url];
  const look = spawnSync(process.execPath, [CLI, ...args, "--once"], { encoding: "utf8", timeout: 30_000 });
  assert.equal(look.status, 0, look.stderr);
  assert.match(look.stdout, /revision 1 {2}leader {2}live/);
  assert.match(look.stdout, /^hz\* +well /m);
  const json = spawnSync(process.execPath, [CLI, ...args, "--once", "--json"], { encoding: "utf8" });
  assert.equal(JSON.parse(json.stdout).units[0].unit, "hz");

  // `script` gives it a terminal.
  const command = `stty rows 30 cols 120; exec '${process.execPath}' '${CLI}' ${args.join(" ")}`;
  const live = spawn("script", ["-qefc", command, "/dev/null"], { stdio: ["pipe", "pipe", "inherit"] });
  t.after(() => live.kill("SIGKILL"));
  let text = "";
  live.stdout.on("data", (chunk: Buffer) => {
    text += chunk.toString("utf8");
  });
  const seen = (what: RegExp) =>
    until(
      `${what}`,
      () => text.slice(-4_000),
      (tail) => what.test(tail),
      15_000,
    );
  await seen(/sorted by worst/);
  assert.ok(text.includes("\u001b[?1049h"));
  live.stdin.write("n");
  await seen(/sorted by name/);
  await plane.stop("SIGKILL");
  await seen(/not live: /);
  live.stdin.write("q");
  await once(live, "exit");
  assert.equal(live.exitCode, 0);
  assert.ok(text.includes("\u001b[?1049l"), "the screen that was there before is back");
});
