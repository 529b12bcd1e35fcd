/** Every unit is gone for a while, and the clients do not take it calmly: they ask again at once, and again. */
import { setTimeout as sleep } from "node:timers/promises";
import { Load } from "../load/load.ts";
import { SLOT } from "../load/tally.ts";
import { CLASSES, filesOf } from "./fleet.ts";
import type { Outcome } from "./outcome.ts";
import type { Stage } from "./processes.ts";

export interface Outage {
  readonly protect: boolean;
  readonly how: "refuse" | "hang";
  /** Of each of two units. */
  readonly workers: number;
  /** Milliseconds. */
  readonly work: number;
  /** Seconds of it. */
  readonly seconds: number;
  /** Seconds after it that are watched. */
  readonly after: number;
}

const WARM = 4;
const PATIENCE = 1_000;
const RETRIES = 10;
/** Goodput has come back when it is this share of what is offered. */
const BACK = 0.95;

export async function outage(stage: Stage, options: Outage): Promise<Outcome> {
  const { protect, how, workers, work, seconds, after } = options;
  const units = await Promise.all(["hz", "sh"].map((name) => stage.unit(name, { workers, work })));
  const gateway = await stage.gateway(filesOf({ units, protect, headers: "500ms" }));
  const rate = 0.6 * units.length * ((workers * 1000) / work);
  const load = new Load({
    port: gateway.port,
    rate,
    classes: CLASSES,
    timeout: PATIENCE,
    retries: RETRIES,
  });
  await sleep(WARM * 1000);
  const during = load.phase("outage");
  const ms = seconds * 1000;
  await Promise.all(
    units.map((unit) => unit.turn(how === "refuse" ? { mode: "refuse", ms } : { mode: "hang" })),
  );
  await sleep(ms);
  if (how === "hang") await Promise.all(units.map((unit) => unit.turn({ mode: "ok" })));
  const run = load.phase("after");
  await sleep(after * 1000);
  run.to = load.now;
  await load.stop();
  const last = run.to - 1_500; // What was sent last may be answered after the end.
  return {
    scenario: "outage",
    case: `${how} for ${seconds} s`,
    protect,
    figures: [
      { name: "back after", value: backAfter(load, run.from, last, rate), in: "s", most: 10 },
      { name: "goodput at the end", value: goodputOf(load, last - 2_000, last) / rate, in: "%" },
      { name: "critical since", value: run.of("critical").success, in: "%" },
      { name: "all since", value: run.all.success, in: "%" },
      { name: "attempts ÷ offered during", value: during.all.attempts / during.all.sent, in: "x" },
      { name: "attempts ÷ offered since", value: run.all.attempts / run.all.sent, in: "x" },
    ],
    lag: Math.max(during.lag, run.lag),
  };
}

/** Good answers a second. */
function goodputOf(load: Load, from: number, to: number): number {
  return (load.good.between(from, to) * 1000) / (to - from);
}

/** Seconds from the end of the outage to the first second that is good and is followed by as good ones. */
function backAfter(load: Load, end: number, last: number, rate: number): number {
  for (let at = end; at + 1000 <= last; at += SLOT) {
    const now = goodputOf(load, at, at + 1000);
    if (now >= BACK * rate && goodputOf(load, at, last) >= BACK * rate) return (at - end) / 1000;
  }
  return Number.POSITIVE_INFINITY;
}
