// Runs all tests, in three groups: those that mostly wait for each other run three at a time; those that end or freeze
// units run two at a time; those that count to the request, or put the machine under load, run alone.
import { spawnSync } from "node:child_process";
import { globSync } from "node:fs";
import { join } from "node:path";

const LOAD = [
  "test/wire/overload/**/*.test.ts",
  "test/wire/stress/{guardrail,k6-smoke}.test.ts",
  "test/wire/limits/{exact,fleet-keys,fleet-moves,fleet-scope,gateway-scope}.test.ts",
  "test/wire/forwarding/{aborts,large-bodies,streaming,timeouts}.test.ts",
];
const CAREFUL = ["test/wire/failover/**/*.test.ts", "test/wire/forwarding/{fallbacks,limits}.test.ts"];

const filesOf = (patterns) => patterns.flatMap((pattern) => globSync(pattern)).sort();
const [load, careful] = [filesOf(LOAD), filesOf(CAREFUL)];
const apart = new Set([...load, ...careful]);
const beside = globSync("test/**/*.test.ts").filter((file) => !apart.has(file));
// Half of what a test of processes costs is compiling: it is done once for all of them, as cli/tidegate.mjs does.
const NODE_COMPILE_CACHE = join(import.meta.dirname, "../node_modules/.cache/compiled");
const env = { NODE_COMPILE_CACHE, ...process.env };
let failed = false;
for (const [files, concurrency] of [
  [beside.sort(), 3],
  [careful, 2],
  [load, 1],
]) {
  const options = ["--test", "--test-timeout=120000", `--test-concurrency=${concurrency}`];
  const { status } = spawnSync(process.execPath, [...options, ...files], { stdio: "inherit", env });
  failed ||= status !== 0;
}
process.exitCode = failed ? 1 : 0;
