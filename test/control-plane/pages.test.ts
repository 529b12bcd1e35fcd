/** Pages of lists: each thing once, whatever comes and goes in between. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { pageOf } from "../../control-plane/api/pages.ts";

const names = (list: readonly string[], limit: string, after?: string) =>
  pageOf(list, (name) => name, after === undefined ? { limit } : { limit, after });

test("pages are in the order that people count in, and the last says so", () => {
  const list = ["ov-10", "ov-2", "ov-10.2", "ov-1"];
  assert.deepEqual(names(list, "3"), { page: ["ov-1", "ov-2", "ov-10"], next: "ov-10" });
  assert.deepEqual(names(list, "3", "ov-10"), { page: ["ov-10.2"], next: null });
  assert.deepEqual(names(list, "4").next, null, "a full page may be the last");
  assert.deepEqual(names([], "1"), { page: [], next: null });
});

test("what goes or comes between two pages makes nobody else be left out or shown twice", () => {
  const { page, next } = names(["a", "b", "c", "d"], "2");
  const rest = names(["a0", "c", "d"], "2", next!);
  assert.deepEqual([...page, ...rest.page], ["a", "b", "c", "d"]);
});

test("names that count alike are two names", () => {
  const { next } = names(["gw-1", "gw-01"], "1");
  assert.equal(names(["gw-1", "gw-01"], "1", next!).page.length, 1);
});

test("a page has at least one thing, and at most 500", () => {
  const many = Array.from({ length: 600 }, (_, i) => `n${i}`);
  assert.equal(names(many, "9999").page.length, 500);
  assert.equal(names(many, "0").page.length, 1);
  assert.equal(pageOf(many, (name) => name, {}).page.length, 500);
});
