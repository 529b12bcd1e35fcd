/** What a rule asks, of each unit and route that it is asked of: made once for each configuration. Pure. */
import type { Config } from "../config.ts";
import { type Expression, parseExpression } from "../figure-expression.ts";
import type { AlertRule, Subject } from "./alerts.ts";
import type { Labels } from "./alert.ts";
import { fill } from "./template.ts";

export interface Watch {
  readonly labels: Labels;
  /** Of rules that have a condition. */
  readonly expression?: Expression;
}

/** @returns one for each subject; of rules that find their subjects by themselves, none */
export function watchesOf(rule: AlertRule, config: Config): Watch[] {
  const { test } = rule;
  if (test.kind !== "when" && test.kind !== "burn" && test.kind !== "rps-drop") return [];
  return subjectsOf(rule, config).map((labels) => {
    if (test.kind !== "when") return { labels };
    const expression = parseExpression(fill(test.text, labels));
    // The file was read with this very parser: what does not parse did not pass.
    return typeof expression === "string" ? { labels } : { labels, expression };
  });
}

export function subjectsOf({ each }: Pick<AlertRule, "each">, config: Config): Labels[] {
  return each.reduce<Labels[]>(
    (all, subject) =>
      all.flatMap((labels) => namesOf(subject, config).map((name) => ({ ...labels, [subject]: name }))),
    [{}],
  );
}

export function namesOf(subject: Subject, { fleet, routes }: Config): string[] {
  return (subject === "unit" ? fleet.units : routes).map(({ name }) => name);
}
