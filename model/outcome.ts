/** How a request ended, in as many words as whoever operates a fleet, or lets a version into it, tells apart. */

/**
 * - `success`: a unit answered below 400.
 * - `clientError`: a unit answered 4xx.
 * - `error`: a unit answered 5xx, broke off, was too late, or could not be reached.
 * - `fallback`: the way to a unit failed and the route's fallback answered, whatever its status.
 * - `limited`, `shed`: turned away by a limit, or because the unit was busy.
 * - `refused`: the gateway would not pass it on: malformed, too large, without a key, or the route is degraded.
 * - `gone`: the client left before the whole answer.
 * - `retried`: no end of a request, but an attempt that failed and was made again. It belongs to the version that failed:
 *   the request's end may be another version's.
 */
export const OUTCOMES = [
  "success",
  "clientError",
  "error",
  "fallback",
  "limited",
  "shed",
  "refused",
  "gone",
  "retried",
] as const;

export type Outcome = (typeof OUTCOMES)[number];

/** Place of each in `OUTCOMES`: what is counted by. */
export const OUTCOME = Object.fromEntries(OUTCOMES.map((outcome, at) => [outcome, at])) as Readonly<
  Record<Outcome, number>
>;

/** Requests, however they ended. @param counts by `OUTCOMES` */
export function requestsOf(counts: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < OUTCOME.retried; i++) sum += counts[i]!;
  return sum;
}

/** Requests that units were to answer: nobody turned them away, and their clients stayed. @param counts by `OUTCOMES` */
export function servedOf(counts: ArrayLike<number>): number {
  return (
    counts[OUTCOME.success]! +
    counts[OUTCOME.clientError]! +
    counts[OUTCOME.error]! +
    counts[OUTCOME.fallback]!
  );
}
