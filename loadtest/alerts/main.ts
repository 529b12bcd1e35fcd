/** How soon people are told: from a unit that dies, or fails what it is asked, to the message at a real HTTP receiver. */
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { parseArgs } from "node:util";
import { Load } from "../load/load.ts";
import { Plane } from "../control-plane/plane.ts";

/** The promise (ms). */
const TOLD = 10_000;
const DEADLINE = 60_000;

const { values } = parseArgs({
  options: {
    units: { type: "string", default: "8" },
    rate: { type: "string", default: "200" },
    json: { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false },
  },
});
if (values.help) {
  console.log(`npm run bench:alerts -- [options]

  --units N   units, each of which dies once and fails once (8)
  --rate N    requests a second meanwhile (200)
  --json      the figures as JSON

It ends with 1 when a message took longer than 10 s. Health checks run once a second, three failures in a row are a death.`);
  process.exit(0);
}
process.on("SIGINT", () => process.exit(130));
process.env.TIDEGATE_ALERT_BENCH = "a secret of the benchmark";
const say = (text: string): void => {
  if (!values.json) console.log(text);
};

interface Told {
  readonly rule: string;
  readonly unit: string;
  readonly state: "firing" | "resolved";
  readonly at: number;
}
interface Message {
  readonly firing: readonly { readonly rule: string; readonly labels: { readonly unit: string } }[];
  readonly resolved: Message["firing"];
}

class Unit {
  readonly name: string;
  readonly #server: Server;
  fails = false;

  constructor(name: string) {
    this.name = name;
    this.#server = createServer((request, response) => {
      response.statusCode = this.fails && request.url !== "/healthz" ? 500 : 200;
      response.end(name);
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async listen(port = 0): Promise<void> {
    this.#server.listen(port, "127.0.0.1");
    await once(this.#server, "listening");
  }

  die(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

const told: Told[] = [];
const receiver = createServer(async (request, response) => {
  let text = "";
  for await (const chunk of request as AsyncIterable<Buffer>) text += chunk.toString("utf8");
  const at = performance.now();
  const message = JSON.parse(text) as Message;
  for (const state of ["firing", "resolved"] as const) {
    for (const { rule, labels } of message[state]) told.push({ rule, unit: labels.unit, state, at });
  }
  response.end("{}");
}).listen(0, "127.0.0.1");
await once(receiver, "listening");
const host = `127.0.0.1:${(receiver.address() as AddressInfo).port}`;

const units = Array.from({ length: Number(values.units) }, (_, i) => new Unit(`u${i}`));
const ports: number[] = [];
for (const unit of units) {
  await unit.listen();
  ports.push(unit.port);
}
const slots = 1_024;
const map = units.map(({ name }, i) => {
  const from = Math.floor((i * slots) / units.length);
  return `${name}: ${from}-${Math.floor(((i + 1) * slots) / units.length) - 1}`;
});
const plane = new Plane();
await plane.start(
  {
    "fleet.yaml": `fleet: alerts
regions: { r: {} }
units: { ${units.map(({ name }, i) => `${name}: { region: r${i === 0 ? ", center: true" : ""} }`).join(", ")} }
placement: { key: [ { header: x-user-id } ], slots: ${slots}, map: { ${map.join(", ")} } }
services:
  shop:
    health: { path: /healthz, interval: 1s, timeout: 500ms, healthy: 2, unhealthy: 3 }
    pools: { ${units.map(({ name }, i) => `${name}: { stable: [ "http://127.0.0.1:${ports[i]}" ] }`).join(", ")} }
`,
    "routes.yaml":
      "routes:\n  - { name: cart, match: { path: /cart/* }, service: shop, scope: sharded, failover: none }\n",
    "alerts.yaml": `rules:
  dead: { is: unit-unhealthy, severity: critical, keep-firing: 0s }
  failing: { when: "errors{unit=\${unit}} > 5%", each: unit, keep-firing: 0s }
channels: { hook: { kind: webhook, url: "http://${host}/", secret-from: TIDEGATE_ALERT_BENCH } }
notify: [ { to: [hook], group-by: [rule, unit] } ]
`,
  },
  ["--hook-host", host],
);
const port = await plane.gateway("one");
const classes = [{ name: "reads", share: 1, path: "/cart/a" }];
const load = new Load({ port, rate: Number(values.rate), classes, timeout: 2_000, seed: 1 });
await pause(5_000);

const dead: number[] = [];
const failing: number[] = [];
for (const [i, unit] of units.entries()) {
  const from = told.length;
  let began = performance.now();
  unit.fails = true;
  failing.push((await heard("failing", unit.name, "firing", from)) - began);
  unit.fails = false;
  await heard("failing", unit.name, "resolved", from);
  began = performance.now();
  unit.die();
  dead.push((await heard("dead", unit.name, "firing", from)) - began);
  await unit.listen(ports[i]!);
  await heard("dead", unit.name, "resolved", from);
}
await load.stop();
const figures = { failing: spread(failing), dead: spread(dead) };
if (values.json) console.log(JSON.stringify(figures, null, 2));
const line = ({ median, slowest }: ReturnType<typeof spread>): string =>
  `median ${median} ms, slowest ${slowest} ms`;
say(`a unit answers 500 to everything, told by webhook: ${line(figures.failing)} (${units.length} times)`);
say(`a unit dies, told by webhook: ${line(figures.dead)} (${units.length} times)`);
const slowest = Math.max(figures.failing.slowest, figures.dead.slowest);
if (slowest > TOLD) say(`MISSED a message took ${slowest} ms, not below ${TOLD} ms`);
process.exit(slowest > TOLD ? 1 : 0);

/** @returns when it was heard */
async function heard(rule: string, unit: string, state: Told["state"], from: number): Promise<number> {
  const until = performance.now() + DEADLINE;
  while (performance.now() < until) {
    const found = told
      .slice(from)
      .find((one) => one.rule === rule && one.unit === unit && one.state === state);
    if (found !== undefined) return found.at;
    await pause(5);
  }
  throw new Error(`nobody was told within ${DEADLINE} ms that ${rule} of ${unit} is ${state}`);
}

function spread(all: readonly number[]): { readonly median: number; readonly slowest: number } {
  const sorted = all.toSorted((a, b) => a - b);
  return { median: Math.round(sorted[Math.floor(sorted.length / 2)]!), slowest: Math.round(sorted.at(-1)!) };
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
