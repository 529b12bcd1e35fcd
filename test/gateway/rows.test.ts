import assert from "node:assert/strict";
import { test } from "node:test";
import { MAX_UNITS } from "../../gateway/unit-load.ts";
import { endpointKey, RowRegistry } from "../../gateway/rows.ts";
import type { Config } from "../../model/config.ts";
import { config, service } from "../support/config.ts";

function withOrigins(...origins: string[]): Config {
  return config([], [service("hall", { pools: { hz: { stable: origins, canary: [] } } })]);
}

const row = (registry: { endpoints: ReadonlyMap<string, number> }, origin: string): number | undefined =>
  registry.endpoints.get(endpointKey("hall", "hz", "stable", origin));

test("an endpoint keeps its row over swaps, wherever it stands in the file", () => {
  const registry = new RowRegistry();
  const first = registry.assign(withOrigins("http://a", "http://b"));
  assert.deepEqual([row(first.rows, "http://a"), row(first.rows, "http://b")], [0, 1]);
  assert.deepEqual(first.freshEndpoints, [0, 1]);
  const second = registry.assign(withOrigins("http://c", "http://b", "http://a"));
  assert.deepEqual(
    ["http://a", "http://b", "http://c"].map((o) => row(second.rows, o)),
    [0, 1, 2],
  );
  assert.deepEqual(second.freshEndpoints, [2], "only what is new is cleared");
  assert.deepEqual([...second.rows.units], [...first.rows.units]);
});

test("the same address in another unit, version or service is another endpoint", () => {
  const names = new Set([
    endpointKey("hall", "hz", "stable", "http://a"),
    endpointKey("hall", "sh", "stable", "http://a"),
    endpointKey("hall", "hz", "canary", "http://a"),
    endpointKey("cart", "hz", "stable", "http://a"),
  ]);
  assert.equal(names.size, 4);
});

test("a row that was given up rests for a swap before another endpoint gets it, and is cleared then", () => {
  const registry = new RowRegistry();
  registry.assign(withOrigins("http://a", "http://b"));
  const without = registry.assign(withOrigins("http://a", "http://c"));
  assert.equal(
    row(without.rows, "http://c"),
    2,
    "not b's row: requests that began before may still count on it",
  );
  const next = registry.assign(withOrigins("http://a", "http://c", "http://d"));
  assert.notEqual(row(next.rows, "http://d"), 1, "b's row has rested for no whole swap");
  const later = registry.assign(withOrigins("http://a", "http://c", "http://d", "http://e"));
  assert.equal(row(later.rows, "http://e"), 1);
  assert.ok(later.freshEndpoints.includes(1));
});

test("an endpoint that comes back has a fresh row", () => {
  const registry = new RowRegistry();
  registry.assign(withOrigins("http://a", "http://b"));
  registry.assign(withOrigins("http://a"));
  const back = registry.assign(withOrigins("http://a", "http://b"));
  assert.deepEqual(back.freshEndpoints, [row(back.rows, "http://b")]);
});

test("no two endpoints ever share a row, over many swaps", () => {
  const registry = new RowRegistry();
  let most = 0;
  for (let swap = 0; swap < 200; swap++) {
    const origins = Array.from({ length: 5 + (swap % 7) }, (_, i) => `http://e${(swap * 3 + i) % 40}`);
    const { rows } = registry.assign(withOrigins(...origins));
    const used = [...rows.endpoints.values()];
    assert.equal(new Set(used).size, used.length);
    most = Math.max(most, ...used);
  }
  assert.ok(most < 60, `rows are used again: ${most}`);
});

test("more units than rows are refused with what to do", () => {
  const { units } = config([]).fleet;
  const many = Array.from({ length: MAX_UNITS + 1 }, (_, i) => ({ ...units[0]!, name: `u${i}` }));
  assert.throws(
    () => new RowRegistry().assign(config([], [], { units: many })),
    /more than 4096 units: split the fleet/,
  );
});

test("a configuration that was refused costs no rows", () => {
  const registry = new RowRegistry();
  const { units } = config([]).fleet;
  registry.assign(withOrigins("http://a"));
  const many = Array.from({ length: MAX_UNITS + 1 }, (_, i) => ({ ...units[0]!, name: `u${i}` }));
  assert.throws(() => registry.assign(config([], [], { units: many })));
  const { rows } = registry.assign(withOrigins("http://a"));
  assert.equal(rows.units.get("hz"), 0, "what was served before keeps its rows");
  const more = registry.assign(config([], [], { units: [...units, { ...units[0]!, name: "new" }] }));
  assert.ok(more.rows.units.get("new")! < 10, `row ${more.rows.units.get("new")}`);
});
