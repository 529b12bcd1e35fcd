import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FLEET, type Files, places, ROUTES, read } from "./fixture.ts";

const fleet = (from: string | RegExp, to: string): Files => ({ "fleet.yaml": replaced(FLEET, from, to) });
const routes = (from: string | RegExp, to: string): Files => ({ "routes.yaml": replaced(ROUTES, from, to) });
/** One more field of the route, in line 6 from column 5. */
const field = (text: string): Files => routes("scope: sharded\n", `scope: sharded\n    ${text}\n`);
/** One more field of the match, in line 3 from column 30. */
const match = (text: string): Files => routes("/home/* }", `/home/*, ${text} }`);
const path = (text: string): Files => routes("/home/*", text);
/** One more field of the service, in line 11 from column 5. */
const service = (text: string): Files => fleet("    pools:", `    ${text}\n    pools:`);
const endpoint = (url: string): Files => fleet("http://10.0.0.1:80", url);
const slots = (text: string): Files => fleet("{ a: 0-511, b: 512-1023 }", text);

function replaced(text: string, from: string | RegExp, to: string): string {
  const changed = text.replace(from, () => to);
  assert.notEqual(changed, text, `the case replaces nothing: ${from}`);
  return changed;
}

/** Name, files, expected places. */
const CASES: readonly [string, Files, readonly string[]][] = [
  // Files as such.
  ["an empty fleet", { "fleet.yaml": "" }, ["fleet.yaml:1:1: empty-file"]],
  ["a list at the root", { "fleet.yaml": "- a\n" }, ["fleet.yaml:1:1: wrong-type"]],
  ["a list at the root of gateway.yaml", { "gateway.yaml": "\n- a\n" }, ["gateway.yaml:2:1: wrong-type"]],
  ["two documents", { "routes.yaml": `${ROUTES}---\na: 1\n` }, ["routes.yaml:8:1: yaml-syntax"]],
  [
    "a tab as indentation",
    { "fleet.yaml": "fleet: x\nregions:\n\teast: {}\n" },
    ["fleet.yaml:3:1: yaml-syntax"],
  ],
  ["an unknown tag", fleet("fleet: tiny", "fleet: !js tiny"), ["fleet.yaml:1:8: yaml-syntax"]],
  [
    "a key twice",
    fleet("placement:\n", "  a: { region: west }\nplacement:\n"),
    ["fleet.yaml:6:3: duplicate-key"],
  ],
  ["a map as a key", { "gateway.yaml": "? { a: 1 }\n: 2\n" }, ["gateway.yaml:1:3: yaml-key"]],
  ["an alias of itself", { "gateway.yaml": "trust: &t [ *t ]\n" }, ["gateway.yaml:1:13: yaml-alias"]],
  [
    "problems in all files, sorted",
    { ...fleet("fleet: tiny", "fleet: Tiny"), ...field("priority: highest"), "gateway.yaml": "trust: 1\n" },
    ["fleet.yaml:1:8: invalid-name", "gateway.yaml:1:8: wrong-type", "routes.yaml:6:15: unknown-word"],
  ],

  // Shape.
  ["an unknown field", field("timeot: 2s"), ["routes.yaml:6:5: unknown-field"]],
  ["`__proto__` as a field", field("__proto__: {}"), ["routes.yaml:6:5: unknown-field"]],
  ["`constructor` as a field", { "gateway.yaml": "constructor: 1" }, ["gateway.yaml:1:1: unknown-field"]],
  [
    "missing fields",
    routes("    service: app\n    scope: sharded\n", ""),
    ["routes.yaml:2:5: missing-field", "routes.yaml:2:5: missing-field"],
  ],
  ["a field without a value", field("retry:"), ["routes.yaml:6:5: wrong-type"]],
  ["a number as a name", fleet("fleet: tiny", "fleet: 2024"), ["fleet.yaml:1:8: wrong-type"]],
  ["a map instead of a list", field("limits: { slow: 1 }"), ["routes.yaml:6:13: wrong-type"]],

  // Quantities.
  ["a duration without its unit", field("timeout: { connect: 300 }"), ["routes.yaml:6:25: invalid-duration"]],
  [
    "a duration of nonsense",
    service("health: { path: /, interval: 5x }"),
    ["fleet.yaml:11:34: invalid-duration"],
  ],
  ["no bound where one is needed", field("timeout: { headers: 0s }"), ["routes.yaml:6:25: out-of-range"]],
  [
    "an endless duration",
    field(`timeout: { idle: ${"9".repeat(400)}h }`),
    ["routes.yaml:6:22: out-of-range"],
  ],
  ["a total too long", field("timeout: { total: 99h }"), ["routes.yaml:6:23: out-of-range"]],
  ["a rate of 0", routes("90/m", "0/s"), ["routes.yaml:7:17: out-of-range"]],
  ["a negative rate", routes("90/m", "-1/s"), ["routes.yaml:7:17: invalid-rate"]],
  ["a rate that is not a number", routes("90/m", ".nan"), ["routes.yaml:7:17: invalid-rate"]],
  ["a rate without its unit", routes("90/m", "90"), ["routes.yaml:7:17: invalid-rate"]],
  ["a burst of 0", routes("90/m", "1/s, burst: 0"), ["routes.yaml:7:29: out-of-range"]],
  ["a share as a number", field("retry: { budget: 0.2 }"), ["routes.yaml:6:22: invalid-percentage"]],
  ["a share above all", field("breaker: { errors: 101% }"), ["routes.yaml:6:24: out-of-range"]],
  ["a breaker that always opens", field("breaker: { errors: 0% }"), ["routes.yaml:6:24: out-of-range"]],
  ["a size of nonsense", field("maxBody: 1 MB"), ["routes.yaml:6:14: invalid-size"]],
  ["a negative size", field("maxBody: -1"), ["routes.yaml:6:14: out-of-range"]],
  ["a replay body too large", { "gateway.yaml": "replayBody: 2MiB" }, ["gateway.yaml:1:13: out-of-range"]],
  [
    "an infinite number",
    fleet("region: west }", "region: west, inflight: .inf }"),
    ["fleet.yaml:5:32: wrong-type"],
  ],
  [
    "half a request",
    fleet("region: west }", "region: west, inflight: 1.5 }"),
    ["fleet.yaml:5:32: wrong-type"],
  ],

  // Regions and units.
  ["an unknown region", fleet("region: west }", "region: wset }"), ["fleet.yaml:5:16: unknown-region"]],
  ["a region near itself", fleet("near: [east]", "near: [west]"), ["fleet.yaml:2:37: region-itself"]],
  ["no center", fleet(", center: true", ""), ["fleet.yaml:4:3: no-center"]],
  [
    "two centers",
    fleet("region: west }", "region: west, center: true }"),
    ["fleet.yaml:5:30: second-center"],
  ],
  [
    "a failover of oneself and twice",
    fleet("region: west }", "region: west, failover: [a, b, a, c] }"),
    ["fleet.yaml:5:36: unit-itself", "fleet.yaml:5:39: duplicate-unit", "fleet.yaml:5:42: unknown-unit"],
  ],
  [
    "a name with capitals",
    fleet("regions: { east: {}", "regions: { North: {}, east: {}"),
    ["fleet.yaml:2:12: invalid-name"],
  ],
  [
    "a region called constructor",
    fleet("regions: { east: {}", "regions: { constructor: {}, east: {}"),
    ["fleet.yaml:2:12: invalid-name"],
  ],
  [
    "a broken unit does not seem unknown elsewhere",
    fleet("b: { region: west }", "b: west"),
    ["fleet.yaml:5:6: wrong-type"],
  ],

  // Placement.
  ["slots of nobody", slots("{ a: 0-99, b: 200-1000 }"), ["fleet.yaml:8:8: slots-missing"]],
  ["slots of two", slots("{ a: 0-511, b: [500-600, 601-1023] }"), ["fleet.yaml:8:23: slots-overlap"]],
  ["slots that are not", slots("{ a: 0-511, b: 512-2000 }"), ["fleet.yaml:8:23: slot-out-of-range"]],
  ["slots backwards", slots("{ a: 511-0, b: 512-1023 }"), ["fleet.yaml:8:13: invalid-slots"]],
  ["slots of an unknown unit", slots("{ a: 0-511, c: 512-1023 }"), ["fleet.yaml:8:20: unknown-unit"]],
  ["too many slots", fleet("  map:", "  slots: 65537\n  map:"), ["fleet.yaml:8:10: out-of-range"]],
  [
    "a pin to an unknown unit",
    fleet("  map:", "  pins: { x: c }\n  map:"),
    ["fleet.yaml:8:14: unknown-unit"],
  ],
  [
    "a key of two places",
    fleet("{ header: X-User }", "{ header: X-User, cookie: u }"),
    ["fleet.yaml:7:10: key-source"],
  ],
  [
    "no key for a sharded route",
    fleet("  key: [ { header: X-User } ]\n", ""),
    ["fleet.yaml:7:3: missing-field"],
  ],
  [
    "no placement for a sharded route",
    fleet(/placement:[\s\S]*services:/, "services:"),
    ["fleet.yaml:1:1: missing-field"],
  ],

  // Services.
  [
    "a health check without its path",
    service("health: { interval: 1s }"),
    ["fleet.yaml:11:13: missing-field"],
  ],
  ["a path for a connection", service("health: { kind: tcp, path: / }"), ["fleet.yaml:11:26: unused-field"]],
  ["health of an unknown word", service("health: off"), ["fleet.yaml:11:13: wrong-type"]],
  [
    "a status of nonsense",
    service("health: { path: /, status: [299-200, 99] }"),
    ["fleet.yaml:11:33: invalid-status", "fleet.yaml:11:42: invalid-status"],
  ],
  [
    "ejections out of order",
    service("outlier: { baseEjection: 9s, maxEjection: 3s }"),
    ["fleet.yaml:11:47: ejection-order"],
  ],
  [
    "a canary that nobody serves",
    service("canary: { share: 5% }"),
    ["fleet.yaml:11:13: canary-without-endpoints"],
  ],
  ["an endpoint with a path", endpoint("http://a/b"), ["fleet.yaml:12:22: invalid-endpoint"]],
  ["an endpoint with a query", endpoint("http://a?b"), ["fleet.yaml:12:22: invalid-endpoint"]],
  ["an endpoint with credentials", endpoint("http://u:p@a"), ["fleet.yaml:12:22: invalid-endpoint"]],
  ["an endpoint of another scheme", endpoint("ftp://a"), ["fleet.yaml:12:22: invalid-endpoint"]],
  ["an endpoint without a scheme", endpoint("10.0.0.1:80"), ["fleet.yaml:12:22: invalid-endpoint"]],
  ["an endpoint with a port too high", endpoint("http://a:65536"), ["fleet.yaml:12:22: invalid-endpoint"]],
  ["an endpoint on port 0", endpoint("http://a:0"), ["fleet.yaml:12:22: invalid-endpoint"]],
  [
    "an endpoint twice",
    endpoint('http://10.0.0.1:80", "http://10.0.0.1'),
    ["fleet.yaml:12:44: duplicate-endpoint"],
  ],
  ["an empty pool", fleet('[ "http://10.0.0.1:80" ]', "[]"), ["fleet.yaml:12:20: empty-pool"]],
  [
    "a pool in an unknown unit",
    fleet("pools:\n", 'pools:\n      c: { stable: ["http://c"] }\n'),
    ["fleet.yaml:12:7: unknown-unit"],
  ],
  [
    "no pools",
    { "fleet.yaml": FLEET.replace(/pools:[\s\S]*/, "pools: {}\n") },
    ["fleet.yaml:11:12: no-pools", "routes.yaml:4:14: pool-missing"],
  ],
  ["a CA outside", service("tls: { ca: ../ca.pem }"), ["fleet.yaml:11:16: path-outside"]],
  ["a CA that is not there", service("tls: { ca: ca.pem }"), ["fleet.yaml:11:16: missing-file"]],
  [
    "a CA that is none",
    { ...service("tls: { ca: ca.pem }"), "ca.pem": "hello" },
    ["fleet.yaml:11:16: invalid-certificate"],
  ],
  [
    "a CA that is broken",
    {
      ...service("tls: { ca: ca.pem }"),
      "ca.pem": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    },
    ["fleet.yaml:11:16: invalid-certificate"],
  ],

  // Routes.
  ["an unknown service", routes("service: app", "service: ap"), ["routes.yaml:4:14: unknown-service"]],
  ["an unknown limit", field("limits: [ slwo ]"), ["routes.yaml:6:15: unknown-limit"]],
  ["an unknown scope", routes("scope: sharded", "scope: global"), ["routes.yaml:5:12: unknown-word"]],
  ["a path without a slash", path("home"), ["routes.yaml:3:20: invalid-path"]],
  ["a star in the middle", path("/a/*/b"), ["routes.yaml:3:20: invalid-path"]],
  ["a star in a segment", path("/a*"), ["routes.yaml:3:20: invalid-path"]],
  ["a parameter in a segment", path("/a-:b"), ["routes.yaml:3:20: invalid-path"]],
  ["a parameter twice", path("/:a/:a"), ["routes.yaml:3:20: invalid-path"]],
  ["a parameter with a pattern", path("/:a(x)"), ["routes.yaml:3:20: invalid-path"]],
  ["a path with dots", path("/a/../b"), ["routes.yaml:3:20: invalid-path"]],
  ["a path with an empty segment", path("/a//b"), ["routes.yaml:3:20: invalid-path"]],
  ["a path with a query", path("/a?b"), ["routes.yaml:3:20: invalid-path"]],
  ["a path with an escape", path("/a%20b"), ["routes.yaml:3:20: invalid-path"]],
  ["a path with a space", path("/a b"), ["routes.yaml:3:20: invalid-path"]],
  ["a path with a backslash", path("/a\\b"), ["routes.yaml:3:20: invalid-path"]],
  ["a path in Chinese is fine", path("/大厅/:id/*"), []],
  ["a host with a port", match("host: a.test:80"), ["routes.yaml:3:35: invalid-host"]],
  ["a host with a star inside", match("host: a.*.test"), ["routes.yaml:3:35: invalid-host"]],
  ["a host in capitals is fine", match('host: "*.Shop.TEST"'), []],
  [
    "methods",
    match("methods: [get, CONNECT, FETCH]"),
    [
      "routes.yaml:3:39: unknown-method",
      "routes.yaml:3:44: unknown-method",
      "routes.yaml:3:53: unknown-method",
    ],
  ],
  ["no methods", match("methods: []"), ["routes.yaml:3:38: empty-list"]],
  [
    "headers",
    match("headers: { x y: 1, a: false, X-B: 1, x-b: true, c: true }"),
    [
      "routes.yaml:3:40: invalid-header",
      "routes.yaml:3:51: wrong-type",
      "routes.yaml:3:66: duplicate-header",
    ],
  ],
  [
    "a sharded route that fails over everything",
    field("failover: all"),
    ["routes.yaml:6:15: sharded-writes-stay"],
  ],
  ["a key of a parameter that is not", field("key: [ { path: id } ]"), ["routes.yaml:6:12: unknown-param"]],
  [
    "a cause that is none",
    field("retry: { on: [502, 418, refuse] }"),
    ["routes.yaml:6:24: unknown-word", "routes.yaml:6:29: unknown-word"],
  ],
  ["a fallback of nothing", field("fallback: {}"), ["routes.yaml:6:15: fallback-body"]],
  [
    "a fallback of two",
    field("fallback: { body: x, file: x.txt }"),
    ["routes.yaml:6:15: fallback-body", "routes.yaml:6:32: missing-file"],
  ],
  [
    "a fallback with a body that cannot be",
    field("fallback: { body: x, status: 204 }"),
    ["routes.yaml:6:34: fallback-body"],
  ],
  ["a fallback from outside", field("fallback: { file: /etc/passwd }"), ["routes.yaml:6:23: path-outside"]],
  ["a fallback from above", field("fallback: { file: a/../../b }"), ["routes.yaml:6:23: path-outside"]],
  [
    "a limit by an unknown thing",
    routes("90/m", "9/s, by: [clients, header:X-A]"),
    ["routes.yaml:7:27: unknown-word"],
  ],
  ["a pool that is missing", fleet(/ {6}b: \{ stable.*\n/, ""), ["routes.yaml:4:14: pool-missing"]],
  [
    "a name twice",
    routes("limits:", "  - { name: home, match: { path: /b }, service: app, scope: nearest }\nlimits:"),
    ["routes.yaml:6:13: duplicate-name"],
  ],
  [
    "the same requests",
    routes("limits:", "  - { name: b, match: { path: /home/* }, service: app, scope: nearest }\nlimits:"),
    ["routes.yaml:6:23: duplicate-route"],
  ],
  [
    "some methods and all are no duplicates",
    routes(
      "limits:",
      "  - { name: b, match: { path: /home/*, methods: [GET] }, service: app, scope: nearest }\nlimits:",
    ),
    [],
  ],
  [
    "overlapping methods",
    {
      "routes.yaml": `routes:
  - { name: a, match: { path: "/x/:id", methods: [GET, PUT] }, service: app, scope: nearest }
  - { name: b, match: { path: "/x/:id", methods: [POST] }, service: app, scope: nearest }
  - { name: c, match: { path: "/x/:id", methods: [POST, PUT] }, service: app, scope: nearest }
  - { name: d, match: { path: "/x/:id", methods: [PUT], headers: { x: "1" } }, service: app, scope: nearest }
  - { name: e, match: { path: "/x/:name", host: other.test }, service: app, scope: nearest }
  - { name: f, match: { path: "/x/:name", methods: [HEAD] }, service: app, scope: nearest }
`,
    },
    ["routes.yaml:4:23: duplicate-route", "routes.yaml:7:23: param-names-differ"],
  ],

  // Gateway.
  [
    "networks",
    { "gateway.yaml": 'trust: [10.0.0.0/8, "::1/128", 10.0.0.1, 10.0.0.0/33, x/8, "::/129"]' },
    [
      "gateway.yaml:1:32: invalid-network",
      "gateway.yaml:1:42: invalid-network",
      "gateway.yaml:1:55: invalid-network",
      "gateway.yaml:1:60: invalid-network",
    ],
  ],
  [
    "stress keys and a limit",
    { "gateway.yaml": 'stress: { keys: [MCowBQYDK2VwAyEA, ""], limit: 0/s }' },
    [
      "gateway.yaml:1:18: invalid-stress-key",
      "gateway.yaml:1:36: invalid-stress-key",
      "gateway.yaml:1:48: out-of-range",
    ],
  ],
];

describe("problems", () => {
  for (const [name, files, expected] of CASES) {
    it(name, () => assert.deepEqual(places(files), expected));
  }

  it("of missing files stand at 1:1, and leave no configuration", () => {
    const { config, problems } = read({});
    assert.deepEqual([problems, config === undefined], [[], false]);
    const none = (names: string[]) => names.map((n) => `${n}:1:1: missing-file`);
    const nothing = { "fleet.yaml": undefined, "routes.yaml": undefined } as unknown as Files;
    assert.deepEqual(places(nothing), none(["fleet.yaml", "routes.yaml"]));
  });

  it("that are only warnings leave the configuration", () => {
    const { config, problems } = read(field("failover: all"));
    assert.deepEqual(
      problems.map((p) => p.severity),
      ["warning"],
    );
    assert.equal(config!.routes[0]!.failover, "reads");
  });

  it("stop being listed after a thousand, and still refuse", () => {
    const { config, problems } = read({ "gateway.yaml": `trust: [${"x, ".repeat(1500)}x]` });
    assert.equal(config, undefined);
    assert.equal(problems.length, 1001);
    assert.equal(problems.at(-1)!.message, "501 more errors are not shown; the first 1000 are above");
  });

  it("of too many endpoints count them", () => {
    const many = Array.from({ length: 65_536 }, (_, i) => `"http://h${i}"`).join(", ");
    const { problems } = read(endpoint(`http://x", ${many.slice(0, -1)}`));
    assert.deepEqual(
      problems.map((p) => `${p.code}: ${p.message}`),
      ["too-many-endpoints: the services have 65538 endpoints in all; expected at most 65536"],
    );
  });
});

describe("messages", () => {
  const message = (files: Files) => read(files).problems.map((p) => p.message);
  const MESSAGES: readonly [Files, string][] = [
    [field("timeot: 2s"), "`timeot` is not a field of a route; did you mean `timeout`?"],
    [
      service("health: { path: /, interval: 5x }"),
      "`interval` is `5x`; expected a duration such as 500ms, 2s or 5m",
    ],
    [field("retry:"), "`retry` is empty; expected a map such as { attempts: 2 }, or the word none"],
    [
      fleet("fleet: tiny", "fleet: 2024"),
      "`fleet` is `2024`; YAML reads it as a number; put it in quotes to make it a text",
    ],
    [field("limits: [ slwo ]"), "there is no limit `slwo`; did you mean `slow`?"],
    [routes("service: app", "service: shop"), "there is no service `shop`; expected app"],
    [
      field("priority: hihg"),
      "`priority` is `hihg`; expected critical, high, normal or sheddable; did you mean `high`?",
    ],
    [match("methods: [get]"), "`get` is in lower case; did you mean GET?"],
    [
      slots("{ a: 0-99, b: 200-1000 }"),
      "no unit is given slots 100-199, 1001-1023; expected every slot from 0 to 1023 once",
    ],
    [
      slots("{ a: 0-511, b: [500-600, 601-1023] }"),
      "`b` is given slots 500-511, which `a` already has; expected every slot once",
    ],
    [
      field("timeout: { headers: 0s }"),
      "`headers` is `0s`; expected 1ms to 1h, because without a bound a dead unit would hold requests for ever",
    ],
    [
      { "gateway.yaml": "trust: [10.0.0.1]" },
      "`10.0.0.1` is an address; expected a network, so write 10.0.0.1/32",
    ],
    [
      endpoint("http://u:p@a"),
      "`http://…@a` is no endpoint: an address must not carry credentials; expected http or https, a host and perhaps a port, such as http://10.0.0.1:8080",
    ],
  ];
  for (const [files, expected] of MESSAGES) {
    it(expected, () => assert.deepEqual(message(files), [expected]));
  }
});
