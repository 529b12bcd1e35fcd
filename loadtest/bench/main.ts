/**
 * The peers benchmark: what a request through Tidegate costs beside the proxies that people run today.
 *
 * nginx is the upstream and shares a core with wrk; each proxy has the other core. Machines are noisy, so the peers are
 * measured in turn, round after round, and what counts are the ratios within a round.
 */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Case, CASES, type Run, run } from "./load.ts";
import { NODE, type Peer, PEERS, startUpstream } from "./peers.ts";
import { freePort } from "../../host/port.ts";
import { type Started, versionOf } from "./processes.ts";
import { type Measured, type Missing, OURS, report } from "./report.ts";

const { values } = parseArgs({
  options: {
    seconds: { type: "string" },
    rounds: { type: "string" },
    connections: { type: "string" },
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
  --seconds N          length of a measured run (2)
  --rounds N           rounds; every round measures every peer (5)
  --connections LIST   64,256
  --cases LIST         ${Object.keys(CASES).join(",")}
  --peers LIST         ${PEERS.map((p) => p.name).join(",")}
  --json               every run as JSON`);
  process.exit(0);
}
const seconds = number("--seconds", values.seconds ?? "2");
const rounds = number("--rounds", values.rounds ?? (values.quick ? "2" : "5"));
const connections = (values.connections ?? (values.quick ? "64" : "64,256"))
  .split(",")
  .map((text) => number("--connections", text));
const cases = values.cases.split(",").map((name) => CASES[name] ?? usage(`there is no case ${name}`));
const chosen = values.peers
  .split(",")
  .map((name) => PEERS.find((p) => p.name === name) ?? usage(`there is no peer ${name}`));

// Servers stand in directories that Debian puts on root's path only.
process.env.PATH = `${process.env.PATH ?? ""}:/usr/sbin:/sbin`;
for (const [tool, flag, name] of [
  ["wrk", "-v", "wrk"],
  ["nginx", "-v", "nginx"],
  ["taskset", "-V", "util-linux"],
] as const) {
  if (versionOf([tool, flag]) === undefined) cannot(`${tool} is missing; run: apt-get install -y ${name}`);
}
if (availableParallelism() < 2)
  cannot("it takes two cores: one for the load and the upstream, one for the proxy");

const dir = mkdtempSync(join(tmpdir(), "tidegate-bench-"));
chmodSync(dir, 0o755); // nginx's worker is another user
process.on("exit", () => rmSync(dir, { recursive: true, force: true }));
const ports = [await freePort(), await freePort(), await freePort()];
const upstream = await startUpstream(dir, ports);

const missing: Missing[] = [];
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
    missing.push({ name: peer.name, why: messageOf(error) });
  }
}

const WARM_SECONDS = 6;
const measured: Measured[] = [];
const total = rounds * cases.length * connections.length * standing.length;
let done = 0;
for (const one of standing) {
  // Just-in-time compilers and connection pools warm up on every path that is measured: Node's takes about ten seconds
  // of load to settle, which is nothing to a gateway that runs for weeks.
  for (const what of cases) {
    progress(`warming ${one.peer.name}, ${what.name}`);
    await measure(one, what, 64, WARM_SECONDS);
  }
}
for (let round = 0; round < rounds; round++) {
  for (const what of cases) {
    for (const many of connections) {
      for (const one of standing) {
        const { name } = one.peer;
        progress(`${++done}/${total} round ${round + 1}: ${name}, ${what.name}, ${many} connections`);
        const result = await measure(one, what, many, seconds);
        if (result !== undefined) {
          measured.push({ peer: name, case: what.name, connections: many, round, ...result });
        }
      }
    }
  }
}
progress("");
await Promise.all([...standing.map((s) => s.started.stop()), upstream.stop()]);

const versions = [
  ...standing.map((s) => `${s.peer.name} ${s.version}`),
  `Node ${process.version}`,
  `wrk ${versionOf(["wrk", "-v"])}`,
];
if (values.json) console.log(JSON.stringify({ versions, measured, missing }, null, 2));
else {
  console.log(report(measured, versions, missing));
  console.log();
  // The machine is quiet again: how fast a large table is compiled and asked.
  const table = join(import.meta.dirname, "decide.ts");
  spawnSync(NODE, ["--expose-gc", table], { stdio: "inherit", timeout: 120_000 });
}
// Figures of answers that failed are no figures.
if (measured.some((m) => m.errors > 0) || missing.some((m) => m.name === OURS)) process.exitCode = 1;

/** Undefined when the peer does not stand any more; it is then among the missing. */
async function measure(
  { peer, started, port, dir: home }: (typeof standing)[number],
  what: Case,
  many: number,
  length: number,
): Promise<Run | undefined> {
  if (missing.some((m) => m.name === peer.name)) return undefined;
  try {
    const result = await run(home, started.pid, port, what, many, length);
    if (started.alive()) return result;
    throw new Error("no result");
  } catch (error) {
    const words = started.alive() ? "" : `, its process has ended: ${started.stderr().trim().slice(-200)}`;
    missing.push({ name: peer.name, why: `failed at ${what.name}: ${messageOf(error)}${words}` });
    return undefined;
  }
}
function number(flag: string, text: string): number {
  const value = Number(text);
  return Number.isInteger(value) && value > 0 && value <= 4096
    ? value
    : usage(`${flag} is ${text}; it takes a whole number from 1 to 4096`);
}
function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
function cannot(why: string): never {
  console.error(`bench: ${why}`);
  process.exit(69);
}
function usage(problem: string): never {
  console.error(`bench: ${problem} (--help shows the options)`);
  process.exit(2);
}
function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
  else if (text !== "") console.error(text);
}
