/** alerts.yaml: what it means, and everything that is wrong with it. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { readConfig } from "../../../model/configuration/read-config.ts";
import { sectionsOf } from "../../../model/snapshot.ts";

const FLEET = `fleet: test
regions: { r: {} }
units: { hz: { region: r, center: true }, sh: { region: r } }
placement: { key: [ { header: x-user-id } ], slots: 16, map: { hz: 0-7, sh: 8-15 } }
services:
  hall: { pools: { hz: { stable: [ "http://127.0.0.1:1" ] }, sh: { stable: [ "http://127.0.0.1:2" ] } } }
`;
const ROUTES = "routes:\n  - { name: a, match: { path: /a/* }, service: hall, scope: center }\n";
const PLAN = `summary: s
owner: o
parameters: { unit: { type: unit }, ramp: { type: duration, default: 1s } }
trigger: { alerts: [down] }
steps: [ { drain: "\${unit}", ramp: "\${ramp}" } ]
`;

function read(alerts: string) {
  const files: Record<string, string> = {
    "fleet.yaml": FLEET,
    "routes.yaml": ROUTES,
    "plans/leave.yaml": PLAN,
    "alerts.yaml": alerts,
  };
  const { config, problems } = readConfig(
    (name) => files[name],
    () => Object.keys(files),
  );
  return {
    config,
    alerts: config?.alerts,
    problems: problems.map((p) => `${p.line}: ${p.code}: ${p.message}`),
  };
}

const rule = (text: string): string => `rules: { down: { ${text} } }`;
const channel = (text: string): string => `channels: { chat: { ${text} } }`;
const route = (text: string): string =>
  `channels: { chat: { kind: slack, url-from: TIDEGATE_ALERT_A } }\nnotify: [ { to: [chat], ${text} } ]`;

/** A file, and the beginning of its one problem. */
const WRONG: readonly (readonly [string, string])[] = [
  ["", "1: empty-file"],
  [rule(""), "1: rule-kind: rule `down` asks nothing; expected one of when, burn or is"],
  [rule("is: unit-unhealthy, when: errors > 1%"), "1: rule-kind: rule `down` has when and is"],
  [rule("is: unit-dead"), "1: unknown-word"],
  [rule("when: errors"), "1: invalid-condition: `errors` is no comparison"],
  [rule('when: "errors{unit=xx} > 1%"'), "1: invalid-condition: there is no unit `xx`"],
  [rule('when: "answer{step=a,field=b} > 1"'), "1: invalid-condition: there are no steps"],
  [
    rule(`when: "errors{unit=\${unit}} > 1%"`),
    `1: invalid-condition: \`\${unit}\` stands for nothing here; expected \`each: unit\` beside it`,
  ],
  [rule("when: errors > 1%, each: unit"), "1: invalid-condition: it says the same for each unit"],
  [
    rule(`when: "errors{unit=\${zone}} > 1%", each: unit`),
    `1: invalid-condition: \`\${zone}\` stands for nothing here; expected unit or route`,
  ],
  [rule("is: unit-unhealthy, each: unit"), "1: unused-field: `each` belongs to when, burn or rps-drop"],
  [rule("is: unit-unhealthy, above: 5/s"), "1: unused-field: `above` belongs to limit-saturated or rps-drop"],
  [rule("burn: { objective: 100% }"), "1: out-of-range"],
  [rule("is: unit-unhealthy, for: 2d"), "1: invalid-duration"],
  [rule("is: unit-unhealthy, labels: { rule: x }"), "1: invalid-label"],
  [rule("is: unit-unhealthy, labels: { __proto__: x }"), "1: invalid-label"],
  [rule(`is: unit-unhealthy, summary: "\${route} fails"`), "1: unknown-label: there is no label `route`"],
  [rule("is: unit-unhealthy, inhibits: [up]"), "1: unknown-rule: there is no rule `up`"],
  [
    rule("is: unit-unhealthy, inhibits: [down]"),
    "1: inhibition-round: rules inhibit each other: down → down",
  ],
  [rule("is: unit-unhealthy, plan: { name: stay }"), "1: unknown-plan: there is no plan `stay`"],
  [
    rule("is: unit-unhealthy, plan: { name: leave }"),
    "1: missing-parameter: plan leave needs a value of unit",
  ],
  [
    rule(`is: unit-unhealthy, plan: { name: leave, values: { unit: "\${unit}", speed: 1 } }`),
    "1: unknown-parameter",
  ],
  [rule(`is: unit-unhealthy, plan: { name: leave, values: { unit: "\${route}" } }`), "1: unknown-label"],
  [rule("is: unit-unhealthy, run: true"), "1: unused-field: `run` runs a plan"],
  [
    "rules: { a: { is: plan-unfit, inhibits: [b] }, b: { is: plan-unfit, inhibits: [a] } }",
    "1: inhibition-round",
  ],
  [channel("kind: slack"), "1: missing-field: a channel of kind slack needs `url-from`"],
  [channel("kind: slack, url: https://hooks.slack.com/x"), "1: missing-field"],
  [
    channel("kind: webhook, secret-from: TIDEGATE_ALERT_S, url: https://a, url-from: TIDEGATE_ALERT_A"),
    "1: unused-field: a channel of kind webhook needs `url` or `url-from`, and not both",
  ],
  [
    channel("kind: slack, url-from: PATH"),
    "1: invalid-secret-name: `url-from` is `PATH`; expected the name of a variable that begins with TIDEGATE_ALERT_",
  ],
  [channel("kind: slack, url-from: TIDEGATE_HOOK_SECRET"), "1: invalid-secret-name"],
  [channel('kind: alertmanager, url: "https://ann:secret@am.example.com"'), "1: invalid-url"],
  [channel("kind: alertmanager, url: am.example.com"), "1: invalid-url"],
  [channel("kind: alertmanager, url: file:///etc/passwd"), "1: invalid-url"],
  [channel('kind: email, smtp: "smtp://m", from: a@b.c, to: [ "x@y.z, evil@y.z" ]'), "1: invalid-address"],
  [channel('kind: email, smtp: "https://m", from: a@b.c, to: [ x@y.z ]'), "1: invalid-url"],
  [channel("kind: provider, url: https://a, body: '{'"), "1: invalid-json"],
  [
    channel(`kind: provider, url: https://a, body: '{"a": "\${tex}"}'`),
    "1: unknown-value: there is no value `tex`; did you mean `text`?",
  ],
  [channel("kind: pager, url: https://a"), "1: unknown-word"],
  ["notify: [ { to: [nobody] } ]", "1: unknown-channel: there is no channel `nobody`"],
  ["notify: [ { } ]", "1: missing-field: a route needs `to`"],
  [route("escalate: [ { after: 5m, to: [nobody] } ]"), "2: unknown-channel"],
  [route("escalate: [ { after: 5m, to: [chat] }, { after: 5m, to: [chat] } ]"), "2: escalation-order"],
  [route("interval: 0s"), "2: out-of-range"],
  [route('group-by: ["a b"]'), "2: invalid-label"],
  ["link: javascript:alert(1)", "1: invalid-url"],
  ["link: https://a/?x=1", "1: invalid-url"],
];
for (const [text, expected] of WRONG) {
  test(text === "" ? "(empty)" : text, () => {
    const { problems } = read(text);
    assert.ok(problems[0]?.startsWith(expected), `${problems.join("\n")}\n  expected ${expected}`);
  });
}

test("what is not said has its default", () => {
  const { alerts, problems } = read(rule("is: unit-unhealthy"));
  assert.deepEqual(problems, []);
  const [only] = alerts!.rules;
  assert.deepEqual(only, {
    name: "down",
    test: { kind: "unit-unhealthy" },
    each: [],
    hold: 0,
    keepFiring: 30_000,
    onNoData: "hold",
    severity: "warning",
    labels: {},
    summary: undefined,
    inhibits: [],
    plan: undefined,
    run: false,
  });
  const { notify } = read(route("match: { severity: critical }")).alerts!;
  assert.deepEqual(notify, [
    {
      match: { severity: ["critical"] },
      to: ["chat"],
      groupBy: ["rule"],
      wait: 1_000,
      interval: 5_000,
      repeat: 14_400_000,
      escalate: [],
    },
  ]);
});

test("the examples are valid", () => {
  for (const name of ["demo", "double11"]) {
    const dir = new URL(`../../../configs/${name}/`, import.meta.url);
    const files = ["fleet.yaml", "routes.yaml", "alerts.yaml"];
    const known = new Map(files.map((file) => [file, readFileSync(new URL(file, dir), "utf8")]));
    const { problems } = readConfig((file) => known.get(file));
    const own = problems.filter(({ file }) => file === "alerts.yaml").map(({ message }) => message);
    // Their plans are not read here.
    assert.ok(
      own.every((message) => message.startsWith("there is no plan")),
      own.join("\n"),
    );
  }
});

test("too many units and routes for a rule are refused, not tried", () => {
  const names = Array.from({ length: 1_001 }, (_, i) => i);
  const units = `units: { hz: { region: r, center: true }, ${names.map((i) => `u${i}: { region: r }`).join(", ")}, sh: { region: r } }`;
  const fleet = FLEET.replace(/units: .*/, units);
  const routes = `routes:\n${names.map((i) => `  - { name: r${i}, match: { path: /${i}/* }, service: hall, scope: center }`).join("\n")}\n`;
  const files: Record<string, string> = {
    "fleet.yaml": fleet,
    "routes.yaml": routes,
    "alerts.yaml": rule(`when: "errors{unit=\${unit},route=\${route}} > 1%", each: [unit, route]`),
  };
  const { problems } = readConfig((name) => files[name]);
  const own = problems.filter(({ file, severity }) => file === "alerts.yaml" && severity === "error");
  assert.ok(own[0], JSON.stringify(problems.slice(0, 3)));
  assert.match(own[0].message, /asked of 1004003 units and routes together; expected at most 10000/);
});

test("gateways are not told of alerts", () => {
  const { config } = read(rule("is: unit-unhealthy, labels: { canary: in-alerts }"));
  assert.equal(
    [...sectionsOf(config!).values()].some((text) => text.includes("in-alerts")),
    false,
  );
});
