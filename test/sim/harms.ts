/** What goes wrong: one bad thing after the other, by name. */
import type { Gateway } from "./gateway.ts";
import type { Plane } from "./plane.ts";
import type { Process, World } from "./world.ts";

export interface Fleet {
  readonly world: World;
  readonly gateways: readonly Gateway[];
  readonly planes: readonly Plane[];
  /** Units, and the system that knows of their data. */
  readonly others: readonly Process[];
  /** One more gateway, which nobody knew before. */
  readonly join: () => void;
}

const HOUR = 3_600_000;

const HARMS = {
  "a link is cut": ({ world, gateways, planes, others }: Fleet) => {
    const names = [...gateways, ...planes, ...others].map(({ name }) => name);
    world.cut(world.pick(names), world.pick(names), world.between(100, 8_000));
  },
  "somebody is cut off": ({ world, gateways, planes, others }: Fleet) => {
    const names = [...gateways, ...planes, ...others].map(({ name }) => name);
    world.cut(world.pick(names), undefined, world.between(100, 7_000));
  },
  "the store is cut off": ({ world, planes }: Fleet) => {
    world.cut(world.pick(planes).name, "store", world.between(100, 5_000));
  },
  "a gateway crashes": ({ world, gateways }: Fleet) => {
    const gateway = world.pick(gateways);
    if (!gateway.isAlive) return;
    gateway.kill();
    world.at(world.between(100, 6_000), () => gateway.start());
  },
  "a gateway freezes": ({ world, gateways }: Fleet) => {
    world.pick(gateways).frozenUntil = world.now + world.between(100, 9_000);
  },
  "a gateway's disk is full, or no longer": ({ world, gateways }: Fleet) => {
    const gateway = world.pick(gateways);
    gateway.isDiskFull = !gateway.isDiskFull;
  },
  "a gateway joins": ({ gateways, join }: Fleet) => {
    if (gateways.length < 6) join();
  },
  "a control plane dies": ({ world, planes }: Fleet) => {
    const plane = world.pick(planes);
    if (plane.isAlive) plane.die();
  },
  "a control plane dies at a commit": ({ world, planes }: Fleet) => {
    const when = world.pick(["before", "after"] as const);
    world.pick(planes).kill = { left: Math.ceil(world.between(0, 6)), when };
  },
  "a control plane freezes": ({ world, planes }: Fleet) => {
    world.pick(planes).frozenUntil = world.now + world.between(100, 8_000);
  },
  "who takes over has not read for a while": ({ world, planes }: Fleet) => {
    const late = world.between(3_000, 6_000);
    const leader = planes.find(({ isLeading }) => isLeading);
    for (const one of planes) if (one !== leader) world.cut(one.name, "store", late);
    world.at(late - 2_600, () => {
      if (leader?.isAlive) leader.die();
    });
  },
  "a clock is set": ({ world, planes }: Fleet) => {
    world.pick(planes).skew += world.between(-5, 5) * HOUR;
  },
} as const satisfies Readonly<Record<string, (fleet: Fleet) => void>>;

export type Harm = keyof typeof HARMS;
export const ALL_HARMS = Object.keys(HARMS) as Harm[];

/** @param until milliseconds; then nothing new goes wrong */
export function harm(fleet: () => Fleet, harms: readonly Harm[], until: number): void {
  const { world } = fleet();
  const again = (): void => {
    if (world.now > until) return;
    HARMS[world.pick(harms)](fleet());
    world.at(world.between(100, 3_500), again);
  };
  again();
}
