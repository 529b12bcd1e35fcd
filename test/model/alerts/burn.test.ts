/** Burn rates: both windows have to burn, and too few requests or nobody's knowledge are no verdict. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { burns, type Counted } from "../../../model/alerts/burn.ts";

const MINUTE = 60_000;
/** Error shares over 5m, 30m, 1h and 6h, of 10,000 requests each. */
function counted(shares: readonly (number | undefined)[], served = 10_000) {
  return (window: number): Counted => {
    const share = shares[[5, 30, 60, 360].indexOf(window / MINUTE)];
    if (share === undefined) return { requests: 0, served: 0, errors: 0, known: 0 };
    return { requests: served, served, errors: served * share, known: window };
  };
}

const CASES: readonly (readonly [string, readonly (number | undefined)[], boolean | undefined])[] = [
  ["nothing fails", [0, 0, 0, 0], false],
  ["14.4 × over 1h and 5m", [0.0145, 0, 0.0145, 0], true],
  ["just below", [0.0143, 0, 0.0143, 0], false],
  ["an hour that was bad and is over", [0, 0, 0.05, 0], false],
  ["five minutes in a good hour", [0.05, 0, 0.001, 0], false],
  ["6 × over 6h and 30m", [0, 0.0061, 0, 0.0061], true],
  ["six hours that were bad and are over", [0, 0, 0, 0.02], false],
  ["nobody knows", [undefined, undefined, undefined, undefined], undefined],
  ["the fast pair burns, of the slow one nobody knows", [0.02, undefined, 0.02, undefined], true],
  ["the fast pair does not, of the slow one nobody knows", [0, undefined, 0, undefined], undefined],
];
for (const [name, shares, expected] of CASES) {
  test(name, () => assert.equal(burns(0.999, 20, counted(shares)).holds, expected));
}

test("of too few requests nothing is said", () => {
  assert.equal(burns(0.999, 20, counted([1, 1, 1, 1], 19)).holds, false);
  const { holds, says } = burns(0.999, 20, counted([1, 1, 1, 1], 20));
  assert.equal(holds, true);
  assert.equal(says, "the error budget burns 1000 × as fast as it may over 1h and 5m");
});
