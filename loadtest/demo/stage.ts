/** Puts everything in its place before the show, and clears it away after. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { Flags, Step } from "./flags.ts";
import { copyWithPorts, type DemoEndpoint, type DemoUnit, readFleet } from "./fleet.ts";
import { freePorts, requireFree } from "./ports.ts";
import { ControlPlaneProcess, EndpointProcess, GatewayProcess } from "./processes.ts";

const ROOT = join(import.meta.dirname, "../..");

export interface Plan {
  readonly units: readonly DemoUnit[];
  readonly port: number;
  readonly adminPort: number;
  readonly controlPort: number;
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
  const [freePort, freeAdmin, freeControl, ...freeUnits] = await freePorts(3 + endpoints.length);
  const port = flags.port || freePort!;
  const adminPort = flags.adminPort || freeAdmin!;
  const controlPort = flags.controlPort || freeControl!;
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
      ...unitPorts.map((unitPort) => ({ port: unitPort, flag: "--unit-ports-from" })),
    ]);
  } catch (error) {
    removeCopy(copy);
    throw error;
  }
  return { units, port, adminPort, controlPort, config, copy };
}

/** @throws Error that names a unit or endpoint of the script that is not there */
function requireTargets(script: readonly Step[], units: readonly DemoUnit[]): void {
  const known = units.flatMap(({ name, endpoints }) => [name, ...endpoints.map(({ letter }) => letter)]);
  const stranger = script.find(({ target }) => !known.includes(target));
  if (stranger === undefined) return;
  throw new Error(`--script names "${stranger.target}"; expected one of ${known.join(", ")}.`);
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
