import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { StaleCache } from "../../gateway/stale-cache.ts";
import { type Fields, KIB, POLICY, question, setUp } from "./stale-support.ts";

describe("a recorder", () => {
  it("stores nothing without its end, and lets go of what it held", () => {
    const { cache, found } = setUp();
    const recorder = cache.record(question())!;
    assert.ok(recorder.head(200, { "content-length": "8" }));
    recorder.data(Buffer.from("half"));
    assert.equal(found(), undefined);
    assert.ok(cache.bytes > 0);
    recorder.abandon();
    assert.equal(cache.bytes, 0);
    recorder.data(Buffer.from("half"));
    recorder.end();
    assert.equal(found(), undefined);
    assert.equal(cache.bytes, 0);
  });

  it("stores nothing that is shorter or longer than was said, or larger than is kept", () => {
    const cases: [Fields, number][] = [
      [{ "content-length": "8" }, 7],
      [{ "content-length": "8" }, 9],
      [{ "content-length": `${16 * KIB + 1}` }, 16 * KIB + 1],
      [{ "transfer-encoding": "chunked" }, 16 * KIB + 1],
      [{ "transfer-encoding": "chunked", "content-length": "3" }, 16 * KIB + 1],
    ];
    for (const [fields, length] of cases) {
      const { cache, found } = setUp();
      const recorder = cache.record(question())!;
      if (recorder.head(200, fields)) {
        for (let i = 0; i < length; i++) recorder.data(Buffer.of(i));
        recorder.end();
      }
      assert.deepEqual([found(), cache.bytes], [undefined, 0], JSON.stringify(fields));
    }
  });

  it("copies what it is given, in pieces of any size", () => {
    const { cache } = setUp();
    for (const chunked of [true, false]) {
      const target = `/${chunked}`;
      const text = Buffer.from(Array.from({ length: 16 * KIB }, (_, i) => (i * 31) & 0xff));
      const recorder = cache.record(question({ target }))!;
      const length: Fields = chunked
        ? { "transfer-encoding": "chunked" }
        : { "content-length": `${text.length}` };
      assert.ok(recorder.head(200, length));
      const shared = Buffer.alloc(5_000);
      for (let i = 0; i < text.length; i += 4_999) {
        const part = text.subarray(i, i + 4_999);
        part.copy(shared);
        recorder.data(shared.subarray(0, part.length));
      }
      shared.fill(0);
      recorder.end();
      assert.deepEqual(cache.find(question({ target }))?.body, text);
    }
  });
});

describe("memory", () => {
  it("is never more than it may be, whatever is asked, sent and broken off", () => {
    const step = fc.record({
      act: fc.constantFrom("serve", "begin", "more", "end", "abandon", "find", "resize"),
      target: fc.integer({ min: 0, max: 30 }).map((n) => `/${n}`),
      tenant: fc.constantFrom("a", "b"),
      vary: fc.constantFrom("", "x-tenant"),
      length: fc.oneof(fc.integer({ min: 0, max: 200 }), fc.integer({ min: 0, max: 20_000 })),
      chunked: fc.boolean(),
      wait: fc.constantFrom(0, 1, 1_000, 700_000),
    });
    fc.assert(
      fc.property(
        fc.integer({ min: 2 * KIB, max: 64 * KIB }),
        fc.array(step, { minLength: 1, maxLength: 150 }),
        (size, steps) => {
          let policy = { for: 600_000, size, largest: 16 * KIB };
          const { clock, cache, serve } = setUp(policy);
          const open: NonNullable<ReturnType<StaleCache["record"]>>[] = [];
          for (const { act, target, tenant, vary, length, chunked, wait } of steps) {
            clock.time += wait;
            const asked = { target, headers: ["x-tenant", tenant] };
            const fields: Fields = chunked
              ? { vary, "transfer-encoding": "chunked" }
              : { vary, "content-length": `${length}` };
            if (act === "serve") serve(asked, fields, "x".repeat(length));
            else if (act === "begin") {
              const recorder = cache.record(question(asked));
              if (recorder?.head(200, fields)) open.push(recorder);
            } else if (act === "more") open[0]?.data(Buffer.alloc(length));
            else if (act === "end") open.shift()?.end();
            else if (act === "abandon") open.pop()?.abandon();
            else if (act === "find") cache.find(question(asked));
            else {
              policy = { ...policy, size: 2 * KIB + length };
              cache.configure(policy);
            }
            assert.ok(cache.bytes <= policy.size, `${cache.bytes} of ${policy.size} after ${act}`);
            assert.ok(cache.entries * 512 <= policy.size);
          }
          for (const recorder of open) recorder.abandon();
          clock.time += 10_000_000;
          for (const { target, tenant } of steps)
            cache.find(question({ target, headers: ["x-tenant", tenant] }));
          for (let i = 0; i <= 30; i++)
            for (const tenant of ["a", "b", undefined])
              cache.find(
                question({ target: `/${i}`, headers: tenant === undefined ? [] : ["x-tenant", tenant] }),
              );
          assert.deepEqual([cache.bytes, cache.pages], [0, 0], "nothing is held that is not there");
        },
      ),
      { numRuns: 300 },
    );
  });

  /** Pages in use, each asked for `times`, fill a part of the memory. */
  function busy(times: number) {
    const it = setUp();
    const pages = Array.from({ length: 20 }, (_, i) => `/page/${i}`);
    for (let n = 0; n < times; n++) {
      it.clock.time += 1_000;
      for (const target of pages) it.serve({ target }, {}, "good".repeat(KIB));
    }
    const left = () => pages.filter((target) => it.found({ target }) !== undefined).length;
    return { ...it, left };
  }

  it("of pages in use is not to be had by making up queries", () => {
    const { serve, left } = busy(2);
    for (let i = 0; i < 10_000; i++) serve({ target: `/page/1?x=${i}` }, {}, "bad".repeat(KIB));
    assert.equal(left(), 20);
  });

  it("of pages in use is not to be had by asking for each made-up query again and again", () => {
    const { clock, serve, found, left } = busy(60);
    for (let i = 0; i < 60_000; i++) {
      if (i % 1_000 === 0) {
        clock.time += 1_000;
        // Each page is asked for every five seconds.
        for (let n = 0; n < 4; n++) found({ target: `/page/${((i / 1_000) * 4 + n) % 20}` });
      }
      for (let n = 0; n < 3; n++) serve({ target: `/page/1?x=${i}` }, {}, "bad".repeat(100));
    }
    assert.equal(left(), 20);
  });

  it("of pages that nobody asks for is had by made-up queries one after another, not all at once", () => {
    const { clock, serve, left } = busy(60);
    for (let i = 0; i < 30_000; i++) {
      if (i % 1_000 === 0) clock.time += 1_000;
      serve({ target: `/page/1?x=${i}` }, {}, "bad".repeat(KIB));
    }
    assert.ok(left() >= 14, `${left()}`);
  });

  it("of what is used no more is had by what is used now", () => {
    const { clock, serve, found } = busy(60);
    const now = Array.from({ length: 45 }, (_, i) => `/new/${i}`);
    for (let n = 0; n < 300; n++) {
      clock.time += 1_000;
      for (const target of now) serve({ target }, {}, "good".repeat(KIB));
    }
    assert.equal(now.filter((target) => found({ target }) !== undefined).length, 45);
  });

  it("is not held by answers that trickle: the slowest give way to those that come", () => {
    const { cache, serve, found } = setUp();
    for (let i = 0; i < 1_000; i++) {
      const slow = cache.record(question({ target: `/slow/${i}` }))!;
      if (slow.head(200, { "content-length": `${16 * KIB}` })) slow.data(Buffer.alloc(1));
      assert.ok(cache.bytes <= POLICY.size);
    }
    serve({}, {}, "good".repeat(KIB));
    assert.equal(found()?.length, 4 * KIB);
  });
});
