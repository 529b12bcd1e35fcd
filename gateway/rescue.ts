/** Turns the way an attempt failed into what the client is told: the one list. */
import type { RetryCause } from "../model/route.ts";
import type { AttemptFailure } from "./attempt.ts";
import type { RefusalType } from "./refusal.ts";

/** @param failure the last attempt's; undefined when none could be made */
export function rescue(
  failure: AttemptFailure | RetryCause | undefined,
  breakerOpen: boolean,
  panic: boolean,
): RefusalType {
  switch (failure) {
    case undefined:
      return breakerOpen ? "breaker" : "no-healthy-unit";
    case "refused":
      return panic ? "no-healthy-unit" : "upstream-refused";
    case "reset":
      return "upstream-reset";
    case "timeout":
      return "upstream-timeout";
    case "malformed":
      return "upstream-malformed";
    case "invalid":
      return "bad-request";
    default:
      // A status that was to be retried, and then nothing was left to try.
      return "no-healthy-unit";
  }
}
