/** A rollout and its waves → the steps that the runbook engine takes. Pure. */
import type { Step } from "../plan-step.ts";
import type { Route } from "../route.ts";
import type { Rollout } from "./rollout.ts";
import { chunksOf } from "./waves.ts";

/** Other routes, where a rollout brings them. */
export interface Proposal {
  readonly routes: readonly Route[];
  /** Digest of the files that they stand in. */
  readonly base: string;
}

/** @param salt mixed into the hash, so that this rollout picks other users than the next */
export function rolloutSteps(
  rollout: Rollout,
  waves: readonly (readonly string[])[],
  salt: string,
  proposal: Proposal | undefined,
): Step[] {
  const { service, approve, parallel, promote, deadline } = rollout;
  const steps: Step[] = [];
  const next = (): string => `${steps.length + 1}`;
  if (proposal !== undefined) {
    const { routes } = proposal;
    const title = `${routes.length} routes are ready in every gateway`;
    steps.push({ path: next(), title, kind: "routes", routes, salt });
  }
  for (const [i, wave] of waves.entries()) {
    const title = `wave ${i + 1} of ${waves.length}: ${wave.join(", ")}`;
    if (approve !== undefined) {
      steps.push({ path: next(), title: `somebody agrees to ${title}`, ...approval(approve, deadline) });
    }
    for (const units of chunksOf(wave, parallel)) {
      const path = next();
      const one = (unit: string, at: string): Step => unitSteps(rollout, unit, at, salt);
      steps.push(
        units.length === 1
          ? one(units[0]!, path)
          : {
              path,
              title,
              kind: "parallel",
              steps: units.map((unit, at) => one(unit, `${path}.${at + 1}`)),
            },
      );
    }
  }
  if (promote) {
    const units = waves.flat();
    steps.push({
      path: next(),
      title: service === undefined ? "the routes are everybody's" : `the canary of ${service} becomes stable`,
      kind: "promote",
      service,
      units,
      base: proposal?.base,
    });
  }
  return steps;
}

function unitSteps(rollout: Rollout, unit: string, path: string, salt: string): Step {
  const { service, steps, before, after, testers, evidence, deadline } = rollout;
  const inner: Step[] = [];
  const what = service ?? "the next routes";
  const add = (title: string, what: object): void => {
    inner.push({ path: `${path}.${inner.length + 1}`, title, ...what } as Step);
  };
  const show = (share: number): void => {
    const shown = { header: testers.header, pins: testers.pins };
    const act =
      service === undefined
        ? { kind: "stage", unit, share }
        : { kind: "canary", service, unit, share, salt, testers: shown };
    add(`${percent(share)} of ${what} in ${unit}`, act);
  };
  const bake = (share: number, milliseconds: number): void =>
    add(`${unit} at ${share === 0 ? "testers" : percent(share)}`, {
      kind: "bake",
      service,
      unit,
      share,
      bake: milliseconds,
      evidence,
    });
  if (before !== undefined) add(`${unit} is prepared`, { kind: "hook", call: before });
  if (service !== undefined) {
    add(`the canary of ${service} is well in ${unit}`, { kind: "ready", service, unit });
  }
  if (testers.header !== undefined || testers.pins.length > 0) {
    show(0);
    if (testers.bake > 0) bake(0, testers.bake);
  }
  for (const step of steps) {
    if (step.approve !== undefined) {
      add(`somebody agrees to ${percent(step.share)} in ${unit}`, approval(step.approve, deadline));
    }
    show(step.share);
    bake(step.share, step.bake);
  }
  if (steps.at(-1)?.share === 1 && service !== undefined) {
    add(`nothing of the old version is under way in ${unit}`, {
      kind: "quiet",
      service,
      unit,
      version: "stable",
    });
  }
  if (after !== undefined) add(`${unit} is finished`, { kind: "hook", call: after });
  return { path, title: unit, kind: "sequence", steps: inner };
}

function approval(role: string, timeout: number) {
  return { kind: "approve", role, count: 1, timeout } as const;
}

export function percent(share: number): string {
  return `${Number((share * 100).toFixed(4))} %`;
}
