/** Reads `rollouts/NAME.yaml`: one rollout each, checked against the fleet that it is for. */
import type { Config } from "../config.ts";
import type { HookCall } from "../plan-step.ts";
import { checkRollout } from "../rollout/check.ts";
import { type Rollout, WAVE_RULES } from "../rollout/rollout.ts";
import type { Draft, DraftFile } from "./draft.ts";
import { HOUR, NAME_PATTERN } from "./field.ts";
import type { RolloutShape } from "./rollout-schema.ts";

const NAME = new RegExp(`^rollouts/(${NAME_PATTERN.slice(1, -1)})\\.yaml$`);
export const MOST_ROLLOUTS = 200;
const DAY = 24 * HOUR;

/** @returns undefined for a file that is no rollout */
export function rolloutName(file: string): string | undefined {
  return NAME.exec(file)?.[1];
}

/**
 * @param config what the rest of the directory says; undefined when it is not valid, and only the form is looked at
 * @returns undefined when it cannot be run; the problems have been reported
 */
export function readRollout(
  file: DraftFile<RolloutShape>,
  name: string,
  config: Config | undefined,
): Rollout | undefined {
  const draft = file.value;
  if (draft === undefined) return undefined;
  const { testers, evidence, before, after } = draft;
  const header = testers?.header;
  const rollout: Rollout = {
    name,
    summary: draft.summary ?? "",
    owner: draft.owner ?? "",
    service: draft.service,
    waves: (draft.waves ?? ["quietest", "each"]).map((text) => {
      const rule = WAVE_RULES.find((one) => one === text.trim());
      const isUnit = config?.fleet.units.some((unit) => unit.name === text.trim()) ?? false;
      if (rule !== undefined && !isUnit) return rule;
      return [...new Set(text.split(",").map((unit) => unit.trim()))].filter((unit) => unit !== "");
    }),
    parallel: draft.parallel ?? 1,
    steps: (draft.steps ?? []).map(({ share, bake, approve }) => ({
      share: share ?? 0,
      bake: bake ?? 0,
      approve,
    })),
    testers: {
      header:
        header?.name === undefined || header.value === undefined
          ? undefined
          : { name: header.name, value: header.value },
      pins: testers?.pins ?? [],
      bake: testers?.bake ?? 0,
    },
    before: hookFrom(before),
    after: hookFrom(after),
    approve: draft.approve,
    evidence: {
      samples: evidence?.samples ?? 100,
      errors: evidence?.errors ?? 0.002,
      latency: evidence?.latency ?? 0.3,
      metrics: [...(evidence?.metrics ?? [])].map(([metric, one]) => ({
        name: metric,
        query: one.query ?? "",
        worse: one.worse ?? "higher",
        ratio: one.ratio,
        limit: one.limit,
        windows: one.windows ?? 3,
      })),
    },
    onFailure: draft["on-failure"] ?? "all",
    deadline: draft.deadline ?? DAY,
    promote: draft.promote ?? true,
  };
  if ((draft.service === undefined) === (draft.change === undefined)) {
    const message = "expected `service`, whose canary it rolls out, or `change: routes`, and not both";
    file.problem(draft, draft.change === undefined ? undefined : "change", "service-or-change", message);
    return undefined;
  }
  if (config === undefined) return rollout;
  const problems = checkRollout(rollout, config);
  for (const { field, code, message } of problems) {
    const severity = code === "no-canary" ? "warning" : "error";
    file.problem(draft, draft[field] === undefined ? undefined : field, code, message, severity);
  }
  return problems.every(({ code }) => code === "no-canary") ? rollout : undefined;
}

function hookFrom(draft: Draft<RolloutShape>["before"]): HookCall | undefined {
  if (draft?.url === undefined) return undefined;
  return { url: draft.url, body: draft.body, timeout: draft.timeout ?? 10_000, retries: draft.retries ?? 2 };
}
