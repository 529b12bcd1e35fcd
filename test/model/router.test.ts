import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../model/clock.ts";
import { buildRouter } from "../../model/router.ts";
import { route } from "../support/config.ts";

function finder(routes: Parameters<typeof route>[]) {
  const router = buildRouter(routes.map((args) => route(...args)));
  return (method: string, path: string, host = "", headers: string[] = []) =>
    router.find({ method, path, host, headers })?.route.name;
}

test("paths: literal before parameter before wildcard, segment by segment", () => {
  const find = finder([
    ["all", "/*"],
    ["below", "/cart/*"],
    ["param", "/cart/:id"],
    ["literal", "/cart/mine"],
    ["deep", "/cart/:id/items"],
  ]);
  assert.equal(find("GET", "/cart/mine"), "literal");
  assert.equal(find("GET", "/cart/7"), "param");
  assert.equal(find("GET", "/cart/7/items"), "deep");
  assert.equal(find("GET", "/cart/7/other"), "below");
  assert.equal(find("GET", "/cart/"), "param", "a segment may be empty");
  assert.equal(find("GET", "/cart"), "all", "/cart/* is what lies below /cart/");
  assert.equal(find("GET", "/"), "all");
  assert.equal(find("GET", "/Cart/mine"), "all", "paths are case-sensitive");
});

test("methods and headers: a route that refuses is passed over for the next path", () => {
  const find = finder([
    ["all", "/*"],
    ["write", "/cart/*", { match: { methods: ["POST", "PUT"] } }],
    ["beta", "/cart/*", { match: { headers: [{ name: "x-beta", exact: "1" }] } }],
    [
      "betaWrite",
      "/cart/*",
      { match: { methods: ["POST"], headers: [{ name: "x-beta", exact: undefined }] } },
    ],
  ]);
  assert.equal(find("POST", "/cart/1"), "write");
  assert.equal(find("POST", "/cart/1", "", ["X-Beta", "anything"]), "betaWrite");
  assert.equal(find("GET", "/cart/1", "", ["x-beta", "1"]), "beta");
  assert.equal(find("GET", "/cart/1", "", ["x-beta", "2"]), "all");
  assert.equal(find("GET", "/cart/1"), "all");
});

test("hosts: exact, then the longest suffix, then any; a host without a fitting path falls through", () => {
  const find = finder([
    ["any", "/*"],
    ["exact", "/a/*", { match: { host: "shop.example.com" } }],
    ["wide", "/*", { match: { host: "*.example.com" } }],
    ["narrow", "/*", { match: { host: "*.eu.example.com" } }],
  ]);
  assert.equal(find("GET", "/a/1", "shop.example.com"), "exact");
  assert.equal(find("GET", "/b", "shop.example.com"), "wide");
  assert.equal(find("GET", "/b", "x.eu.example.com"), "narrow");
  assert.equal(find("GET", "/b", "example.com"), "any");
  assert.equal(find("GET", "/b", "notexample.com"), "any");
});

test("paths are matched decoded only where encoding is needed; bytes that are no UTF-8 match nothing", () => {
  const find = finder([
    ["unicode", "/商品/*"],
    ["plain", "/a b"],
  ]);
  assert.equal(find("GET", `/${encodeURIComponent("商品")}/1`), "unicode");
  assert.equal(find("GET", "/a%20b"), "plain");
  assert.equal(find("GET", "/%C0%AF/1"), undefined);
});

test("names that JavaScript gives objects are only names", () => {
  const find = finder([["proto", "/__proto__/:constructor"]]);
  assert.equal(find("GET", "/__proto__/x"), "proto");
  assert.equal(find("GET", "/constructor"), undefined);
});

test("the index of literal beginnings and find-my-way alone give the same answers", () => {
  const seed = 20261111;
  const random = seededRandom(seed);
  const pick = <T>(all: readonly T[]): T => all[Math.floor(random.next() * all.length)]!;
  const segments = ["a", "b", "cc", ":x", ":y"];
  for (let round = 0; round < 300; round++) {
    const paths = new Set<string>();
    for (let i = 0; i < 12; i++) {
      let path = "";
      for (let depth = Math.floor(random.next() * 4); depth >= 0; depth--) path += `/${pick(segments)}`;
      // find-my-way takes one name per place, and the configuration refuses two.
      path = path.replaceAll(":y", ":x");
      paths.add(random.next() < 0.5 ? `${path}/*` : path);
    }
    const routes = [...paths].map((path, i) =>
      route(`${i}`, unique(path), { match: { methods: random.next() < 0.3 ? ["POST"] : [] } }),
    );
    const index = buildRouter(routes);
    // A first segment that must be decoded sends the same questions through find-my-way alone.
    const throughTree = buildRouter(
      routes.map((r) => ({ ...r, match: { ...r.match, path: `/%${r.match.path}` } })),
    );
    for (let i = 0; i < 60; i++) {
      let path = "";
      for (let depth = Math.floor(random.next() * 5); depth >= 0; depth--)
        path += `/${pick(["a", "b", "cc", "d", ""])}`;
      const request = { method: pick(["GET", "POST"]), path, host: "", headers: [] };
      const direct = index.find(request);
      const tree = throughTree.find({ ...request, path: `/%25${path}` });
      assert.equal(
        direct?.route.name,
        tree?.route.name,
        `seed ${seed}, ${request.method} ${path} among ${[...paths].join(" ")}`,
      );
    }
  }
});

/** find-my-way refuses a name that comes twice in one path. */
function unique(path: string): string {
  let n = 0;
  return path.replaceAll(":x", () => `:x${n++}`);
}
