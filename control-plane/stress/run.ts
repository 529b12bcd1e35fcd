/** One run of stress traffic: who stresses which unit, how fast, what was seen meanwhile, and how it ended. */
import type { AuditLine, PutDocument, StoredEvent } from "../store/store.ts";

/** Document kinds. */
export const STRESS_RUN = "stress-run";
/** Until when a run lives, for control planes that do not lead. */
export const STRESS_LIVE = "stress-live";

/** `passed`, `failed`: its runner said so · `stopped`: somebody did · `aborted`: the guardrail · `lost`: its runner is gone. */
export type StressState = "running" | "passed" | "failed" | "stopped" | "aborted" | "lost";

/** What users of a unit were answered before the run. */
export interface Before {
  /** Empty: of requests that reached none. */
  readonly unit: string;
  readonly requests: number;
  /** Share of them that failed or were shed. */
  readonly ill: number;
  /** Milliseconds; null where there were too few to say. */
  readonly p99: number | null;
}

/** A moment of a run. */
export interface Sample {
  /** Milliseconds since it began. */
  readonly at: number;
  /** Of the run's own requests. */
  readonly rps: number;
  readonly success: number | null;
  readonly p99: number | null;
  /** Unit → what its users were answered. */
  readonly users: Readonly<
    Record<string, { readonly rps: number; readonly success: number | null; readonly p99: number | null }>
  >;
}

export interface StressRun {
  /** `sr-7`, which is also the name in its marks. */
  readonly id: string;
  readonly unit: string;
  readonly scenario: string;
  /** What is asked, for people. */
  readonly mix: string;
  /** Requests per second at the most. */
  readonly rate: number;
  /** Milliseconds that it is meant to take. */
  readonly lasts: number;
  /** What is measured is the unit's capacity, so that what was said of it holds nothing back. */
  readonly measure: boolean;
  /** As it was given; empty: only the guardrail. */
  readonly abortOn: string;
  readonly reason: string;
  readonly owner: { readonly name: string; readonly from: string };
  /** Milliseconds since 1970. */
  readonly at: number;
  /** When its mark expires. */
  readonly until: number;
  readonly endedAt?: number;
  readonly state: StressState;
  /** Why it ended. */
  readonly says?: string;
  /** Who stopped it. */
  readonly endedBy?: string;
  readonly before: readonly Before[];
  readonly samples: readonly Sample[];
  /** What its runner counted, as it told. */
  readonly result?: unknown;
}

/** Of one run; longer ones keep every other of the older ones. */
export const MOST_SAMPLES = 300;

export function withSample(run: StressRun, sample: Sample): StressRun {
  const samples = [...run.samples, sample];
  if (samples.length <= MOST_SAMPLES) return { ...run, samples };
  const old = samples.slice(0, MOST_SAMPLES / 2).filter((_, i) => i % 2 === 0);
  return { ...run, samples: [...old, ...samples.slice(MOST_SAMPLES / 2)] };
}

export function putRun(run: StressRun, version: number): PutDocument {
  return { kind: STRESS_RUN, id: run.id, body: JSON.stringify(run), expect: version };
}

export function newsOf({ id, unit, state, says }: StressRun, at: number): Omit<StoredEvent, "number"> {
  const body = JSON.stringify({ run: id, unit, state, ...(says === undefined ? {} : { says }) });
  return { at, type: "stress-run", body };
}

export function auditOf(
  run: StressRun,
  at: number,
  by: { readonly name: string; readonly from: string },
  action: "start" | "end",
): AuditLine {
  const { id, unit, rate, state, measure, says } = run;
  const after = { state, rate, measure, ...(says === undefined ? {} : { says }) };
  return {
    at,
    actor: by.name,
    from: by.from,
    action: `stress.${action}`,
    target: `${unit} ${id}`,
    reason: action === "start" ? run.reason : (says ?? ""),
    before: action === "start" ? "null" : JSON.stringify({ state: "running" }),
    after: JSON.stringify(after),
  };
}
