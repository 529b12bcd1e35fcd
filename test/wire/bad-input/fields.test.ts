/** Header fields: malformed ones are refused, claims that only the gateway may make are overwritten. */
import assert from "node:assert/strict";
import test from "node:test";
import { ROUTES } from "../../support/gateway.ts";
import { check, get, HOST, passed, post, refused, say, site, unharmed, values } from "./support.ts";

const bad = { status: 400, type: "bad-request" };
const host = { status: 400, type: "bad-host", closes: false };

const MALFORMED: Record<string, string> = {
  "a folded line": "X-A: b\r\n c\r\n",
  "a folded line with a tab": "X-A: b\r\n\tc\r\n",
  "a fold before the first field": " X-A: b\r\n",
  "a field line ended by a bare LF": "X-A: b\nX-B: c\r\n",
  "a field line ended by a bare CR": "X-A: b\rX-B: c\r\n",
  "a bare CR in a value": "X-A: b\rc\r\n",
  "a space before the colon": "X-A : b\r\n",
  "a tab before the colon": "X-A\t: b\r\n",
  "a space in the name": "X A: b\r\n",
  "an empty name": ": b\r\n",
  "a pseudo header": ":authority: evil.test\r\n",
  "no colon": "nonsense\r\n",
  "NUL in the name": "X\0A: b\r\n",
  "NUL in the value": "X-A: b\0c\r\n",
  "a control byte in the name": "X\x01A: b\r\n",
  "a control byte in the value": "X-A: b\x01c\r\n",
  "a vertical tab in the value": "X-A: b\x0bc\r\n",
  "an escape sequence in the value": "X-A: \x1b[2J\r\n",
  "DEL in the value": "X-A: b\x7fc\r\n",
  "a byte above 127 in the name": "X-\xe4: b\r\n",
  "quotes in the name": '"X-A": b\r\n',
  "parentheses in the name": "X(A): b\r\n",
};

const HOSTS: Record<string, string> = {
  "two Hosts": "Host: a.test\r\nHost: b.test\r\n",
  "two Hosts, the same": "Host: a.test\r\nHost: a.test\r\n",
  "two Hosts in different case": "Host: a.test\r\nhost: b.test\r\n",
  "no Host in HTTP/1.1": "X-A: b\r\n",
  "an empty Host": "Host: \r\n",
  "a Host with a slash": "Host: a.test/x\r\n",
  "a Host with a user": "Host: u@a.test\r\n",
  "a Host with a space": "Host: a test\r\n",
  "a list of Hosts": "Host: a.test, b.test\r\n",
  "a Host with an underscore": "Host: a_b.test:1:2\r\n",
  "a Host with two ports": "Host: a.test:1:2\r\n",
  "a Host with a port that is no number": "Host: a.test:x\r\n",
  "a Host with a long port": "Host: a.test:123456\r\n",
  "a Host with a percent": "Host: a%00.test\r\n",
  "a Host with quotes": 'Host: "a.test"\r\n',
  "a Host with a semicolon": "Host: a.test;b\r\n",
  "a Host with a backslash": "Host: a\\b\r\n",
  "a Host with a question mark": "Host: a.test?x\r\n",
  "a Host with a byte above 127": "Host: \xe4.test\r\n",
  "a Host of 300 bytes": `Host: ${"a".repeat(300)}\r\n`,
  "an unclosed bracket": "Host: [::1\r\n",
  "brackets around a name": "Host: [a.test]\r\n",
};

test("header fields", async (t) => {
  const s = await site(t, ROUTES);
  const sent = async (fields: string) =>
    (await passed(s, get("/hall/x", fields), [{ line: "GET /hall/x HTTP/1.1" }]))[0]!;

  for (const [name, fields] of Object.entries(MALFORMED)) {
    await check(t, `${name}: 400 bad-request`, () =>
      refused(
        s,
        `GET /hall/x HTTP/1.1\r\n${fields.startsWith(" ") ? fields + HOST : HOST + fields}\r\n`,
        bad,
      ),
    );
  }
  await check(t, "the header's end as a bare LF: 400 bad-request", () =>
    refused(s, `GET /hall/x HTTP/1.1\r\n${HOST}\n`, bad),
  );
  for (const [name, fields] of Object.entries(HOSTS)) {
    await check(t, `${name}: 400 bad-host`, () => refused(s, `GET /hall/x HTTP/1.1\r\n${fields}\r\n`, host));
  }
  for (const name of ["X_Forwarded_For", "X_Tidegate_Unit", "X_User_Id", "__proto__", "a_b", "_"]) {
    await check(t, `the name ${name}: 400 ambiguous-header`, () =>
      refused(s, get("/hall/x", `${name}: 1\r\n`), { status: 400, type: "ambiguous-header", closes: false }),
    );
  }

  await check(t, "Host in capitals and with a port arrives as it came", async () => {
    for (const value of ["H050.TEST", "a.test:8080", "A.test:80", "[::1]:80", "127.0.0.1", "a.test."]) {
      const [request] = await passed(s, `GET /hall/x HTTP/1.1\r\nHost: ${value}\r\n\r\n`, [
        { line: "GET /hall/x HTTP/1.1" },
      ]);
      assert.deepEqual(values(request!, "host"), [value]);
      assert.deepEqual(values(request!, "x-forwarded-host"), [value]);
    }
  });
  await check(t, "HTTP/1.0 without a Host is served, and the upstream gets one Host", async () => {
    const [request] = await passed(s, "GET /hall/x HTTP/1.0\r\n\r\n", [{ line: "GET /hall/x HTTP/1.1" }]);
    assert.equal(values(request!, "host").length, 1);
  });
  await check(t, "HTTP/1.0 with two Hosts: 400 bad-host", () =>
    refused(s, "GET /hall/x HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", { status: 400, type: "bad-host" }),
  );

  await check(t, "Connection cannot take our own fields away", async () => {
    const request = await sent(
      "Connection: close, x-tidegate-unit, x-tidegate-epoch, x-forwarded-for, x-forwarded-proto, x-forwarded-host, forwarded, via, traceparent, host, content-length\r\n",
    );
    assert.deepEqual(values(request, "x-tidegate-unit"), ["hz"]);
    assert.deepEqual(values(request, "x-tidegate-epoch").length, 1);
    assert.deepEqual(values(request, "x-forwarded-for"), ["127.0.0.1"]);
    assert.deepEqual(values(request, "x-forwarded-proto"), ["http"]);
    assert.deepEqual(values(request, "x-forwarded-host"), ["a.test"]);
    assert.deepEqual(values(request, "forwarded"), ['for=127.0.0.1;proto=http;host="a.test"']);
    assert.deepEqual(values(request, "via"), ["1.1 tidegate"]);
    assert.deepEqual(values(request, "host"), ["a.test"]);
    assert.equal(values(request, "traceparent").length, 1);
  });
  await check(t, "Connection cannot take a body's framing away", async () => {
    for (const [fields, body] of [
      ["Connection: content-length, close\r\nContent-Length: 5\r\n", "hello"],
      ["Connection: transfer-encoding, close\r\nTransfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"],
    ]) {
      await passed(s, post("/hall/x", fields!, body!), [{ line: "POST /hall/x HTTP/1.1", body: "hello" }]);
    }
  });
  await check(t, "what Connection names is left out, wherever it stands", async () => {
    const request = await sent(
      "X-Before: 1\r\nConnection: X-BEFORE ,, x-after\r\nConnection: x-second\r\nX-After: 1\r\nX-Second: 1\r\nX-Kept: 1\r\n",
    );
    assert.deepEqual(
      request.fields.filter(([n]) => n.startsWith("x-") && !/^x-(forwarded|tidegate)/.test(n)),
      [["x-kept", "1"]],
    );
  });
  await check(t, "hop-by-hop fields are left out", async () => {
    const request = await sent(
      "Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: Basic eDp5\r\nTE: trailers\r\n" +
        "Trailer: X-T\r\nUpgrade: foo\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nConnection: Upgrade, HTTP2-Settings\r\n",
    );
    assert.deepEqual(request.fields.map(([n]) => n).sort(), [
      "connection",
      "forwarded",
      "host",
      "traceparent",
      "via",
      "x-forwarded-for",
      "x-forwarded-host",
      "x-forwarded-proto",
      "x-tidegate-epoch",
      "x-tidegate-unit",
    ]);
    assert.deepEqual(values(request, "connection"), ["keep-alive"]);
  });
  await check(t, "a stranger's claims are overwritten", async () => {
    const request = await sent(
      "X-Tidegate-Unit: sz\r\nX-Tidegate-Slot: 1\r\nX-Tidegate-Epoch: 99\r\n" +
        "X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-For: 10.0.0.2\r\nX-Forwarded-Proto: https\r\n" +
        "X-Forwarded-Host: evil.test\r\nX-Forwarded-Port: 1\r\nX-Forwarded-Prefix: /evil\r\n" +
        "Forwarded: for=10.0.0.1;proto=https\r\nX-Real-IP: 10.0.0.1\r\n",
    );
    assert.deepEqual(
      request.fields.filter(([n]) => /^(x-|forwarded)/.test(n) && n !== "x-tidegate-epoch"),
      [
        ["x-forwarded-for", "127.0.0.1"],
        ["x-forwarded-proto", "http"],
        ["x-forwarded-host", "a.test"],
        ["forwarded", 'for=127.0.0.1;proto=http;host="a.test"'],
        ["x-tidegate-unit", "hz"],
      ],
    );
  });

  await check(t, "a stress mark that nobody signed: 403 stress-mark", () =>
    refused(s, get("/hall/x", "X-TIDEGATE-STRESS: 1\r\n"), {
      status: 403,
      type: "stress-mark",
      closes: false,
    }),
  );
  await check(t, "baggage arrives without what only the gateway may say", async () => {
    const request = await sent(
      "Baggage: a=1;p=%2C, Tidegate.Stress=r,b=2\r\nbaggage: tidegate%2Estress=r, c=3, %74idegate%252estress ;p\r\n",
    );
    assert.deepEqual(values(request, "baggage"), ["a=1;p=%2C,b=2, c=3"]);
    assert.deepEqual(values(await sent("Baggage: tidegate.stress=r\r\n"), "baggage"), []);
    assert.deepEqual(values(await sent("Connection: baggage\r\nBaggage: a=1\r\n"), "baggage"), []);
  });

  await check(t, "values arrive byte for byte", async () => {
    const value = '\xe4\xb8\xad \xff \t "quoted\\" <script> $-{jndi} %0d%0a';
    const request = await sent(`X-A: ${value}\r\nX-Empty:\r\nX-A: again\r\n`);
    assert.deepEqual(values(request, "x-a"), [value, "again"]);
    assert.deepEqual(values(request, "x-empty"), [""]);
  });
  await check(t, "names of object members are only names", async () => {
    const names = ["constructor", "toString", "valueOf", "hasOwnProperty", "isPrototypeOf"];
    const request = await sent(names.map((n) => `${n}: 1\r\n${n}: 2\r\n`).join(""));
    for (const name of names) assert.deepEqual(values(request, name.toLowerCase()), ["1", "2"]);
  });
  for (const type of [
    "foo",
    "text plain",
    "",
    "a/b; charset",
    ";",
    "a/b/c",
    "\xe4",
    'application/json; charset="x',
  ]) {
    await check(t, `Content-Type ${JSON.stringify(type)} is the unit's business`, async () => {
      const [request] = await passed(
        s,
        post("/hall/x", `Content-Type: ${type}\r\nContent-Length: 5\r\n`, "hello"),
        [{ line: "POST /hall/x HTTP/1.1", body: "hello" }],
      );
      assert.deepEqual(values(request!, "content-type"), [type]);
    });
  }
  await check(t, "two Content-Types are the unit's business", () =>
    passed(s, post("/hall/x", "Content-Type: a/b\r\nContent-Type: c/d\r\nContent-Length: 5\r\n", "hello"), [
      { line: "POST /hall/x HTTP/1.1", body: "hello" },
    ]),
  );
  await check(t, "Accept-Version, X-HTTP-Method-Override and Max-Forwards change nothing", () =>
    sent("Accept-Version: 9\r\nX-HTTP-Method-Override: DELETE\r\nMax-Forwards: 0\r\n"),
  );

  await check(t, "Expect: 100-continue: the body is asked for, then the answer comes", async () => {
    const said = await say(s.port, [
      post("/hall/x", "Content-Length: 5\r\nExpect: 100-continue\r\n", ""),
      "hello",
    ]);
    assert.deepEqual(
      said.answers.map((a) => a.status),
      [100, 200],
    );
  });
  await check(t, "Expect: 100-CONTINUE without a body: only the answer", async () => {
    const said = await say(s.port, get("/hall/x", "Expect: 100-CONTINUE\r\n"));
    assert.deepEqual(
      said.answers.map((a) => a.status),
      [200],
    );
  });
  await check(t, "Expect: 100-continue in HTTP/1.0 is passed over (RFC 9110 §10.1.1)", async () => {
    const said = await say(
      s.port,
      `POST /hall/x HTTP/1.0\r\n${HOST}Content-Length: 5\r\nExpect: 100-continue\r\n\r\nhello`,
    );
    assert.deepEqual(
      said.answers.map((a) => a.status),
      [200],
      said.text,
    );
  });
  await check(t, "Expect: 100-continue for no route: refused without asking for the body", () =>
    refused(s, post("/nowhere", "Content-Length: 5\r\nExpect: 100-continue\r\n", ""), {
      status: 404,
      type: "no-route",
    }),
  );
  for (const value of ["200-ok", "100-continue, x", "", "100-continue;x"]) {
    await check(t, `Expect: ${JSON.stringify(value)}: 417 expectation-failed`, () =>
      refused(s, post("/hall/x", `Content-Length: 5\r\nExpect: ${value}\r\n`, "hello"), {
        status: 417,
        type: "expectation-failed",
      }),
    );
  }

  await check(t, "the key header twice with different values: 400 contradictory-partition-key", () =>
    refused(s, get("/cart/1", "X-User-Id: 1\r\nx-user-id: 2\r\n"), {
      status: 400,
      type: "contradictory-partition-key",
      closes: false,
    }),
  );
  await check(t, "the key header twice with one value is one key", () =>
    passed(s, get("/cart/1", "X-User-Id: 1\r\nx-user-id: 1\r\n"), [{ line: "GET /cart/1 HTTP/1.1" }]),
  );
  await check(t, "no key: 400 no-partition-key", () =>
    refused(s, get("/cart/1", "X-User-Id: \r\nCookie: uid=; uidx=1\r\n"), {
      status: 400,
      type: "no-partition-key",
      closes: false,
    }),
  );
  for (const user of [
    "__proto__",
    "constructor",
    "toString",
    "hasOwnProperty",
    "\xff\xfe",
    "x".repeat(10_000),
  ]) {
    await check(
      t,
      `a user called ${JSON.stringify(user.slice(0, 20))} is a user like any other`,
      async () => {
        const slots = new Set<string>();
        const request = async (bytes: string, line: string) => {
          const [got] = await passed(s, bytes, [{ line }]);
          slots.add(values(got!, "x-tidegate-slot").join());
        };
        await request(get("/cart/1", `X-User-Id: ${user}\r\n`), "GET /cart/1 HTTP/1.1");
        await request(get("/cart/1", `Cookie: a=b; uid=${user}\r\n`), "GET /cart/1 HTTP/1.1");
        const query = [...user].map((c) => (c > "\x7f" ? `%${c.charCodeAt(0).toString(16)}` : c)).join("");
        if (user[0] !== "\xff")
          await request(get(`/cart/1?uid=${query}`), `GET /cart/1?uid=${query} HTTP/1.1`);
        assert.equal(slots.size, 1, `one slot, whichever way the user is named: ${[...slots]}`);
        assert.match([...slots][0]!, /^\d+$/);
      },
    );
  }
  await check(t, "cookies and queries named like object members are no users", () =>
    refused(s, get("/cart/1?__proto__=1&constructor=2", "Cookie: __proto__=1; constructor=2\r\n"), {
      status: 400,
      type: "no-partition-key",
      closes: false,
    }),
  );

  await check(t, "the gateway is unharmed", () => unharmed(s));
});

test("claims of a trusted peer", async (t) => {
  const s = await site(t, ROUTES, { "gateway.yaml": "trust: [127.0.0.1/32]\nunderscores: pass\n" });
  const sent = async (fields: string) =>
    (await passed(s, get("/hall/x", fields), [{ line: "GET /hall/x HTTP/1.1" }]))[0]!;

  await check(t, "X-Forwarded-* and Forwarded are kept and appended to", async () => {
    const request = await sent(
      "X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-For: 10.0.0.2\r\nX-Forwarded-Proto: https\r\n" +
        "X-Forwarded-Host: shop.test\r\nX-Forwarded-Port: 443\r\nX-Real-IP: 10.0.0.1\r\n" +
        "Forwarded: for=10.0.0.1;proto=https\r\nVia: 1.0 edge\r\n",
    );
    assert.deepEqual(values(request, "x-forwarded-for"), ["10.0.0.1, 10.0.0.2, 127.0.0.1"]);
    assert.deepEqual(values(request, "x-forwarded-proto"), ["https"]);
    assert.deepEqual(values(request, "x-forwarded-host"), ["shop.test"]);
    assert.deepEqual(values(request, "x-forwarded-port"), ["443"]);
    assert.deepEqual(values(request, "x-real-ip"), ["10.0.0.1"]);
    assert.deepEqual(values(request, "forwarded"), [
      'for=10.0.0.1;proto=https, for=127.0.0.1;proto=http;host="a.test"',
    ]);
    assert.deepEqual(values(request, "via"), ["1.0 edge, 1.1 tidegate"]);
  });
  await check(t, "x-tidegate-* is nobody's to claim", async () => {
    const request = await sent("X-Tidegate-Unit: sz\r\nX-Tidegate-Slot: 3\r\nX-Tidegate-Epoch: 99\r\n");
    assert.deepEqual(values(request, "x-tidegate-unit"), ["hz"]);
    assert.deepEqual(values(request, "x-tidegate-slot"), []);
    assert.equal(values(request, "x-tidegate-epoch").length, 1);
    assert.notEqual(values(request, "x-tidegate-epoch")[0], "99");
  });
  await check(t, "names with underscores pass where gateway.yaml says so, but not as our own", async () => {
    const request = await sent("__proto__: 1\r\na_b: 2\r\n__proto__: 3\r\n");
    assert.deepEqual(values(request, "__proto__"), ["1", "3"]);
    assert.deepEqual(values(request, "a_b"), ["2"]);
  });
  await check(t, "Transfer_Encoding and Content_Length are refused even so", async () => {
    for (const name of ["Transfer_Encoding", "Content_Length"]) {
      await refused(s, post("/hall/x", `${name}: 5\r\nContent-Length: 5\r\n`, "hello"), {
        status: 400,
        type: "ambiguous-header",
      });
    }
  });
  await check(t, "X_Tidegate_Unit is refused even so", () =>
    refused(s, get("/hall/x", "X_Tidegate_Unit: sz\r\n"), {
      status: 400,
      type: "ambiguous-header",
      closes: false,
    }),
  );

  await check(t, "the gateway is unharmed", () => unharmed(s));
});
