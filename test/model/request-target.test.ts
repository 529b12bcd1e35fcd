import assert from "node:assert/strict";
import { test } from "node:test";
import { ambiguityOf, hostOf } from "../../model/request-target.ts";

test("paths that can mean only one thing pass, byte for byte", () => {
  for (const path of [
    "/",
    "/a",
    "/a/",
    "/a/b.c",
    "/a..b/c",
    "/...",
    "/.well-known/x",
    "/%E5%95%86",
    "/a%20b",
    "/a%3Ab",
    "/a;v=1/b",
    "/x:y@z!$&'()*+,=~_-",
  ]) {
    assert.equal(ambiguityOf(path), undefined, path);
  }
});

test("paths that two servers could read in two ways are refused", () => {
  const cases: Record<string, RegExp> = {
    "": /begin with a slash/,
    a: /begin with a slash/,
    "//evil/x": /empty segment/,
    "/a//b": /empty segment/,
    "/a/../b": /dot segment/,
    "/a/..": /dot segment/,
    "/./a": /dot segment/,
    "/..;x/a": /dot segment/,
    "/a/%2e%2e/b": /needs no encoding/,
    "/api%2e/admin": /needs no encoding/,
    "/%61pi/x": /needs no encoding/,
    "/a%2fb": /encoded slash/,
    "/a%2Fb": /encoded slash/,
    "/a%5Cb": /encoded slash or backslash/,
    "/api/%252e%252e/x": /encoded twice/,
    "/a\\b": /backslash/,
    "/a%00b": /control character/,
    "/a%0d%0ax": /control character/,
    "/a%7f": /control character/,
    "/a b": /must be percent-encoded/,
    "/a\u0000": /must be percent-encoded/,
    "/\u00e9": /must be percent-encoded/,
    "/a%": /two hexadecimal digits/,
    "/a%4": /two hexadecimal digits/,
    "/a%zz": /two hexadecimal digits/,
    "/a#b": /fragment/,
  };
  for (const [path, expected] of Object.entries(cases))
    assert.match(ambiguityOf(path) ?? "accepted", expected, path);
});

test("hosts: lower case, without port; what is no host is refused", () => {
  assert.equal(hostOf("H050.TEST"), "h050.test");
  assert.equal(hostOf("shop.test:8080"), "shop.test");
  assert.equal(hostOf("[::1]:80"), "[::1]");
  for (const bad of [
    "",
    "a b",
    "a/b",
    "a@b",
    "a:b",
    "a:123456",
    "[::1",
    "[::g]",
    "a,b",
    "a\u0000",
    "é",
    `${"a".repeat(254)}`,
  ]) {
    assert.equal(hostOf(bad), undefined, bad);
  }
});
