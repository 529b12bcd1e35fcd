/** safety.yaml: what it means, and everything that is wrong with it. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { oneOf } from "../../../model/configuration/draft.ts";
import { readConfig } from "../../../model/configuration/read-config.ts";
import { formatProblem } from "../../../model/problem.ts";
import { CHANGES } from "../../../model/safety.ts";

const FLEET = `fleet: test
regions: { r: {} }
units: { hz: { region: r, center: true, capacity: 10rps }, sh: { region: r } }
placement: { key: [ { header: x-user-id } ], slots: 16, map: { hz: 0-7, sh: 8-15 } }
services:
  hall: { pools: { hz: { stable: [ "http://127.0.0.1:1" ] }, sh: { stable: [ "http://127.0.0.1:2" ] } } }
  lobby: { pools: { hz: { stable: [ "http://127.0.0.1:3" ] } } }
`;
const ROUTES = "routes:\n  - { name: a, match: { path: /a/* }, service: hall, scope: center }\n";

function read(safety: string, fleet = FLEET) {
  const files: Record<string, string> = { "fleet.yaml": fleet, "routes.yaml": ROUTES, "safety.yaml": safety };
  const { config, problems } = readConfig((name) => files[name]);
  return { rules: config?.safety.rules, problems: problems.map(formatProblem) };
}

const BEGINS = "2026-11-10T00:00:00+08:00";
const ENDS = "2026-11-12T00:00:00+08:00";
const freeze = (window: string): string => `rules: { a: { freeze: [ { ${window} } ] } }`;
const WORDS = oneOf(CHANGES);

/** What rule `a` says, from column 15 of line 1, and every problem of it. */
const WRONG: readonly (readonly [string, ...string[]])[] = [
  [
    "",
    "safety.yaml:1:13: rule-kind: rule `a` asserts nothing; expected one of serving, drained, capacity, freeze or versions",
  ],
  [
    "serving: 1, drained: 1",
    "safety.yaml:1:36: rule-kind: rule `a` asserts serving and drained; expected one of serving, drained, capacity, freeze or versions",
  ],
  ["serving: 0", "safety.yaml:1:24: out-of-range: `serving` is `0`; expected 1 to 2048"],
  [
    "serving: 3",
    "safety.yaml:1:24: out-of-range: 3 units must serve, and the fleet has 2; expected at most 2",
  ],
  [
    "serving: two",
    "safety.yaml:1:24: wrong-type: `serving` is `two`; expected a whole number from 1 to 2048",
  ],
  [
    "serving: 1, service: hal",
    "safety.yaml:1:36: unknown-service: there is no service `hal`; did you mean `hall`?",
  ],
  [
    "serving: 2, service: lobby",
    "safety.yaml:1:24: out-of-range: 2 units must serve, and `lobby` has pools in 1; expected at most 1",
  ],
  [
    "drained: 1, within: 2h",
    "safety.yaml:1:27: unused-field: `within` belongs to capacity, which this rule does not have",
  ],
  [
    "drained: 1, service: hall",
    "safety.yaml:1:27: unused-field: `service` belongs to serving, which this rule does not have",
  ],
  [
    "drained: 1, load: current",
    "safety.yaml:1:27: unused-field: `load` belongs to capacity, which this rule does not have",
  ],
  [
    "drained: 1, losing: one",
    "safety.yaml:1:27: unused-field: `losing` belongs to capacity, which this rule does not have",
  ],
  [
    "capacity: 130%",
    "safety.yaml:1:25: no-capacity: unit `sh` has no capacity in fleet.yaml, so what remains cannot be known",
  ],
  ["versions: both", "safety.yaml:1:25: unknown-word: `versions` is `both`; expected one-healthy"],
  [
    "units: 3",
    "safety.yaml:1:13: rule-kind: rule `a` asserts nothing; expected one of serving, drained, capacity, freeze or versions",
    "safety.yaml:1:15: unknown-field: `units` is not a field of a rule; expected serving, service, drained, capacity, load, within, losing, freeze or versions",
  ],
  ["freeze: []", "safety.yaml:1:23: empty-list: `freeze` is an empty list; expected a list of windows"],
  [
    `freeze: [ { from: 2026-11-10, to: "${ENDS}" } ]`,
    "safety.yaml:1:33: invalid-time: `from` is `2026-11-10`; expected a time with its zone, such as 2026-11-10T00:00:00+08:00",
  ],
  [
    `freeze: [ { from: "2026-11-10T00:00:00", to: "${ENDS}" } ]`,
    "safety.yaml:1:33: invalid-time: `from` is `2026-11-10T00:00:00`; expected a time with its zone, such as 2026-11-10T00:00:00+08:00",
  ],
  [
    `freeze: [ { from: "2026-02-30T00:00Z", to: "2026-03-12T00:61Z" } ]`,
    "safety.yaml:1:33: invalid-time: there is no such time as 2026-02-30T00:00Z",
    "safety.yaml:1:58: invalid-time: there is no such time as 2026-03-12T00:61Z",
  ],
  [
    `freeze: [ { from: "${ENDS}", to: "${BEGINS}" } ]`,
    `safety.yaml:1:66: window-order: the window ends at ${BEGINS}, and that is not after it begins; expected a later time`,
  ],
  [
    `freeze: [ { from: "${BEGINS}", to: "${BEGINS}" } ]`,
    `safety.yaml:1:66: window-order: the window ends at ${BEGINS}, and that is not after it begins; expected a later time`,
  ],
  [
    `freeze: [ { from: "2026-01-12T00:00Z", to: "2026-11-10T00:00Z" } ]`,
    "safety.yaml:1:58: out-of-range: the window is longer than 92 days; expected at most that",
  ],
  [
    `freeze: [ { from: "${BEGINS}" } ]`,
    "safety.yaml:1:25: missing-field: a window needs `to`; expected a time with its zone, such as 2026-11-10T00:00:00+08:00",
  ],
  [
    `freeze: [ { from: "${BEGINS}", to: "${ENDS}", except: [drian] } ]`,
    `safety.yaml:1:104: unknown-word: an item of \`except\` is \`drian\`; expected ${WORDS}; did you mean \`drain\`?`,
  ],
];

describe("safety.yaml", () => {
  it("is rules by name", () => {
    const { rules, problems } = read(
      `rules:
  two: { serving: 2 }
  one: { drained: 1 }
  room: { capacity: 130% }
  night: { capacity: 100%, load: 30000rps, losing: none }
  double11:
    freeze: [ { from: "2026-11-10T00:00:00+08:00", to: 2026-11-12T00:00Z, except: [drain] } ]
  versions: { versions: one-healthy }
`,
      FLEET.replace("sh: { region: r }", "sh: { region: r, capacity: 5rps }"),
    );
    assert.deepEqual(problems, []);
    assert.deepEqual(rules, [
      { name: "two", kind: "serving", least: 2 },
      { name: "one", kind: "drained", most: 1 },
      { name: "room", kind: "capacity", factor: 1.3, load: "current", losingOne: true },
      { name: "night", kind: "capacity", factor: 1, load: 30_000, losingOne: false },
      {
        name: "double11",
        kind: "freeze",
        windows: [{ from: Date.UTC(2026, 10, 9, 16), to: Date.UTC(2026, 10, 12), except: ["drain"] }],
      },
      { name: "versions", kind: "versions" },
    ]);
  });

  it("counts the units of a service, and takes a forecast for a load", () => {
    const { rules, problems } = read(
      "rules:\n  hall: { serving: 2, service: hall }\n  room: { capacity: 130%, load: forecast, within: 2h }\n",
      FLEET.replace("sh: { region: r }", "sh: { region: r, capacity: 5rps }"),
    );
    assert.deepEqual(problems, []);
    assert.deepEqual(rules, [
      { name: "hall", kind: "serving", least: 2, service: "hall" },
      { name: "room", kind: "capacity", factor: 1.3, load: "forecast", losingOne: true, within: 7_200_000 },
    ]);
  });

  it("may say that there are no rules, but not by being empty", () => {
    assert.deepEqual(read("rules: {}\n"), { rules: [], problems: [] });
    for (const text of ["", "# emptied\n"]) {
      const { rules, problems } = read(text);
      assert.equal(rules, undefined);
      assert.deepEqual(problems, ["safety.yaml:1:1: empty-file: safety.yaml is empty; expected its fields"]);
    }
  });

  it("knows every kind of change that a freeze may except", () => {
    const { problems } = read(freeze(`from: "${BEGINS}", to: "${ENDS}", except: [${CHANGES.join(", ")}]`));
    assert.deepEqual(problems, []);
  });

  for (const [rule, ...expected] of WRONG) {
    it(`refuses ${rule}`, () => {
      const { rules, problems } = read(`rules: { a: { ${rule} } }`);
      assert.equal(rules, undefined);
      assert.deepEqual(problems, expected);
    });
  }

  it("refuses a rule that holds by itself, a name that is none, no rules and another field", () => {
    const at = (text: string) => read(text).problems;
    assert.deepEqual(at("rules: { at-least-one-unit: { serving: 1 } }"), [
      "safety.yaml:1:29: duplicate-name: `at-least-one-unit` holds by itself, and cannot be written otherwise; expected another name",
    ]);
    assert.match(at("rules: { A B: { serving: 1 } }").join(), /^safety\.yaml:1:10: invalid-name: /);
    assert.match(at("rule: {}").join("\n"), /^safety\.yaml:1:1: unknown-field: .*\n.*1:1: missing-field: /);
  });

  it("says all at once", () => {
    const { problems } = read(
      "rules:\n  a: { serving: 3 }\n  b: { drained: -1 }\n  c: { capacity: 130% }\n  d: {}\n",
    );
    const places = problems.map((problem) => problem.split(": ").slice(0, 2).join(": "));
    assert.deepEqual(places, [
      "safety.yaml:2:17: out-of-range",
      "safety.yaml:3:17: out-of-range",
      "safety.yaml:4:18: no-capacity",
      "safety.yaml:5:6: rule-kind",
    ]);
  });

  it("says nothing of a fleet that is broken itself", () => {
    const broken = FLEET.replace("sh: { region: r }", "sh: { region: r, capacity: much }");
    assert.deepEqual(
      read("rules: { a: { serving: 2 }, b: { capacity: 130% } }", broken).problems.map(
        (p) => p.split(": ")[0],
      ),
      ["fleet.yaml:3:87"],
    );
  });
});
