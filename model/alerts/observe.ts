/** What each rule sees in the facts: for each set of labels, whether it holds, and what was seen. Pure. */
import { type Comparison, evaluate, type Sight } from "../figure-expression.ts";
import type { Labels } from "./alert.ts";
import type { AlertRule, AlertWindow } from "./alerts.ts";
import { burns } from "./burn.ts";
import type { Facts } from "./facts.ts";
import type { Watch } from "./watch.ts";

export interface Observation {
  readonly labels: Labels;
  /** Undefined: nobody knows. */
  readonly holds: boolean | undefined;
  readonly says: string;
}

export interface Observed {
  readonly seen: readonly Observation[];
  /** What holds of everything that was not seen. */
  readonly others: boolean | undefined;
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** @param watches of the rule */
export function observe(
  { test }: Pick<AlertRule, "test">,
  watches: readonly Watch[],
  facts: Facts,
): Observed {
  switch (test.kind) {
    case "when":
      return all(watches.map((watch) => condition(watch, test.window, test.samples, facts)));
    case "burn":
      return all(
        watches.map(({ labels }) => {
          const counted = (window: number) => facts.counted(window, 0, labels);
          return { labels, ...burns(test.objective, test.samples, counted) };
        }),
      );
    case "rps-drop":
      return all(
        watches.map(({ labels }) => ({
          labels,
          ...drops(labels, test.drop, test.against, test.above, facts),
        })),
      );
    case "unit-unhealthy":
      return all(
        [...facts.healthy].map(([unit, healthy]) => ({
          labels: { unit },
          holds: healthy === undefined ? undefined : !healthy,
          says: healthy === undefined ? "no data" : `unit ${unit} is ${healthy ? "healthy" : "unhealthy"}`,
        })),
      );
    case "breaker-open":
      return found(
        facts.breakers?.flatMap(({ service, unit, state }) =>
          state === "open" ? [[{ service, unit }, `the breaker of ${service} in ${unit} is open`]] : [],
        ),
      );
    case "limit-saturated":
      return found(
        facts.limited &&
          [...facts.limited].flatMap(([limit, rate]) =>
            rate >= test.above
              ? [[{ limit }, `limit ${limit} refuses ${short(rate)} requests a second`]]
              : [],
          ),
      );
    case "gateway-behind":
      return gateways("behind", facts);
    case "gateway-refuses":
      return gateways("refuses", facts);
    case "gateway-gone":
      return gateways("gone", facts);
    case "plan-unfit":
      return found([...facts.unfit].map(([plan, why]) => [{ plan }, `plan ${plan} does not fit: ${why}`]));
    case "execution-held":
    case "rollout-taken-back":
      return found(
        facts.executions.flatMap(({ plan, execution, is, says }) =>
          is === test.kind ? [[{ plan, execution }, says]] : [],
        ),
      );
    case "rehearsal-old":
      return all([...facts.rehearsals].map(([plan, at]) => rehearsal(plan, at, test.older, facts.now)));
  }
}

const all = (seen: readonly Observation[]): Observed => ({ seen, others: false });

/** @param what only what holds; undefined: nobody knows of any */
function found(what: readonly (readonly [Labels, string] | (string | Labels)[])[] | undefined): Observed {
  const seen = (what ?? []).map(([labels, says]) => ({
    labels: labels as Labels,
    holds: true,
    says: says as string,
  }));
  return { seen, others: what === undefined ? undefined : false };
}

function gateways(wanted: string, { standings }: Facts): Observed {
  return found(
    standings.flatMap(({ gateway, state, says }) => (state === wanted ? [[{ gateway }, says]] : [])),
  );
}

function rehearsal(plan: string, at: number | undefined, older: number, now: number): Observation {
  if (at === undefined) return { labels: { plan }, holds: true, says: `plan ${plan} was never rehearsed` };
  const days = Math.floor((now - at) / DAY);
  return { labels: { plan }, holds: now - at > older, says: `plan ${plan} was rehearsed ${days} days ago` };
}

function condition(
  { labels, expression }: Watch,
  window: AlertWindow,
  samples: number,
  facts: Facts,
): Observation {
  if (expression === undefined) return { labels, holds: undefined, says: "no data" };
  const metrics = new Map<string, Comparison>(expression.flat().map((one) => [one.text, one]));
  const { holds, seen } = evaluate(expression, (one) => read(one, window, samples, facts));
  const telling = holds === true ? seen.filter((one) => one.holds === true) : seen;
  return { labels, holds, says: telling.map((one) => described(one, metrics.get(one.text))).join("; ") };
}

/** Undefined: nobody knows. NaN: too few requests to say anything, which no comparison holds of. */
function read(
  { metric, labels, operator, value }: Comparison,
  window: AlertWindow,
  samples: number,
  facts: Facts,
): number | undefined {
  switch (metric) {
    case "gateways":
      return facts.gateways;
    case "behind":
      return facts.standings.filter(({ state }) => state === "behind").length;
    case "healthy": {
      const healthy = facts.healthy.get(labels.unit!);
      return healthy === undefined ? undefined : Number(healthy);
    }
    case "serving": {
      const known = [...facts.healthy];
      if (known.every(([, healthy]) => healthy === undefined)) return undefined;
      return known.filter(([unit, healthy]) => healthy === true && !facts.drained.has(unit)).length;
    }
    case "answer":
      return undefined;
    default: {
      const figure = facts.figure(window, labels);
      if (figure === undefined) return undefined;
      if (metric === "rps") return figure.rps;
      // `!=` holds of NaN; of its own bound it does not.
      const quiet = operator === "!=" ? value : Number.NaN;
      if (figure.requests < samples) return quiet;
      if (metric === "errors") return figure.errorShare ?? quiet;
      if (metric === "success") return figure.successShare ?? quiet;
      return figure[metric] ?? quiet;
    }
  }
}

function described({ text, value }: Sight, comparison: Comparison | undefined): string {
  if (value === undefined) return `${text} (no data)`;
  if (Number.isNaN(value)) return `${text} (too few requests)`;
  const { metric } = comparison ?? {};
  if (metric === "errors" || metric === "success") return `${text} (is ${short(value * 100)} %)`;
  if (metric === "p50" || metric === "p95" || metric === "p99") return `${text} (is ${short(value)} ms)`;
  return `${text} (is ${short(value)})`;
}

function drops(
  labels: Labels,
  drop: number,
  against: "hour" | "day",
  above: number,
  facts: Facts,
): Omit<Observation, "labels"> {
  const now = facts.figure("1m", labels);
  // A quarter of an hour of yesterday smooths what a minute may be; the hour ends where the minute begins.
  const [from, to, least] =
    against === "hour" ? [HOUR, MINUTE, 10 * MINUTE] : [DAY + 10 * MINUTE, DAY - 5 * MINUTE, 5 * MINUTE];
  const before = facts.counted(from, to, labels);
  if (now === undefined || before.known < least) return { holds: undefined, says: "no data" };
  const was = before.requests / (before.known / 1000);
  const says = `${short(now.rps)} requests a second, after ${short(was)} ${against === "hour" ? "in the hour" : "the day"} before`;
  // Nobody is surprised by what a drain does.
  if (labels.unit !== undefined && facts.drained.has(labels.unit)) return { holds: false, says };
  return { holds: was >= above && now.rps < was * (1 - drop), says };
}

function short(value: number): string {
  return `${Number(value.toPrecision(3))}`;
}
