/** Whether a request that failed before its answer began may be tried again. */
import { type Decision, isSafe } from "../model/decide.ts";
import type { RetryCause } from "../model/route.ts";
import type { Endpoint } from "../model/table.ts";
import type { Candidates } from "./candidates.ts";
import type { Core } from "./core.ts";
import type { RetryBudget } from "./retry-budget.ts";

/** What a retry is judged by: an exchange. */
export interface Failed {
  readonly core: Core;
  readonly decision: Decision;
  /** The one that the request began with: a swap may have let the route's go meanwhile. */
  readonly budget: RetryBudget;
  readonly identity: { readonly method: string; readonly stress?: string | undefined };
  /** Attempts so far. */
  readonly attempts: number;
  /** A retry was taken from the budget before. */
  readonly retried: boolean;
  readonly candidates: Candidates;
  /** The body, if there is one, can be sent again whole. */
  readonly replayable: boolean;
}

/** Takes one retry from the route's budget when it says yes. @param sent a server may have seen the request */
export function mayRetry(failed: Failed, failing: Endpoint, cause: RetryCause, sent: boolean): boolean {
  const { decision } = failed;
  // Who stresses a unit has to see what it does.
  if (failed.identity.stress !== undefined) return false;
  const { retry } = decision.route.spec;
  if (failed.attempts > retry.attempts || !retry.on.includes(cause) || !failed.replayable) return false;
  // An unsafe request is repeated only if no server can have seen it, or if the route says that it may.
  if (sent && !isSafe(failed.identity.method) && !retry.unsafe) return false;
  // Where everybody fails, a retry is one more failure and as much load: the retries of better times are not spent on it.
  if (cause !== "refused" && !failed.candidates.isAnySound()) return exhausted(failed);
  const loose = cause === "refused" || (cause === "timeout" && failed.candidates.isSoundElsewhere(failing));
  if (failed.budget.take(retry.budget, loose, failed.retried)) return true;
  return exhausted(failed);
}

function exhausted({ core, decision }: Failed): false {
  core.metrics.count("tidegate_retry_budget_exhausted_total", `route="${decision.route.name}"`);
  return false;
}

/** The cause of `retry.on` that a status is; undefined when the route does not retry it. */
export function retryCauseOf(decision: Decision, status: number): RetryCause | undefined {
  if (status < 429) return undefined;
  for (const cause of decision.route.spec.retry.on) if (Number(cause) === status) return cause;
  return undefined;
}
