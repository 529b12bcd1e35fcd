/** Whether a rollout fits a fleet: its service, its units and its steps. Pure. */
import type { Config } from "../config.ts";
import type { MetricQuery, Rollout } from "./rollout.ts";
import { wavesOf } from "./waves.ts";

export interface RolloutProblem {
  /** Field of the file. */
  readonly field: "service" | "waves" | "steps" | "evidence" | "deadline";
  /** `no-canary` is no mistake of the file: a canary comes and goes. */
  readonly code: string;
  readonly message: string;
}

export function checkRollout(rollout: Rollout, config: Config): RolloutProblem[] {
  const { name, service, steps, evidence, deadline, testers } = rollout;
  const problems: RolloutProblem[] = [];
  const say = (field: RolloutProblem["field"], code: string, message: string): void => {
    problems.push({ field, code, message });
  };
  const { services } = config.fleet;
  if (service !== undefined && !services.some((one) => one.name === service)) {
    const known = services.map((one) => one.name).slice(0, 20);
    say("service", "unknown-service", `there is no service ${service}; expected one of ${known.join(", ")}`);
  } else {
    const waves = wavesOf(rollout, config, new Map());
    if (!Array.isArray(waves)) say("waves", waves.code, waves.message);
  }
  if (service === undefined && (testers.header !== undefined || testers.pins.length > 0)) {
    const message = "testers see a service's canary; expected none where routes are rolled out";
    say("service", "routes-have-no-testers", message);
  }
  for (const [i, { share }] of steps.entries()) {
    const before = steps[i - 1]?.share ?? 0;
    if (share > before) continue;
    const message = `step ${i + 1} goes from ${before * 100} % to ${share * 100} %; expected steps that grow`;
    say("steps", "steps-go-down", message);
  }
  if (evidence.samples < 1) {
    say(
      "evidence",
      "no-samples",
      `rollout ${name} would pass without a request; expected samples of 1 or more`,
    );
  }
  for (const metric of evidence.metrics ?? []) {
    const wrong = wrongMetric(metric);
    if (wrong !== undefined) say("evidence", "bad-metric", `metric ${metric.name} ${wrong}`);
  }
  const baking = steps.reduce((sum, { bake }) => sum + bake, testers.bake);
  if (baking >= deadline) {
    const message = `one unit alone bakes for ${baking / 1000} s, and the deadline is ${deadline / 1000} s; expected a later one`;
    say("deadline", "out-of-range", message);
  }
  return problems;
}

function wrongMetric({ query, worse, ratio, limit }: MetricQuery): string | undefined {
  if (ratio === undefined && limit === undefined) return "bears everything; expected a ratio or a limit";
  if (ratio !== undefined && !query.includes("$version")) {
    return "has the same number for both versions; expected $version in its query, or no ratio";
  }
  if (ratio !== undefined && worse === "higher" && ratio < 1) {
    return `is worse when higher and bears ${ratio * 100} % of stable's; expected 100 % or more`;
  }
  if (ratio !== undefined && worse === "lower" && ratio > 1) {
    return `is worse when lower and bears ${ratio * 100} % of stable's; expected 100 % or less`;
  }
  return undefined;
}
