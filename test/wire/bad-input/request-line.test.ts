/** Methods, versions and targets: what is matched is what is sent, and what could be read in two ways is refused. */
import assert from "node:assert/strict";
import test from "node:test";
import { ROUTES } from "../../support/gateway.ts";
import { check, get, HOST, passed, refused, say, site, unharmed, values } from "./support.ts";

const bad = { status: 400, type: "bad-request" };
const path = { status: 400, type: "ambiguous-path", closes: false };

const LINES: Record<string, string> = {
  "HTTP/0.9 without a version": "GET /hall/x\r\n\r\n",
  "HTTP/0.9 with fields": `GET /hall/x HTTP/0.9\r\n${HOST}\r\n`,
  "HTTP/1.2": `GET /hall/x HTTP/1.2\r\n${HOST}\r\n`,
  "HTTP/2.0 in HTTP/1 syntax": `GET /hall/x HTTP/2.0\r\n${HOST}\r\n`,
  "HTTP/3.0": `GET /hall/x HTTP/3.0\r\n${HOST}\r\n`,
  "HTTP/11": `GET /hall/x HTTP/11\r\n${HOST}\r\n`,
  "HTTP/1.10": `GET /hall/x HTTP/1.10\r\n${HOST}\r\n`,
  "http/1.1": `GET /hall/x http/1.1\r\n${HOST}\r\n`,
  "ICE/1.1": `GET /hall/x ICE/1.1\r\n${HOST}\r\n`,
  "the HTTP/2 preface": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
  "a TLS greeting": "\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
  "lower-case method": `get /hall/x HTTP/1.1\r\n${HOST}\r\n`,
  "unknown method": `FROB /hall/x HTTP/1.1\r\n${HOST}\r\n`,
  "unknown method that begins like a known one": `GETX /hall/x HTTP/1.1\r\n${HOST}\r\n`,
  "no method": ` /hall/x HTTP/1.1\r\n${HOST}\r\n`,
  "a space behind the version": `GET /hall/x HTTP/1.1 \r\n${HOST}\r\n`,
  "a tab instead of a space": `GET\t/hall/x HTTP/1.1\r\n${HOST}\r\n`,
  "a space in the target": `GET /hall/x y HTTP/1.1\r\n${HOST}\r\n`,
  "a request in the target": `GET /hall/x HTTP/1.1\r\nHost: b HTTP/1.1\r\n${HOST}\r\n`.replace(
    "\r\nHost: b",
    " x",
  ),
  "request line ended by a bare LF": `GET /hall/x HTTP/1.1\n${HOST}\r\n`,
  "request line ended by a bare CR": `GET /hall/x HTTP/1.1\r${HOST}\r\n`,
  "a bare CR in the target": `GET /hall/\rx HTTP/1.1\r\n${HOST}\r\n`,
  "a NUL in the target": `GET /hall/\0x HTTP/1.1\r\n${HOST}\r\n`,
  "a control byte in the target": `GET /hall/\x01x HTTP/1.1\r\n${HOST}\r\n`,
  "DEL in the target": `GET /hall/\x7fx HTTP/1.1\r\n${HOST}\r\n`,
  "a byte above 127 in the path": `GET /hall/\xe4\xb8\xad HTTP/1.1\r\n${HOST}\r\n`,
  "a byte above 127 in the query": `GET /hall/x?\xe4 HTTP/1.1\r\n${HOST}\r\n`,
  "a target without a slash": `GET hall/x HTTP/1.1\r\n${HOST}\r\n`,
  "a target that is a query": `GET ?x HTTP/1.1\r\n${HOST}\r\n`,
  "OPTIONS *": `OPTIONS * HTTP/1.1\r\n${HOST}\r\n`,
  "GET *": `GET * HTTP/1.1\r\n${HOST}\r\n`,
  "a URL of another host": `GET http://evil.test/hall/x HTTP/1.1\r\n${HOST}\r\n`,
  "a URL of another port": `GET http://a.test:81/hall/x HTTP/1.1\r\n${HOST}\r\n`,
  "a URL with a user": `GET http://u:p@a.test/hall/x HTTP/1.1\r\n${HOST}\r\n`,
  "a URL with a user that looks like the host": `GET http://a.test@evil.test/hall/x HTTP/1.1\r\n${HOST}\r\n`,
  "a URL without a host": `GET http:///hall/x HTTP/1.1\r\n${HOST}\r\n`,
  "a URL of another scheme": `GET ftp://a.test/hall/x HTTP/1.1\r\n${HOST}\r\n`,
  "a URL that hides its host behind a backslash": `GET http://a.test\\@evil.test/hall/x HTTP/1.1\r\n${HOST}\r\n`,
};

/** Targets that two servers could read as two. */
const PATHS: readonly string[] = [
  "/hall/..",
  "/hall/../admin",
  "/hall/./x",
  "/hall/.",
  "/hall/..;/admin",
  "/hall/..;a=b/admin",
  "/hall/.;/x",
  "/hall/%2e%2e/admin",
  "/hall/%2E%2E/admin",
  "/hall/.%2e/admin",
  "/hall%2e/admin",
  "/hall/a%2fb",
  "/hall/a%2Fb",
  "/hall/..%2fadmin",
  "/hall/a%5cb",
  "/hall/a\\b",
  "/hall\\..\\admin",
  "/hall//x",
  "//evil.test/x",
  "//",
  "/hall/x//",
  "/hall/%00",
  "/hall/%0d%0aX-Evil:%201",
  "/hall/%0a",
  "/hall/%09",
  "/hall/%1f",
  "/hall/%7f",
  "/%61pi/x",
  "/h%61ll/x",
  "/hall/%7Euser",
  "/hall/%2d",
  "/hall/%252e%252e/x",
  "/hall/%252f",
  "/hall/%2525",
  "/hall/%",
  "/hall/%2",
  "/hall/%zz",
  "/hall/%u002e",
  "/hall/%ff",
  "/hall/%c0%ae%c0%ae/x",
  "/hall/%ed%a0%80",
  "/hall/%d6%d0",
  "/hall/x#y",
  "/hall/x?a=b#c",
];

const PASSED: readonly string[] = [
  "/hall/x;a=b;c",
  "/hall/;",
  "/hall/...",
  "/hall/..a",
  "/hall/a..",
  "/hall/.hidden",
  "/hall/~user/-_.!$&'()*+,;=:@",
  "/hall/%20",
  "/hall/%3f%23%3b",
  "/hall/%25",
  "/hall/%25zz",
  "/hall/%e4%b8%ad",
  "/hall/%E4%b8%AD",
  '/hall/"<>^`{|}',
  "/hall/x?",
  "/hall/x??",
  "/hall/x?a=../..//%2e%00%0d%0a\\",
  "/hall/x?__proto__=1&constructor=2&__proto__[x]=3",
  "/hall/x?%",
  `/hall/${"x".repeat(8_000)}`,
  `/hall/x?${"y".repeat(40_000)}`,
];

test("request lines", async (t) => {
  const s = await site(t, ROUTES);

  for (const [name, bytes] of Object.entries(LINES)) {
    await check(t, `${name}: 400 bad-request`, () => refused(s, bytes, bad));
  }
  await check(t, "CONNECT: 405 method-not-allowed", () =>
    refused(s, `CONNECT a.test:80 HTTP/1.1\r\n${HOST}\r\n${get("/hall/tunnelled")}`, {
      status: 405,
      type: "method-not-allowed",
    }),
  );
  for (const target of PATHS) {
    await check(t, `${JSON.stringify(target)}: 400 ambiguous-path`, () => refused(s, get(target), path));
  }
  for (const target of PASSED) {
    await check(t, `${JSON.stringify(target.slice(0, 60))} (${target.length} bytes) arrives exactly`, () =>
      passed(s, get(target), [{ line: `GET ${target} HTTP/1.1` }]),
    );
  }
  for (const target of ["/HALL/x", "/hal/x", "/admin", "/hall%3b/x", "/", "/hallx"]) {
    await check(t, `${target}: 404 no-route`, () =>
      refused(s, get(target), { status: 404, type: "no-route", closes: false }),
    );
  }
  await check(t, "a target of 100 kB: 431 headers-too-large", () =>
    refused(s, get(`/hall/${"x".repeat(100_000)}`), { status: 431, type: "headers-too-large" }),
  );
  await check(t, "a target of 10 MB: 431 headers-too-large, and nothing is read further", async () => {
    const said = await say(s.port, get(`/hall/${"x".repeat(10_000_000)}`)).catch((error: Error) => error);
    assert.ok(!(said instanceof Error), String(said));
    assert.ok(said.end === "reset" || said.answers[0]?.status === 431, said.text.slice(0, 100));
  });

  await check(t, "several spaces before the version are one", () =>
    passed(s, `GET /hall/x   HTTP/1.1\r\n${HOST}\r\n`, [{ line: "GET /hall/x HTTP/1.1" }]),
  );
  await check(t, "RTSP/1.0 is read as HTTP/1.0", async () => {
    const [request] = await passed(s, `GET /hall/x RTSP/1.0\r\n${HOST}\r\n`, [
      { line: "GET /hall/x HTTP/1.1" },
    ]);
    assert.deepEqual(values(request!, "host"), ["a.test"]);
  });
  await check(t, "a URL of the same host arrives as its path", async () => {
    for (const host of ["a.test", "A.TEST"]) {
      const [request] = await passed(s, `GET http://${host}/hall/x?y HTTP/1.1\r\n${HOST}\r\n`, [
        { line: "GET /hall/x?y HTTP/1.1" },
      ]);
      assert.deepEqual(values(request!, "host"), ["a.test"]);
    }
  });
  await check(t, "an https URL of the same host on the plain port arrives as plain http", async () => {
    const [request] = await passed(s, `GET https://a.test/hall/x HTTP/1.1\r\n${HOST}\r\n`, [
      { line: "GET /hall/x HTTP/1.1" },
    ]);
    assert.deepEqual(values(request!, "x-forwarded-proto"), ["http"]);
  });
  await check(t, "a URL's path is looked at like any other", () =>
    refused(s, `GET http://a.test/hall/../admin HTTP/1.1\r\n${HOST}\r\n`, path),
  );
  await check(t, "a URL and no Host: 400", () =>
    refused(s, "GET http://a.test/hall/x HTTP/1.1\r\n\r\n", { status: 400, type: "bad-host", closes: false }),
  );
  for (const method of [
    "TRACE",
    "OPTIONS",
    "PURGE",
    "M-SEARCH",
    "LINK",
    "SEARCH",
    "QUERY",
    "PROPFIND",
    "MKCALENDAR",
  ]) {
    await check(t, `${method} arrives exactly`, () =>
      passed(
        s,
        `${method} /hall/x HTTP/1.1\r\n${HOST}\r\n`,
        [{ line: `${method} /hall/x HTTP/1.1` }],
        [method],
      ),
    );
  }

  await check(t, "the gateway is unharmed", () => unharmed(s));
});
