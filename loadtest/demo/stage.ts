/** Puts everything in its place before the show, and clears it away after. */
import { rmSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Flags, Step } from "./flags.ts";
import { copyWithPorts, type DemoEndpoint, type DemoUnit, readFleet } from "./fleet.ts";
import { freePorts, requireFree } from "./ports.ts";
import { EndpointProcess, GatewayProcess } from "./processes.ts";

const ROOT = join(import.meta.dirname, "../..");

export interface Plan {
  readonly units: readonly DemoUnit[];
  readonly port: number;
  readonly adminPort: number;
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
  const [freePort, freeAdmin, ...freeUnits] = await freePorts(2 + endpoints.length);
  const port = flags.port || freePort!;
  const adminPort = flags.adminPort || freeAdmin!;
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
      ...unitPorts.map((unitPort) => ({ port: unitPort, flag: "--unit-ports-from" })),
    ]);
  } catch (error) {
    removeCopy(copy);
    throw error;
  }
  return { units, port, adminPort, config, copy };
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
    const { config, port, adminPort } = this.plan;
    this.#gateway = new GatewayProcess({ config, port, adminPort });
    await this.#gateway.ready();
  }

  async stop(): Promise<void> {
    await this.#gateway?.stop();
    this.kill();
  }

  /** At once, and also from an exit handler. */
  kill(): void {
    this.#gateway?.kill();
    for (const endpoint of this.endpoints) endpoint.kill();
    removeCopy(this.plan.copy);
  }
}

function removeCopy(copy: string | undefined): void {
  if (copy !== undefined) rmSync(copy, { recursive: true, force: true });
}
