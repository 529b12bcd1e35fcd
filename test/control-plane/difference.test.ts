import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { differences, MOST_DIFFERENCES } from "../../control-plane/difference.ts";

describe("differences", () => {
  it("are fields by the names that people gave", () => {
    const before = {
      units: [
        { name: "hz", capacity: 1 },
        { name: "sh", capacity: 2 },
      ],
      pins: { a: "hz" },
    };
    const after = {
      units: [
        { name: "hz", capacity: 1 },
        { name: "sh", capacity: 3 },
      ],
      pins: { b: "hz" },
    };
    assert.deepEqual(differences(before, after), [
      { field: "units.sh.capacity", before: 2, after: 3 },
      { field: "pins.a", before: "hz", after: undefined },
      { field: "pins.b", before: undefined, after: "hz" },
    ]);
  });

  it("of lists without names are the lists", () => {
    assert.deepEqual(differences({ on: [1, 2] }, { on: [1, 3] }), [
      { field: "on", before: [1, 2], after: [1, 3] },
    ]);
  });

  it("name an order that changed, once", () => {
    const list = (...names: string[]) => ({ routes: names.map((name) => ({ name })) });
    assert.deepEqual(differences(list("a", "b"), list("b", "a")), [
      { field: "routes (order)", before: ["a", "b"], after: ["b", "a"] },
    ]);
    assert.deepEqual(
      differences(list("a", "b"), list("a", "x", "b")).map((d) => d.field),
      ["routes.x"],
    );
  });

  it("are none between the same, and all of it where there was nothing", () => {
    assert.deepEqual(differences({ a: { b: [] } }, { a: { b: [] } }), []);
    assert.deepEqual(differences(undefined, { a: 1 }), [{ field: "", before: undefined, after: { a: 1 } }]);
  });

  it("are bounded", () => {
    const many = Object.fromEntries(Array.from({ length: 5_000 }, (_, i) => [`k${i}`, i]));
    assert.equal(differences({}, many).length, MOST_DIFFERENCES);
  });
});
