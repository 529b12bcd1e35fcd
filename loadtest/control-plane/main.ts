/**
 * How fast a change is everywhere: many simulated gateways at one real control plane, a few real gateways' traffic, what a
 * control plane that is gone costs, and what a large configuration costs everybody else.
 */
import { createPublicKey } from "node:crypto";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { parseArgs } from "node:util";
import { Agent } from "undici";
import { Load } from "../load/load.ts";
import { fleetFiles } from "./fleet.ts";
import { largeBase } from "./large-base.ts";
import { Plane } from "./plane.ts";
import { SimulatedGateway } from "./simulated-gateway.ts";

/** Promises (ms). */
const CONVERGED = 500;
const TRAFFIC = 250;
const STALL = 500;

const { values } = parseArgs({
  options: {
    gateways: { type: "string", default: "500" },
    changes: { type: "string", default: "20" },
    down: { type: "string", default: "20" },
    routes: { type: "string", default: "10000" },
    json: { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false },
  },
});
if (values.help) {
  console.log(`npm run bench:control-plane -- [options]

  --gateways N   simulated gateways (500)
  --changes N    measured changes (20)
  --routes N     routes of a large configuration (10000)
  --down N       seconds without a control plane, under load (20; the promise is of 600)
  --json         the figures as JSON

It ends with 1 when a promise did not hold: p99 of the simulated gateways has a change within 500 ms, three real
gateways' traffic within 250 ms, no request fails while the control plane is gone, and nobody waits longer than 500 ms because
somebody else applies a large configuration, nor does the control plane lose its lease over it.`);
  process.exit(0);
}
const size = { units: 10, services: 20, routes: 200 };
const upstream = http.createServer((_request, response) => response.end("ok"));
await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
const origin = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`;
process.on("SIGINT", () => process.exit(130));

const missed: string[] = [];
const say = (text: string): void => {
  if (!values.json) console.log(text);
};
const simulated = await convergence(Number(values.gateways), Number(values.changes));
say(
  `${simulated.gateways} simulated gateways, ${simulated.changes} changes: p50 ${ms(simulated.p50)}, p99 ${ms(simulated.p99)}, ` +
    `slowest ${ms(simulated.slowest)}; the answer to the change itself took ${ms(simulated.answered)} (p50), errors ${simulated.errors}`,
);
if (simulated.p99 > CONVERGED) missed.push(`p99 of simulated gateways above ${CONVERGED} ms`);
if (simulated.errors > 0) missed.push(`${simulated.errors} errors`);
const real = await traffic(Number(values.down));
say(`3 real gateways: a change is in all their traffic after ${real.reached.map(ms).join(", ")}`);
say(
  `control plane gone for ${values.down} s under ${real.rate} requests a second: ${real.sent} sent, ${real.failed} failed` +
    `; a change after its return is served after ${ms(real.back)}`,
);
if (Math.max(...real.reached) > TRAFFIC)
  missed.push(`traffic of real gateways changed after more than ${TRAFFIC} ms`);
if (real.failed > 0) missed.push(`${real.failed} requests failed without the control plane`);
const large = await largeBase(Number(values.routes));
say(`${large.routes} routes, ${(large.bytes / 1e6).toFixed(1)} MB; the first start took ${ms(large.boot)}`);
for (const { name, took, stall, led } of large.steps) {
  say(`  ${name}: ${ms(took)}, and others waited ${ms(stall)} at most`);
  if (stall > STALL)
    missed.push(`${name} of ${large.routes} routes kept others waiting for more than ${STALL} ms`);
  if (!led) missed.push(`${name} of ${large.routes} routes cost the lease`);
}
if (values.json) console.log(JSON.stringify({ simulated, real, large, missed }, null, 2));
for (const problem of missed) say(`MISSED ${problem}`);
process.exit(missed.length > 0 ? 1 : 0);

async function convergence(gateways: number, changes: number) {
  const plane = new Plane();
  await plane.start(fleetFiles(size, 0, origin));
  const key = createPublicKey(plane.key);
  const agent = new Agent({ connections: gateways * 2 + 50, bodyTimeout: 0 });
  let errors = 0;
  let has = new Map<number, number[]>();
  const all = Array.from({ length: gateways }, (_, i) => {
    const gateway = new SimulatedGateway({
      origin: plane.origin,
      name: `sim-${i}`,
      token: undefined,
      key,
      agent,
      onRevision: (revision) => has.get(revision)?.push(performance.now()),
      onError: () => errors++,
    });
    return gateway;
  });
  has.set(1, []);
  for (const [i, gateway] of all.entries()) gateway.start((i * 1_000) / gateways);
  await until(() => has.get(1)!.length === gateways);
  const took: number[] = [];
  const answered: number[] = [];
  for (let change = 1; change <= changes; change++) {
    const times: number[] = [];
    has = new Map([[change + 1, times]]);
    const files = fleetFiles(size, change, origin);
    const began = performance.now();
    const applied = plane.apply(files);
    await until(() => times.length === gateways);
    took.push(...times.map((at) => at - began));
    answered.push((await applied).took);
    await pause(200);
  }
  for (const gateway of all) gateway.stop();
  await plane.kill();
  await agent.destroy();
  const of = (list: number[], q: number): number =>
    list.toSorted((a, b) => a - b)[Math.floor((list.length - 1) * q)]!;
  return {
    gateways,
    changes,
    p50: of(took, 0.5),
    p99: of(took, 0.99),
    slowest: Math.max(...took),
    answered: of(answered, 0.5),
    errors,
  };
}

async function traffic(seconds: number) {
  const plane = new Plane();
  await plane.start(fleetFiles(size, 0, origin));
  const ports = await Promise.all(["one", "two", "three"].map((name) => plane.gateway(name)));
  const reached: number[] = [];
  for (let mark = 1; mark <= 10; mark++) {
    const began = performance.now();
    await plane.apply(fleetFiles(size, mark, origin));
    await Promise.all(ports.map((port) => served(port, mark)));
    reached.push(performance.now() - began);
  }
  const rate = 200;
  const classes = [{ name: "all", share: 1, path: "/r1/a" }];
  const loads = ports.map((port, i) => new Load({ port, rate, classes, timeout: 5_000, seed: i + 1 }));
  await pause(1_000);
  await plane.kill();
  await pause(seconds * 1_000);
  await plane.start(fleetFiles(size, 10, origin));
  const began = performance.now();
  await plane.apply(fleetFiles(size, 11, origin));
  await Promise.all(ports.map((port) => served(port, 11)));
  const back = performance.now() - began;
  await Promise.all(loads.map((load) => load.stop()));
  const phases = loads.flatMap((load) => load.phases);
  const sum = (of: "sent" | "ok"): number => phases.reduce((total, phase) => total + phase.all[of], 0);
  return { reached, rate: rate * ports.length, sent: sum("sent"), failed: sum("sent") - sum("ok"), back };
}

async function served(port: number, mark: number): Promise<void> {
  for (const end = performance.now() + 30_000; performance.now() < end; ) {
    const answer = await fetch(`http://127.0.0.1:${port}/mark/${mark}`);
    await answer.text();
    if (answer.status === 200) return;
    await pause(2);
  }
  throw new Error(`change ${mark} did not reach a gateway in 30 s`);
}

async function until(holds: () => boolean): Promise<void> {
  const end = performance.now() + 30_000;
  while (!holds()) {
    if (performance.now() > end) throw new Error("not all gateways have it after 30 s");
    await pause(5);
  }
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

function ms(milliseconds: number): string {
  return `${milliseconds.toFixed(0)} ms`;
}
