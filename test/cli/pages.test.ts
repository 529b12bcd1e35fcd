/** Lists that come in pages, as commands print them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ApiClient } from "../../cli/api-client.ts";
import { allPages, countOf } from "../../cli/pages.ts";

/** An API with so many numbers. */
function numbers(most: number): { api: ApiClient; asked: string[] } {
  const asked: string[] = [];
  const call = async (_method: string, path: string) => {
    asked.push(path);
    const query = new URL(path, "http://a").searchParams;
    const after = Number(query.get("after") ?? 0);
    const limit = Math.min(500, Number(query.get("limit")));
    const list = Array.from({ length: Math.min(limit, most - after) }, (_, i) => after + i + 1);
    return { list, next: after + list.length < most ? `${after + list.length}` : null };
  };
  return { api: { call } as unknown as ApiClient, asked };
}

test("all pages are asked for, and are one list", async () => {
  const { api, asked } = numbers(1_234);
  const { items, answer } = await allPages<number>(api, "/v1/list", "list");
  assert.deepEqual([items.length, items[0], items.at(-1), new Set(items).size], [1_234, 1, 1_234, 1_234]);
  assert.deepEqual(answer, { list: items, next: null });
  assert.deepEqual(asked, [
    "/v1/list?limit=500",
    "/v1/list?limit=500&after=500",
    "/v1/list?limit=500&after=1000",
  ]);
});

test("no more is asked for than was wanted, and it is said where the rest begins", async () => {
  const { api, asked } = numbers(2_000);
  const { items, answer } = await allPages<number>(api, "/v1/list", "list", 600, "100");
  assert.deepEqual([items[0], items.at(-1)], [101, 700]);
  assert.deepEqual(answer, { list: items, next: "700" });
  assert.deepEqual(asked, ["/v1/list?limit=500&after=100", "/v1/list?limit=100&after=600"]);
});

test("a number of things is one", () => {
  assert.equal(countOf("--limit", "600"), 600);
  for (const text of ["0", "-1", "1.5", "many", "", "1000000"]) {
    assert.throws(() => countOf("--limit", text), /--limit is .*expected a number from 1 to 999999/);
  }
});
