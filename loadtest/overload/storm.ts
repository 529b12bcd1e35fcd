/** Every unit fails every request: how many attempts does the gateway make of it? */
import { setTimeout as sleep } from "node:timers/promises";
import { Load } from "../load/load.ts";
import { CLASSES, filesOf } from "./fleet.ts";
import type { Outcome } from "./outcome.ts";
import type { Stage, StagedUnit } from "./processes.ts";

export interface Storm {
  /** False: retries as often as a route may say, within a budget that is never spent. */
  readonly protect: boolean;
  readonly how: "503" | "hang";
  /** Requests a second. */
  readonly rate: number;
  readonly seconds: number;
  readonly breaker: boolean;
}

const PATIENCE = 3_000;
/** The budget looks back on ten seconds; the requests of good days are not to be spent on a bad one. */
const WARM = 2;

export async function storm(stage: Stage, options: Storm): Promise<Outcome> {
  const { protect, how, rate, seconds, breaker } = options;
  const units = await Promise.all(["hz", "sh"].map((name) => stage.unit(name)));
  const route = [
    ...(breaker ? ["breaker: { open: 2s }"] : []),
    ...(protect ? [] : ["retry: { attempts: 2, budget: 100% }"]),
  ].join(", ");
  const gateway = await stage.gateway(
    filesOf({ units, protect, headers: "200ms", ...(route === "" ? {} : { route }) }),
  );
  const load = new Load({ port: gateway.port, rate, classes: CLASSES, timeout: PATIENCE });
  await sleep(WARM * 1000);
  const ill = how === "503" ? ({ mode: "fail", status: 503 } as const) : ({ mode: "hang" } as const);
  // Health checks pass all the while: ejected endpoints would be asked less.
  await Promise.all(units.map((unit) => unit.turn({ ...ill, health: "always" })));
  const before = await attemptsOf(units);
  const run = load.phase("storm");
  await sleep(seconds * 1000);
  run.to = load.now;
  await load.stop();
  const { sent } = run.all;
  const attempts = (await attemptsOf(units)) - before;
  return {
    scenario: "storm",
    case: `${how} at ${rate}/s${breaker ? ", breaker" : ""}`,
    protect,
    figures: [
      { name: "offered", value: sent, in: "" },
      { name: "attempts", value: attempts, in: "" },
      { name: "attempts ÷ offered", value: attempts / sent, in: "x", most: 1.2 },
    ],
    lag: run.lag,
  };
}

/** By the units' own count. */
async function attemptsOf(units: readonly StagedUnit[]): Promise<number> {
  const reports = await Promise.all(units.map((unit) => unit.report()));
  return reports.reduce((sum, { total }) => sum + total, 0);
}
