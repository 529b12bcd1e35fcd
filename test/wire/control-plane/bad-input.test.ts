/** What no client of ours sends: the control plane refuses it with a problem document, at once, and stays what it was. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import net from "node:net";
import { test } from "node:test";
import { startControlPlane, type TestControlPlane } from "../../support/control-plane.ts";
import { fleetYaml, raw, ROUTES, wholeAnswer } from "../../support/gateway.ts";

const FILES = {
  "fleet.yaml": fleetYaml({ hz: ["http://127.0.0.1:1"], sh: ["http://127.0.0.1:2"] }),
  "routes.yaml": ROUTES,
};
const PIN = { kind: "pin", key: "ann", unit: "hz", reason: "a test" };
const json = { "content-type": "application/json" };

/** It is refused with one of these, in a second, as a problem document, and the newest revision is the first. */
async function refused(
  plane: TestControlPlane,
  name: string,
  statuses: readonly number[],
  words: RegExp,
  method: string,
  path: string,
  body?: string | Buffer,
  headers: Record<string, string> = json,
): Promise<void> {
  const began = performance.now();
  const answer = await fetch(`${plane.url}${path}`, {
    method,
    headers,
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : new Uint8Array(body) }),
    signal: AbortSignal.timeout(10_000),
  });
  const took = performance.now() - began;
  const text = await answer.text();
  assert.ok(statuses.includes(answer.status), `${name}: ${answer.status} ${text.slice(0, 500)}`);
  assert.match(answer.headers.get("content-type") ?? "", /^application\/problem\+json/, name);
  const problem = JSON.parse(text);
  assert.equal(problem.status, answer.status, name);
  assert.match(problem.title, words, name);
  // A second where nothing else runs; what bombs do is minutes.
  assert.ok(took < 5_000, `${name}: ${took} ms`);
  const status = await plane.call("GET", "/v1/status");
  assert.equal(status.body.revision.number, 1, `${name}: something was changed`);
}

const put = (files: object): string => JSON.stringify({ files: { ...FILES, ...files }, reason: "a test" });

function memoryOf({ process }: TestControlPlane): number {
  const [, kilobytes] = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${process.pid}/status`, "utf8")) ?? [];
  return Number(kilobytes) * 1024;
}

test("100 MB are refused before they have come, with their length said and without, and memory stays flat", async (t) => {
  const plane = await startControlPlane(t, FILES);
  const before = memoryOf(plane);
  const megabyte = Buffer.alloc(1024 * 1024, 0x61);
  for (const head of ["content-length: 104857600", "transfer-encoding: chunked"]) {
    for (const path of ["PUT /v1/config", "POST /v1/overlays"]) {
      const chunk = head.startsWith("t")
        ? Buffer.concat([Buffer.from("100000\r\n"), megabyte, Buffer.from("\r\n")])
        : megabyte;
      const { text, sent } = await flood(
        plane.port,
        `${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n${head}\r\n\r\n`,
        chunk,
      );
      assert.match(text, /^HTTP\/1\.1 413 /, `${path} ${head}: ${text.slice(0, 200)}`);
      assert.match(text, /application\/problem\+json/);
      assert.ok(sent < 80, `${path} ${head}: ${sent} MB were taken`);
    }
  }
  const grown = memoryOf(plane) - before;
  assert.ok(grown < 150 * 1024 * 1024, `${grown} bytes more`);
  assert.equal((await plane.call("GET", "/v1/status")).body.revision.number, 1);
});

/** Sends a hundred chunks, or as many as are taken. */
function flood(port: number, head: string, chunk: Buffer): Promise<{ text: string; sent: number }> {
  return new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1");
    let text = "";
    let sent = 0;
    const more = (): void => {
      while (sent < 100 && !socket.destroyed && socket.writable) {
        sent++;
        if (!socket.write(chunk)) return;
      }
    };
    socket.on("data", (data) => {
      text += data.toString("latin1");
      if (wholeAnswer(text)) socket.destroy();
    });
    socket.on("drain", more);
    socket.on("error", () => {});
    socket.on("close", () => resolve({ text, sent }));
    socket.write(head);
    more();
  });
}

test("files that are bombs, or no files, are refused within seconds", async (t) => {
  const plane = await startControlPlane(t, FILES);
  const laughs = ["a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]"];
  for (let i = 1; i <= 100; i++)
    laughs.push(
      `a${i}: &a${i} [${Array(10)
        .fill(`*a${i - 1}`)
        .join(", ")}]`,
    );
  const config = (name: string, statuses: number[], words: RegExp, files: object) =>
    refused(plane, name, statuses, words, "PUT", "/v1/config", put(files));
  const invalid = /the configuration is invalid/;
  await config("an alias bomb", [422], invalid, { "fleet.yaml": laughs.join("\n") });
  await config("an alias bomb in a field", [422], invalid, {
    "fleet.yaml": `${FILES["fleet.yaml"]}\nx-bomb:\n${laughs.map((line) => `  ${line}`).join("\n")}\n`,
  });
  await config("merge keys", [422], invalid, { "routes.yaml": "a: &a { <<: *a }\nroutes: [ *a ]" });
  for (const [open, close] of ["[]", "{}"].map((pair) => [pair[0]!, pair[1]!] as const)) {
    for (const depth of [100, 10_000, 100_000]) {
      const text = `routes: ${open === "{" ? "{a: ".repeat(depth) : "[".repeat(depth)}${close.repeat(depth)}`;
      await config(`${depth} ${open}`, [422], invalid, { "routes.yaml": text });
    }
  }
  await config("deep dashes", [422], invalid, { "routes.yaml": `routes:\n${"- ".repeat(50_000)}a` });
  await config("deep indentation", [422], invalid, {
    "routes.yaml": Array.from({ length: 1_000 }, (_, i) => `${" ".repeat(i)}a:`).join("\n"),
  });
  await config("a tag of code", [422], invalid, { "fleet.yaml": "fleet: !!js/function 'function(){}'" });
  await config("NUL in a file", [422], invalid, { "fleet.yaml": "fleet: a\0b" });
  await config("two documents", [422], invalid, { "fleet.yaml": `${FILES["fleet.yaml"]}---\nfleet: b\n` });
  await config("a key named __proto__", [422], invalid, {
    "fleet.yaml": `__proto__: { fleet: x }\n${FILES["fleet.yaml"]}`,
  });
  await config("a unit named constructor", [422], invalid, {
    "fleet.yaml": FILES["fleet.yaml"].replace("  hz: {", "  __proto__: {"),
  });
  await config("numbers beyond all", [422], invalid, {
    "fleet.yaml": FILES["fleet.yaml"].replace("slots: 1024", "slots: 1e400"),
  });
  await config("not a number", [422], invalid, {
    "fleet.yaml": FILES["fleet.yaml"].replace("slots: 1024", "slots: .nan"),
  });
  const many = Object.fromEntries(Array.from({ length: 1_001 }, (_, i) => [`f${i}.html`, "a"]));
  await config("1001 files", [400], /there are 1003 files/, many);
  for (const name of [
    "../etc/passwd",
    "a/../../b",
    "a\0b",
    "a\\b",
    "/etc/passwd",
    "C:x",
    "",
    ".",
    "a//b",
    "a/",
  ]) {
    await config(`a file named ${JSON.stringify(name)}`, [400], /is no name of a file/, { [name]: "a" });
  }
  await refused(
    plane,
    "a file named __proto__",
    [400],
    /not valid JSON/,
    "PUT",
    "/v1/config",
    '{"files":{"__proto__":"a"},"reason":"a"}',
  );
  for (const [name, value] of [
    ["a number", "1"],
    ["null", "null"],
    ["an object", "{}"],
    ["a list", '["a"]'],
  ]) {
    const text = `{"files":{"fleet.yaml":${value}},"reason":"a"}`;
    await refused(plane, `a file that is ${name}`, [400], /must be string/, "PUT", "/v1/config", text);
  }
  await config("YAML without an end", [400], /the YAML files have \d+ bytes/, {
    "fleet.yaml": "a".repeat(8 * 1024 * 1024),
  });
});

test("what a parser would make gigabytes of is refused before it is parsed, and by whoever may only read, too", async (t) => {
  const plane = await startControlPlane(t, FILES);
  const before = memoryOf(plane);
  const preview = (name: string, statuses: number[], words: RegExp, body: string) =>
    refused(plane, name, statuses, words, "POST", "/v1/config/preview", body);
  const deep = (n: number): string => "[".repeat(n) + "]".repeat(n);
  await preview("brackets alone", [400], /nested deeper than 64/, "[".repeat(30_000_000));
  await preview("lists in lists", [400], /nested deeper than 64/, deep(10_000_000));
  await preview("a file of lists", [400], /nested deeper than 64/, `{"files":{"a":${deep(10_000_000)}}}`);
  const wide = Array.from({ length: 1_500_000 }, (_, i) => `"f${i}":""`).join();
  await preview("a million files", [400], /more than 1000000 values/, `{"files":{${wide}}}`);
  const signs = JSON.stringify({ files: { "fleet.yaml": `a: [${"1,".repeat(1_000_000)}]` } });
  await preview("a YAML list of a million", [400], /more than 1000000 values and signs/, signs);
  const errors = JSON.stringify({
    files: { "fleet.yaml": `a: [${"}".repeat(200_000)}]`, "routes.yaml": "" },
  });
  await preview("an error in each byte", [422], /invalid/, errors);
  const grown = memoryOf(plane) - before;
  assert.ok(grown < 400 * 1024 * 1024, `${grown} bytes more`);
  const brackets = `${ROUTES}# ${deep(1_000)} "\\" {{{\n`;
  const fine = await plane.call("PUT", "/v1/config", {
    files: { ...FILES, "routes.yaml": brackets },
    reason: 'brackets in text are text: [[[ \\" [[[',
  });
  assert.equal(fine.status, 200, JSON.stringify(fine.body));
});

test("a name with a line break is looked at like any other", async (t) => {
  const plane = await startControlPlane(t, FILES);
  const file = '{"files":{"a\\nb":{"x":1}},"reason":"a"}';
  await refused(plane, "a file", [400], /./, "PUT", "/v1/config", file);
  const report = { epoch: 1, revision: 1, units: { "a\nb": { healthy: "perhaps" } } };
  await refused(plane, "a unit", [400], /./, "POST", "/v1/gateways/one/reports", JSON.stringify(report));
});

test("what is asked for without end is bounded", async (t) => {
  const plane = await startControlPlane(t, FILES);
  const ask = (n: number) =>
    plane.call("POST", "/v1/overrides", {
      rule: "one",
      digest: "0".repeat(64),
      what: `${n}`,
      reason: "a test",
    });
  for (let n = 0; n < 500; n += 10) {
    const answers = await Promise.all(Array.from({ length: 10 }, (_, i) => ask(n + i)));
    assert.ok(answers.every((answer) => answer.status === 201));
  }
  const answer = await ask(500);
  assert.equal(answer.status, 429);
  assert.match(answer.body.title, /500 overrides were asked for in the last two hours/);
});

test("bodies that are not what they should be are refused, and change nothing", async (t) => {
  const plane = await startControlPlane(t, FILES);
  const overlay = (
    name: string,
    words: RegExp,
    body: string | Buffer,
    headers: Record<string, string> = json,
    statuses = [400],
  ) => refused(plane, name, statuses, words, "POST", "/v1/overlays", body, headers);
  const text = JSON.stringify(PIN);
  const bytes = Buffer.concat([
    Buffer.from('{"kind":"pin","key":"a'),
    Buffer.from([0xff, 0xfe]),
    Buffer.from('","unit":"hz","reason":"a"}'),
  ]);
  await overlay("invalid UTF-8", /not UTF-8/, bytes);
  await overlay("UTF-16", /not UTF-8|not valid JSON/, Buffer.from(text, "utf16le"));
  await overlay(
    "half a surrogate pair",
    /half a surrogate/,
    '{"kind":"pin","key":"\\ud800","unit":"hz","reason":"a"}',
  );
  await overlay("half a pair after a backslash", /half a surrogate/, '{"kind":"pin","key":"\\\\\\udc00"}');
  await overlay(
    "NUL in a name",
    /key must match/,
    '{"kind":"pin","key":"a\\u0000","unit":"hz","reason":"a"}',
  );
  await overlay(
    "an escape sequence for the reader's terminal",
    /reason must match/,
    JSON.stringify({ ...PIN, reason: "a\u001b[2Jb" }),
  );
  await overlay("an unknown kind", /no overlay kind "sing"/, '{"kind":"sing","reason":"a"}');
  await overlay(
    "a kind that every object has",
    /no overlay kind "constructor"/,
    '{"kind":"constructor","reason":"a"}',
  );
  await overlay(
    "an unknown field",
    /additional properties \(colour\)/,
    JSON.stringify({ ...PIN, colour: "red" }),
  );
  await overlay("__proto__", /not valid JSON/, text.replace("{", '{"__proto__":{"unit":"sh"},'));
  await overlay(
    "constructor.prototype",
    /not valid JSON/,
    text.replace("{", '{"constructor":{"prototype":{"a":1}},'),
  );
  await overlay(
    "another kind after the first: the last one counts",
    /no overlay kind "sing"/,
    text.replace("}", ',"kind":"sing"}'),
  );
  for (const share of ["1e400", "-1e400", "NaN", "Infinity", '"0.5"', "[0.5]", "true", "2", "-0.1", "null"]) {
    await overlay(
      `a share of ${share}`,
      /./,
      `{"kind":"weight","service":"hall","share":${share},"reason":"a"}`,
    );
  }
  for (const expect of ["1e400", "-1", "1.5", "99999999999999999999", '"1"', "null", "{}"]) {
    await overlay(`expect ${expect}`, /./, text.replace("}", `,"expect":${expect}}`));
  }
  for (const expires of ["1e9d", "99999999999999999d", "-1s", "0s", "1", "1y", "١s", " 1s", "1s\\n"]) {
    await overlay(`expires ${expires}`, /expires/, text.replace("}", `,"expires":"${expires}"}`));
  }
  for (const body of ["", "null", "[]", "1", '"a"', "{", "{}x", "[".repeat(100_000)]) {
    await overlay(`the body ${body.slice(0, 5)}`, /./, body);
  }
  await overlay(
    "a body of another type",
    /Unsupported Media Type/,
    text,
    { "content-type": "text/plain" },
    [415],
  );
  await overlay(
    "a form",
    /Unsupported Media Type/,
    "kind=pin",
    { "content-type": "application/x-www-form-urlencoded" },
    [415],
  );
  await overlay("no type", /Unsupported Media Type|no kind/, Buffer.from(text), {}, [400, 415]);
  await overlay("a type that is none", /./, text, { "content-type": ";;;" }, [415]);
  await overlay("a long reason", /reason/, JSON.stringify({ ...PIN, reason: "a".repeat(501) }));
  await refused(
    plane,
    "too long for an overlay",
    [413],
    /too large/,
    "POST",
    "/v1/overlays",
    JSON.stringify({ ...PIN, key: "a".repeat(300_000) }),
  );
  for (const value of [
    "%00",
    "..",
    "%2e%2e%2f",
    "ov-99",
    "__proto__",
    "a".repeat(41),
    "a".repeat(400),
    "%ff",
  ]) {
    await refused(
      plane,
      `no overlay ${value}`,
      [400, 404, 405, 414],
      /./,
      "DELETE",
      `/v1/overlays/${value}?reason=a`,
      undefined,
      {},
    );
  }
  for (const query of [
    "",
    "?reason=",
    "?reason=a&reason=b",
    "?reason=a&x=1",
    "?__proto__=a",
    "?reason=%00",
    "?reason=%zz",
  ]) {
    await refused(
      plane,
      `query ${query}`,
      [400, 404],
      /./,
      "DELETE",
      `/v1/overlays/ov-2${query}`,
      undefined,
      {},
    );
  }
  for (const path of [
    "/v1/revisions?limit=1e9",
    "/v1/revisions?after=-1",
    "/v1/revisions/1e3",
    "/v1/revisions/99999999999",
    "/v1/diff?from=1",
    "/v1/revisions/1/convergence?wait=-1",
    "/v1/audit?after=9999999999999999999",
  ]) {
    await refused(plane, path, [400], /./, "GET", path, undefined, {});
  }
});

test("what is no path, no method and no HTTP is refused as a problem, too", async (t) => {
  const plane = await startControlPlane(t, FILES);
  await refused(
    plane,
    "half an escape",
    [400],
    /not a valid url/,
    "GET",
    "/v1/revisions/%E0%A4%A",
    undefined,
    {},
  );
  await refused(plane, "a path of nobody", [404], /there is no GET \/v2/, "GET", "/v2", undefined, {});
  await refused(
    plane,
    "a method of nobody",
    [405],
    /\/v1\/rollback takes POST, not GET/,
    "GET",
    "/v1/rollback",
    undefined,
    {},
  );
  const deleted = await plane.call("PATCH", "/v1/overlays/ov-1");
  assert.equal(deleted.headers.get("allow"), "DELETE");
  const cases: [string, RegExp][] = [
    ["GET / HTTP/1.1\r\nhost: a\r\nno colon\r\n\r\n", /^HTTP\/1\.1 400 /],
    [`GET /v1/status HTTP/1.1\r\nhost: localhost\r\nx: ${"a".repeat(20_000)}\r\n\r\n`, /^HTTP\/1\.1 431 /],
    ["FOO /v1/status HTTP/1.1\r\nhost: localhost\r\n\r\n", /^HTTP\/1\.1 400 /],
  ];
  for (const [bytes, status] of cases) {
    const text = await raw(plane.port, bytes, wholeAnswer);
    assert.match(text, status);
    assert.match(text, /content-type: application\/problem\+json/i);
    assert.match(text, /"type":"urn:tidegate:problem:bad-request"/);
  }
  const head = await fetch(`${plane.url}/v1/watch`, { method: "HEAD", signal: AbortSignal.timeout(2_000) });
  assert.equal(head.status, 405, "a HEAD of a stream would never end");
  assert.equal((await fetch(`${plane.url}/healthz`, { method: "HEAD" })).status, 200);
});

test("a name that leads here and a page of another origin get nothing, nor does --dev beyond loopback", async (t) => {
  const plane = await startControlPlane(t, FILES);
  const ask = async (headers: string) =>
    raw(plane.port, `GET /v1/status HTTP/1.1\r\n${headers}\r\nconnection: close\r\n\r\n`);
  for (const host of ["localhost", "127.0.0.1:1", "[::1]:8090"]) {
    assert.match(await ask(`host: ${host}`), /^HTTP\/1\.1 200 /, host);
  }
  for (const host of [
    "evil.example",
    "localhost.evil.example",
    "127.0.0.1.evil.example:80",
    "0.0.0.0",
    "",
    "localhost:80:80",
  ]) {
    assert.match(await ask(`host: ${host}`), /^HTTP\/1\.1 40[03] /, host);
  }
  for (const origin of [
    "http://evil.example",
    "null",
    "http://localhost:1",
    "https://localhost.evil.example",
    "file://",
    "a",
  ]) {
    assert.match(await ask(`host: localhost\r\norigin: ${origin}`), /^HTTP\/1\.1 403 /, origin);
  }
  assert.match(await ask("host: localhost\r\norigin: http://localhost"), /^HTTP\/1\.1 200 /);
  const beyond = startControlPlane(t, FILES, ["--dev", "--host", "0.0.0.0"]);
  await assert.rejects(
    beyond,
    /--dev asks for no token, so it listens on loopback only; --host is 0\.0\.0\.0/,
  );
});

test("text that only looks odd is taken as it is", async (t) => {
  const plane = await startControlPlane(t, FILES);
  for (const key of ["ü", "😀", "\\ud800", "a\\\\udc00", "__proto__", "constructor", "\u202e"]) {
    const body = JSON.stringify({ ...PIN, key }).replace("😀", "\\ud83d\\ude00");
    const answer = await fetch(`${plane.url}/v1/overlays`, { method: "POST", headers: json, body });
    assert.equal(answer.status, 201, key);
    const { overlay } = (await answer.json()) as { overlay: { change: { key: string } } };
    assert.equal(overlay.change.key, key);
  }
});

test("what was decided on something older is refused, by expect and by If-Match, and of two at once one wins", async (t) => {
  const plane = await startControlPlane(t, FILES);
  const pin = (key: string, more: object, headers: Record<string, string> = {}) =>
    plane.call("POST", "/v1/overlays", { ...PIN, key, ...more }, headers);
  assert.equal((await pin("a", {})).status, 201);
  assert.equal((await pin("b", { expect: 1 })).status, 409);
  assert.equal((await pin("b", {}, { "if-match": '"1"' })).status, 409);
  const older = { "if-match": '"1"' };
  const files = { files: FILES, reason: "a test" };
  assert.equal((await plane.call("PUT", "/v1/config", files, older)).status, 409);
  assert.equal((await plane.call("DELETE", "/v1/overlays/ov-2?reason=a", undefined, older)).status, 409);
  assert.equal((await plane.call("POST", "/v1/rollback", { to: 1, reason: "a" }, older)).status, 409);
  for (const unreadable of ["1", '"x"', 'W/"2"', '"1", "2"', '"99999999999"', ""]) {
    const answer = await plane.call("PUT", "/v1/config", files, { "if-match": unreadable });
    assert.equal(answer.status, 400, `${unreadable}: it must not be taken for silence`);
  }
  assert.equal(
    (await pin("b", { expect: 2 }, { "if-match": '"3"' })).status,
    400,
    "they contradict each other",
  );
  assert.equal((await plane.call("GET", "/v1/status")).body.revision.number, 2);
  const both = await Promise.all(["c", "d", "e"].map((key) => pin(key, { expect: 2 })));
  assert.deepEqual(both.map((answer) => answer.status).sort(), [201, 409, 409]);
  const edited = (n: number) => ({ ...files, files: { ...FILES, "routes.yaml": `${ROUTES}# ${n}\n` } });
  const edits = await Promise.all(
    [1, 2, 3, 4].map((n) => plane.call("PUT", "/v1/config", edited(n), { "if-match": '"3"' })),
  );
  assert.deepEqual(edits.map((answer) => answer.status).sort(), [200, 409, 409, 409]);
});
