/** The wire form of spans, against the protocol's own rules. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ProtobufWriter } from "../../../gateway/tracing/protobuf.ts";
import { exportRequest, spansOf } from "../../../gateway/tracing/spans.ts";
import { recorded } from "./support.ts";

const RESOURCE = { gateway: "gw", fleet: "test", version: "1", region: undefined };

test("numbers, texts and messages are written as Protocol Buffers say", () => {
  const out = new ProtobufWriter(1);
  out.number(1, 150);
  assert.equal(out.written.toString("hex"), "089601");
  out.string(2, "testing");
  assert.equal(out.written.subarray(3).toString("hex"), "120774657374696e67");
  const negative = new ProtobufWriter(1);
  negative.integer(3, -1);
  assert.equal(negative.written.toString("hex"), "18ffffffffffffffffff01");
  const fixed = new ProtobufWriter(1);
  fixed.fixed64(1, 0x0102030405060708n);
  fixed.fixed32(2, 0x01020304);
  assert.equal(fixed.written.toString("hex"), "0908070605040302011504030201");
  const large = new ProtobufWriter(1);
  large.number(1, 2 ** 40);
  assert.equal(large.written.toString("hex"), "08808080808020");
});

test("a message knows its length, however long, and however deep", () => {
  for (const length of [0, 1, 125, 126, 127, 128, 16_381, 16_384, 70_000]) {
    const out = new ProtobufWriter(4);
    out.message(1, () => out.message(2, () => out.string(3, "x".repeat(length))));
    assert.deepEqual(read(read(out.written).get(1)![0] as Buffer).get(2)!.length, 1);
    const inner = read(read(read(out.written).get(1)![0] as Buffer).get(2)![0] as Buffer);
    assert.equal(String(inner.get(3)![0]).length, length);
  }
});

test("a record is a SERVER span with one CLIENT span per attempt", () => {
  const one = recorded({ status: 200 });
  const bytes = exportRequest([one], RESOURCE);
  const spans = spansIn(bytes);
  assert.equal(spans.length, spansOf(one));
  const [server, first, second] = spans;
  assert.equal((server!.get(1)![0] as Buffer).toString("hex"), one.trace.traceId);
  assert.equal((server!.get(4)![0] as Buffer).toString("hex"), one.parentSpanId);
  assert.equal(server!.get(6)![0], 2n);
  assert.equal(server!.get(7)![0], 1_700_000_000_000_250_000n);
  assert.equal(server!.get(8)![0], 1_700_000_000_100_250_000n);
  for (const client of [first, second]) {
    assert.equal((client!.get(4)![0] as Buffer).toString("hex"), one.trace.spanId);
    assert.equal(client!.get(6)![0], 3n);
  }
  assert.ok(first!.has(15) && !second!.has(15), "the first attempt failed and the second did not");
  assert.ok(!server!.has(15), "a request that was answered well in the end is no error");
  // Sampled, and the parent is known to be another process's.
  assert.equal(server!.get(16)![0], 0x301n);
});

test("a unit's 500 and a refusal are errors, a 404 and a client that left are none", () => {
  const isError = (changes: object): boolean =>
    spansIn(exportRequest([recorded({ attempts: [], ...changes })], RESOURCE))[0]!.has(15);
  assert.equal(isError({ status: 500 }), true);
  assert.equal(isError({ status: 200, problem: "upstream-reset" }), true);
  assert.equal(isError({ status: 404 }), false);
  assert.equal(isError({ status: 499, problem: "client-closed" }), false);
});

test("a method that nobody knows does not become a name of its own", () => {
  const [span] = spansIn(exportRequest([recorded({ method: "BREW" })], RESOURCE));
  assert.equal(String(span!.get(5)![0]), "HTTP /cart/*");
});

type Fields = Map<number, (bigint | Buffer)[]>;

function spansIn(bytes: Buffer): Fields[] {
  const resource = read(read(bytes).get(1)![0] as Buffer);
  const scope = read(resource.get(2)![0] as Buffer);
  return scope.get(2)!.map((span) => read(span as Buffer));
}

/** A reader as simple as the writer. */
function read(bytes: Buffer): Fields {
  const fields: Fields = new Map();
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++]!;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const tag = Number(varint());
    const field = tag >> 3;
    let value: bigint | Buffer;
    if ((tag & 7) === 0) value = varint();
    else if ((tag & 7) === 1) {
      value = bytes.readBigUInt64LE(at);
      at += 8;
    } else if ((tag & 7) === 5) {
      value = BigInt(bytes.readUInt32LE(at));
      at += 4;
    } else {
      assert.equal(tag & 7, 2, `field ${field}`);
      const length = Number(varint());
      value = bytes.subarray(at, at + length);
      at += length;
      assert.ok(at <= bytes.length, "no length goes beyond the end");
    }
    fields.set(field, [...(fields.get(field) ?? []), value]);
  }
  return fields;
}
