/**
 * The peers benchmark: what a request through Tidegate costs beside the proxies that people run today.
 *
 * nginx is the upstream and shares a core with wrk; each proxy has the other core. Machines are noisy, so the peers are
 * measured in turn, round after round, and what counts are the ratios within a round.
 */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { CASES, type Run, run } from "./load.ts";
import { NODE, type Peer, PEERS, startUpstream } from "./peers.ts";
import { freePort, type Started, versionOf } from "./processes.ts";
import { type Measured, report } from "./report.ts";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "3" },
    rounds: { type: "string", default: "3" },
    connections: { type: "string", default: "64,256" },
    cases: { type: "string", default: Object.keys(CASES).join(",") },
    peers: { type: "string", default: PEERS.map((p) => p.name).join(",") },
    quick: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false },
  },
});
if (values.help) {
  console.log(`npm run bench -- [options]

  --quick              two seconds a run, 64 connections, two rounds: about three minutes
  --seconds N          length of a measured run (3)
  --rounds N           rounds; every round measures every peer (3)
  --connections LIST   64,256
  --cases LIST         ${Object.keys(CASES).join(",")}
  --peers LIST         ${PEERS.map((p) => p.name).join(",")}
  --json               every run as JSON`);
  process.exit(0);
}
const seconds = values.quick ? 2 : number("seconds");
const rounds = values.quick ? 2 : number("rounds");
const connections = (values.quick ? "64" : values.connections).split(",").map(Number);
const cases = values.cases.split(",").map((name) => CASES[name] ?? usage(`there is no case ${name}`));
const chosen = values.peers
  .split(",")
  .map((name) => PEERS.find((p) => p.name === name) ?? usage(`there is no peer ${name}`));

for (const tool of ["wrk", "nginx"]) {
  if (versionOf([tool, "-v"]) === undefined) {
    console.error(`bench: ${tool} is missing; run: apt-get install -y ${tool}`);
    process.exit(69);
  }
}

const dir = mkdtempSync(join(tmpdir(), "tidegate-bench-"));
chmodSync(dir, 0o755); // nginx's worker is another user
process.on("exit", () => rmSync(dir, { recursive: true, force: true }));
const ports = [await freePort(), await freePort(), await freePort()];
const upstream = await startUpstream(dir, ports);

const missing: { name: string; why: string }[] = [];
const standing: { peer: Peer; started: Started; port: number; dir: string; version: string }[] = [];
for (const peer of chosen) {
  const version = peer.version();
  if (version === undefined) {
    missing.push({ name: peer.name, why: "not installed" });
    continue;
  }
  const port = await freePort();
  const home = join(dir, peer.name.replace(/\W/g, ""));
  mkdirSync(home, { recursive: true });
  try {
    standing.push({ peer, started: await peer.start(home, port, ports), port, dir: home, version });
  } catch (error) {
    missing.push({ name: peer.name, why: (error as Error).message });
  }
}

const measured: Measured[] = [];
const total = rounds * cases.length * connections.length * standing.length;
let done = 0;
for (const { peer, started, port, dir: home } of standing) {
  // Just-in-time compilers and connection pools warm up on every path that is measured.
  for (const what of cases) {
    progress(`warming ${peer.name}, ${what.name}`);
    await run(home, started.pid, port, what, 64, 2);
  }
}
for (let round = 0; round < rounds; round++) {
  for (const what of cases) {
    for (const many of connections) {
      for (const { peer, started, port, dir: home } of standing) {
        progress(`${++done}/${total} round ${round + 1}: ${peer.name}, ${what.name}, ${many} connections`);
        const result: Run = await run(home, started.pid, port, what, many, seconds);
        measured.push({ peer: peer.name, case: what.name, connections: many, round, ...result });
      }
    }
  }
}
progress("");
await Promise.all([...standing.map((s) => s.started.stop()), upstream.stop()]);

if (values.json) console.log(JSON.stringify({ measured, missing }, null, 2));
else {
  const versions = standing.map((s) => `${s.peer.name} ${s.version}`);
  console.log(report(measured, versions, missing));
  console.log();
  // The machine is quiet again: how fast a large table is compiled and asked.
  const table = join(import.meta.dirname, "decide.ts");
  spawnSync(NODE, ["--expose-gc", table], { stdio: "inherit", timeout: 120_000 });
}

function number(name: "seconds" | "rounds"): number {
  const value = Number(values[name]);
  return Number.isInteger(value) && value > 0 && value <= 600
    ? value
    : usage(`--${name} takes a whole number from 1 to 600`);
}
function usage(problem: string): never {
  console.error(`bench: ${problem} (--help shows the options)`);
  process.exit(2);
}
function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
  else if (text !== "") console.error(text);
}
