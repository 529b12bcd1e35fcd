/** An identity provider's keys over hours, with clocks that the test turns. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { IssuerKeys, KeysUnavailable } from "../../../control-plane/auth/issuer-keys.ts";
import { until } from "../../support/gateway.ts";
import { startIssuer, type TestIssuer } from "../../support/issuer.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;

interface Stand {
  readonly issuer: TestIssuer;
  readonly keys: IssuerKeys;
  readonly said: (string | undefined)[];
  /** Looks for the issuer's current key. */
  readonly find: () => Promise<unknown>;
  readonly later: (milliseconds: number) => void;
}

async function stand(t: TestContext): Promise<Stand> {
  t.mock.timers.enable({ apis: ["Date"], now: Date.now() });
  let now = 0;
  const issuer = await startIssuer(t);
  const said: (string | undefined)[] = [];
  const keys = new IssuerKeys({
    issuer: issuer.url,
    monotonic: () => now,
    onChange: (reason) => said.push(reason),
  });
  t.after(() => keys.stop());
  return {
    issuer,
    keys,
    said,
    find: () => {
      const { alg, kid } = issuer.current;
      return keys.find({ alg, kid }, { payload: "", signature: "" });
    },
    later: (milliseconds) => {
      now += milliseconds;
      t.mock.timers.tick(milliseconds);
    },
  };
}

test("old keys are fetched again while they serve, and too old ones serve no longer", async (t) => {
  const { issuer, said, find, later } = await stand(t);
  await Promise.all([find(), find(), find()]);
  assert.equal(issuer.fetches, 1);
  later(9 * MINUTE);
  await find();
  assert.equal(issuer.fetches, 1);
  later(2 * MINUTE);
  await find();
  await until(
    "the second fetch",
    () => issuer.fetches,
    (count) => count === 2,
  );
  issuer.mood = "broken";
  later(11 * MINUTE);
  await find();
  await until(
    "the reason",
    () => said,
    (list) => list.length === 1,
  );
  assert.match(String(said[0]), /openid-configuration answered 500/);
  const asked = issuer.asked.length;
  for (let i = 0; i < 20; i++) await find();
  assert.equal(issuer.asked.length, asked, "an issuer that failed is left alone for a while");
  later(50 * MINUTE);
  await assert.rejects(find(), KeysUnavailable);
  issuer.mood = "well";
  await assert.rejects(find(), KeysUnavailable, "not before the cool-down");
  later(6 * SECOND);
  await find();
  assert.equal(said.length, 2);
  assert.equal(said[1], undefined);
});

test("a key that the issuer withdrew is out at the next fetch", async (t) => {
  const { issuer, keys, find, later } = await stand(t);
  await find();
  const { alg, kid } = issuer.current;
  await issuer.rotate();
  later(6 * SECOND);
  await find();
  assert.equal(issuer.fetches, 2);
  await assert.rejects(keys.find({ alg, kid }, { payload: "", signature: "" }), /no applicable key/);
});

test("what is no set of keys is refused with its reason, and not asked for each time", async (t) => {
  const { issuer, find, later, said } = await stand(t);
  const cases: [string, RegExp][] = [
    [`${issuer.url}/none`, /\/none answered 404/],
    [`${issuer.url}/.well-known/openid-configuration`, /no set of keys/],
    ["ftp://127.0.0.1/keys", /no https URL/],
    ["http://192.0.2.1/keys", /no https URL/],
    ["http://127.0.0.1:1/keys", /ECONNREFUSED|bad port/],
  ];
  for (const [address, words] of cases) {
    issuer.keysAt = address;
    later(6 * SECOND);
    await assert.rejects(find(), words);
    const asked = issuer.asked.length;
    await assert.rejects(find(), KeysUnavailable);
    assert.equal(issuer.asked.length, asked);
  }
  assert.equal(said.length, 1, "said once");
});
