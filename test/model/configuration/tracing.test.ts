/** What `gateway.yaml` says of tracing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULT_TRACING } from "../../../model/gateway-settings.ts";
import { places, valid } from "./fixture.ts";

const tracing = (text: string) => valid({ "gateway.yaml": `tracing: ${text}\n` }).gateway.tracing;

test("what is not said is the default, and header names are read in lower case", () => {
  assert.equal(valid({ "gateway.yaml": "underscores: refuse\n" }).gateway.tracing, undefined);
  assert.deepEqual(tracing("{}"), DEFAULT_TRACING);
  assert.deepEqual(tracing("{ sample: 0.1%, slow: 250ms, parents: 5/s, headers: [ X-Shop ] }"), {
    sample: 0.001,
    slow: 250,
    parents: 5,
    headers: ["x-shop"],
  });
});

test("what may not be said is refused where it stands", () => {
  for (const [text, place] of [
    ["{ sample: 101% }", "gateway.yaml:1:20: out-of-range"],
    ["{ slow: never }", "gateway.yaml:1:18: invalid-duration"],
    ["{ parents: 0/s }", "gateway.yaml:1:21: out-of-range"],
    ["{ headers: [ a b ] }", "gateway.yaml:1:23: invalid-header"],
    ["{ collector: http://a }", "gateway.yaml:1:12: unknown-field"],
  ] as const) {
    assert.deepEqual(places({ "gateway.yaml": `tracing: ${text}\n` }), [place], text);
  }
});
