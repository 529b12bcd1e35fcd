/** safety.yaml: what it means, and everything that is wrong with it. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readConfig } from "../../../model/configuration/read-config.ts";
import { formatProblem } from "../../../model/problem.ts";

const FLEET = `fleet: test
regions: { r: {} }
units: { hz: { region: r, center: true, capacity: 10rps }, sh: { region: r } }
placement: { key: [ { header: x-user-id } ], slots: 16, map: { hz: 0-7, sh: 8-15 } }
services: { hall: { pools: { hz: { stable: [ "http://127.0.0.1:1" ] }, sh: { stable: [ "http://127.0.0.1:2" ] } } } }
`;
const ROUTES = "routes:\n  - { name: a, match: { path: /a/* }, service: hall, scope: center }\n";

function read(safety: string, fleet = FLEET) {
  const files: Record<string, string> = { "fleet.yaml": fleet, "routes.yaml": ROUTES, "safety.yaml": safety };
  const { config, problems } = readConfig((name) => files[name]);
  return { rules: config?.safety.rules, problems: problems.map(formatProblem) };
}

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

  const wrong: [string, RegExp][] = [
    ["rules: { a: {} }", /safety\.yaml:1:\d+: rule-kind: rule `a` asserts nothing; expected one of serving,/],
    ["rules: { a: { serving: 1, drained: 1 } }", /rule-kind: rule `a` asserts serving and drained/],
    ["rules: { a: { serving: 0 } }", /out-of-range/],
    ["rules: { a: { serving: 3 } }", /out-of-range: 3 units must serve, and the fleet has 2/],
    ["rules: { a: { capacity: 130% } }", /no-capacity: unit `sh` has no capacity in fleet\.yaml/],
    ["rules: { a: { drained: 1, load: current } }", /unused-field: `load` belongs to capacity/],
    ["rules: { at-least-one-unit: { serving: 1 } }", /duplicate-name: `at-least-one-unit` holds by itself/],
    ["rules: { a: { freeze: [] } }", /empty-list/],
    ['rules: { a: { freeze: [ { from: "2026-11-10", to: "2026-11-12T00:00Z" } ] } }', /invalid-time/],
    [
      'rules: { a: { freeze: [ { from: "2026-13-10T00:00Z", to: "2026-11-12T00:00Z" } ] } }',
      /invalid-time: there is no such time/,
    ],
    [
      'rules: { a: { freeze: [ { from: "2026-11-12T00:00Z", to: "2026-11-10T00:00Z" } ] } }',
      /window-order: the window ends at 2026-11-10T00:00Z, before it begins/,
    ],
    [
      'rules: { a: { freeze: [ { from: "2026-01-12T00:00Z", to: "2026-11-10T00:00Z" } ] } }',
      /longer than 92 days/,
    ],
    ["rules: { a: { units: 3 } }", /unknown-field: `units` is not a field of a rule/],
    ["rule: {}", /unknown-field/],
  ];
  for (const [text, message] of wrong) {
    it(`refuses ${text}`, () => {
      const { rules, problems } = read(text);
      assert.equal(rules, undefined);
      assert.match(problems.join("\n"), message);
    });
  }
});
