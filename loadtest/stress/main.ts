/**
 * `npm run stress`: a stress test by k6, in one command. With a control plane (--control-plane, or its variable) it is
 * `tidegate stress run`; without one it builds a small fleet first, which scenarios that harm users need anyway.
 */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { findK6, NoK6 } from "../../host/k6.ts";
import { parseDuration, parseRate } from "../../model/configuration/quantity.ts";
import { resultText } from "../../model/load/run-result.ts";
import { playAsUsers, USERS_SCENARIOS, type UsersScenario } from "./as-users.ts";
import { StressStage, type UnitName, UNITS } from "./stage.ts";

const CLI = join(import.meta.dirname, "../../cli/tidegate.mjs");
/** Traffic that is no user's: what `tidegate stress run` makes. */
const MARKED = ["unit-stress", "fleet-peak", "soak", "replay"] as const;
/** Of each unit of the small fleet: 250 requests a second. */
const [WORKERS, WORK] = [5, 20];
/** Requests a second of users beside the stress traffic. */
const BESIDE = 45;
/** Before anything is measured, the guardrail has to know what is usual (ms). */
const USUAL = 6_000;

const { values } = parseArgs({
  // Options of `tidegate stress run` have values that nobody here knows.
  allowPositionals: true,
  strict: false,
  options: {
    scenario: { type: "string", default: "unit-stress" },
    unit: { type: "string", multiple: true },
    to: { type: "string", default: "150rps" },
    for: { type: "string", default: "20s" },
    out: { type: "string", default: "stress-results" },
    "control-plane": { type: "string" },
    help: { type: "boolean", short: "h" },
  },
});
const scenario = String(values.scenario);
if (values.help === true) {
  console.log(`npm run stress -- [options]

  --unit NAME        the unit that is stressed (of the small fleet: ${UNITS.join(", ")})
  --to RATE          requests a second at the most (150rps)
  --for DURATION     how long (20s)
  --scenario NAME    ${MARKED.join(", ")}: marked, also against a fleet of yours
                     ${USERS_SCENARIOS.join(", ")}: users' traffic, against the small fleet alone
  --out DIR          where results go, as JSON and as a page (stress-results)
  --control-plane URL, --gateway URL
                     a fleet of yours; every option of tidegate stress run then

Without --control-plane (or TIDEGATE_CONTROL_PLANE) it builds a small fleet on this machine: three units that bear
${(WORKERS * 1_000) / WORK} requests a second each, a control plane and a gateway.`);
  process.exit(0);
}
process.on("SIGINT", () => process.exit(130));
process.on("SIGTERM", () => process.exit(143));
process.exit(await main());

async function main(): Promise<number> {
  const given = values["control-plane"] ?? process.env.TIDEGATE_CONTROL_PLANE;
  try {
    const k6 = findK6({ env: process.env, say: (sentence) => console.error(sentence) });
    if ((MARKED as readonly string[]).includes(scenario)) {
      return given === undefined ? await onStage((stage) => marked(stage)) : await cli([]);
    }
    if (!(USERS_SCENARIOS as readonly string[]).includes(scenario)) {
      return usage(
        `there is no scenario ${scenario}; expected one of ${[...MARKED, ...USERS_SCENARIOS].join(", ")}`,
      );
    }
    if (given !== undefined) {
      return usage(
        `${scenario} is users' traffic and harms units on purpose: it runs against the small fleet alone`,
      );
    }
    return await onStage((stage) => asUsers(k6, stage));
  } catch (error) {
    if (!(error instanceof NoK6)) throw error;
    console.error(`stress: ${error.message}`);
    return 69;
  }
}

async function onStage(act: (stage: StressStage) => Promise<number>): Promise<number> {
  const stage = new StressStage();
  try {
    console.error("a small fleet starts: three units, a control plane, a gateway …");
    await stage.start({ workers: WORKERS, work: WORK, canary: scenario === "rollout" });
    return await act(stage);
  } finally {
    await stage.close();
  }
}

async function marked(stage: StressStage): Promise<number> {
  stage.users(BESIDE);
  await new Promise((resolve) => setTimeout(resolve, USUAL));
  const own = values.unit === undefined && scenario !== "fleet-peak" ? ["--unit", "sh"] : [];
  return await cli([...own, "--control-plane", stage.plane.origin, "--gateway", stage.gateway]);
}

/** The command of `tidegate stress run`, with what was typed and what was not. */
function cli(more: readonly string[]): Promise<number> {
  const typed = process.argv.slice(2);
  const isTyped = (name: string): boolean =>
    typed.some((text) => text === name || text.startsWith(`${name}=`));
  const isReplay = scenario === "replay";
  const defaults = [
    ...(isTyped("--to") || isReplay ? [] : ["--to", String(values.to)]),
    ...(isTyped("--for") || isReplay ? [] : ["--for", String(values.for)]),
  ];
  const child = spawn(process.execPath, [CLI, "stress", "run", ...typed, ...defaults, ...more], {
    stdio: "inherit",
  });
  return new Promise((resolve) => child.on("exit", (code) => resolve(code ?? 1)));
}

async function asUsers(k6: string, stage: StressStage): Promise<number> {
  const rate = parseRate(String(values.to));
  const lasts = parseDuration(String(values.for));
  if (rate === undefined || rate < 1) return usage(`--to is ${values.to}; expected a rate such as 150rps`);
  if (lasts === undefined || lasts < 2_000) return usage(`--for is ${values.for}; expected 2s at least`);
  const unit = (values.unit?.[0] ?? "sh") as UnitName;
  if (!UNITS.includes(unit)) return usage(`there is no unit ${unit}; expected one of ${UNITS.join(", ")}`);
  const result = await playAsUsers(k6, stage, scenario as UsersScenario, {
    rate,
    seconds: lasts / 1_000,
    unit,
    out: String(values.out),
  });
  if (result === undefined) return 1;
  console.log(`${resultText(result)}\nreport: ${values.out}/${scenario}.html`);
  return result.passed ? 0 : 1;
}

function usage(problem: string): number {
  console.error(`stress: ${problem} (npm run stress -- --help shows the options)`);
  return 2;
}
