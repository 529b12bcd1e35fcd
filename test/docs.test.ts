/** The commands in the documents run, and the links lead somewhere. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";

const ROOT = join(import.meta.dirname, "..");
const pages = ["README.md", "CONTRIBUTING.md", ...globSync("docs/**/*.md", { cwd: ROOT })];

/** Commands that end by themselves; those that serve or take minutes have tests of their own. */
const RUNS = /^npx tidegate (validate|explain|gateway --help|--help)/;

for (const page of pages) {
  const text = readFileSync(join(ROOT, page), "utf8");
  const commands = [...text.matchAll(/```sh\n([\s\S]*?)```/g)]
    .flatMap((block) => block[1]!.split("\n"))
    .map((line) => line.trim())
    .filter((line) => RUNS.test(line));

  for (const command of commands) {
    test(`${page}: ${command}`, () => {
      const result = spawnSync("sh", ["-c", command.replace(/^npx tidegate/, '"$NODE" cli/tidegate.mjs')], {
        cwd: ROOT,
        encoding: "utf8",
        timeout: 30_000,
        env: { ...process.env, NODE: process.execPath },
      });
      assert.equal(result.status, 0, result.stderr);
    });
  }

  test(`${page}: links lead somewhere`, () => {
    for (const [, target = ""] of text.matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      assert.ok(existsSync(join(ROOT, dirname(page), target)), `${page} links to ${target}`);
    }
  });
}
