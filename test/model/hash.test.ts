import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { canaryPoint, hashKey, slotOf } from "../../model/hash.ts";

const { vectors } = JSON.parse(readFileSync(new URL("hash-vectors.json", import.meta.url), "utf8")) as {
  vectors: { key: string; hash: number; slot1024: number; hashSaltHall: number }[];
};

test("the published vectors, which were computed by another implementation of XXH32", () => {
  for (const { key, hash, slot1024, hashSaltHall } of vectors) {
    assert.equal(hashKey(key), hash, key);
    assert.equal(slotOf(key, 1024), slot1024, key);
    assert.equal(canaryPoint(key, hashKey("hall")), hashSaltHall / 2 ** 32, key);
  }
});

test("100,000 users spread over 1,024 slots within four standard deviations", () => {
  const counts = new Array<number>(1024).fill(0);
  for (let i = 0; i < 100_000; i++) counts[slotOf(`user-${i}`, 1024)]!++;
  const mean = 100_000 / 1024;
  const worst = Math.max(...counts.map((n) => Math.abs(n - mean)));
  assert.ok(worst < 4.5 * Math.sqrt(mean), `worst deviation ${worst} of ${mean}`);
});

test("a canary's share is exact to half a percent over 100,000 users, and growth only adds users", () => {
  const seed = hashKey("release-7");
  let five = 0;
  for (let i = 0; i < 100_000; i++) {
    const point = canaryPoint(`user-${i}`, seed);
    if (point < 0.05) {
      five++;
      assert.ok(point < 0.2);
    }
  }
  assert.ok(Math.abs(five / 100_000 - 0.05) < 0.005, `${five}`);
});
