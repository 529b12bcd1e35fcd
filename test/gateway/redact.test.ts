import assert from "node:assert/strict";
import { test } from "node:test";
import { redacted } from "../../gateway/redact.ts";

const SHOWN = { also: new Set(["x-shop", "x-shop-token"]), users: new Set(["x-user-id"]), salt: "s" };
const shown = (...raw: string[]) => redacted(raw, SHOWN);

test("fields that say how are shown, users become pseudonyms, and the rest is a length", () => {
  const fields = shown("Accept", "text/html", "X-User-Id", "42", "X-Anything", "canary", "x-shop", "1");
  assert.deepEqual(Object.keys(fields), ["accept", "x-user-id", "x-anything", "x-shop"]);
  assert.equal(fields.accept, "text/html");
  assert.match(fields["x-user-id"]!, /^user-[0-9a-f]{12}$/);
  assert.equal(fields["x-user-id"], shown("x-user-id", "42")["x-user-id"]);
  assert.notEqual(fields["x-user-id"], redacted(["x-user-id", "42"], { ...SHOWN, salt: "t" })["x-user-id"]);
  assert.equal(fields["x-anything"], "[6 characters]");
  assert.equal(fields["x-shop"], "1");
});

test("secrets are shown nowhere, whatever they are called and wherever they stand", () => {
  const canary = "canary-4f1d";
  const fields = shown(
    ...["Authorization", `Bearer ${canary}`, "Cookie", `sid=${canary}`, "Proxy-Authorization", canary],
    ...[
      "X-Api-Key",
      canary,
      "X-Shop-Token",
      canary,
      "User-Agent",
      `Bearer ${canary}`,
      "Baggage",
      `a=${canary}`,
    ],
    ...["Referer", `https://shop.test/?token=${canary}`, "X-Tidegate-Stress", canary, "X-Session", canary],
    ...["x-request-id", `eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI${canary}.x`, "X-Unknown", canary],
  );
  assert.doesNotMatch(JSON.stringify(fields), new RegExp(canary));
  assert.equal(fields.referer, "https://shop.test/?…");
});

test("a bomb of fields and values is bounded, and a field called __proto__ is a field", () => {
  const bomb = Array.from({ length: 1_000 }, (_, i) => [`x-${"n".repeat(500)}-${i}`, "v"]).flat();
  assert.ok(JSON.stringify(shown(...bomb)).length < 5_000);
  const many = Array.from({ length: 1_000 }, (_, i) => [`x-${i}`, "v".repeat(60_000)]).flat();
  assert.equal(Object.keys(shown(...many)).length, 32);
  assert.equal(shown("user-agent", "v".repeat(60_000))["user-agent"]!.length, 200);
  assert.deepEqual(Object.keys(shown("__proto__", "1", "accept", "a")), ["__proto__", "accept"]);
});
