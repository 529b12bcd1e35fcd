/** A real Prometheus, as the distribution has it. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { freePort } from "../../host/port.ts";
import { until } from "./gateway.ts";

/** One that scrapes a port every 200 ms. @param rules file of rules @returns its address */
export async function startPrometheus(t: TestContext, target: number, rules?: string): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), "tidegate-prometheus-"));
  const file = join(dir, "prometheus.yml");
  writeFileSync(
    file,
    `global: { scrape_interval: 200ms, evaluation_interval: 200ms }
rule_files: [ ${rules === undefined ? "" : `"${rules}"`} ]
scrape_configs: [ { job_name: tidegate, static_configs: [ { targets: [ "127.0.0.1:${target}" ] } ] } ]
`,
  );
  const port = await freePort();
  const args = [
    ...[`--config.file=${file}`, `--storage.tsdb.path=${join(dir, "data")}`],
    ...[`--web.listen-address=127.0.0.1:${port}`, "--enable-feature=exemplar-storage"],
  ];
  const child = spawn("prometheus", args, { stdio: ["ignore", "ignore", "pipe"] });
  let words = "";
  child.stderr.on("data", (chunk: Buffer) => {
    words = (words + chunk.toString("utf8")).slice(-4_000);
  });
  t.after(async () => {
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await gone;
    rmSync(dir, { recursive: true, force: true });
  });
  const url = `http://127.0.0.1:${port}`;
  await until(
    "Prometheus",
    async () => {
      assert.equal(child.exitCode, null, words);
      return (await fetch(`${url}/-/ready`).catch(() => undefined))?.ok ?? false;
    },
    (ready) => ready,
    20_000,
  );
  return url;
}
