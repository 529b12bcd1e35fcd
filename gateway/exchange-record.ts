/** What an exchange is begun with, and what is counted and logged of it at its end (settle.ts). */
import type { Decision } from "../model/decide.ts";
import type { CompiledUnit, Endpoint } from "../model/table.ts";
import type { Attempt } from "./attempt.ts";
import type { Baseline } from "./baselines.ts";
import type { Trial } from "./breaker.ts";
import { Candidates } from "./candidates.ts";
import type { Core } from "./core.ts";
import { type Degraded, degrade } from "./degrade.ts";
import type { Identity } from "./identify.ts";
import type { ThreadMetrics } from "./metrics.ts";
import { Phased } from "./phased.ts";
import type { Question } from "./question.ts";
import type { RefusalType } from "./refusal.ts";
import { disown } from "./response-owner.ts";
import type { RetryBudget } from "./retry-budget.ts";
import { staleQuestion } from "./stale-entry.ts";
import type { Recorder } from "./stale-recorder.ts";

export abstract class ExchangeRecord<Phase extends string> extends Phased<Phase> {
  readonly core: Core;
  readonly decision: Decision;
  readonly identity: Identity;
  readonly question: Question;
  readonly candidates: Candidates;
  readonly budget: RetryBudget;
  /** It carries a stress mark: no user's request. */
  readonly isStress: boolean;
  /** Where it is counted. */
  readonly metrics: ThreadMetrics;
  attempts = 0;
  /** The attempt that began last. */
  last: Attempt | undefined = undefined;
  /** Those before it; undefined where it is the only one. */
  #before: Attempt[] | undefined = undefined;
  /** A retry was taken from the route's budget. */
  retried = false;
  /** Status that the client was given; 0 before. */
  status = 0;
  /** Why the gateway answered by itself; empty when a unit did. */
  problem: RefusalType | "client-closed" | "" = "";
  /** The route's fallback answered. */
  fellBack = false;
  /** Why the request left its home unit, for `tidegate_failovers_total`. */
  failoverCause = "unhealthy";
  /** It was counted and logged: nothing of it is under way any more. */
  isSettled = false;

  constructor(question: Question, first: Phase) {
    const { core, decision, identity } = question;
    const { total } = decision.route.spec.timeout;
    super(core.deadlines, first, total === 0 ? Number.POSITIVE_INFINITY : identity.startedAt + total);
    this.question = question;
    this.core = core;
    this.decision = decision;
    this.identity = identity;
    const { mark } = identity;
    const isStress = mark !== undefined;
    this.isStress = isStress;
    if (question.corrected !== undefined) this.#before = [...question.corrected];
    this.metrics = isStress ? core.stress.metrics : core.metrics;
    this.candidates = new Candidates(core, decision, identity.head.priority, mark);
    this.budget = isStress ? core.stress.budget : core.budget(decision.route);
  }

  /** A unit's guard refused it before: nothing of it is new, but where it goes. */
  protected get isCorrected(): boolean {
    return this.question.corrected !== undefined;
  }

  /** Another exchange goes on with it, and settles it. */
  letGo(): void {
    this.isSettled = true;
    this.budget.end(this.retried);
    this.core.deadlines.remove(this);
    disown(this.question.response);
  }

  protected began(attempt: Attempt): void {
    if (this.last !== undefined) {
      this.#before ??= [];
      this.#before.push(this.last);
    }
    this.last = attempt;
  }

  /** Its attempts in their order. */
  get tried(): readonly Attempt[] {
    return [...(this.#before ?? []), ...(this.last === undefined ? [] : [this.last])];
  }

  /** Breakers hear of users' attempts alone, as health does. */
  protected trialAt(unit: CompiledUnit): Trial | undefined {
    return this.isStress ? undefined : this.core.breakers.of(this.decision.route, unit)?.begin();
  }

  protected baselineAt(unit: CompiledUnit): Baseline {
    const { baselines, stress } = this.core;
    return (this.isStress ? stress.baselines : baselines).of(this.decision.route, unit);
  }

  protected endpointServed(endpoint: Endpoint): void {
    if (!this.isStress) this.core.endpointServed(endpoint);
  }

  protected endpointFailed(endpoint: Endpoint, answered: boolean): void {
    if (!this.isStress) this.core.endpointFailed(endpoint, answered);
  }

  /** Keeps the answer for worse times; never one to stress traffic. */
  protected recorder(): Recorder | undefined {
    return this.isStress
      ? undefined
      : this.core.stale.of(this.decision.route)?.record(staleQuestion(this.question));
  }

  /** What stands in for a unit's answer. Who stresses a unit has to see that it fails. */
  protected fallback(type: RefusalType): Degraded | undefined {
    return this.isStress
      ? undefined
      : degrade(this.core, this.decision.route, type, staleQuestion(this.question));
  }

  get replayable(): boolean {
    return this.question.body?.replayable ?? true;
  }
}
