import assert from "node:assert/strict";
import { createPrivateKey, generateKeyPairSync, randomBytes } from "node:crypto";
import { test } from "node:test";
import { SESSION_LASTS, Sessions } from "../../../control-plane/auth/session.ts";

const { privateKey } = generateKeyPairSync("ed25519");
const pem = privateKey.export({ type: "pkcs8", format: "pem" });

function sessions(clock: { now: number }, secure = false): Sessions {
  const signingKey = createPrivateKey(pem);
  return new Sessions({ signingKey, secure, now: () => clock.now, random: randomBytes });
}

const cookieOf = (set: string): string => set.split(";")[0]!;

test("a session lasts twelve hours, at every control plane that has the key, beside other cookies", () => {
  const clock = { now: 1_000 };
  const { cookie, expiresAt } = sessions(clock).begin("tg_x");
  assert.equal(expiresAt, 1_000 + SESSION_LASTS);
  const other = sessions(clock);
  assert.equal(other.open(`a=b; ${cookieOf(cookie)}; c=d`)?.token, "tg_x");
  clock.now += SESSION_LASTS - 1;
  assert.equal(other.open(cookieOf(cookie))?.token, "tg_x");
  clock.now += 1;
  assert.equal(other.open(cookieOf(cookie)), undefined);
  assert.equal(other.open(undefined), undefined);
});

test("with TLS the cookie is the host's alone and never leaves it in the clear; no two are the same", () => {
  const secure = sessions({ now: 0 }, true);
  const [one, two] = [secure.begin("t").cookie, secure.begin("t").cookie];
  assert.match(
    one,
    /^__Host-tidegate-session=[\w-]+; Path=\/; Max-Age=43200; HttpOnly; SameSite=Strict; Secure$/,
  );
  assert.notEqual(cookieOf(one), cookieOf(two));
  assert.match(secure.end(), /^__Host-tidegate-session=; Path=\/; Max-Age=0; .*Secure$/);
  assert.equal(sessions({ now: 0 }).open(cookieOf(one)), undefined, "nor is it taken for the other one");
});
