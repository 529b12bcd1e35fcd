import assert from "node:assert/strict";
import { test } from "node:test";
import { StaleCaches } from "../../gateway/stale-caches.ts";
import type { Fallback, Route } from "../../model/route.ts";
import { compileTable } from "../../model/table.ts";
import { config, route } from "../support/config.ts";
import { HandClock } from "./support.ts";

const FALLBACK: Fallback = {
  hasAnswer: false,
  status: 200,
  contentType: "",
  body: "",
  location: undefined,
  stale: { for: 60_000, size: 2 ** 20, largest: 2 ** 16 },
};

function setUp(threads = 1) {
  const caches = new StaleCaches(new HandClock(), threads);
  const swap = (changes: Partial<Route> = {}, path = "/*") => {
    const { routes } = compileTable(config([route("hall", path, { fallback: FALLBACK, ...changes })]));
    caches.swap(routes);
    return caches.of(routes[0]!);
  };
  return { caches, swap };
}

test("an overlay that changes the fallback does not forget what the route is to answer with", () => {
  const { swap } = setUp();
  const cache = swap();
  assert.notEqual(cache, undefined);
  assert.equal(swap({ fallback: { ...FALLBACK, hasAnswer: true, status: 503 } }), cache);
  assert.equal(swap({ fallback: { ...FALLBACK, stale: { ...FALLBACK.stale!, for: 3_600_000 } } }), cache);
});

test("a route that means something else, or finds its users otherwise, begins anew", () => {
  const { swap } = setUp();
  const cache = swap();
  const others = [
    swap({}, "/other/*"),
    swap({ scope: "sharded" }),
    swap({ key: [{ from: "header", name: "x-other" }] }),
  ];
  assert.equal(new Set([cache, ...others]).size, 4);
  assert.equal(swap({ fallback: undefined }), undefined);
  assert.notEqual(
    swap({ key: [{ from: "header", name: "x-other" }] }),
    others[2],
    "it was forgotten meanwhile",
  );
});

test("a request that began with the table before still finds what it may answer with", () => {
  const { caches, swap } = setUp();
  const { routes } = compileTable(config([route("hall", "/*", { fallback: FALLBACK })]));
  caches.swap(routes);
  const cache = caches.of(routes[0]!);
  assert.notEqual(cache, undefined);
  assert.equal(swap(), cache);
  assert.equal(caches.of(routes[0]!), cache);
});

test("threads share a route's memory", () => {
  const { swap } = setUp(4);
  const cache = swap()!;
  for (let i = 0; i < 100; i++) {
    const question = { method: "GET", host: "", target: `/${i}`, headers: [], user: undefined, plain: true };
    const recorder = cache.record(question)!;
    assert.ok(recorder.head(200, { "content-length": "10000" }));
    recorder.data(Buffer.alloc(10_000));
    recorder.end();
  }
  assert.ok(cache.bytes > 2 ** 17 && cache.bytes <= 2 ** 18);
});
