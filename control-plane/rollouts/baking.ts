/**
 * Looks at a canary while users see it, second by second.
 *
 * What was seen is kept here and stored every few seconds: who takes over goes on with what was stored, and misses some
 * seconds of evidence, but nothing of the time.
 */
import {
  type AnalysisSettings,
  type AnalysisState,
  alphas,
  type Assessment,
  begin,
  type Sample,
  step,
  verdict,
} from "../../model/analysis/verdict.ts";
import type { MetricRule } from "../../model/analysis/settings.ts";
import type { Config } from "../../model/config.ts";
import { latenciesOf } from "../../model/latency-histogram.ts";
import { eachStep, type Leaf } from "../../model/plan-step.ts";
import type { MetricQuery } from "../../model/rollout/rollout.ts";
import type { Execution, StepRun } from "../runbook/execution.ts";
import type { BakeRecord } from "./bake-record.ts";
import type { Evidence, Seen } from "./evidence.ts";
import type { Answered } from "./metrics.ts";
import type { Progress } from "./rolling.ts";

type Bake = Extract<Leaf, { kind: "bake" }>;

/** Chance that a rollout whose canary is no worse is taken back, at most, over all its bakes. */
const ALPHA = 0.01;
/** Milliseconds of evidence that a crash may cost. */
const STORE_EVERY = 5_000;
/** Seconds without a look after which they are left out. */
const LONGEST_GAP = 10;

interface Look {
  state: AnalysisState;
  assessment: Assessment;
  at: number;
  storedAt: number;
  /** The second that was looked at last. */
  last: number | undefined;
  /** Metrics that were told and are not counted yet. */
  news: Answered["news"];
}

export class Baking {
  readonly #evidence: Evidence;
  readonly #looks = new Map<string, Look>();

  constructor(evidence: Evidence) {
    this.#evidence = evidence;
  }

  look(execution: Execution, leaf: Bake, run: StepRun, config: Config): Progress {
    const key = `${execution.id} ${leaf.path} ${run.since}`;
    let own = this.#looks.get(key);
    if (own === undefined) {
      own = this.#begin(execution, leaf, run, config);
      this.#looks.set(key, own);
    }
    const before = own.assessment.verdict;
    const missing = this.#see(own, key, leaf, config);
    const { assessment } = own;
    const record: BakeRecord = { state: own.state, assessment, at: own.at };
    if (assessment.verdict === "fail") return this.#end(key, "failed", record);
    // Time in which it was looked at: a pause of hours is no evidence.
    if (own.at >= leaf.bake) {
      // Testers may be too few to tell: they saw it, and nothing was found.
      const passes = assessment.enough && assessment.clean && missing === undefined;
      if (leaf.share === 0 || passes) return this.#end(key, "done", record);
    }
    const says = missing === undefined ? assessment.reason : `${assessment.reason}; ${missing}`;
    if (own.at - own.storedAt < STORE_EVERY && before === assessment.verdict && run.bake !== undefined) {
      return { waits: run.says ?? "" };
    }
    own.storedAt = own.at;
    return { becomes: { bake: record, says } };
  }

  forget(id: string): void {
    for (const key of this.#looks.keys()) if (key.startsWith(`${id} `)) this.#forget(key);
  }

  #begin(execution: Execution, leaf: Bake, run: StepRun, config: Config): Look {
    const known = run.bake;
    if (known !== undefined) {
      const { state, assessment, at } = known;
      return { state, assessment, at, storedAt: at, last: undefined, news: undefined };
    }
    const past = this.#evidence.past(leaf.service, leaf.unit, config);
    // Figures are gone with the process that had them; what the bake before was given is not.
    const earlier = pastOf(execution, leaf);
    const best = earlier !== null && earlier.requests > past.requests ? earlier : sampleOf(past, 0);
    const state = begin(settingsOf(leaf, execution), best.requests === 0 ? null : best);
    return { state, assessment: verdict(state), at: 0, storedAt: 0, last: undefined, news: undefined };
  }

  /** @returns what is not known of the metrics that are asked for */
  #see(own: Look, key: string, { service, unit, evidence }: Bake, config: Config): string | undefined {
    const { metrics = [] } = evidence;
    const { news, missing } = this.#evidence.metrics.look(key, { metrics, unit, service });
    if (news !== undefined) own.news = news;
    const seen = this.#evidence.since(own.last, service, unit, config);
    const seconds = own.last === undefined ? 0 : seen.last - own.last;
    own.last = seen.last;
    // Nobody looked: it was paused, or this process stood still.
    if (seconds === 0 || seconds > LONGEST_GAP) return missing;
    own.at += seconds * 1000;
    const isKnown = seen.known > 0;
    const underWay = service === undefined ? undefined : this.#evidence.underWay(service, unit);
    const of = (one: Seen, version: "canary" | "stable"): Sample | null => {
      if (!isKnown || one.requests === 0) return null;
      return {
        ...sampleOf(one, own.at),
        ...(underWay === undefined ? {} : { inflight: underWay[version] }),
        metrics: own.news?.[version] ?? {},
      };
    };
    own.state = step(own.state, of(seen.canary, "canary"), of(seen.stable, "stable"));
    // Each answer counts once.
    if (seen.canary.requests > 0) own.news = undefined;
    own.assessment = verdict(own.state);
    return missing;
  }

  #forget(key: string): void {
    this.#looks.delete(key);
    this.#evidence.metrics.forget(key);
  }

  #end(key: string, ends: "done" | "failed", record: BakeRecord): Progress {
    this.#forget(key);
    return { ends, says: record.assessment.reason, more: { bake: record } };
  }
}

function settingsOf({ evidence, path }: Bake, { steps }: Execution): Partial<AnalysisSettings> {
  const bakes = [...eachStep(steps)].filter((step) => step.kind === "bake");
  const parts = alphas(
    ALPHA,
    bakes.map(({ unit, share }) => ({ unit, share })),
  );
  return {
    alpha: parts[bakes.findIndex((one) => one.path === path)]!,
    minSamples: evidence.samples,
    maxErrorIncrease: evidence.errors,
    maxLatencyRatio: 1 + evidence.latency,
    metrics: Object.fromEntries((evidence.metrics ?? []).map((one) => [one.name, ruleOf(one)])),
  };
}

/** The analysis takes a ratio as what is borne times the better one. */
function ruleOf({ worse, ratio, limit, windows }: MetricQuery): MetricRule {
  return {
    worse,
    minWindows: windows,
    ...(ratio === undefined ? {} : { maxRatio: worse === "higher" ? ratio : 1 / ratio }),
    ...(limit === undefined ? {} : { limit }),
  };
}

/** What the unit's bake before this one went by. */
function pastOf({ steps, runs }: Execution, { path }: Bake): Sample | null {
  const turn = path.slice(0, path.lastIndexOf(".") + 1);
  const before = [...eachStep(steps)].findLast(
    (one) => one.path !== path && one.path.startsWith(turn) && runs[one.path]?.bake !== undefined,
  );
  return before === undefined ? null : (runs[before.path]!.bake!.state.past ?? null);
}

function sampleOf({ requests, failures, latencies }: Seen, at: number): Sample {
  return { at, requests, failures, latency: latenciesOf(latencies) };
}
