/** Why nothing is proved, in one sentence. */
import type { AnalysisState } from "./state.ts";
import type { Assessment } from "./verdict.ts";
import { figure, inSeconds, percent } from "./words.ts";

export function reasonOf(
  found: Omit<Assessment, "reason">,
  { settings, windows, missing, canary }: AnalysisState,
  isSilent: boolean,
): string {
  const { errors, latency, canaryRequests, stableRequests } = found;
  const other = found.past ? "the unit's past" : "stable";
  if (isSilent) return `no requests of the canary in the last ${missing} of ${windows} windows`;
  if (canaryRequests === 0) return "no requests of the canary yet";
  if (stableRequests === 0)
    return "nothing to compare the canary with: no stable traffic, and no past is known";
  if (!found.enough) {
    const [few, who] =
      canaryRequests < settings.minSamples ? [canaryRequests, "the canary"] : [stableRequests, other];
    return `${figure(few)} requests of ${who} so far, expected ${figure(settings.minSamples)}`;
  }
  const failing = `it fails ${percent(errors.canary!)} of ${figure(canary.requests)} requests (${other} ${percent(errors.stable!)})`;
  const isTimed = latency.canary !== null && latency.stable !== null;
  const slowness = isTimed
    ? ` and its p${figure(settings.quantile * 100)} is ${inSeconds(latency.canary)} (${other} ${inSeconds(latency.stable)})`
    : "";
  if (found.verdict === "pass") return `no worse than is tolerated: ${failing}${slowness}`;
  if (found.clean) return `no sign of harm, and too little to rule it out: ${failing}${slowness}`;
  const proof = Math.max(errors.evidence, latency.evidence);
  return `it looks worse, with ${Math.floor(proof * 100)} % of the evidence that fails it: ${failing}${slowness}`;
}
