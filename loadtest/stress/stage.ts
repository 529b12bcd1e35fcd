/** A small fleet to stress: three sample units of known capacity, a control plane and a gateway, each a process of its own. */
import { setTimeout as sleep } from "node:timers/promises";
import { slotOf } from "../../model/hash.ts";
import { Plane } from "../control-plane/plane.ts";
import { Load } from "../load/load.ts";
import type { LoadClass } from "../load/mix.ts";
import { Stage, type StagedUnit } from "../overload/processes.ts";
import type { Switches } from "../unit/behaviour.ts";

export const UNITS = ["hz", "sh", "sz"] as const;
export type UnitName = (typeof UNITS)[number];

export interface StageOptions {
  /** Of each unit. */
  readonly workers: number;
  readonly work: number;
  /** Fields of every unit, in YAML flow style. */
  readonly unit?: string;
  /** Each unit has a second process, as its canary. */
  readonly canary?: boolean;
  /** `limited` takes so many requests a second. */
  readonly limit?: number;
}

const SLOTS = 1_024;
const MAP = { hz: [0, 340], sh: [341, 682], sz: [683, 1_023] } as const;
const READY = 15_000;
const RESIDENTS = 300;

export class StressStage {
  readonly units = new Map<UnitName, StagedUnit>();
  readonly plane = new Plane();
  gateway = "";
  readonly #children = new Stage();
  #users: Load | undefined;

  async start({ workers, work, unit = "", canary = false, limit = 50 }: StageOptions): Promise<this> {
    const switches: Partial<Switches> = { workers, work };
    const canaries = new Map<UnitName, StagedUnit>();
    for (const name of UNITS) {
      this.units.set(name, await this.#children.unit(name, switches));
      if (canary) canaries.set(name, await this.#children.unit(name, switches, "canary"));
    }
    const more = unit === "" ? "" : `, ${unit}`;
    const pools = UNITS.map((name) => {
      const second = canaries.get(name);
      const also = second === undefined ? "" : `, canary: [ "${second.url}" ]`;
      return `      ${name}: { stable: [ "${this.units.get(name)!.url}" ]${also} }`;
    });
    await this.plane.start({
      "fleet.yaml": `fleet: stressed
regions: { r-hz: {}, r-sh: {}, r-sz: {} }
units:
${UNITS.map((name) => `  ${name}: { region: r-${name}${name === "hz" ? ", center: true" : ""}${more} }`).join("\n")}
placement:
  key: [ { header: x-user-id } ]
  slots: ${SLOTS}
  map: { ${UNITS.map((name) => `${name}: ${MAP[name].join("-")}`).join(", ")} }
services:
  shop:
    health: { path: /healthz, interval: 200ms, timeout: 1s, healthy: 1, unhealthy: 3 }
    slowStart: 0s
    pools:
${pools.join("\n")}
`,
      "routes.yaml": `routes:
  - { name: cart, match: { path: /cart/* }, service: shop, scope: sharded, failover: reads }
  - { name: hall, match: { path: /hall/* }, service: shop, scope: sharded, failover: all }
  - { name: limited, match: { path: /limited/* }, service: shop, scope: sharded, limits: [ few ] }
limits:
  few: { rate: ${limit}/s, burst: ${limit}, by: [ route ] }
`,
    });
    const port = await this.plane.gateway("one");
    this.gateway = `http://127.0.0.1:${port}`;
    await this.#settled(port);
    return this;
  }

  /** Users of all units, evenly, each unit's a class of its name: what the guardrail watches. @param rate requests a second, all together */
  users(rate: number): Load {
    const classes: LoadClass[] = UNITS.map((name) => ({
      ...{ name, share: 1, path: "/cart/1", keys: residents(name, RESIDENTS) },
    }));
    const port = Number(new URL(this.gateway).port);
    this.#users = new Load({ port, rate, classes, timeout: 2_000, seed: 3 });
    return this.#users;
  }

  async close(): Promise<void> {
    await this.#users?.stop();
    await this.#children.close();
    await this.plane.close();
  }

  /** The control plane has heard of the gateway, and the gateway of its units. */
  async #settled(port: number): Promise<void> {
    for (const end = performance.now() + READY; performance.now() < end; await sleep(100)) {
      const answer = await fetch(`${this.plane.origin}/v1/status`);
      const { units } = (await answer.json()) as { units: { healthy: boolean | null }[] };
      if (units.every(({ healthy }) => healthy === true)) return;
    }
    throw new Error(`the gateway on port ${port} does not find its units healthy`);
  }
}

/** Users who live in a unit. */
export function residents(unit: UnitName, most: number): string[] {
  const [first, last] = MAP[unit];
  const keys: string[] = [];
  for (let i = 0; keys.length < most; i++) {
    const slot = slotOf(`user-${i}`, SLOTS);
    if (slot >= first && slot <= last) keys.push(`user-${i}`);
  }
  return keys;
}
