import assert from "node:assert/strict";
import { test } from "node:test";
import { isTraceparent, newTraceparent } from "../../gateway/trace-context.ts";
import { seededRandom } from "../../model/clock.ts";

const GOOD = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

test("valid parents", () => {
  assert.ok(isTraceparent(GOOD));
  assert.ok(isTraceparent(GOOD.replace(/^00/, "01")), "a later version");
  assert.ok(isTraceparent(`${GOOD.replace(/^00/, "cc")}-what-the-future-brings`));
});

test("invalid parents", () => {
  for (const bad of [
    "",
    "00",
    GOOD.slice(0, -1),
    `${GOOD}-x`,
    `${GOOD}0`,
    GOOD.replace(/^00/, "ff"),
    GOOD.replace(/^00/, "0G"),
    GOOD.toUpperCase(),
    GOOD.replaceAll("-", "_"),
    GOOD.replace("0af7651916cd43dd8448eb211c80319c", "0".repeat(32)),
    GOOD.replace("b7ad6b7169203331", "0".repeat(16)),
    ` ${GOOD.slice(1)}`,
    `${GOOD.replace(/^00/, "cc")}0`,
  ]) {
    assert.ok(!isTraceparent(bad), bad);
  }
});

test("a new one is valid, never the same, and valid from any chance", () => {
  const random = seededRandom(1);
  const made = Array.from({ length: 1_000 }, () => newTraceparent(random));
  assert.ok(made.every(isTraceparent));
  assert.equal(new Set(made).size, made.length);
  assert.ok(isTraceparent(newTraceparent({ next: () => 0 })));
  assert.ok(isTraceparent(newTraceparent({ next: () => 1 - Number.EPSILON / 2 })));
});
