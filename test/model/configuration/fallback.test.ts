import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Fallback } from "../../../model/route.ts";
import { compileTable } from "../../../model/table.ts";
import { type Files, places, ROUTES, valid } from "./fixture.ts";

/** One fallback of the route, in line 6 from column 15. */
const files = (text: string, more: Files = {}): Files => ({
  ...more,
  "routes.yaml": ROUTES.replace("scope: sharded\n", `scope: sharded\n    fallback: ${text}\n`),
});
const fallback = (text: string, more?: Files): Fallback => valid(files(text, more)).routes[0]!.fallback!;

const KIB = 2 ** 10;
const MIB = 2 ** 20;

describe("a fallback", () => {
  it("may be a status alone, with an empty body", () => {
    assert.deepEqual(fallback("{ status: 503 }"), {
      hasAnswer: true,
      status: 503,
      contentType: "text/plain; charset=utf-8",
      body: "",
      location: undefined,
      stale: undefined,
    });
    assert.equal(fallback("{ status: 204 }").status, 204);
  });

  it("may be a redirect, by default of 302, to a URL or a path", () => {
    const { status, location, body, hasAnswer } = fallback(
      "{ redirect: https://example.com/busy?from=hall }",
    );
    assert.deepEqual(
      [status, location, body, hasAnswer],
      [302, "https://example.com/busy?from=hall", "", true],
    );
    for (const given of [301, 302, 303, 307, 308])
      assert.equal(fallback(`{ redirect: /busy, status: ${given} }`).status, given);
    assert.equal(fallback("{ redirect: / }").location, "/");
    assert.equal(fallback('{ redirect: "http://[::1]:81" }').location, "http://[::1]:81");
  });

  it("may be the last good answer alone", () => {
    const { hasAnswer, stale } = fallback("{ stale: 10m }");
    assert.deepEqual([hasAnswer, stale], [false, { for: 600_000, size: 16 * MIB, largest: MIB }]);
  });

  it("may be the last good answer, and another where there is none", () => {
    const text = "{ stale: { for: 90s, size: 64KiB, largest: 4KiB }, status: 503, file: busy.html }";
    assert.deepEqual(fallback(text, { "busy.html": "busy" }), {
      hasAnswer: true,
      status: 503,
      contentType: "text/html; charset=utf-8",
      body: "busy",
      location: undefined,
      stale: { for: 90_000, size: 64 * KIB, largest: 4 * KIB },
    });
    assert.equal(fallback("{ stale: 1h, redirect: /busy }").location, "/busy");
  });

  it("keeps no body larger than all bodies together, unless it is told to", () => {
    assert.equal(fallback("{ stale: { for: 1m, size: 64KiB } }").stale!.largest, 64 * KIB);
  });

  it("of stored answers needs the user, also where the route does not place by it", () => {
    const readsKey = (text: string): boolean =>
      compileTable(
        valid({ "routes.yaml": files(text)["routes.yaml"]!.replace("scope: sharded", "scope: nearest") }),
      ).routes[0]!.readsKey;
    assert.deepEqual([readsKey("{ stale: 10m }"), readsKey("{ status: 503 }")], [true, false]);
  });
});

/** Text, expected places. */
const PROBLEMS: readonly [string, readonly string[]][] = [
  ["{}", ["6:15: fallback-body"]],
  ["{ contentType: text/plain }", ["6:15: fallback-body", "6:17: unused-field"]],
  ["{ status: 503, contentType: text/plain }", ["6:30: unused-field"]],
  ["{ body: x, status: 204 }", ["6:34: fallback-body"]],
  ["{ status: 302 }", ["6:25: fallback-redirect"]],
  ["{ status: 304, stale: 1m }", ["6:25: fallback-redirect"]],
  ["{ status: 308, body: x }", ["6:25: fallback-redirect"]],
  ["{ redirect: /busy, status: 200 }", ["6:42: fallback-redirect"]],
  ["{ redirect: /busy, status: 300 }", ["6:42: fallback-redirect"]],
  ["{ redirect: /busy, body: x }", ["6:27: fallback-redirect"]],
  ["{ redirect: /busy, file: no.html }", ["6:27: fallback-redirect", "6:40: missing-file"]],
  ["{ redirect: busy.html }", ["6:27: invalid-redirect"]],
  ['{ redirect: "" }', ["6:27: invalid-redirect"]],
  ["{ redirect: //evil.example }", ["6:27: invalid-redirect"]],
  ["{ redirect: '/\\evil.example' }", ["6:27: invalid-redirect"]],
  ["{ redirect: javascript:alert(1) }", ["6:27: invalid-redirect"]],
  ["{ redirect: ftp://example.com/ }", ["6:27: invalid-redirect"]],
  ["{ redirect: https:///example.com }", ["6:27: invalid-redirect"]],
  ["{ redirect: 'https://[' }", ["6:27: invalid-redirect"]],
  ["{ redirect: https://me:secret@example.com/ }", ["6:27: invalid-redirect"]],
  ["{ redirect: 'https://example.com/a b' }", ["6:27: invalid-redirect"]],
  ["{ redirect: https://exämple.com/ }", ["6:27: invalid-redirect"]],
  ['{ redirect: "https://example.com/\\r\\nset-cookie: a=b" }', ["6:27: invalid-redirect"]],
  ["{ stale: 10 }", ["6:24: invalid-duration"]],
  ["{ stale: 0s }", ["6:24: out-of-range"]],
  ["{ stale: 25h }", ["6:24: out-of-range"]],
  ["{ stale: {} }", ["6:24: missing-field"]],
  ["{ stale: { for: 1m, size: 1KiB } }", ["6:41: out-of-range"]],
  ["{ stale: { for: 1m, size: 64KiB, largest: 65KiB } }", ["6:57: out-of-range"]],
  ["{ stale: { for: 1m, keep: 4 } }", ["6:35: unknown-field"]],
];

describe("a fallback is refused", () => {
  for (const [text, expected] of PROBLEMS) {
    it(`as ${text}`, () =>
      assert.deepEqual(
        places(files(text)),
        expected.map((place) => `routes.yaml:${place}`),
      ));
  }

  it("where the route takes no GET, which is all that is kept", () => {
    const post = {
      "routes.yaml": files("{ stale: 1m }")["routes.yaml"]!.replace("/* }", "/*, methods: [POST] }"),
    };
    assert.deepEqual(places(post), ["routes.yaml:6:17: unused-field"]);
  });
});
