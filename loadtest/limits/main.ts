/**
 * What a limit of the fleet admits, and what it costs Redis: four gateways, one real Redis, uneven load.
 *
 * Every sliding window of ten seconds counts, to the tenth of a second. Beyond the limit it must hold; below it nobody
 * may be refused.
 */
import { fork, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import type net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Redis } from "ioredis";
import { Load } from "../load/load.ts";

const CLI = join(import.meta.dirname, "../../cli/tidegate.mjs");
const SHARES = [0.7, 0.2, 0.08, 0.02];
const WITHIN = 0.02;
const MOST_COMMANDS = 1;

const { values } = parseArgs({
  options: {
    rate: { type: "string", default: "5000" },
    seconds: { type: "string", default: "30" },
    quick: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false },
  },
});
if (values.help) {
  console.log(`npm run bench:limits -- [options]

  --rate N       requests a second that are offered to four gateways together (5000)
  --seconds N    length of each run (30)
  --quick        15 seconds
  --json         the figures as JSON

It ends with 1 when a promise did not hold: admitted within 2 % of the limit in every ten seconds, fewer than one command
to Redis for 100 requests, nobody refused below the limit.`);
  process.exit(0);
}
const offered = Number(values.rate);
const seconds = values.quick ? 15 : Number(values.seconds);

const dir = mkdtempSync(join(tmpdir(), "tidegate-limits-"));
const ends: (() => void)[] = [() => rmSync(dir, { recursive: true, force: true })];
process.on("exit", () => {
  for (const end of ends) end();
});
process.on("SIGINT", () => process.exit(130));

const upstream = http.createServer((_request, response) => response.end("ok"));
const upstreamPort = await listening(upstream.listen(0, "127.0.0.1"));
const redisPort = await freePort();
const server = spawn(
  "redis-server",
  ["--port", `${redisPort}`, "--bind", "127.0.0.1", "--save", "", "--dir", dir],
  { stdio: "ignore" },
);
ends.push(() => server.kill("SIGKILL"));
const redis = new Redis(redisPort, "127.0.0.1", { maxRetriesPerRequest: 20 });
redis.on("error", () => {});
await redis.ping();

interface Figures {
  readonly limit: number;
  readonly offered: number;
  /** Of the limit's tokens in ten seconds, the least and the most that any window admitted. */
  readonly least: number;
  readonly most: number;
  readonly refused: number;
  /** Commands to Redis per 100 requests: sent by gateways, and with those that scripts run inside. */
  readonly commands: number;
  readonly withInner: number;
  readonly lag: number;
}

const results: [string, Figures][] = [
  ["beyond the limit", await run(Math.round(offered / 2), 0.5)],
  ["just beyond it", await run(Math.round(offered / 1.1), 0.5)],
  ["below the limit", await run(Math.round(offered * 1.3), 1)],
];
const missed: string[] = [];
for (const [name, { least, most, refused, commands }] of results) {
  const below = name.startsWith("below");
  if (!below && (least < 1 - WITHIN || most > 1 + WITHIN))
    missed.push(`${name}: not within 2 % of the limit`);
  if (below && refused > 0) missed.push(`${name}: ${refused} requests were refused`);
  if (commands >= MOST_COMMANDS) missed.push(`${name}: ${commands.toFixed(2)} commands for 100 requests`);
}
if (values.json) console.log(JSON.stringify({ results, missed }, null, 2));
else {
  console.log(
    "run                limit/s  offered/s  any 10 s, % of limit  refused  commands/100  with inner  lag p99",
  );
  for (const [name, f] of results) {
    const window = name.startsWith("below")
      ? "-"
      : `${(f.least * 100).toFixed(2)} to ${(f.most * 100).toFixed(2)}`;
    console.log(
      `${name.padEnd(18)} ${`${f.limit}`.padStart(7)} ${f.offered.toFixed(0).padStart(10)} ${window.padStart(21)} ` +
        `${`${f.refused}`.padStart(8)} ${f.commands.toFixed(2).padStart(13)} ${f.withInner.toFixed(2).padStart(11)} ${f.lag.toFixed(0).padStart(5)} ms`,
    );
  }
  for (const problem of missed) console.log(`MISSED ${problem}`);
}
process.exit(missed.length > 0 ? 1 : 0);

/** @param burst seconds of the limit */
async function run(limit: number, burst: number): Promise<Figures> {
  await redis.flushall();
  const gateways = await Promise.all(SHARES.map((_, i) => startGateway(`${limit}-${i}`, limit, burst)));
  await new Promise((resolve) => setTimeout(resolve, 1_500)); // all lease, and know of each other
  const classes = [{ name: "all", share: 1, path: "/hall/a" }];
  const loads = gateways.map(
    ({ port }, i) => new Load({ port, rate: offered * SHARES[i]!, classes, timeout: 5_000, seed: i + 1 }),
  );
  const tenths: number[] = [];
  const okNow = (): number => loads.reduce((sum, load) => sum + load.phases[0]!.classes.get("all")!.ok, 0);
  const before = await commandsSoFar();
  const began = performance.now();
  let last = 0;
  while (performance.now() - began < seconds * 1_000) {
    await new Promise((resolve) =>
      setTimeout(resolve, Math.max(1, began + (tenths.length + 1) * 100 - performance.now())),
    );
    const now = okNow();
    tenths.push(now - last);
    last = now;
  }
  await Promise.all(loads.map((load) => load.stop()));
  const after = await commandsSoFar();
  for (const { stop } of gateways) stop();
  const tallies = loads.map((load) => load.phases[0]!.classes.get("all")!);
  const sent = tallies.reduce((sum, tally) => sum + tally.sent, 0);
  const [least, most] = windows(tenths, limit * 10);
  return {
    limit,
    offered: sent / seconds,
    least,
    most,
    refused: tallies.reduce((sum, tally) => sum + tally.shed + tally.failed, 0),
    commands: ((after.sent - before.sent) / sent) * 100,
    withInner: ((after.all - before.all) / sent) * 100,
    lag: Math.max(...loads.map((load) => load.phases[0]!.lag)),
  };
}

/** Of every ten seconds after the burst is spent. */
function windows(tenths: readonly number[], whole: number): [number, number] {
  let least = Number.POSITIVE_INFINITY;
  let most = 0;
  for (let from = 60; from + 100 <= tenths.length; from++) {
    const share = tenths.slice(from, from + 100).reduce((a, b) => a + b, 0) / whole;
    least = Math.min(least, share);
    most = Math.max(most, share);
  }
  return [least, most];
}

async function commandsSoFar(): Promise<{ sent: number; all: number }> {
  const stats = await redis.info("commandstats");
  let sent = 0;
  let all = 0;
  for (const [, name, calls] of stats.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm)) {
    all += Number(calls);
    if (name === "eval" || name === "evalsha") sent += Number(calls);
  }
  return { sent, all };
}

async function startGateway(
  name: string,
  limit: number,
  burst: number,
): Promise<{ port: number; stop: () => void }> {
  const home = join(dir, name);
  mkdirSync(home);
  writeFileSync(
    join(home, "fleet.yaml"),
    `fleet: limits
regions: { r: {} }
units: { hz: { region: r, center: true, concurrency: fixed } }
services: { hall: { health: none, pools: { hz: { stable: [ "http://127.0.0.1:${upstreamPort}" ] } } } }
`,
  );
  writeFileSync(
    join(home, "routes.yaml"),
    `routes:
  - { name: hall, match: { path: /hall/* }, service: hall, scope: nearest, limits: [ all ] }
limits:
  all: { rate: ${limit}/s, burst: ${Math.ceil(limit * burst)}, by: [route], scope: fleet }
`,
  );
  const args = ["gateway", "--config", home, "--host", "127.0.0.1", "--port", "0", "--admin-port", "0"];
  const child = fork(CLI, [...args, "--access-log", "off", "--redis", `redis://127.0.0.1:${redisPort}`], {
    stdio: ["ignore", "ignore", "ignore", "ipc"],
    execArgv: [],
  });
  const stop = (): void => void child.kill("SIGKILL");
  ends.push(stop);
  const [message] = (await once(child, "message")) as [{ port: number }];
  return { port: message.port, stop };
}

async function listening(server: net.Server): Promise<number> {
  await once(server, "listening");
  return (server.address() as net.AddressInfo).port;
}

async function freePort(): Promise<number> {
  const probe = http.createServer();
  const port = await listening(probe.listen(0, "127.0.0.1"));
  probe.close();
  await once(probe, "close");
  return port;
}
