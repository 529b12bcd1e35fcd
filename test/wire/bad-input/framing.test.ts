/** A body whose length can be read in two ways is how one client's bytes become another client's request. */
import assert from "node:assert/strict";
import test from "node:test";
import { ROUTES } from "../../support/gateway.ts";
import { Client, check, HOST, passed, plain, reached, refused, site, unharmed } from "./support.ts";

const SMUGGLED = "GET /hall/smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n";

const bad = { status: 400, type: "bad-request" };
const length = { status: 400, type: "ambiguous-length" };
const coding = { status: 501, type: "unsupported-transfer-coding" };

/** Fields and body of a POST, and the refusal. */
const REFUSED: Record<string, [fields: string, body: string, expected: { status: number; type: string }]> = {
  "Content-Length, then Transfer-Encoding": [
    "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n",
    `0\r\n\r\n${SMUGGLED}`,
    bad,
  ],
  "Transfer-Encoding, then Content-Length": [
    "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n",
    `0\r\n\r\n${SMUGGLED}`,
    bad,
  ],
  "Content-Length twice, the same": ["Content-Length: 5\r\nContent-Length: 5\r\n", "hello", bad],
  "Content-Length twice, different": ["Content-Length: 5\r\nContent-Length: 0\r\n", `hello${SMUGGLED}`, bad],
  "Content-Length that is a list": ["Content-Length: 5, 5\r\n", "hello", bad],
  "Content-Length that is a list of two": ["Content-Length: 5, 0\r\n", "hello", bad],
  "empty Content-Length": ["Content-Length: \r\n", "hello", bad],
  "negative Content-Length": ["Content-Length: -5\r\n", "hello", bad],
  "Content-Length with a plus": ["Content-Length: +5\r\n", "hello", bad],
  "hexadecimal Content-Length": ["Content-Length: 0x5\r\n", "hello", bad],
  "fractional Content-Length": ["Content-Length: 5.0\r\n", "hello", bad],
  "Content-Length with a space inside": ["Content-Length: 5 0\r\n", "hello", bad],
  "quoted Content-Length": ['Content-Length: "5"\r\n', "hello", bad],
  "Content-Length of 2^64 + 5": ["Content-Length: 18446744073709551621\r\n", "hello", bad],
  "Content-Length of 2^64 - 1": ["Content-Length: 18446744073709551615\r\n", "hello", length],
  "Content-Length beyond what a number holds exactly": [
    "Content-Length: 9007199254740993\r\n",
    "hello",
    length,
  ],
  xchunked: ["Transfer-Encoding: xchunked\r\n", `5\r\nhello\r\n0\r\n\r\n`, coding],
  "chunked, identity": ["Transfer-Encoding: chunked, identity\r\n", "5\r\nhello\r\n0\r\n\r\n", bad],
  identity: ["Transfer-Encoding: identity\r\n", "hello", coding],
  gzip: ["Transfer-Encoding: gzip\r\n", "hello", coding],
  "gzip, chunked": ["Transfer-Encoding: gzip, chunked\r\n", "5\r\nhello\r\n0\r\n\r\n", coding],
  "chunked, chunked": ["Transfer-Encoding: chunked, chunked\r\n", "5\r\nhello\r\n0\r\n\r\n", bad],
  "a vertical tab before chunked": ["Transfer-Encoding: \x0bchunked\r\n", "5\r\nhello\r\n0\r\n\r\n", bad],
  "a form feed behind chunked": ["Transfer-Encoding: chunked\x0c\r\n", "5\r\nhello\r\n0\r\n\r\n", bad],
  "chunked in quotes": ['Transfer-Encoding: "chunked"\r\n', "5\r\nhello\r\n0\r\n\r\n", coding],
  "chunked with a parameter": ["Transfer-Encoding: chunked;q=1\r\n", "5\r\nhello\r\n0\r\n\r\n", coding],
  "empty Transfer-Encoding": ["Transfer-Encoding: \r\n", "5\r\nhello\r\n0\r\n\r\n", bad],
  "Transfer-Encoding twice": [
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "5\r\nhello\r\n0\r\n\r\n",
    bad,
  ],
  "Transfer-Encoding twice, the second unknown": [
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n",
    `5\r\nhello\r\n0\r\n\r\n${SMUGGLED}`,
    bad,
  ],
  "Transfer-Encoding twice, the first unknown": [
    "Transfer-Encoding: cow\r\nTransfer-Encoding: chunked\r\n",
    `5\r\nhello\r\n0\r\n\r\n${SMUGGLED}`,
    coding,
  ],
  Transfer_Encoding: [
    "Transfer_Encoding: chunked\r\nContent-Length: 5\r\n",
    "0\r\n\r\n",
    { status: 400, type: "ambiguous-header" },
  ],
  Content_Length: ["Content_Length: 5\r\n", "hello", { status: 400, type: "ambiguous-header" }],
  "Transfer-Encoding folded onto two lines": [
    "Transfer-Encoding:\r\n chunked\r\n",
    "5\r\nhello\r\n0\r\n\r\n",
    bad,
  ],
  "a space before Transfer-Encoding's colon": [
    "Transfer-Encoding : chunked\r\nContent-Length: 5\r\n",
    "0\r\n\r\n",
    bad,
  ],
  "a space before Content-Length's colon": ["Content-Length : 5\r\n", "hello", bad],
};

/** What comes after the head of a chunked POST. */
const CHUNKS: Record<string, string> = {
  "negative chunk size": `-5\r\nhello\r\n0\r\n\r\n`,
  "chunk size of 2^68 - 1": `FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n`,
  "chunk size that overflows to 5": `10000000000000005\r\nhello\r\n0\r\n\r\n`,
  "chunk size with 0x": `0x5\r\nhello\r\n0\r\n\r\n`,
  "chunk size with a plus": `+5\r\nhello\r\n0\r\n\r\n`,
  "chunk size that is empty": `\r\nhello\r\n0\r\n\r\n`,
  "chunk size with a space before": ` 5\r\nhello\r\n0\r\n\r\n`,
  "chunk size with a space behind": `5 \r\nhello\r\n0\r\n\r\n`,
  "chunk size with a tab behind": `5\t\r\nhello\r\n0\r\n\r\n`,
  "chunk size with an underscore": `0_5\r\nhello\r\n0\r\n\r\n`,
  "chunk size line ended by a bare LF": `5\nhello\r\n0\r\n\r\n`,
  "chunk size line ended by a bare CR": `5\rhello\r\n0\r\n\r\n`,
  "chunk data ended by a bare LF": `5\r\nhello\n0\r\n\r\n`,
  "chunk data without its CRLF": `5\r\nhello0\r\n\r\n`,
  "chunk data longer than its size": `3\r\nhello\r\n0\r\n\r\n`,
  "last chunk ended by a bare LF": `5\r\nhello\r\n0\n\n`,
  "last chunk, then a bare LF": `5\r\nhello\r\n0\r\n\n${SMUGGLED}`,
  "chunk extension with a bare LF inside": `5;a\nb\r\nhello\r\n0\r\n\r\n`,
  "chunk extension with a bare CR inside": `5;a\rb\r\nhello\r\n0\r\n\r\n`,
  "chunk extension of 100 kB": `5;${"a".repeat(100_000)}\r\nhello\r\n0\r\n\r\n`,
  "trailer without a colon": `5\r\nhello\r\n0\r\nnonsense\r\n\r\n`,
  "trailer folded": `5\r\nhello\r\n0\r\na: b\r\n c\r\n\r\n`,
  "trailer with a space before the colon": `5\r\nhello\r\n0\r\na : b\r\n\r\n`,
  "Content-Length in the trailers": "5\r\nhello\r\n0\r\nContent-Length: 50\r\n\r\n",
  "Transfer-Encoding in the trailers, not chunked": "5\r\nhello\r\n0\r\nTransfer-Encoding: cow\r\n\r\n",
};

test("bodies whose length can be read in two ways", async (t) => {
  const s = await site(t, ROUTES);

  for (const [name, [fields, body, expected]] of Object.entries(REFUSED)) {
    await check(t, `${name}: ${expected.status} ${expected.type}`, () =>
      refused(s, `POST /hall/x HTTP/1.1\r\n${HOST}${fields}\r\n${body}`, expected),
    );
  }
  for (const version of ["1.0", "0.9", "2.0"]) {
    await check(t, `Transfer-Encoding in HTTP/${version} is refused`, () =>
      refused(
        s,
        `POST /hall/x HTTP/${version}\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`,
        version === "1.0" ? length : { status: 400, type: "bad-request" },
      ),
    );
  }
  await check(t, "100 kB of trailers: 431 headers-too-large", () =>
    refused(
      s,
      `POST /hall/x HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n0\r\n${`a: ${"b".repeat(1_000)}\r\n`.repeat(100)}\r\n`,
      { status: 431, type: "headers-too-large" },
    ),
  );
  for (const [name, body] of Object.entries(CHUNKS)) {
    await check(t, `${name}: 400 bad-request`, () =>
      refused(s, `POST /hall/x HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n${body}`, bad),
    );
  }

  await check(t, "the gateway is unharmed", () => unharmed(s));
});

test("bodies with one reading arrive exactly", async (t) => {
  const s = await site(t, ROUTES);
  const chunked = (method: string, body: string, field = "Transfer-Encoding: chunked"): string =>
    `${method} /hall/x HTTP/1.1\r\n${HOST}${field}\r\n\r\n${body}`;

  await check(t, "Transfer-Encoding with spaces around chunked", () =>
    passed(s, chunked("POST", "5\r\nhello\r\n0\r\n\r\n", "Transfer-Encoding: \t chunked  "), [
      { line: "POST /hall/x HTTP/1.1", body: "hello" },
    ]),
  );
  await check(t, "Transfer-Encoding in capitals", () =>
    passed(s, chunked("POST", "5\r\nhello\r\n0\r\n\r\n", "TRANSFER-ENCODING: CHUNKED"), [
      { line: "POST /hall/x HTTP/1.1", body: "hello" },
    ]),
  );
  await check(t, "chunk extensions are taken off", () =>
    passed(s, chunked("POST", '3;a=b;c="d"\r\nhel\r\n2\r\nlo\r\n0;e\r\n\r\n'), [
      { line: "POST /hall/x HTTP/1.1", body: "hello" },
    ]),
  );
  await check(t, "20 kB of chunk extensions in sum, 1 kB each", () =>
    passed(s, chunked("POST", `${`1;${"a".repeat(1_000)}\r\nx\r\n`.repeat(20)}0\r\n\r\n`), [
      { line: "POST /hall/x HTTP/1.1", body: "x".repeat(20) },
    ]),
  );
  await check(t, "chunk sizes with leading zeros and in capitals", () =>
    passed(s, chunked("POST", `0000005\r\nhello\r\nA\r\n0123456789\r\n000\r\n\r\n`), [
      { line: "POST /hall/x HTTP/1.1", body: "hello0123456789" },
    ]),
  );
  await check(t, "trailers that claim a host, a user or a unit change nothing", async () => {
    const [request] = await passed(
      s,
      chunked("POST", "5\r\nhello\r\n0\r\nHost: evil.test\r\nX-User-Id: 7\r\nX-Tidegate-Unit: sz\r\n\r\n"),
      [{ line: "POST /hall/x HTTP/1.1", body: "hello" }],
    );
    for (const [name, value] of request!.fields) {
      if (["evil.test", "7", "sz"].includes(value)) throw new Error(`${name}: ${value} passed`);
    }
  });
  await check(t, "a chunked body that is a request stays a body", () =>
    passed(s, chunked("POST", `${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n0\r\n\r\n`), [
      { line: "POST /hall/x HTTP/1.1", body: SMUGGLED },
    ]),
  );
  await check(t, "a measured body that is a request stays a body", () =>
    passed(s, `POST /hall/x HTTP/1.1\r\n${HOST}Content-Length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}`, [
      { line: "POST /hall/x HTTP/1.1", body: SMUGGLED, framing: "length" },
    ]),
  );
  await check(t, "a body that is a chunked end stays a body", () =>
    passed(s, `POST /hall/x HTTP/1.1\r\n${HOST}Content-Length: 5\r\n\r\n0\r\n\r\n`, [
      { line: "POST /hall/x HTTP/1.1", body: "0\r\n\r\n", framing: "length" },
    ]),
  );
  await check(t, "a body that comes byte by byte", async () => {
    const text = chunked("POST", "5\r\nhello\r\n0\r\n\r\n");
    await passed(s, [...text], [{ line: "POST /hall/x HTTP/1.1", body: "hello" }]);
  });
  await check(t, "leading zeros of Content-Length are taken off", () =>
    passed(s, `POST /hall/x HTTP/1.1\r\n${HOST}Content-Length: 0000000005\r\n\r\nhello`, [
      { line: "POST /hall/x HTTP/1.1", body: "hello", framing: "length" },
    ]),
  );
  for (const method of ["GET", "HEAD", "DELETE", "OPTIONS", "PROPFIND", "QUERY"]) {
    await check(t, `${method} with a measured body`, () =>
      passed(
        s,
        `${method} /hall/x HTTP/1.1\r\n${HOST}Content-Length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}`,
        [{ line: `${method} /hall/x HTTP/1.1`, body: SMUGGLED, framing: "length" }],
        [method],
      ),
    );
    await check(t, `${method} with a chunked body`, () =>
      passed(
        s,
        chunked(method, `${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n0\r\n\r\n`),
        [{ line: `${method} /hall/x HTTP/1.1`, body: SMUGGLED }],
        [method],
      ),
    );
    await check(t, `${method} with a chunked body that comes later than its head`, async () => {
      const [request, ...more] = await reached(s, async () => {
        const client = new Client(s.port);
        client.write(chunked(method, ""));
        await plain(s); // meanwhile the gateway has read the head
        client.write("5\r\nhello\r\n0\r\n\r\n");
        await client.answers(1, [method]);
        const { answers } = await client.finish([method]);
        assert.deepEqual(
          answers.map((a) => a.status),
          [200],
        );
      });
      assert.deepEqual([request?.body, more], ["hello", []]);
    });
    await check(t, `${method} with an empty chunked body`, () =>
      passed(s, chunked(method, "0\r\n\r\n"), [{ line: `${method} /hall/x HTTP/1.1`, body: "" }], [method]),
    );
    await check(t, `${method} with Content-Length: 0`, () =>
      passed(
        s,
        chunked(method, "", "Content-Length: 0"),
        [{ line: `${method} /hall/x HTTP/1.1`, body: "" }],
        [method],
      ),
    );
  }

  await check(t, "the gateway is unharmed", () => unharmed(s));
});
