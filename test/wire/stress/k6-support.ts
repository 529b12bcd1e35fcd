/** k6 for tests: found, or built; where neither goes the test fails with the message that says how to get it. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { type StageOptions, StressStage } from "../../../loadtest/stress/stage.ts";

const CLI = new URL("../../../cli/tidegate.mjs", import.meta.url).pathname;

export async function startStage(t: TestContext, options: StageOptions): Promise<StressStage> {
  const stage = new StressStage();
  t.after(() => stage.close());
  return await stage.start(options);
}

export function directory(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "tidegate-k6-test-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** A command that ends by itself. */
export function tidegate(
  stage: StressStage,
  ...args: readonly string[]
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [CLI, ...args, "--control-plane", stage.plane.origin], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), 60_000);
  return new Promise((resolve) => {
    child.on("close", (code) => {
      clearTimeout(timer);
      resolve({ code, stdout, stderr });
    });
  });
}

export const sleep = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds));
