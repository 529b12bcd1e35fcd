/** Three units at 70 % of their capacity; one dies or hangs, and the other two cannot do all of its work. */
import { setTimeout as sleep } from "node:timers/promises";
import { Load } from "../load/load.ts";
import { CLASSES, filesOf } from "./fleet.ts";
import type { Outcome } from "./outcome.ts";
import type { Stage } from "./processes.ts";

export interface Loss {
  readonly protect: boolean;
  readonly how: "killed" | "hangs";
  /** Of each unit. */
  readonly workers: number;
  /** Milliseconds. */
  readonly work: number;
  /** Seconds of load before and after; all of them count. */
  readonly before: number;
  readonly after: number;
}

const WARM = 3;
const PATIENCE = 2_000;

export async function loss(stage: Stage, options: Loss): Promise<Outcome> {
  const { protect, how, workers, work, before, after } = options;
  const capacity = (workers * 1000) / work;
  const units = await Promise.all(["hz", "sh", "sz"].map((name) => stage.unit(name, { workers, work })));
  const gateway = await stage.gateway(filesOf({ units, protect, capacity, headers: "500ms" }));
  const rate = capacity * 0.7 * units.length;
  const load = new Load({ port: gateway.port, rate, classes: CLASSES, timeout: PATIENCE });
  await sleep(WARM * 1000);
  const run = load.phase("run");
  await sleep(before * 1000);
  if (how === "killed") await units[1]!.kill();
  else units[1]!.freeze();
  await sleep(after * 1000);
  run.to = load.now;
  await load.stop();
  const worst = worstSecond(load, run.from, run.to);
  return {
    scenario: "loss",
    case: `1 of 3 units ${how}`,
    protect,
    figures: [
      { name: "critical", value: run.of("critical").success, in: "%", least: 0.99 },
      { name: "high", value: run.of("high").success, in: "%", least: 0.99 },
      { name: "normal", value: run.of("normal", "greedy").success, in: "%" },
      { name: "sheddable", value: run.of("sheddable").success, in: "%" },
      { name: "goodput ÷ offered", value: run.all.success, in: "%" },
      { name: "worst second", value: worst / rate, in: "%" },
      { name: "p99 admitted", value: run.all.latency(0.99), in: "ms" },
    ],
    lag: run.lag,
  };
}

function worstSecond(load: Load, from: number, to: number): number {
  let worst = Number.POSITIVE_INFINITY;
  for (let at = from; at + 1000 <= to; at += 100) worst = Math.min(worst, load.good.between(at, at + 1000));
  return worst;
}
