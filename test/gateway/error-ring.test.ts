import assert from "node:assert/strict";
import { test } from "node:test";
import { ErrorRing } from "../../gateway/error-ring.ts";
import { MOST_TRACE_BYTES, MOST_TRACES, type RequestTrace } from "../../model/request-trace.ts";
import { recorded } from "./tracing/support.ts";

let n = 0;
function trace(changes: Partial<RequestTrace> = {}): RequestTrace {
  n++;
  return { ...recorded().trace, at: n, kind: "failed", gateway: "gw", ...changes };
}

test("each route and unit keeps its newest, and the noisy ones take no other's place", () => {
  const ring = new ErrorRing();
  const quiet = trace({ unit: "hz", route: "hall" });
  ring.add(quiet);
  for (let i = 0; i < 1_000; i++) ring.add(trace({ unit: "sh" }));
  ring.add(trace({ unit: "sh", kind: "slow" }));
  assert.deepEqual(ring.list({ unit: "hz" }), [quiet]);
  assert.equal(ring.list({ unit: "sh", kind: "failed" }).length, 32);
  assert.equal(ring.list({ kind: "slow" }).length, 1);
  const all = ring.list({});
  assert.deepEqual(
    all,
    [...all].sort((a, b) => b.at - a.at),
  );
  assert.equal(ring.list({ since: all[0]!.at }).length, 1);
  assert.equal(ring.list({ trace: "nobody" }).length, 0);
});

test("a thousand units that fail do not fill the memory", () => {
  const ring = new ErrorRing();
  for (let i = 0; i < 20_000; i++) ring.add(trace({ unit: `u${i % 1_000}` }));
  let kept = 0;
  for (let i = 0; i < 1_000; i++) kept += ring.list({ unit: `u${i}` }).length;
  assert.equal(kept, 2_000);
  assert.equal(ring.list({}).length, 500, "one answer is bounded, too");
});

test("nothing waits for a control plane that nobody follows; the first report tells the newest of before", () => {
  const ring = new ErrorRing();
  for (let i = 0; i < 500; i++) ring.add(trace({ unit: `u${i % 100}` }));
  assert.equal(ring.dropped, 0);
  const newest = ring.list({}).slice(0, 200).reverse();
  assert.deepEqual(ring.take(), newest.slice(0, MOST_TRACES));
});

test("a report takes so many and so many bytes; what it does not take, the next one does", () => {
  const ring = new ErrorRing();
  ring.take();
  const first = Array.from({ length: 60 }, () => trace());
  for (const one of first) ring.add(one);
  const told = ring.take();
  assert.deepEqual(told, first.slice(0, MOST_TRACES));
  ring.told(told, undefined);
  assert.deepEqual(ring.take(), told, "nobody answered: the same again");
  ring.told(told, 204);
  assert.equal(ring.take().length, 10);
  const path = "x".repeat(10_000);
  for (let i = 0; i < 20; i++) ring.add(trace({ path }));
  const large = ring.take();
  assert.ok(large.length > 3 && large.length < 7);
  assert.ok(JSON.stringify(large).length <= MOST_TRACE_BYTES);
});

test("what a control plane refuses is not told again, and is counted with what found no place", () => {
  const ring = new ErrorRing();
  ring.take();
  for (let i = 0; i < 210; i++) ring.add(trace());
  assert.equal(ring.dropped, 10);
  ring.told(ring.take(), 400);
  assert.equal(ring.dropped, 60);
  ring.add(trace({ path: "x".repeat(100_000) }));
  while (ring.take().length > 0);
  assert.equal(ring.dropped, 61, "one that is larger than any report is in nobody's way");
});
