// Runs all tests. Those that measure, or put the machine under load, run one file at a time; the others, which mostly
// wait for each other, run three at a time.
import { spawnSync } from "node:child_process";
import { globSync } from "node:fs";
import { join } from "node:path";

const ALONE = [
  "test/wire/{failover,overload}/**/*.test.ts",
  "test/wire/forwarding/{aborts,fallbacks,large-bodies,limits,streaming,timeouts}.test.ts",
  "test/wire/stress/{guardrail,k6-smoke}.test.ts",
  "test/wire/limits/{exact,fleet-keys,fleet-moves,fleet-scope,gateway-scope}.test.ts",
];

const alone = new Set(ALONE.flatMap((pattern) => globSync(pattern)));
const beside = globSync("test/**/*.test.ts").filter((file) => !alone.has(file));
// Half of what a test of processes costs is compiling: it is done once for all of them, as cli/tidegate.mjs does.
const NODE_COMPILE_CACHE = join(import.meta.dirname, "../node_modules/.cache/compiled");
const env = { NODE_COMPILE_CACHE, ...process.env };
let failed = false;
for (const [files, concurrency] of [
  [beside.sort(), 3],
  [[...alone].sort(), 1],
]) {
  const options = ["--test", "--test-timeout=120000", `--test-concurrency=${concurrency}`];
  const { status } = spawnSync(process.execPath, [...options, ...files], { stdio: "inherit", env });
  failed ||= status !== 0;
}
process.exitCode = failed ? 1 : 0;
