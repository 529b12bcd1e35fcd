/**
 * How fast a large table is compiled and asked: 1,000 units × 10,000 routes × 1,024 slots.
 *
 * `node loadtest/bench/decide.ts [--units N] [--routes N] [--slots N] [--json]`
 */
import { parseArgs } from "node:util";
import { seededRandom } from "../../model/clock.ts";
import type { Config } from "../../model/config.ts";
import { decide } from "../../model/decide.ts";
import { DEFAULT_GATEWAY_SETTINGS } from "../../model/gateway-settings.ts";
import { SCOPES } from "../../model/route.ts";
import { compileTable } from "../../model/table.ts";

const { values } = parseArgs({
  options: {
    units: { type: "string", default: "1000" },
    routes: { type: "string", default: "10000" },
    slots: { type: "string", default: "1024" },
    json: { type: "boolean", default: false },
  },
});
const SAMPLES = 200_000;
const random = seededRandom(20261111);

const config = largeConfig(Number(values.units), Number(values.routes), Number(values.slots));
collect();
const before = memory();
const compileFrom = performance.now();
const table = compileTable(config);
const compileMs = performance.now() - compileFrom;
const health = { endpoints: new Int32Array(table.endpointCount) };

for (let i = 0; i < 20_000; i++) decide(table, health, nextRequest());

const times = new Float64Array(SAMPLES);
let refused = 0;
for (let i = 0; i < SAMPLES; i++) {
  // Made here, as a parser would have made it: the request is warm, the route it meets mostly is not.
  const request = nextRequest();
  const from = performance.now();
  const decision = decide(table, health, request);
  times[i] = (performance.now() - from) * 1000;
  if (decision.refused) refused++;
}
times.sort();
collect();
const result = {
  units: config.fleet.units.length,
  routes: config.routes.length,
  slots: config.fleet.placement.slots,
  compileMs: Math.round(compileMs),
  decideP50Us: round(times[Math.floor(SAMPLES * 0.5)]!),
  decideP99Us: round(times[Math.floor(SAMPLES * 0.99)]!),
  tableMiB: round((memory() - before) / 1_048_576),
  refused,
};
if (values.json) console.log(JSON.stringify(result));
else {
  console.log(`${result.units} units x ${result.routes} routes x ${result.slots} slots`);
  console.log(`table compiled in ${result.compileMs} ms (bound 2000 ms)${verdict(compileMs < 2_000)}`);
  console.log(
    `decision p50 ${result.decideP50Us} µs, p99 ${result.decideP99Us} µs (bound 5 µs)${verdict(result.decideP99Us < 5)}`,
  );
  console.log(`table and its caches after ${SAMPLES} decisions: ${result.tableMiB} MiB`);
}
if (refused > 0) throw new Error(`${refused} requests found no route: the benchmark measures nothing`);

function nextRequest() {
  const route = config.routes[Math.floor(random.next() * config.routes.length)]!;
  const item = `${Math.floor(random.next() * 1e6)}`;
  return {
    method: "GET",
    host: "shop.test",
    path: route.match.path.replace("*", `item/${item}`).replace(":id", item),
    query: "",
    headers: ["host", "shop.test", "accept", "*/*", "x-user-id", item],
    client: "192.0.2.1",
  };
}
function verdict(held: boolean): string {
  return held ? ": held" : ": MISSED";
}
function round(n: number): number {
  return Math.round(n * 100) / 100;
}
function memory(): number {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
function collect(): void {
  (globalThis as { gc?: () => void }).gc?.();
}

/** Every unit serves every service; routes mix scopes and forms of path. */
function largeConfig(unitCount: number, routeCount: number, slots: number): Config {
  const names = Array.from({ length: unitCount }, (_, i) => `u${i}`);
  const pools = Object.fromEntries(
    names.map((name, i) => [
      name,
      { stable: [`http://10.${i >> 8}.${i & 255}.1:80`, `http://10.${i >> 8}.${i & 255}.2:80`], canary: [] },
    ]),
  );
  return {
    fleet: {
      name: "large",
      regions: [{ name: "r", near: [] }],
      units: names.map((name, i) => ({
        name,
        region: "r",
        center: i === 0,
        capacity: undefined,
        failover: [1, 2, 3].map((step) => names[(i + step) % unitCount]!).filter((n) => n !== name),
        concurrency: "adaptive" as const,
        inflight: 8192,
        queue: { size: 256, wait: 500 },
      })),
      placement: {
        key: [{ from: "header", name: "x-user-id" }],
        slots,
        map: Array.from({ length: slots }, (_, i) => names[i % unitCount]!),
        pins: {},
        epoch: 1,
      },
      services: [
        {
          name: "s",
          health: {
            kind: "none",
            path: "/",
            host: undefined,
            interval: 1000,
            timeout: 500,
            healthy: 2,
            unhealthy: 3,
            jitter: 0.1,
            status: [[200, 299]],
            body: undefined,
          },
          outlier: { consecutive: 5, baseEjection: 30_000, maxEjection: 300_000, maxShare: 0.5 },
          slowStart: 10_000,
          inflight: 1024,
          canary: { share: 0, salt: "s", header: undefined, pins: [] },
          tls: { ca: undefined, servername: undefined },
          pools,
        },
      ],
    },
    routes: Array.from({ length: routeCount }, (_, i) => ({
      name: `r${i}`,
      match: {
        path:
          i % 3 === 0
            ? `/team${i % 97}/app${i}/*`
            : i % 3 === 1
              ? `/team${i % 97}/app${i}/items/:id`
              : `/team${i % 97}/app${i}/list`,
        host: undefined,
        methods: i % 2 === 0 ? ["GET", "POST"] : [],
        headers: [],
      },
      service: "s",
      scope: SCOPES[i % 3]!,
      failover: "reads" as const,
      missingKey: "refuse" as const,
      key: undefined,
      priority: "normal" as const,
      timeout: { connect: 1000, headers: 15_000, idle: 60_000, total: 0 },
      retry: { attempts: 2, on: ["refused" as const], budget: 0.2, unsafe: false },
      breaker: undefined,
      fallback: undefined,
      limits: [],
      cost: 1,
      maxBody: 0,
    })),
    limits: [],
    gateway: DEFAULT_GATEWAY_SETTINGS,
    safety: { rules: [] },
  };
}
