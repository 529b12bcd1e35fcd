/** How a request ended, from what the gateway knows at its end. */
import { OUTCOME } from "../model/outcome.ts";
import { type RefusalType, refusalKind } from "./refusal.ts";

/**
 * @param problem why the gateway answered by itself; empty when a unit did
 * @param fellBack the route's fallback answered
 * @returns its place in `OUTCOMES`
 */
export function outcomeOf(
  status: number,
  problem: RefusalType | "client-closed" | "",
  fellBack: boolean,
): number {
  if (fellBack) return OUTCOME.fallback;
  switch (problem) {
    case "":
      return status < 400 ? OUTCOME.success : status < 500 ? OUTCOME.clientError : OUTCOME.error;
    case "client-closed":
      return OUTCOME.gone;
    case "limit":
      return OUTCOME.limited;
    case "shed":
      return OUTCOME.shed;
    case "degraded":
    case "unsupported-transfer-coding":
      return OUTCOME.refused;
    default:
      return refusalKind(problem).status < 500 ? OUTCOME.refused : OUTCOME.error;
  }
}
