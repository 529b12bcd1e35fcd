import assert from "node:assert/strict";
import { test } from "node:test";
import { gatewaysOf } from "../../../control-plane/auth/client-certificate.ts";

test("a certificate's gateways are its URIs, else its DNS names, else its common name", () => {
  const cases: [string | undefined, unknown, string[]][] = [
    [undefined, "one", ["one"]],
    ["", "one", ["one"]],
    ["URI:tidegate:gateway:one", "two", ["one"]],
    ["DNS:a.example, URI:tidegate:gateway:one, IP Address:10.0.0.1", "two", ["one"]],
    ["URI:tidegate:gateway:one, URI:tidegate:gateway:two", undefined, ["one", "two"]],
    ["DNS:a.example, DNS:b.example", "two", ["a.example", "b.example"]],
    ["URI:https://example.com/, DNS:one", "two", ["one"]],
    // With other names, the common name says nothing (RFC 6125).
    ["email:one@example.com", "one", []],
    [undefined, ["one", "two"], []],
    [undefined, "no gateway's name", []],
    ["URI:tidegate:gateway:", undefined, []],
    ["URI:tidegate:gateway:../x", undefined, []],
  ];
  for (const [alternatives, commonName, expected] of cases) {
    assert.deepEqual(gatewaysOf(alternatives, commonName), expected, `${alternatives} ${commonName}`);
  }
});

test("a name with commas in it cannot pass for several", () => {
  // Node quotes such values (CVE-2021-44532).
  const quoted = 'DNS:"evil, URI:tidegate:gateway:one, DNS:x"';
  assert.deepEqual(gatewaysOf(quoted, undefined), []);
  const escaped = String.raw`DNS:"evil\", URI:tidegate:gateway:one, DNS:\"x"`;
  assert.deepEqual(gatewaysOf(escaped, undefined), []);
  assert.deepEqual(gatewaysOf('DNS:"evil, URI:tidegate:gateway:one', "one"), [], "cut off");
  assert.deepEqual(gatewaysOf(`${quoted}, URI:tidegate:gateway:two`, undefined), ["two"]);
});
