/** One unit is asked for several times what it can do. Nobody told the gateway how much that is. */
import { setTimeout as sleep } from "node:timers/promises";
import { Load } from "../load/load.ts";
import type { Phase } from "../load/tally.ts";
import type { Shift } from "../unit/workers.ts";
import { CLASSES, filesOf } from "./fleet.ts";
import type { Figure, Outcome } from "./outcome.ts";
import type { Stage } from "./processes.ts";

export interface Burst extends Shift {
  readonly protect: boolean;
  /** Requests, in times of the capacity. */
  readonly times: number;
  /** Seconds of it. */
  readonly seconds: number;
  /** Seconds at a fifth of the capacity before it, for comparison. */
  readonly unloaded: number;
}

/** Before anything is measured: compilers and connections (seconds). */
const WARM = 3;
/** What a user waits for an answer (ms). */
const PATIENCE = 1_000;

export async function burst(stage: Stage, options: Burst): Promise<Outcome> {
  const { workers, work, spread, protect, times, seconds, unloaded } = options;
  const capacity = (workers * 1000) / work;
  const unit = await stage.unit("hz", { workers, work, spread });
  const gateway = await stage.gateway(filesOf({ units: [unit], protect }));
  const load = new Load({ port: gateway.port, rate: capacity * 0.6, classes: CLASSES, timeout: PATIENCE });
  await sleep(WARM * 1000);
  load.change(capacity * 0.2);
  await sleep(500);
  const calm = load.phase("unloaded");
  await sleep(unloaded * 1000);
  load.change(capacity * times);
  const full = load.phase("burst");
  await sleep(seconds * 1000);
  full.to = load.now;
  await load.stop();
  const { wasted } = await unit.report();
  return {
    scenario: "burst",
    case: `${times}× of ${capacity}/s, ${workers} × ${work} ms${spread === "fixed" ? "" : ` ${spread}`}`,
    protect,
    figures: figuresOf(full, calm, capacity, times, wasted),
    lag: Math.max(calm.lag, full.lag),
  };
}

function figuresOf(full: Phase, calm: Phase, capacity: number, times: number, wasted: number): Figure[] {
  const ratio = full.all.latency(0.99) / calm.all.latency(0.99);
  const honest = full.of("normal").success;
  const greedy = full.of("greedy").success;
  return [
    { name: "goodput ÷ capacity", value: full.goodput / capacity, in: "%", least: 0.9 },
    { name: "critical", value: full.of("critical").success, in: "%", least: 0.99 },
    // What is left for them when the more urgent have had theirs.
    { name: "high", value: full.of("high").success, in: "%", ...(times <= 3 ? { least: 0.95 } : {}) },
    { name: "normal", value: honest, in: "%" },
    { name: "greedy", value: greedy, in: "%", ...(honest > 0.05 ? { most: honest } : {}) },
    { name: "sheddable", value: full.of("sheddable").success, in: "%" },
    { name: "p99 unloaded", value: calm.all.latency(0.99), in: "ms" },
    { name: "p99 admitted", value: full.all.latency(0.99), in: "ms" },
    { name: "p99 ratio", value: ratio, in: "x", most: 3 },
    { name: "served for nobody", value: wasted, in: "" },
  ];
}
