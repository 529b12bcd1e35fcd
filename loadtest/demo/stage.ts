/** Puts everything in its place before the show, and clears it away after. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { Flags, Step } from "./flags.ts";
import { copyWithPorts, type DemoEndpoint, type DemoUnit, readFleet } from "./fleet.ts";
import { freePorts, requireFree } from "./ports.ts";
import { ControlPlaneProcess, EndpointProcess, GatewayProcess } from "./processes.ts";

/** In configs/demo/rollouts. */
const ROLLOUT = "shop";
const START_MS = 5_000;
const ROOT = join(import.meta.dirname, "../..");

export interface Plan {
  readonly units: readonly DemoUnit[];
  readonly port: number;
  readonly adminPort: number;
  readonly controlPort: number;
  readonly buttonsPort: number;
  readonly config: string;
  /** To be removed at the end. */
  readonly copy: string | undefined;
}

/** Settles the ports, and copies the configuration if they are not its own. @throws Error of one sentence */
export async function planStage(flags: Flags): Promise<Plan> {
  const own = resolve(ROOT, flags.config);
  const from = flags.unitPortsFrom;
  let units = await readFleet(own);
  requireTargets(flags.script, units);
  const endpoints = units.flatMap((unit) => unit.endpoints);
  const [freePort, freeAdmin, freeControl, freeButtons, ...freeUnits] = await freePorts(4 + endpoints.length);
  const port = flags.port || freePort!;
  const adminPort = flags.adminPort || freeAdmin!;
  const controlPort = flags.controlPort || freeControl!;
  const buttonsPort = flags.buttonsPort || freeButtons!;
  let config = own;
  let copy: string | undefined;
  if (from !== undefined) {
    const ports = endpoints.map((_, i) => (from === 0 ? freeUnits[i]! : from + i));
    copy = await copyWithPorts(own, new Map(endpoints.map((endpoint, i) => [endpoint.port, ports[i]!])));
    config = copy;
    units = await readFleet(copy);
  }
  const unitPorts = units.flatMap((unit) => unit.endpoints.map((endpoint) => endpoint.port));
  try {
    await requireFree([
      { port, flag: "--port" },
      { port: adminPort, flag: "--admin-port" },
      { port: controlPort, flag: "--control-port" },
      { port: buttonsPort, flag: "--buttons-port" },
      ...unitPorts.map((unitPort) => ({ port: unitPort, flag: "--unit-ports-from" })),
    ]);
  } catch (error) {
    removeCopy(copy);
    throw error;
  }
  return { units, port, adminPort, controlPort, buttonsPort, config, copy };
}

/** @throws Error that names a unit or endpoint of the script that is not there */
function requireTargets(script: readonly Step[], units: readonly DemoUnit[]): void {
  const places = units.flatMap(({ name, endpoints }) => [name, ...endpoints.map(({ letter }) => letter)]);
  for (const { action, target } of script) {
    const known = action === "release" ? ["good", "bad"] : places;
    if (known.includes(target)) continue;
    throw new Error(`--script names "${target}"; expected one of ${known.join(", ")}.`);
  }
}

export class Stage {
  readonly plan: Plan;
  readonly endpoints: readonly EndpointProcess[];
  /** What the control plane and the gateway keep, while the demo runs. */
  readonly #data = mkdtempSync(join(tmpdir(), "tidegate-demo-"));
  #controlPlane: ControlPlaneProcess | undefined;
  #gateway: GatewayProcess | undefined;

  constructor(plan: Plan, onDeath: (endpoint: DemoEndpoint) => void) {
    this.plan = plan;
    this.endpoints = plan.units.flatMap((unit) =>
      unit.endpoints.map((endpoint) => new EndpointProcess(endpoint, onDeath)),
    );
  }

  get gateway(): GatewayProcess {
    if (this.#gateway === undefined) throw new Error("The gateway was not started.");
    return this.#gateway;
  }

  /** Units first, so that the gateway finds them healthy. @throws Error with the words of the child that failed */
  async start(): Promise<void> {
    await Promise.all(this.endpoints.map((endpoint) => endpoint.start()));
    const { config, port, adminPort, controlPort } = this.plan;
    this.#controlPlane = new ControlPlaneProcess({ config, port: controlPort, data: this.#data });
    await this.#controlPlane.ready();
    this.#gateway = new GatewayProcess({ controlPort, data: this.#data, port, adminPort });
    await this.#gateway.ready();
  }

  /** The canary of every unit is what it is said to be, and its rollout begins. @throws Error with the reason why not */
  async release(target: string): Promise<void> {
    const canaries = this.endpoints.filter(({ endpoint }) => endpoint.version === "canary");
    await Promise.all(canaries.map((canary) => (target === "bad" ? canary.fail() : canary.restore())));
    const answer = await fetch(`http://127.0.0.1:${this.plan.controlPort}/v1/rollouts/${ROLLOUT}/start`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ reason: `the demo's ${target} canary` }),
      signal: AbortSignal.timeout(START_MS),
    });
    if (answer.ok) return;
    const { title } = (await answer.json()) as { title?: string };
    throw new Error(title ?? `the control plane answers ${answer.status}`);
  }

  async stop(): Promise<void> {
    await this.#gateway?.stop();
    await this.#controlPlane?.stop();
    this.kill();
  }

  /** At once, and also from an exit handler. */
  kill(): void {
    this.#gateway?.kill();
    this.#controlPlane?.kill();
    for (const endpoint of this.endpoints) endpoint.kill();
    removeCopy(this.plan.copy);
    removeCopy(this.#data);
  }
}

function removeCopy(copy: string | undefined): void {
  if (copy !== undefined) rmSync(copy, { recursive: true, force: true });
}
