/** Scenarios whose traffic has to be users', because it harms units on purpose: on a small fleet of their own alone. */
import { playK6 } from "../../host/k6-run.ts";
import { connectionsFor, type RunFile } from "../../model/load/run-file.ts";
import type { RunResult } from "../../model/load/run-result.ts";
import { residents, type StressStage, type UnitName, UNITS } from "./stage.ts";

export const USERS_SCENARIOS = ["failover", "rollout", "limits"] as const;
export type UsersScenario = (typeof USERS_SCENARIOS)[number];

export interface AsUsers {
  readonly rate: number;
  readonly seconds: number;
  /** That dies, or is the first to have the canary. */
  readonly unit: UnitName;
  readonly out: string;
}

/** @returns undefined where k6 counted nothing, and said why on standard error */
export async function playAsUsers(
  k6: string,
  stage: StressStage,
  scenario: UsersScenario,
  run: AsUsers,
): Promise<RunResult | undefined> {
  const { rate, seconds, out } = run;
  const shape = SHAPES[scenario];
  const file: Omit<RunFile, "json" | "html"> = {
    ...{ scenario, title: shape.title(run), rate, seconds, timeout: 3_000, bounds: shape.bounds },
    mix: shape.mix,
    key: { from: "header", name: "x-user-id" },
    targets: UNITS.map((name) => ({
      ...{ unit: name, share: 1, urls: [stage.gateway], headers: {}, skew: 0, keys: residents(name, 300) },
    })),
    slots: Math.min(40, Math.floor(seconds)),
    connections: connectionsFor(rate, 3_000),
  };
  const acts = shape
    .acts(stage, run)
    .map(([share, act]) =>
      setTimeout(() => act().catch((error: Error) => console.error(error.message)), share * seconds * 1_000),
    );
  const { result, ended } = await playK6(k6, file, { out: { dir: out, name: scenario }, env: process.env });
  for (const timer of acts) clearTimeout(timer);
  if (result === undefined) console.error(`k6 ended with ${ended.code}: ${ended.stderr.slice(-1_000)}`);
  return result;
}

interface UsersShape {
  readonly title: (run: AsUsers) => string;
  readonly mix: RunFile["mix"];
  readonly bounds: RunFile["bounds"];
  /** What is done, after which share of the time. */
  readonly acts: (
    stage: StressStage,
    run: AsUsers,
  ) => readonly (readonly [at: number, act: () => Promise<unknown>])[];
}

const HALL = { name: "hall", method: "GET", path: "/hall/{n}", share: 1 } as const;

const SHAPES: Readonly<Record<UsersScenario, UsersShape>> = {
  failover: {
    title: ({ unit, rate }) => `${rate}/s while unit ${unit} dies`,
    mix: [
      { ...HALL, share: 0.5 },
      { name: "cart", method: "GET", path: "/cart/{n}", share: 0.5 },
    ],
    bounds: { success: 0.99 },
    acts: (stage, { unit }) => [[0.4, () => stage.units.get(unit)!.kill()]],
  },
  rollout: {
    title: ({ rate }) => `${rate}/s while a canary takes its share`,
    mix: [HALL],
    bounds: { success: 0.999 },
    acts: ({ plane }) => [
      [0.2, () => weigh(plane.origin, 0.1)],
      [0.6, () => weigh(plane.origin, 1)],
    ],
  },
  limits: {
    title: ({ rate }) => `${rate}/s where 50/s are allowed`,
    mix: [{ name: "limited", method: "GET", path: "/limited/{n}", share: 1 }],
    bounds: {},
    acts: () => [],
  },
};

/** A share of every unit's users to the canary. */
async function weigh(origin: string, share: number): Promise<void> {
  const headers = { "content-type": "application/json" };
  const laid = await fetch(`${origin}/v1/overlays`);
  const { overlays } = (await laid.json()) as { overlays: { id: string; change: { kind: string } }[] };
  const before = overlays.find(({ change }) => change.kind === "weight")?.id;
  const overlay = { kind: "weight", service: "shop", share, reason: "a stress scenario" };
  const body = JSON.stringify(before === undefined ? overlay : { ...overlay, supersedes: before });
  const answer = await fetch(`${origin}/v1/overlays`, { method: "POST", headers, body });
  if (!answer.ok) throw new Error(`the canary's share was refused: ${await answer.text()}`);
}
