/** `success<99.5% or p99>300ms`: when a run is to be aborted, beyond what always aborts it. Pure. */
import { type Comparison, parseExpression } from "../../model/figure-expression.ts";
import { chanceOfMore } from "./chance.ts";
import { type Seen, slowerThan } from "./seen.ts";

export type AbortOn = readonly (readonly Comparison[])[];

const QUANTILES: Readonly<Record<string, number>> = { p50: 0.5, p95: 0.95, p99: 0.99 };
/** Fewer requests say nothing. */
const LEAST = 20;
/** What is worse than the bound by so little chance is worse. */
const DOUBT = 1e-3;
const EXPECTED = "expected success < 99.5%, errors > 1% or p99 > 300ms, joined by `or` and `and`";

/** @returns what is wrong with it, as a text */
export function parseAbortOn(text: string): AbortOn | string {
  if (text.trim() === "") return [];
  const parsed = parseExpression(text);
  if (typeof parsed === "string") return `${parsed}; ${EXPECTED}`;
  for (const one of parsed.flat()) {
    const wanted =
      one.metric === "success" ? "<" : one.metric === "errors" || one.metric in QUANTILES ? ">" : "";
    if (wanted === "" || one.operator[0] !== wanted || Object.keys(one.labels).length > 0) {
      return `\`${one.text}\` is no reason to abort; ${EXPECTED}, without labels`;
    }
    if (!(one.value > 0) || (!(one.metric in QUANTILES) && one.value >= 1)) {
      return `\`${one.text}\` can never be, or always is; ${EXPECTED}`;
    }
  }
  return parsed;
}

/** @returns the reason; undefined: none */
export function breaks(abortOn: AbortOn, seen: Seen): string | undefined {
  if (seen.asked < LEAST) return undefined;
  const all = abortOn.find((comparisons) => comparisons.every((one) => isBroken(one, seen)));
  return all?.map(({ text }) => text).join(" and ");
}

function isBroken({ metric, value }: Comparison, seen: Seen): boolean {
  const { asked, ill } = seen;
  if (metric === "success") return chanceOfMore(asked, ill, 1 - value) < DOUBT;
  if (metric === "errors") return chanceOfMore(asked, ill, value) < DOUBT;
  return chanceOfMore(asked, slowerThan(seen, value), 1 - QUANTILES[metric]!) < DOUBT;
}
