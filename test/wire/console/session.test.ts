/** Sessions and the files of the console, at the wire: what a page of somebody else could try. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { startControlPlane, type TestControlPlane } from "../../support/control-plane.ts";
import { fleetYaml, ROUTES } from "../../support/gateway.ts";

const FILES = { "fleet.yaml": fleetYaml({ hz: ["http://127.0.0.1:1"] }), "routes.yaml": ROUTES };
const OWN = { "x-tidegate-console": "1" };

interface Started {
  readonly plane: TestControlPlane;
  readonly admin: string;
  /** Name, value and attributes of the cookie. */
  readonly enter: (token: string, headers?: Record<string, string>) => Promise<string>;
}

async function start(t: TestContext): Promise<Started> {
  const plane = await startControlPlane(t, FILES, []);
  const admin = readFileSync(join(plane.data, "admin.token"), "utf8").trim();
  const enter = async (token: string, headers: Record<string, string> = OWN): Promise<string> => {
    const answer = await plane.call("POST", "/v1/session", { token }, headers);
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    return answer.headers.get("set-cookie")!;
  };
  return { plane, admin, enter };
}

const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });
const cookieOf = (set: string): string => set.split(";")[0]!;

test("a session acts as its token does, from our own page alone, until it is ended or the token is revoked", async (t) => {
  const { plane, admin, enter } = await start(t);
  const made = await plane.call(
    "POST",
    "/v1/tokens",
    { name: "ann", role: "operator", expires: "1h", reason: "a test" },
    bearer(admin),
  );
  const set = await enter(made.body.token);
  assert.match(set, /; HttpOnly; SameSite=Strict$/);
  assert.match(set, /; Path=\/; Max-Age=43200;/);
  assert.ok(!set.includes(made.body.token), "the token is sealed");
  const cookie = cookieOf(set);
  const who = await plane.call("GET", "/v1/session", undefined, { ...OWN, cookie });
  assert.deepEqual([who.status, who.body.name, who.body.role], [200, "ann", "operator"]);
  const lay = { kind: "pin", key: "ann", unit: "hz", reason: "a test" };
  const foreign: [string, Record<string, string>][] = [
    ["a page of another port makes the browser send the cookie", { cookie }],
    ["a page of another origin", { ...OWN, cookie, origin: "http://127.0.0.1:1" }],
    ["a sandboxed page", { ...OWN, cookie, origin: "null" }],
  ];
  for (const [what, headers] of foreign) {
    const answer = await plane.call("POST", "/v1/overlays", lay, headers);
    assert.ok([401, 403].includes(answer.status), `${what}: ${answer.status}`);
  }
  const form = await fetch(`${plane.url}/v1/overlays`, {
    method: "POST",
    headers: { ...OWN, cookie, "content-type": "text/plain" },
    body: JSON.stringify(lay),
  });
  assert.equal(form.status, 415, "a form's body is not taken");
  assert.equal(
    (await plane.call("POST", "/v1/overlays", lay, { ...OWN, cookie, origin: plane.url })).status,
    201,
  );
  const tokens = await plane.call("GET", "/v1/tokens", undefined, { ...OWN, cookie });
  assert.equal(tokens.status, 403, "an operator stays one");
  const revoked = await plane.call("DELETE", `/v1/tokens/${made.body.id}?reason=a`, undefined, bearer(admin));
  assert.equal(revoked.status, 200);
  const over = await plane.call("GET", "/v1/status", undefined, { ...OWN, cookie });
  assert.equal(over.status, 401);
  assert.match(over.body.title, /the session is over/);
});

test("a cookie that was changed, made up, or sealed by another control plane opens nothing", async (t) => {
  const [{ plane, admin, enter }, other] = await Promise.all([start(t), start(t)]);
  const cookie = cookieOf(await enter(admin));
  const [name, value] = cookie.split("=") as [string, string];
  const bytes = Buffer.from(value, "base64url");
  const flipped = (at: number): string => {
    const copy = Buffer.from(bytes);
    copy[at]! ^= 1;
    return copy.toString("base64url");
  };
  const wrong = [
    "",
    "x",
    "A".repeat(4000),
    ...[0, 12, 28, bytes.length - 1].map(flipped),
    value.slice(0, 20),
  ];
  wrong.push(cookieOf(await other.enter(other.admin)).split("=")[1]!);
  for (const one of wrong) {
    const { status } = await plane.call("GET", "/v1/session", undefined, {
      ...OWN,
      cookie: `${name}=${one}`,
    });
    assert.equal(status, 401, one.slice(0, 30));
  }
  await plane.stop();
  await plane.start();
  const after = await plane.call("GET", "/v1/session", undefined, { ...OWN, cookie });
  assert.equal(after.status, 200, "a restart ends no session");
  const { headers } = await plane.call("DELETE", "/v1/session", undefined, { ...OWN, cookie });
  assert.match(headers.get("set-cookie")!, /^tidegate-session=; .*Max-Age=0/);
});

test("nobody signs in with a wrong token, a gateway's, or from a page of somebody else; guessing is slowed", async (t) => {
  const { plane, admin } = await start(t);
  const enter = async (token: unknown, headers: Record<string, string> = OWN): Promise<number> =>
    (await plane.call("POST", "/v1/session", { token }, headers)).status;
  assert.equal(await enter(admin, {}), 403, "without the page's own field");
  assert.equal(await enter(admin, { ...OWN, origin: "http://evil.example" }), 403);
  const made = await plane.call(
    "POST",
    "/v1/tokens",
    { name: "gw", role: "gateway", expires: "1h", reason: "a test" },
    bearer(admin),
  );
  assert.equal(await enter(made.body.token), 403);
  assert.equal(await enter("x".repeat(2_801)), 400, "no cookie holds it");
  for (const odd of [7, "", "a b", null]) assert.equal(await enter(odd), 400);
  const statuses: number[] = [];
  for (let i = 0; i < 12; i++) statuses.push(await enter(`tg_${"0".repeat(12)}_${"A".repeat(43)}`));
  assert.deepEqual(statuses, [...Array(10).fill(401), 429, 429]);
  assert.equal(await enter(admin), 200);
  assert.ok(!plane.stderr.includes(admin), "and no token is logged");
});

test("the page is served with a policy that runs our own files alone, and with its files for good", async (t) => {
  const { plane } = await start(t);
  const page = await plane.call("GET", "/");
  assert.equal(page.status, 200);
  const policy = page.headers.get("content-security-policy") ?? "";
  for (const part of [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "require-trusted-types-for 'script'",
  ]) {
    assert.ok(policy.split("; ").includes(part), `${part} of ${policy}`);
  }
  assert.ok(!/unsafe|\*|data:|https?:/.test(policy), policy);
  assert.equal(page.headers.get("x-content-type-options"), "nosniff");
  assert.equal(page.headers.get("referrer-policy"), "no-referrer");
  assert.equal(page.headers.get("cache-control"), "no-cache");
  assert.ok(!/<script(?![^>]*\bsrc=)|<style|\son\w+=|https?:\/\//.test(page.body), page.body);
  const files = [...String(page.body).matchAll(/(?:src|href)="(\/[^"]+)"/g)].map(([, path]) => path!);
  assert.ok(files.length >= 3, String(page.body));
  for (const path of files) {
    const file = await plane.call("GET", path);
    assert.equal(file.status, 200, path);
    assert.match(file.headers.get("cache-control")!, /immutable/);
    const etag = file.headers.get("etag")!;
    assert.equal((await plane.call("GET", path, undefined, { "if-none-match": etag })).status, 304);
  }
  for (const path of ["/console/", "/console/..%2f..%2fpackage.json", "/.made-of", "/index.html"]) {
    assert.equal((await plane.call("GET", path)).status, 404, path);
  }
});
