/** What an exchange is begun with, and what is counted and logged of it at its end (settle.ts). */
import type { Decision } from "../model/decide.ts";
import { Candidates } from "./candidates.ts";
import type { Core } from "./core.ts";
import type { Identity } from "./identify.ts";
import { Phased } from "./phased.ts";
import type { Question } from "./question.ts";
import type { RefusalType } from "./refusal.ts";
import type { RetryBudget } from "./retry-budget.ts";

export abstract class ExchangeRecord<Phase extends string> extends Phased<Phase> {
  readonly core: Core;
  readonly decision: Decision;
  readonly identity: Identity;
  readonly question: Question;
  readonly candidates: Candidates;
  readonly budget: RetryBudget;
  attempts = 0;
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
    this.candidates = new Candidates(core, decision, identity.head.priority);
    this.budget = core.budget(decision.route);
  }

  get replayable(): boolean {
    return this.question.body?.replayable ?? true;
  }
}
