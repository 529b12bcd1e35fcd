/** What may not be written of limits, and what is said of it. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Files, places, ROUTES, read, valid } from "./fixture.ts";

/** The limit `slow` as given, in line 8 (and one for each further line of the route), obeyed by the route `home`. */
function limit(text: string, route = "limits: [ slow ]", gateway?: string): Files {
  return {
    "routes.yaml": ROUTES.replace("scope: sharded\n", `scope: sharded\n    ${route}\n`).replace(
      "{ rate: 90/m }",
      text,
    ),
    ...(gateway === undefined ? {} : { "gateway.yaml": `${gateway}\n` }),
  };
}

const TENANT = "identity: { tenant: [ { header: x-tenant } ] }";

/** Name, files, expected places. */
const REFUSED: readonly [string, Files, readonly string[]][] = [
  ["no rate", limit("{ burst: 5 }"), ["routes.yaml:8:9: missing-field"]],
  ["a rate of 0", limit("{ rate: 0/s }"), ["routes.yaml:8:17: out-of-range"]],
  ["a rate below 0", limit("{ rate: -5/s }"), ["routes.yaml:8:17: invalid-rate"]],
  ["a rate without its time", limit("{ rate: 5 }"), ["routes.yaml:8:17: invalid-rate"]],
  ["a rate in another time", limit("{ rate: 5/d }"), ["routes.yaml:8:17: invalid-rate"]],
  ["a rate beyond all numbers", limit("{ rate: 1e300/s }"), ["routes.yaml:8:17: invalid-rate"]],
  ["a rate beyond all use", limit("{ rate: 1000000001/s }"), ["routes.yaml:8:17: out-of-range"]],
  ["a rate that is no number", limit("{ rate: NaN/s }"), ["routes.yaml:8:17: invalid-rate"]],
  ["an infinite rate", limit("{ rate: .inf }"), ["routes.yaml:8:17: invalid-rate"]],
  ["a word as a rate", limit("{ rate: fast }"), ["routes.yaml:8:17: invalid-rate"]],

  ["a burst of 0", limit("{ rate: 5/s, burst: 0 }"), ["routes.yaml:8:29: out-of-range"]],
  ["a burst below 0", limit("{ rate: 5/s, burst: -1 }"), ["routes.yaml:8:29: out-of-range"]],
  ["half a token", limit("{ rate: 5/s, burst: 1.5 }"), ["routes.yaml:8:29: wrong-type"]],
  ["a burst beyond all use", limit("{ rate: 5/s, burst: 1e300 }"), ["routes.yaml:8:29: out-of-range"]],
  ["a word as a burst", limit("{ rate: 5/s, burst: many }"), ["routes.yaml:8:29: wrong-type"]],

  ["by an unknown thing", limit("{ rate: 5/s, by: [ ip ] }"), ["routes.yaml:8:28: unknown-word"]],
  ["by no list", limit("{ rate: 5/s, by: client }"), ["routes.yaml:8:26: wrong-type"]],
  [
    "by a header without a name",
    limit('{ rate: 5/s, by: [ "header:" ] }'),
    ["routes.yaml:8:28: unknown-word"],
  ],
  ["by a header of two", limit('{ rate: 5/s, by: [ "header:a b" ] }'), ["routes.yaml:8:28: unknown-word"]],
  ["by one thing twice", limit("{ rate: 5/s, by: [ user, user ] }"), ["routes.yaml:8:34: duplicate-by"]],
  [
    "by one header twice, for headers have no case",
    limit('{ rate: 5/s, by: [ "header:X-A", "header:x-a" ] }'),
    ["routes.yaml:8:42: duplicate-by"],
  ],
  ["by tenants that nobody names", limit("{ rate: 5/s, by: [ tenant ] }"), ["routes.yaml:8:26: no-tenant"]],
  [
    "by tenants where gateway.yaml is wrong: only that is said",
    limit("{ rate: 5/s, by: [ tenant ] }", undefined, "identity: { tenant: 1 }"),
    ["gateway.yaml:1:21: wrong-type"],
  ],

  ["a cost of 0", limit("{ rate: 5/s }", "cost: 0"), ["routes.yaml:6:11: out-of-range"]],
  ["a cost below 0", limit("{ rate: 5/s }", "cost: -1"), ["routes.yaml:6:11: out-of-range"]],
  ["half a token's cost", limit("{ rate: 5/s }", "cost: 0.5"), ["routes.yaml:6:11: wrong-type"]],
  [
    "a cost that no bucket holds",
    limit("{ rate: 5/s, burst: 4 }", "limits: [ slow ]\n    cost: 5"),
    ["routes.yaml:9:29: cost-above-burst"],
  ],
  [
    "a cost that the bucket does not hold by default",
    limit("{ rate: 5/s }", "limits: [ slow ]\n    cost: 6"),
    ["routes.yaml:9:9: cost-above-burst"],
  ],

  ["no keys", limit("{ rate: 5/s, keys: 0 }"), ["routes.yaml:8:28: out-of-range"]],
  ["more keys than memory", limit("{ rate: 5/s, keys: 4000001 }"), ["routes.yaml:8:28: out-of-range"]],
  ["an unknown scope", limit("{ rate: 5/s, scope: galaxy }"), ["routes.yaml:8:29: unknown-word"]],
  ["an unknown mode", limit("{ rate: 5/s, mode: off }"), ["routes.yaml:8:28: unknown-word"]],
  ["an unknown field", limit("{ rate: 5/s, burts: 1 }"), ["routes.yaml:8:22: unknown-field"]],
  [
    "a limit that is not there",
    limit("{ rate: 5/s }", "limits: [ lost ]"),
    ["routes.yaml:6:15: unknown-limit"],
  ],
  [
    "a header's name with a space",
    { "gateway.yaml": "identity: { apiKey: x y }\n" },
    ["gateway.yaml:1:21: invalid-header"],
  ],
  [
    "more bits than an address has",
    { "gateway.yaml": "identity: { ipv4: 33, ipv6: 129 }\n" },
    ["gateway.yaml:1:19: out-of-range", "gateway.yaml:1:29: out-of-range"],
  ],
  [
    "all of the world as one client",
    { "gateway.yaml": "identity: { ipv4: 0 }\n" },
    ["gateway.yaml:1:19: out-of-range"],
  ],
];

describe("a limit is refused, with its place:", () => {
  for (const [name, files, expected] of REFUSED) {
    it(name, () => {
      assert.deepEqual(places(files), expected);
      assert.equal(read(files).config, undefined, "nothing of it is applied");
    });
  }
});

describe("a limit", () => {
  it("says what was wrong and what was expected", () => {
    const messages = [limit("{ rate: 0/s }"), limit("{ rate: 5/s, by: [ ip ] }")].map(
      (files) => read(files).problems[0]!.message,
    );
    assert.deepEqual(messages, [
      "`rate` is `0/s`; expected a rate above 0 and up to 1000000000/s",
      "an item of `by` is `ip`; expected client, address, user, route, unit, tenant or header:NAME",
    ]);
  });

  it("of a fleet with a burst below a quarter of a second is served with more, and warned of", () => {
    const files = limit("{ rate: 100/s, burst: 24, scope: fleet }");
    const { config, problems } = read(files);
    assert.deepEqual(places(files), ["routes.yaml:8:31: small-fleet-burst"]);
    assert.equal(problems[0]!.severity, "warning");
    assert.equal(config!.limits[0]!.burst, 25);
    assert.deepEqual(places(limit("{ rate: 100/s, burst: 25, scope: fleet }")), []);
    assert.deepEqual(places(limit("{ rate: 100/s, burst: 1, scope: gateway }")), []);
  });

  it("may hold less than a route costs that does not name it", () => {
    assert.deepEqual(places(limit("{ rate: 5/s, burst: 4 }", "cost: 5")), []);
  });

  it("may be as slow as one in a thousand hours, and as fast as a billion a second", () => {
    const of = (rate: string) => valid(limit(`{ rate: ${rate} }`)).limits[0]!;
    assert.equal(of("0.001/h").burst, 1);
    assert.equal(of("1000000000/s").rate, 1e9);
    assert.equal(of("5rps").rate, 5);
  });

  it("counts tenants where gateway.yaml says what they are", () => {
    assert.deepEqual(valid(limit("{ rate: 5/s, by: [ tenant ] }", undefined, TENANT)).limits[0]!.by, [
      "tenant",
    ]);
  });
});
