/** The format of stress marks: one text per mark, nothing that is half a mark, and no signature that fits two. */
import assert from "node:assert/strict";
import { createPrivateKey, createPublicKey, generateKeyPairSync, sign } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import {
  isRun,
  isSigned,
  keyIdOf,
  LONGEST_MARK,
  MOST_MARK,
  MOST_RATE,
  publicKeyFrom,
  publicText,
  readMark,
  type StressMark,
  signMark,
  wrongTime,
} from "../../model/stress-mark.ts";

/** RFC 8032, section 7.1, test 1: the same key every time. */
const PRIVATE = createPrivateKey({
  key: Buffer.from(
    "302e020100300506032b6570042204209d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    "hex",
  ),
  format: "der",
  type: "pkcs8",
});
const PUBLIC = createPublicKey(PRIVATE);
const OTHER = generateKeyPairSync("ed25519");
const NOW = 1_794_355_200_000;
const MARK: StressMark = {
  fleet: "double11",
  unit: "sh",
  run: "evening-1",
  expires: NOW + 600_000,
  rate: 2_000,
};

const name = fc.stringMatching(/^[a-z0-9][a-z0-9._-]{0,62}$/);
const marks = fc.record({
  fleet: name,
  unit: name,
  run: name,
  expires: fc.integer({ min: 1, max: 999_999_999_999 }).map((s) => s * 1_000),
  rate: fc.option(fc.integer({ min: 1, max: MOST_RATE }), { nil: undefined }),
});

test("a mark is one text, the same for the same key, and says what it was made of", () => {
  const text = signMark(MARK, PRIVATE);
  assert.match(
    text,
    /^v1;fleet=double11;unit=sh;run=evening-1;exp=1794355800;rate=2000;kid=[\w-]{12};sig=[\w-]{86}$/,
  );
  assert.equal(signMark(MARK, PRIVATE), text);
  const read = readMark(text)!;
  const { fleet, unit, run, expires, rate, kid } = read;
  assert.deepEqual({ fleet, unit, run, expires, rate }, MARK);
  assert.equal(kid, keyIdOf(PUBLIC));
  assert.equal(kid, keyIdOf(PRIVATE), "both halves have one name");
  assert.ok(isSigned(read, PUBLIC));
  assert.ok(!isSigned(read, OTHER.publicKey));
});

test("every mark can be read again, and is short enough", () => {
  fc.assert(
    fc.property(marks, (mark) => {
      const text = signMark(mark, PRIVATE);
      assert.ok(text.length <= MOST_MARK);
      const read = readMark(text)!;
      const { fleet, unit, run, expires, rate } = read;
      assert.deepEqual({ fleet, unit, run, expires, rate }, { ...mark });
      assert.ok(isSigned(read, PUBLIC));
    }),
    { numRuns: 100 },
  );
});

test("a mark with one character changed, added or taken out is none", () => {
  const text = signMark(MARK, PRIVATE);
  fc.assert(
    fc.property(
      fc.nat(text.length - 1),
      fc.constantFrom("change", "add", "take"),
      fc.oneof(
        fc.string({ minLength: 1, maxLength: 1 }),
        fc.constantFrom(..."abcdefABCDEF0123456789-_=;,. \t%"),
      ),
      (at, how, by) => {
        const tail = text.slice(how === "add" ? at : at + 1);
        const other = text.slice(0, at) + (how === "take" ? "" : by) + tail;
        if (other === text) return;
        const read = readMark(other);
        assert.ok(read === undefined || !isSigned(read, PUBLIC), other);
      },
    ),
    { numRuns: 3_000 },
  );
});

test("what is no mark is none, however long or strange", { timeout: 60_000 }, () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ maxLength: 2_000 }), fc.string({ unit: "binary" })), (text) => {
      assert.equal(readMark(text), undefined);
      assert.equal(readMark(`v1;fleet=a;unit=b;run=${text};exp=1;kid=${"k".repeat(12)};sig=`), undefined);
    }),
    { numRuns: 2_000 },
  );
  for (const part of ["v1;", ";fleet=", "a", ";sig=", "unit=a;", "-"]) {
    assert.equal(readMark(part.repeat(1_000_000)), undefined);
  }
});

test("one signature is one text: spare bits of base64 do not make another mark", () => {
  const text = signMark(MARK, PRIVATE);
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const same = [...alphabet].filter((last) => {
    const other = text.slice(0, -1) + last;
    const read = readMark(other);
    return read !== undefined && isSigned(read, PUBLIC);
  });
  assert.deepEqual(same, [text.at(-1)!]);
});

test("a signature of the same key on something else is no mark", () => {
  const { signed } = readMark(signMark(MARK, PRIVATE))!;
  const bare = sign(null, Buffer.from(signed), PRIVATE).toString("base64url");
  const read = readMark(`${signed};sig=${bare}`)!;
  assert.ok(!isSigned(read, PUBLIC));
});

test("what could not be read again is not signed", () => {
  for (const wrong of [
    { run: "Evening 1" },
    { run: "a;unit=hz" },
    { run: "" },
    { unit: "s h" },
    { fleet: "" },
    { rate: 0 },
    { rate: 1.5 },
    { rate: MOST_RATE * 10 },
    { expires: 0 },
    { expires: Number.NaN },
  ]) {
    assert.throws(() => signMark({ ...MARK, ...wrong }, PRIVATE), RangeError, JSON.stringify(wrong));
  }
  assert.ok(isRun("evening-1.b_2") && !isRun("Evening") && !isRun("a".repeat(64)) && !isRun("a\n"));
});

test("a mark holds until its second, and for an hour at most", () => {
  assert.equal(wrongTime({ ...MARK, expires: NOW + 1 }, NOW), undefined);
  assert.match(wrongTime({ ...MARK, expires: NOW }, NOW)!, /expired/);
  assert.equal(wrongTime({ ...MARK, expires: NOW + LONGEST_MARK }, NOW), undefined);
  assert.equal(
    wrongTime({ ...MARK, expires: NOW + LONGEST_MARK }, NOW - 200_000),
    undefined,
    "clocks differ",
  );
  assert.match(wrongTime({ ...MARK, expires: NOW + LONGEST_MARK }, NOW - 400_000)!, /longer than an hour/);
});

test("a public key is one line, and nothing else is one", () => {
  const line = publicText(PUBLIC);
  assert.equal(publicText(PRIVATE), line);
  assert.ok(publicKeyFrom(line)!.equals(PUBLIC));
  const x25519 = generateKeyPairSync("x25519").publicKey.export({ type: "spki", format: "der" });
  const rsa = generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey;
  for (const wrong of [
    "",
    "key",
    `${line} `,
    line.slice(1),
    "A".repeat(59).concat("="),
    Buffer.from(x25519).toString("base64"),
    rsa.export({ type: "spki", format: "der" }).toString("base64"),
    PRIVATE.export({ type: "pkcs8", format: "der" }).toString("base64"),
  ]) {
    assert.equal(publicKeyFrom(wrong), undefined, wrong);
  }
});
