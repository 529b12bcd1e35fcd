/** A plan's steps with their parameters filled in, and what each lays over the configuration. */
import type { Config } from "./config.ts";
import type { Version } from "./fleet.ts";
import type { Expression } from "./figure-expression.ts";
import type { Route } from "./route.ts";
import type { EvidencePolicy } from "./rollout/rollout.ts";
import type { LimitMode } from "./limit.ts";
import type { OverlayChange, Testers } from "./overlay.ts";
import { rangesOf, type SlotRange } from "./slots.ts";

/** A call to a system of the user's own. */
export interface HookCall {
  readonly url: string;
  /** JSON that is sent with what Tidegate says of itself. */
  readonly body: string | undefined;
  /** Milliseconds for one attempt. */
  readonly timeout: number;
  /** Attempts after the first. */
  readonly retries: number;
}

/** How slots move. */
interface Moving {
  /** Slots in one fence. */
  readonly batch: number;
  /** Milliseconds between batches. */
  readonly pause: number;
  /** Milliseconds that writes are held before they are refused. */
  readonly hold: number;
  /** Says that the data of a batch is where it goes. */
  readonly catchUp: HookCall | undefined;
}

export type Act =
  | {
      readonly kind: "drain";
      readonly units: readonly string[];
      readonly ramp: number;
      readonly deadline: number;
    }
  | { readonly kind: "undrain"; readonly units: readonly string[] }
  | ({ readonly kind: "evacuate"; readonly unit: string; readonly to: readonly string[] } & Moving)
  | ({ readonly kind: "move"; readonly slots: readonly SlotRange[]; readonly to: readonly string[] } & Moving)
  | { readonly kind: "fence"; readonly slots: readonly SlotRange[]; readonly hold: number }
  | { readonly kind: "unfence"; readonly slots: readonly SlotRange[] }
  | {
      readonly kind: "limit";
      readonly limits: readonly string[];
      /** Tokens per second. */
      readonly rate: number | undefined;
      /** Of the rate and the bucket that hold when the step begins. */
      readonly scale: number | undefined;
      readonly burst: number | undefined;
      readonly mode: LimitMode | undefined;
    }
  | { readonly kind: "degrade"; readonly routes: readonly string[] }
  | {
      readonly kind: "breaker";
      readonly service: string;
      readonly unit: string;
      readonly state: "open" | "closed";
    }
  | { readonly kind: "weight"; readonly service: string; readonly share: number }
  | {
      readonly kind: "canary";
      readonly service: string;
      readonly unit: string;
      readonly share: number;
      readonly salt: string;
      readonly testers: Testers;
    }
  | { readonly kind: "routes"; readonly routes: readonly Route[]; readonly salt: string }
  | { readonly kind: "stage"; readonly unit: string; readonly share: number }
  | { readonly kind: "pin"; readonly key: string; readonly unit: string }
  | {
      readonly kind: "mirror";
      readonly route: string;
      readonly service: string;
      readonly version: Version;
      readonly share: number;
      readonly writes: boolean;
    };

export type Control =
  | {
      readonly kind: "gate";
      readonly condition: Expression;
      readonly window: string;
      /** Requests that have to be in the window. */
      readonly samples: number;
      /** Milliseconds it has to hold without a break. */
      readonly holds: number;
      readonly timeout: number;
    }
  | { readonly kind: "wait"; readonly milliseconds: number }
  | { readonly kind: "approve"; readonly role: string; readonly count: number; readonly timeout: number }
  | { readonly kind: "notify"; readonly text: string }
  | {
      readonly kind: "hook";
      readonly call: HookCall;
      /** Where nobody answers, that is the answer, and what follows sees it. */
      readonly mayFail?: true;
    }
  | Rolling;

/** What only rollouts do. They wait as long as their execution's deadline lets them. */
export type Rolling =
  /** Every endpoint of the canary is well. */
  | { readonly kind: "ready"; readonly service: string; readonly unit: string }
  /** The canary is looked at, against stable of the same unit at the same time. */
  | {
      readonly kind: "bake";
      /** Undefined: routes are rolled out, and every service is looked at. */
      readonly service: string | undefined;
      readonly unit: string;
      readonly share: number;
      /** Milliseconds, at least. */
      readonly bake: number;
      readonly evidence: EvidencePolicy;
    }
  /** A version is asked for nothing any more. */
  | {
      readonly kind: "quiet";
      readonly service: string;
      readonly unit: string;
      readonly version: Version;
    }
  /** In the base, the canary becomes stable; what the rollout laid goes in the same commit. */
  | {
      readonly kind: "promote";
      readonly service: string | undefined;
      readonly units: readonly string[];
      /** Digest of the files that take the place of the base; undefined: a canary becomes stable in `fleet.yaml`. */
      readonly base: string | undefined;
    };

export type Structure =
  | { readonly kind: "parallel"; readonly steps: readonly Step[] }
  /** One after the other: a branch of what is parallel. */
  | { readonly kind: "sequence"; readonly steps: readonly Step[] }
  | {
      readonly kind: "if";
      readonly condition: Expression;
      readonly window: string;
      readonly yes: readonly Step[];
      readonly no: readonly Step[];
    };

export type Step = {
  /** Its place, such as `3` or `3.then.1`. */
  readonly path: string;
  /** For people. */
  readonly title: string;
} & (Act | Control | Structure);

export type Leaf = Exclude<Step, { readonly kind: "parallel" | "sequence" | "if" }>;

/** Every kind that lays nothing. */
const NO_ACTS: Readonly<Record<(Control | Structure)["kind"], true>> = {
  gate: true,
  wait: true,
  approve: true,
  notify: true,
  hook: true,
  ready: true,
  bake: true,
  quiet: true,
  promote: true,
  parallel: true,
  sequence: true,
  if: true,
};

export function isAct(step: Step): step is Step & Act {
  return !Object.hasOwn(NO_ACTS, step.kind);
}

/** Steps in the order in which they are written, those inside of others behind them. */
export function* eachStep(steps: readonly Step[]): Generator<Step> {
  for (const step of steps) {
    yield step;
    if (step.kind === "parallel" || step.kind === "sequence") yield* eachStep(step.steps);
    else if (step.kind === "if") {
      yield* eachStep(step.yes);
      yield* eachStep(step.no);
    }
  }
}

/** What an act lays when it begins; moves of slots as if they were done at once. Empty for what only takes away. */
export function changesOf(act: Act, config: Config): OverlayChange[] {
  switch (act.kind) {
    case "drain":
      return act.units.map((unit) => ({ kind: "drain", unit, ramp: act.ramp, deadline: act.deadline }));
    case "undrain":
    case "unfence":
      return [];
    case "evacuate":
    case "move":
      return movesOf(act, config);
    case "fence":
      return [{ kind: "fence", slots: act.slots, keys: [], hold: act.hold }];
    case "limit":
      return act.limits.map((limit) => limitChange(act, limit, config));
    case "degrade":
      return act.routes.map((route) => ({ kind: "degrade", route }));
    case "breaker":
      return [{ kind: "breaker", service: act.service, unit: act.unit, state: act.state }];
    case "weight":
      return [{ kind: "weight", service: act.service, share: act.share }];
    case "canary": {
      const { service, unit, share, salt, testers } = act;
      return [{ kind: "canary", service, unit, share, salt, testers }];
    }
    case "routes":
      return [{ kind: "routes", routes: act.routes, salt: act.salt }];
    case "stage":
      return [{ kind: "stage", unit: act.unit, share: act.share }];
    case "pin":
      return [{ kind: "pin", key: act.key, unit: act.unit }];
    case "mirror": {
      const { route, service, version, share, writes } = act;
      return [{ kind: "mirror", route, service, version, share, writes }];
    }
  }
}

function limitChange(
  { rate, scale, burst, mode }: Extract<Act, { kind: "limit" }>,
  name: string,
  { limits }: Config,
): OverlayChange {
  const now = limits.find((limit) => limit.name === name);
  const scaled = (value: number | undefined): number | undefined =>
    scale === undefined || value === undefined ? undefined : Math.max(1, Math.round(value * scale));
  const [newRate, newBurst] = [rate ?? scaled(now?.rate), burst ?? scaled(now?.burst)];
  return {
    kind: "limit",
    limit: name,
    ...(newRate === undefined ? {} : { rate: newRate }),
    ...(newBurst === undefined ? {} : { burst: newBurst }),
    ...(mode === undefined ? {} : { mode }),
  };
}

/** Where slots go: to the units that were named, each as much as its capacity allows. One change by unit. */
export function movesOf(
  act: Extract<Act, { kind: "evacuate" | "move" }>,
  { fleet }: Config,
): Extract<OverlayChange, { kind: "move" }>[] {
  const { map, pins } = fleet.placement;
  const from = act.kind === "evacuate" ? act.unit : undefined;
  const wanted = act.kind === "evacuate" ? undefined : new Set(expand(act.slots));
  const slots = [...map.keys()].filter((slot) =>
    wanted === undefined ? map[slot] === from : wanted.has(slot),
  );
  const keys = from === undefined ? [] : Object.keys(pins).filter((key) => pins[key] === from);
  const targets = act.to.length > 0 ? act.to : defaultTargets(from, fleet);
  const shares = targets.map((name) => fleet.units.find((unit) => unit.name === name)?.capacity ?? 1);
  const whole = shares.reduce((sum, share) => sum + share, 0);
  const moves: Extract<OverlayChange, { kind: "move" }>[] = [];
  let [taken, given] = [0, 0];
  for (const [i, unit] of targets.entries()) {
    given += shares[i]!;
    const end = i === targets.length - 1 ? slots.length : Math.round((slots.length * given) / whole);
    // What is there already does not move.
    const own = slots.slice(taken, end).filter((slot) => map[slot] !== unit);
    taken = end;
    const ownKeys = i === 0 ? keys : [];
    if (own.length > 0 || ownKeys.length > 0)
      moves.push({ kind: "move", slots: rangesOf(own), keys: ownKeys, unit });
  }
  return moves;
}

function expand(ranges: readonly SlotRange[]): number[] {
  return ranges.flatMap(({ first, last }) => Array.from({ length: last - first + 1 }, (_, i) => first + i));
}

/** Its own order of failover, else every other unit; none that is drained. */
function defaultTargets(from: string | undefined, { units }: Config["fleet"]): string[] {
  const left = units.find((unit) => unit.name === from);
  const names = left?.failover ?? units.map((unit) => unit.name);
  const usable = names.filter((name) => {
    const unit = units.find((one) => one.name === name);
    return name !== from && unit !== undefined && unit.drain === undefined;
  });
  return usable;
}
