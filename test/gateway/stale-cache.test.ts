import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Asked, type Fields, KIB, POLICY, question, setUp } from "./stale-support.ts";

describe("the last good answer", () => {
  it("is found as it was, with its length and its age, without what belongs to a hop", () => {
    const { clock, cache, serve } = setUp();
    serve(
      {},
      {
        "content-type": "text/html",
        connection: "close, x-hop",
        "x-hop": "1",
        "keep-alive": "timeout=5",
        age: "7",
        etag: '"a"',
        link: ["</a>", "</b>"],
        via: "1.1 cache",
      },
    );
    clock.time += 2_999;
    assert.deepEqual(cache.find(question()), {
      status: 200,
      headers: [
        ...["content-type", "text/html", "etag", '"a"', "link", "</a>", "link", "</b>"],
        ...["via", "1.1 cache, 1.1 tidegate", "content-length", "4", "age", "9"],
      ],
      body: Buffer.from("good"),
      age: 9,
    });
  });

  it("answers HEAD too, and no other method; no other method is kept", () => {
    const { serve, found } = setUp();
    for (const method of ["HEAD", "OPTIONS", "POST", "QUERY"]) serve({ method });
    assert.equal(found(), undefined);
    serve({});
    assert.equal(found({ method: "HEAD" }), "good");
    assert.equal(found({ method: "POST" }), undefined);
  });

  it("is kept of 200 alone", () => {
    const { serve, found } = setUp();
    for (const status of [201, 203, 204, 206, 301, 304, 404, 500, 503]) serve({}, {}, "x", status);
    assert.equal(found(), undefined);
  });

  it("outlives errors, also those that say no-store", () => {
    const { clock, serve, found } = setUp();
    serve({});
    clock.time += 2_000;
    serve({}, { "cache-control": "no-store, private" }, "oops", 503);
    assert.equal(found(), "good");
  });

  it("is the newest, whichever request began first", () => {
    const { clock, cache, serve, found } = setUp();
    const slow = cache.record(question())!;
    assert.ok(slow.head(200, { "content-length": "3" }));
    clock.time += 1_500;
    serve({}, {}, "new");
    slow.data(Buffer.from("old"));
    slow.end();
    assert.equal(found(), "new");
    clock.time += 1_500;
    serve({}, {}, "newer");
    assert.equal(found(), "newer");
    assert.equal(cache.entries, 1);
  });

  it("is gone when the unit says so: 404, 410, no longer to be kept, or changed by an unsafe request", () => {
    const ends: [Asked, Fields, number][] = [
      [{}, {}, 404],
      [{}, {}, 410],
      [{}, { "cache-control": "no-store" }, 200],
      [{}, { "cache-control": "private" }, 200],
      [{ method: "PUT" }, {}, 204],
      [{ method: "POST" }, {}, 303],
    ];
    for (const [asked, fields, status] of ends) {
      const { clock, cache, serve, found } = setUp();
      serve({});
      clock.time += 2_000;
      serve(asked, fields, "x", status);
      assert.equal(found(), undefined, `${asked.method} ${status} ${JSON.stringify(fields)}`);
      assert.equal(cache.bytes, 0);
    }
  });

  it("is not taken from all by what one may not see, or by a change that failed", () => {
    const { clock, serve, found } = setUp();
    serve({});
    clock.time += 2_000;
    serve({ headers: ["cookie", "a=b"] }, { "cache-control": "private" });
    serve({ headers: ["authorization", "Bearer x"] }, {}, "x", 404);
    serve({ method: "PUT" }, {}, "x", 409);
    serve({ method: "PUT", user: "mallory" }, {}, "x", 204);
    assert.equal(found(), "good");
  });

  it("is not copied anew within a second, by nobody", () => {
    const { clock, cache, serve } = setUp();
    serve({});
    clock.time += 999;
    assert.equal(cache.record(question()), undefined);
    clock.time += 1;
    const [first, second] = [cache.record(question())!, cache.record(question())!];
    assert.ok(first.head(200, { "content-length": "1" }));
    assert.equal(second.head(200, { "content-length": "1" }), false);
    clock.time += 1_000;
    assert.ok(cache.record(question())!.head(200, { "content-length": "1" }), "the first is slow");
  });
});

describe("age", () => {
  it("ends with the policy, counted from the request and with the age that the answer came with", () => {
    const { clock, cache, serve, found } = setUp();
    const recorder = cache.record(question())!;
    clock.time += 100_000;
    assert.ok(recorder.head(200, { "content-length": "0", age: "100" }));
    recorder.end();
    clock.time += 400_000;
    assert.equal(cache.find(question())?.age, 600);
    clock.time += 1;
    assert.equal(found(), undefined);
    assert.equal(cache.bytes, 0);
    serve({}, { age: "601" });
    assert.equal(found(), undefined, "it came too old");
  });

  const date = "Tue, 15 Nov 1994 08:12:30 GMT";
  const bounds: [Fields, number][] = [
    [{ "cache-control": "max-age=1" }, 600],
    [{ "cache-control": "s-maxage=30, max-age=300" }, 29],
    [{ "cache-control": "s-maxage=30, stale-if-error=300" }, 29],
    [{ "cache-control": "max-age=10, stale-if-error=20" }, 29],
    [{ "cache-control": 'Max-Age="10", Stale-If-Error=20' }, 29],
    [{ "cache-control": ["max-age=10", "stale-if-error=20, max-age=99"] }, 29],
    [{ "cache-control": "stale-if-error=20" }, 19],
    [{ "cache-control": "max-age=never, stale-if-error=20" }, 19],
    [{ "cache-control": "max-age=-5, stale-if-error=20" }, 19],
    [{ "cache-control": "stale-if-error=20", date, expires: "Tue, 15 Nov 1994 08:12:40 GMT" }, 29],
    [{ "cache-control": "stale-if-error=20", date, expires: "0" }, 19],
    [{ "cache-control": "stale-if-error=20", date, expires: "Tue, 15 Nov 1994 08:00:00 GMT" }, 19],
    [{ "cache-control": `max-age=${"9".repeat(400)}, stale-if-error=1` }, 600],
  ];
  for (const [fields, last] of bounds) {
    it(`ends after ${last} s with ${JSON.stringify(fields).slice(0, 90)}`, () => {
      const { clock, serve, found } = setUp();
      serve({}, fields);
      clock.time += last * 1_000;
      assert.equal(found(), "good");
      clock.time += 1_000;
      assert.equal(found(), undefined);
    });
  }

  it("that nobody can know, or that is over at once, is not kept", () => {
    const headers: Fields[] = [
      { age: "soon" },
      { age: "-1" },
      { age: ["1", "x"] },
      { "cache-control": "s-maxage=0" },
      { "cache-control": "s-maxage=x" },
      { "cache-control": "s-maxage=5", age: "5" },
      { "cache-control": "stale-if-error=x" },
    ];
    for (const fields of headers) {
      const { serve, found } = setUp();
      serve({}, fields);
      assert.equal(found(), undefined, JSON.stringify(fields));
    }
  });
});

describe("an answer is never kept", () => {
  const never: Fields[] = [
    { "set-cookie": "sid=1" },
    { "set-cookie": ["a=1", "b=2"], "cache-control": "public, max-age=60" },
    { "clear-site-data": '"cookies"' },
    { "content-range": "bytes 0-3/9" },
    { "x-tidegate-fallback": "breaker" },
    { pragma: "no-cache" },
    { vary: "*" },
    { vary: ["accept", "origin, *"] },
    { vary: "acc ept" },
    { vary: "x-tidegate-unit" },
    { vary: Array.from({ length: 17 }, (_, i) => `x-${i}`).join(",") },
    { "content-length": "many" },
  ];
  const prohibited = [
    "no-store",
    "No-Store",
    "private",
    'private="set-cookie"',
    'private="a, public"',
    "no-cache",
    'no-cache="set-cookie"',
    "must-revalidate",
    "proxy-revalidate",
    "public, max-age=60,private",
    "max-age=60,\tPRIVATE\t",
    "must-understand, no-store",
    'ext="x, \\" y", private',
    // What cannot be read may have been meant as a prohibition.
    "no-store private",
    "max-age=60; private",
    'ext="never closed, public',
    "public, =",
    "public, max-age = 60",
    "privâte",
  ];
  for (const fields of [
    ...never,
    ...prohibited.map((text): Fields => ({ "cache-control": text })),
    ...prohibited.map((text): Fields => ({ "cache-control": ["public", text] })),
  ]) {
    it(`with ${JSON.stringify(fields).slice(0, 80)}`, () => {
      const { cache, serve, found } = setUp();
      serve({}, fields);
      assert.equal(found(), undefined);
      assert.equal(cache.bytes, 0);
    });
  }

  it("where a comma or a word within quotes only looks like a prohibition, it is", () => {
    const { serve, found } = setUp();
    serve({}, { "cache-control": ' , max-age=5,, ext="no-store, private" , community=UCI' });
    assert.equal(found(), "good");
  });

  it("when only the connection's end ends it", () => {
    const { cache } = setUp();
    assert.equal(cache.record(question())!.head(200, {}), false);
    assert.equal(cache.record(question())!.head(200, { "transfer-encoding": "chunked" }), true);
  });

  it("when the request has a body or an Upgrade, nor given to one that has", () => {
    const { serve, found } = setUp();
    serve({ plain: false });
    assert.equal(found(), undefined);
    serve({});
    assert.deepEqual([found(), found({ plain: false })], ["good", undefined]);
  });

  it("when the request forbids it", () => {
    const { cache } = setUp();
    const requests = [
      ["cache-control", "no-store"],
      ["Cache-Control", "max-age=0, No-Store"],
      ["cache-control", "max-age=0", "cache-control", "no-store"],
      ["cache-control", '"'],
    ];
    for (const headers of requests)
      assert.equal(cache.record(question({ headers })), undefined, `${headers}`);
    assert.notEqual(cache.record(question({ headers: ["cache-control", "no-cache"] })), undefined);
  });
});

describe("another user", () => {
  it("is never given what one user was given, nor is nobody", () => {
    const { serve, found } = setUp();
    serve({ user: "alice" }, {}, "alice's");
    assert.equal(found({ user: "alice" }), "alice's");
    for (const user of ["bob", "", "Alice", undefined]) assert.equal(found({ user }), undefined);
    serve({}, {}, "nobody's");
    assert.equal(found({ user: "bob" }), undefined);
    serve({ user: "" }, {}, "the empty one's");
    assert.equal(found(), "nobody's");
  });

  it("is never given it by a name that reads on into the target, or a target that reads on into the name", () => {
    const { clock, cache, serve, found } = setUp({ ...POLICY, size: 1024 * KIB });
    const values = [undefined, "", "-", "a", "1 a"];
    const asked = ["a", "a/"].flatMap((host) =>
      ["/", "/=", "/=b", "//", "//="].flatMap((target) =>
        [undefined, "", "=", "b", "=b"].flatMap((user) =>
          values.map((value) => ({ host, target, user, headers: value === undefined ? [] : ["x", value] })),
        ),
      ),
    );
    for (const [i, one] of asked.entries()) {
      clock.time += 1;
      serve(one, { vary: "x" }, `${i}`);
    }
    assert.deepEqual(
      asked.map((one) => found(one)),
      asked.map((_, i) => `${i}`),
    );
    assert.equal(cache.entries, asked.length);
  });

  it("of another host, port or query has other answers", () => {
    const { serve, found } = setUp();
    serve({ target: "/hall?a=1" });
    assert.equal(found({ target: "/hall?a=1", host: "SHOP.example" }), "good");
    for (const other of [
      { target: "/hall" },
      { target: "/hall?a=1&" },
      { target: "/Hall?a=1" },
      { target: "/hall?a=1", host: "shop.example:81" },
    ])
      assert.equal(found(other), undefined);
  });

  const credentials = [
    "Authorization",
    "COOKIE",
    "proxy-authorization",
    "x-api-key",
    "X-Auth-Token",
    "x-session-id",
    "x-amz-security-token",
    "apikey",
  ];
  for (const name of credentials) {
    it(`is not given an answer to ${name}, unless it says public`, () => {
      const headers = [name, "mine"];
      const { clock, serve, found } = setUp();
      for (const control of ["max-age=60", "s-maxage=60", "stale-if-error=60", "immutable"]) {
        serve({ headers }, { "cache-control": control });
        serve({ headers, user: "alice" }, { "cache-control": control });
      }
      serve({ headers });
      assert.deepEqual(
        [found(), found({ headers }), found({ headers, user: "alice" })],
        Array(3).fill(undefined),
      );
      serve({ headers }, { "cache-control": "PUBLIC" }, "everybody's");
      assert.deepEqual([found(), found({ headers: [name, "other"] })], ["everybody's", "everybody's"]);
      // And who has them is not given what was said to nobody in particular.
      clock.time += 2_000;
      serve({}, {}, "log in first");
      assert.deepEqual([found(), found({ headers })], ["log in first", undefined]);
    });
  }
});

describe("Vary", () => {
  it("keeps an answer for each, whatever the case of the name", () => {
    const { clock, serve, found } = setUp();
    const german = { headers: ["Accept-Language", "de"] };
    const french = { headers: ["accept-language", "fr"] };
    serve(german, { vary: "ACCEPT-language" }, "gut");
    clock.time += 2_000;
    serve(french, { vary: "accept-Language" }, "bon");
    assert.deepEqual([found(german), found(french)], ["gut", "bon"]);
    assert.deepEqual([found(), found({ headers: ["accept-language", "d"] })], [undefined, undefined]);
    assert.equal(found({ headers: ["accept-language", ""] }), undefined, "empty is not absent");
  });

  it("only grows: what was stored with fewer names is forgotten, and no later answer takes a name away", () => {
    const { clock, cache, serve, found } = setUp();
    serve({}, {}, "for all");
    clock.time += 2_000;
    serve({ headers: ["x-tenant", "a"] }, { vary: "x-tenant" }, "a's");
    assert.deepEqual([found(), found({ headers: ["x-tenant", "a"] })], [undefined, "a's"]);
    clock.time += 2_000;
    serve({ headers: ["x-tenant", "b"] }, {}, "b's");
    assert.deepEqual(
      [found({ headers: ["x-tenant", "a"] }), found({ headers: ["x-tenant", "b"] }), found()],
      ["a's", "b's", undefined],
    );
    assert.equal(cache.entries, 2);
  });

  it("that grows without end is not followed", () => {
    const { clock, cache, serve } = setUp();
    for (let i = 0; i < 16; i++) {
      clock.time += 2_000;
      serve({}, { vary: `x-${i}` });
      assert.equal(cache.entries, 1);
    }
    clock.time += 2_000;
    serve({}, { vary: "x-16" });
    assert.equal(cache.entries, 0);
  });

  it("applies when it came while the answer was recorded", () => {
    const { clock, cache, serve, found } = setUp();
    const recorder = cache.record(question({ headers: ["x-tenant", "a"] }))!;
    assert.ok(recorder.head(200, { "content-length": "0" }));
    clock.time += 1;
    serve({ headers: ["x-tenant", "b"] }, { vary: "x-tenant" }, "b's");
    recorder.end();
    assert.deepEqual(
      [found({ headers: ["x-tenant", "a"] }), found({ headers: ["x-tenant", "b"] })],
      ["", "b's"],
    );
    assert.equal(found(), undefined);
  });
});
