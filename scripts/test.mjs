// Runs all tests. Those that measure, or put the machine under load, run one file at a time; the others, which mostly
// wait for each other, run three at a time.
import { spawnSync } from "node:child_process";
import { globSync } from "node:fs";

const ALONE = [
  "test/wire/{failover,overload}/**/*.test.ts",
  "test/wire/forwarding/{aborts,fallbacks,large-bodies,limits,streaming,timeouts}.test.ts",
  "test/wire/limits/{exact,fleet-moves,fleet-scope,gateway-scope}.test.ts",
];

const alone = new Set(ALONE.flatMap((pattern) => globSync(pattern)));
const beside = globSync("test/**/*.test.ts").filter((file) => !alone.has(file));
let failed = false;
for (const [files, concurrency] of [
  [beside.sort(), 3],
  [[...alone].sort(), 1],
]) {
  const options = ["--test", "--test-timeout=120000", `--test-concurrency=${concurrency}`];
  const { status } = spawnSync(process.execPath, [...options, ...files], { stdio: "inherit" });
  failed ||= status !== 0;
}
process.exitCode = failed ? 1 : 0;
