/** Reads `alerts.yaml`: rules, and the ways to people, checked against the fleet and the plans that they name. */
import {
  type AlertKind,
  type AlertRule,
  type Alerts,
  type Match,
  MOST_CHANNELS,
  MOST_RULES,
  MOST_SUBJECTS,
  NO_ALERTS,
  type NotifyRoute,
  type Subject,
  SUBJECTS,
  type Test,
} from "../alerts/alerts.ts";
import { fill, placesOf } from "../alerts/template.ts";
import { namesOf } from "../alerts/watch.ts";
import type { Config } from "../config.ts";
import { parseExpression } from "../figure-expression.ts";
import type { Plan } from "../plan.ts";
import { readChannel } from "./alert-channels.ts";
import type { AlertsShape } from "./alerts-schema.ts";
import { type Draft, type DraftFile, oneOf, unknownName } from "./draft.ts";

export const ALERTS_FILE = "alerts.yaml";
const DAY = 24 * 3_600_000;

type Rules = NonNullable<Draft<AlertsShape>["rules"]>;
type RuleDraft = Rules extends ReadonlyMap<string, infer R> ? R : never;
type RouteDraft = NonNullable<Draft<AlertsShape>["notify"]>[number];

const TESTS = ["when", "burn", "is"] as const;
/** Fields that belong to one test, or to one kind. */
const BESIDE: readonly (readonly [keyof RuleDraft & string, readonly (string | undefined)[]])[] = [
  ["window", ["when"]],
  ["samples", ["when", "burn"]],
  ["above", ["limit-saturated", "rps-drop"]],
  ["older", ["rehearsal-old"]],
  ["drop", ["rps-drop"]],
  ["against", ["rps-drop"]],
  ["each", ["when", "burn", "rps-drop"]],
];
/** Labels that what is found carries. */
const FOUND: Readonly<Partial<Record<AlertKind, readonly string[]>>> = {
  "unit-unhealthy": ["unit"],
  "breaker-open": ["service", "unit"],
  "limit-saturated": ["limit"],
  "gateway-behind": ["gateway"],
  "gateway-refuses": ["gateway"],
  "gateway-gone": ["gateway"],
  "plan-unfit": ["plan"],
  "rehearsal-old": ["plan"],
  "execution-held": ["plan", "execution"],
  "rollout-taken-back": ["plan", "execution"],
};
const LABEL = /^[a-z][a-z0-9_-]{0,62}$/;
const RESERVED = ["rule", "severity", "id", "summary", "seen", "state"];

interface Context {
  /** What the rest of the directory says; undefined when it is not valid, and only the form is looked at. */
  readonly config: Config | undefined;
  readonly plans: readonly Plan[];
  /** Those that could not be read among them. */
  readonly planNames: readonly string[];
}

export function readAlerts(file: DraftFile<AlertsShape>, context: Context): Alerts {
  const draft = file.value;
  if (draft === undefined) return NO_ALERTS;
  const { rules, channels, notify = [], link } = draft;
  bounded(file, draft, "rules", rules?.size ?? 0, MOST_RULES);
  bounded(file, draft, "channels", channels?.size ?? 0, MOST_CHANNELS);
  bounded(file, draft, "notify", notify.length, MOST_RULES);
  const names = file.keys(rules);
  const ways = file.keys(channels);
  const made: Alerts = {
    rules: [...(rules ?? [])].flatMap(([name, one]) => readRule(file, name, one, names, context) ?? []),
    channels: [...(channels ?? [])].flatMap(([name, one]) => readChannel(file, name, one) ?? []),
    notify: notify.map((one) => readRoute(file, one, ways)),
    link: readLink(file, draft, link),
  };
  checkRounds(file, draft, made.rules);
  const subjects = context.config === undefined ? 0 : subjectsIn(made.rules, context.config);
  if (subjects > MOST_SUBJECTS) {
    const message = `the rules are asked of ${subjects} units and routes together; expected at most ${MOST_SUBJECTS}`;
    file.problem(draft, "rules", "out-of-range", message);
  }
  return made;
}

function readRule(
  file: DraftFile<AlertsShape>,
  name: string,
  draft: RuleDraft,
  rules: ReadonlySet<string>,
  context: Context,
): AlertRule | undefined {
  const given = TESTS.filter((test) => file.has(draft, test));
  if (given.length !== 1) {
    const says = given.length === 0 ? "asks nothing" : `has ${given.join(" and ")}`;
    file.problem(draft, given[1], "rule-kind", `rule \`${name}\` ${says}; expected one of ${oneOf(TESTS)}`);
    return undefined;
  }
  const kind = given[0] === "is" ? draft.is : given[0];
  for (const [key, kinds] of BESIDE) {
    if (!file.has(draft, key) || kinds.includes(kind)) continue;
    file.problemAtKey(
      draft,
      key,
      "unused-field",
      `\`${key}\` belongs to ${oneOf(kinds as string[])}, which this rule does not have`,
    );
  }
  const test = testOf(draft, kind);
  if (test === undefined) return undefined;
  const each =
    draft.each === undefined ? [] : typeof draft.each === "string" ? [draft.each] : [...new Set(draft.each)];
  const { labels, summary, inhibits = [], plan, run = false } = draft;
  for (const label of labels?.keys() ?? []) {
    if (LABEL.test(label) && !RESERVED.includes(label) && label !== "constructor") continue;
    const message = `\`${label}\` cannot be a label; expected letters, digits, - and _, and none of ${oneOf(RESERVED)}`;
    file.problemAtKey(labels!, label, "invalid-label", message);
  }
  const known = [...each, ...(FOUND[test.kind as AlertKind] ?? []), ...(labels?.keys() ?? [])];
  for (const [owner, key, text] of [
    [draft, "summary", summary],
    ...[...(plan?.values ?? [])].map(([key, text]) => [plan!.values!, key, text] as const),
  ] as const) {
    const allowed = key === "summary" ? [...known, ...RESERVED] : known;
    const wrong = placesOf(text ?? "").find((place) => !allowed.includes(place));
    if (wrong !== undefined) file.unknown(owner, key, "label", wrong, allowed);
  }
  for (const [i, other] of inhibits.entries()) {
    if (!rules.has(other)) file.unknown(inhibits, i, "rule", other, rules);
  }
  if (run && plan === undefined) {
    file.problem(
      draft,
      "run",
      "unused-field",
      "`run` runs a plan, and the rule names none; expected `plan` beside it",
    );
  }
  const condition = test.kind === "when" ? wrongCondition(test.text, each, context) : undefined;
  if (condition !== undefined) file.problem(draft, "when", "invalid-condition", condition);
  if (plan?.name !== undefined && context.config !== undefined) checkPlanValues(file, plan, context);
  return {
    name,
    test,
    each,
    hold: draft.for ?? 0,
    keepFiring: draft["keep-firing"] ?? 30_000,
    onNoData: draft["on-no-data"] ?? "hold",
    severity: draft.severity ?? "warning",
    labels: Object.fromEntries(labels ?? []),
    summary,
    inhibits,
    plan:
      plan?.name === undefined
        ? undefined
        : { name: plan.name, values: Object.fromEntries(plan.values ?? []) },
    run,
  };
}

function testOf(draft: RuleDraft, kind: string | undefined): Test | undefined {
  const { when, burn, window = "10s", samples = 20, above = 1, drop = 0.5, against = "hour" } = draft;
  switch (kind) {
    case undefined:
      return undefined;
    case "when":
      return when === undefined ? undefined : { kind, text: when, window, samples };
    case "burn":
      return burn?.objective === undefined ? undefined : { kind, objective: burn.objective, samples };
    case "limit-saturated":
      return { kind, above };
    case "rps-drop":
      return { kind, drop, against, above };
    case "rehearsal-old":
      return { kind, older: Number.parseInt(draft.older ?? "30d", 10) * DAY };
    default:
      return { kind: kind as Exclude<AlertKind, "limit-saturated" | "rps-drop" | "rehearsal-old"> };
  }
}

/** With the names of the fleet in its places: one that parses with one name parses with all. */
function wrongCondition(text: string, each: AlertRule["each"], { config }: Context): string | undefined {
  const wrong = placesOf(text).find((place) => !each.some((subject) => subject === place));
  if (wrong !== undefined) {
    const isSubject = wrong === "unit" || wrong === "route";
    const way = isSubject ? `expected \`each: ${wrong}\` beside it` : "expected unit or route";
    return `\`\${${wrong}}\` stands for nothing here; ${way}`;
  }
  const unnamed = each.find((subject) => !placesOf(text).includes(subject));
  if (unnamed !== undefined) {
    return `it says the same for each ${unnamed}; expected \`{${unnamed}=\${${unnamed}}}\` in it`;
  }
  const nameOf = (subject: Subject): string =>
    config === undefined ? "a" : (namesOf(subject, config)[0] ?? "a");
  const expression = parseExpression(fill(text, Object.fromEntries(each.map((one) => [one, nameOf(one)]))));
  if (typeof expression === "string") return expression;
  for (const { metric, labels } of expression.flat()) {
    if (metric === "answer") return "there are no steps whose answers an alert could read";
    for (const subject of config === undefined ? [] : SUBJECTS) {
      const name = labels[subject];
      const names = namesOf(subject, config!);
      if (name !== undefined && !names.includes(name)) return unknownName(subject, name, names);
    }
  }
  return undefined;
}

function checkPlanValues(
  file: DraftFile<AlertsShape>,
  plan: NonNullable<RuleDraft["plan"]>,
  { plans, planNames }: Context,
): void {
  const named = plans.find(({ name }) => name === plan.name);
  if (named === undefined) {
    if (!planNames.includes(plan.name!)) file.unknown(plan, "name", "plan", plan.name!, planNames);
    return;
  }
  const parameters = named.parameters.map(({ name }) => name);
  for (const key of plan.values?.keys() ?? []) {
    if (!parameters.includes(key)) file.unknown(plan.values!, key, "parameter", key, parameters);
  }
  const missing = named.parameters.find(
    ({ name, default: own }) => own === undefined && plan.values?.has(name) !== true,
  );
  if (missing !== undefined) {
    const message = `plan ${named.name} needs a value of ${missing.name}; expected it in \`values\``;
    file.problem(plan, "values", "missing-parameter", message);
  }
}

function readRoute(
  file: DraftFile<AlertsShape>,
  draft: RouteDraft,
  channels: ReadonlySet<string>,
): NotifyRoute {
  const { match, to = [], escalate = [] } = draft;
  const check = (list: readonly string[]): void => {
    for (const [i, name] of list.entries()) {
      if (!channels.has(name)) file.unknown(list, i, "channel", name, channels);
    }
  };
  check(to);
  for (const one of escalate) check(one.to ?? []);
  const late = escalate.findIndex(({ after = 0 }, i) => i > 0 && after <= (escalate[i - 1]!.after ?? 0));
  if (late !== -1) {
    const message = "an escalation comes after the one before it; expected a longer time";
    file.problem(escalate[late]!, "after", "escalation-order", message);
  }
  return {
    match: matchOf(match),
    to,
    groupBy: [...new Set(draft["group-by"] ?? ["rule"])],
    wait: draft.wait ?? 1_000,
    interval: draft.interval ?? 5_000,
    repeat: draft.repeat ?? 4 * 3_600_000,
    escalate: escalate.map((one) => ({ after: one.after ?? 0, to: one.to ?? [] })),
  };
}

function matchOf(draft: RouteDraft["match"]): Match {
  return Object.fromEntries(
    [...(draft ?? [])].map(([label, values]) => [label, typeof values === "string" ? [values] : values]),
  );
}

function readLink(file: DraftFile<AlertsShape>, draft: object, link: string | undefined): string | undefined {
  if (link === undefined) return undefined;
  const url = URL.parse(link);
  if (
    url !== null &&
    /^https?:$/.test(url.protocol) &&
    url.search === "" &&
    url.hash === "" &&
    url.username === ""
  ) {
    return link.replace(/\/+$/, "");
  }
  file.problem(
    draft,
    "link",
    "invalid-url",
    "`link` is no address; expected one such as https://tidegate.example.com",
  );
  return undefined;
}

/** Rules that inhibit each other would both be quiet. */
function checkRounds(
  file: DraftFile<AlertsShape>,
  draft: Draft<AlertsShape>,
  rules: readonly AlertRule[],
): void {
  const byName = new Map(rules.map((rule) => [rule.name, rule]));
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (name: string): readonly string[] | undefined => {
    if (path.includes(name)) return [...path.slice(path.indexOf(name)), name];
    if (done.has(name)) return undefined;
    path.push(name);
    for (const other of byName.get(name)?.inhibits ?? []) {
      const round = visit(other);
      if (round !== undefined) return round;
    }
    path.pop();
    done.add(name);
    return undefined;
  };
  for (const { name } of rules) {
    const round = visit(name);
    if (round === undefined) continue;
    const message = `rules inhibit each other: ${round.join(" → ")}; expected none to come back to itself`;
    file.problem(draft.rules!.get(round[0]!) ?? draft, "inhibits", "inhibition-round", message);
    return;
  }
}

function subjectsIn(rules: readonly AlertRule[], config: Config): number {
  return rules.reduce((sum, { each }) => {
    const product = each.reduce((n, subject) => n * namesOf(subject, config).length, 1);
    return sum + product;
  }, 0);
}

function bounded(
  file: DraftFile<AlertsShape>,
  draft: object,
  key: string,
  count: number,
  most: number,
): void {
  if (count <= most) return;
  file.problem(draft, key, "out-of-range", `there are ${count} ${key}; expected at most ${most}`);
}
