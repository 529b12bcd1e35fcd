/** People of an identity provider: a real issuer on loopback, a real control plane, and every token that should not do. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { exportSPKI, importJWK, type CryptoKey } from "jose";
import { type Answer, startControlPlane, type TestControlPlane } from "../../support/control-plane.ts";
import { fleetYaml, until } from "../../support/gateway.ts";
import { AUDIENCE, startIssuer, type TestIssuer } from "../../support/issuer.ts";
import { WHOLE } from "../../support/whole.ts";

const CLI = new URL("../../../cli/tidegate.mjs", import.meta.url).pathname;
const FILES = {
  "fleet.yaml": fleetYaml({ hz: ["http://127.0.0.1:9"] }),
  "routes.yaml": "routes:\n  - { name: hall, match: { path: /hall/* }, service: hall, scope: nearest }\n",
};

interface Stand {
  readonly issuer: TestIssuer;
  readonly plane: TestControlPlane;
}

function flags(issuer: TestIssuer, ...more: string[]): string[] {
  const roles = ["--oidc-role", "operator=sre", "--oidc-role", "admin=CN=platform,OU=admins"];
  return ["--oidc-issuer", issuer.url, "--oidc-audience", AUDIENCE, ...roles, ...more];
}

async function stand(t: TestContext, more: readonly string[] = [], alg = "ES256"): Promise<Stand> {
  const issuer = await startIssuer(t, alg);
  return { issuer, plane: await startControlPlane(t, FILES, flags(issuer, ...more)) };
}

const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });
const ask = (plane: TestControlPlane, token: string, path = "/v1/status"): Promise<Answer> =>
  plane.call("GET", path, undefined, bearer(token));
const own = (plane: TestControlPlane): string => readFileSync(join(plane.data, "admin.token"), "utf8").trim();

/** It is refused with this status and these words, and not repeated. */
async function refused(plane: TestControlPlane, token: string, status: number, words: RegExp): Promise<void> {
  const answer = await ask(plane, token);
  assert.equal(answer.status, status, `${words}: ${JSON.stringify(answer.body)}`);
  assert.match(answer.body.title, words);
  assert.ok(!JSON.stringify(answer.body).includes(token), "an answer repeats the token");
}

for (const alg of WHOLE ? ["RS256", "PS256", "ES256", "EdDSA"] : ["RS256", "EdDSA"]) {
  test(`a person signs in with a token under ${alg}, and does what their group may`, async (t) => {
    const { issuer, plane } = await stand(t, [], alg);
    const token = await issuer.token();
    assert.equal((await ask(plane, token)).status, 200);
    const drain = { change: { kind: "drain", unit: "hz", ramp: 0 }, reason: "a test" };
    const laid = await plane.call("POST", "/v1/overlays", drain, bearer(token));
    // Whether the fleet can spare its only unit is another matter: an operator may ask.
    assert.notEqual(laid.status, 401);
    assert.notEqual(laid.status, 403);
    await refusedTokens(plane, token);
  });
}

/** An operator may not see tokens. */
async function refusedTokens(plane: TestControlPlane, token: string): Promise<void> {
  const answer = await ask(plane, token, "/v1/tokens");
  assert.equal(answer.status, 403);
  assert.match(answer.body.title, /alice@example.com is operator; this is for admin/);
}

test("tokens that are over, too early, of or for somebody else are refused, and are no guesses", async (t) => {
  const { issuer, plane } = await stand(t);
  const now = Math.floor(Date.now() / 1000);
  const cases: [string, string, RegExp][] = [
    ["expired", await issuer.token({ expires: -60 }), /is over/],
    ["not yet", await issuer.token({ claims: { nbf: now + 120 } }), /nbf/],
    ["wrong iss", await issuer.token({ claims: { iss: "https://evil.example.com" } }), /iss/],
    ["iss and a slash", await issuer.token({ claims: { iss: `${issuer.url}/` } }), /iss/],
    ["wrong aud", await issuer.token({ claims: { aud: "another" } }), /aud/],
    ["no aud", await issuer.token({ claims: { aud: undefined } as never }), /aud/],
    ["no exp", await issuer.token({ claims: { exp: undefined } as never }), /exp/],
    ["no sub", await issuer.token({ claims: { sub: undefined } as never }), /sub/],
    ["a logout token", await issuer.token({ header: { typ: "logout+jwt" } }), /another kind/],
    [
      "a name for the terminal",
      await issuer.token({ claims: { sub: "\u001b[2J", email: 1 } }),
      /no name that can/,
    ],
  ];
  for (const [name, token, words] of cases) {
    await t.test(name, () => refused(plane, token, 401, words));
  }
  // Ten genuine ones that do not do, and the eleventh that does: nobody is locked out.
  assert.equal((await ask(plane, await issuer.token({ expires: -10 }))).status, 200, "within the tolerance");
  assert.equal((await ask(plane, await issuer.token({ claims: { aud: ["x", AUDIENCE] } }))).status, 200);
});

test("what the issuer did not sign is refused, and guessing is slowed down", async (t) => {
  const { issuer, plane } = await stand(t, [], "RS256");
  const good = await issuer.token();
  const [header, payload, signature] = good.split(".") as [string, string, string];
  const pem = await exportSPKI((await importJWK(issuer.current.jwk, "RS256")) as CryptoKey);
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const hmac = (secret: string): string => {
    const signed = `${encode({ alg: "HS256", kid: issuer.current.kid, typ: "JWT" })}.${payload}`;
    return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
  };
  const admin = encode(issuer.claims({ groups: ["CN=platform,OU=admins"] }));
  const stranger = await issuer.key("RS256");
  const embedded = { jwk: stranger.jwk, jku: `${issuer.url}/evil`, kid: issuer.current.kid };
  const cases: [string, string, RegExp][] = [
    ["alg none", `${encode({ alg: "none" })}.${payload}.`, /not signed with one of/],
    ["alg None", `${encode({ alg: "None" })}.${payload}.${signature}`, /not signed with one of/],
    ["HS256 with the public key", hmac(pem), /not signed with one of/],
    ["another payload", `${header}.${admin}.${signature}`, /not one that the identity provider signed/],
    ["unknown kid", await issuer.token({ key: stranger }), /does not list/],
    [
      "a key of its own",
      await issuer.token({ key: stranger, header: embedded }),
      /not one that the identity provider/,
    ],
    ["RS384", await issuer.token({ key: { ...(await issuer.key("RS384")) } }), /not signed with one of/],
    ["a token like ours", `tg_${"0".repeat(12)}_${"A".repeat(43)}`, /unknown, revoked or over/],
    ["a part of ours", `${own(plane).slice(0, -1)}.a.b`, /unknown, revoked or over/],
  ];
  for (const [name, token, words] of cases) {
    await t.test(name, () => refused(plane, token, 401, words));
  }
  assert.ok(!issuer.asked.includes("/evil"), "the address in a token was asked");
  await refused(plane, "eyJ.a.b", 401, /not one that the identity provider signed/);
  await refused(plane, "eyJ.a.b", 429, /too many from this address/);
  assert.equal((await ask(plane, good)).status, 200, "whoever is right is not locked out");
});

test("a key that is unknown is fetched once in a cool-down, whoever asks, and a rotated one is found", async (t) => {
  const { issuer, plane } = await stand(t);
  assert.equal((await ask(plane, await issuer.token())).status, 200);
  const before = issuer.fetches;
  assert.equal(before, 1, "at the start, and not for a request");
  for (let i = 0; i < 20; i++) assert.equal((await ask(plane, await issuer.token())).status, 200);
  assert.equal(issuer.fetches, before);
  const old = await issuer.token();
  await issuer.rotate();
  const rotated = await issuer.token();
  const flood = await Promise.all(Array.from({ length: 5 }, () => ask(plane, rotated)));
  assert.ok(issuer.fetches - before <= 1, `${issuer.fetches - before} fetches`);
  assert.ok(flood.every(({ status }) => status === 401 || status === 200));
  await until(
    "the rotated key",
    async () => {
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      return (await ask(plane, rotated)).status;
    },
    (status) => status === 200,
    12_000,
  );
  assert.ok(issuer.fetches - before <= 2, `${issuer.fetches - before} fetches`);
  await refused(plane, old, 401, /does not list/);
});

test("while the issuer is away, those who came before go on, own tokens work, and nobody waits twice", async (t) => {
  const issuer = await startIssuer(t);
  issuer.mood = "silent";
  const plane = await startControlPlane(t, FILES, flags(issuer));
  const token = await issuer.token();
  const began = performance.now();
  await refused(plane, token, 503, /keys of the identity provider cannot be had/);
  assert.ok(performance.now() - began < 3_000, "a silent issuer is waited for no longer than 2 s");
  const again = performance.now();
  const answer = await ask(plane, token);
  assert.equal(answer.status, 503);
  assert.equal(answer.headers.get("retry-after"), "5");
  assert.match(answer.body.type, /identity-provider$/);
  assert.ok(performance.now() - again < 500, "the second one waits for nothing");
  assert.equal((await ask(plane, own(plane))).status, 200);
  issuer.mood = "broken";
  assert.equal((await ask(plane, token)).status, 503);
  issuer.mood = "well";
  await until(
    "the issuer's return",
    async () => (await ask(plane, token)).status,
    (status) => status === 200,
    12_000,
  );
  assert.match(plane.stderr, /the identity provider answers again/);
  issuer.stop();
  assert.equal((await ask(plane, token)).status, 200, "keys that were had are kept");
  assert.equal((plane.stderr.match(/identity provider's keys cannot be had/g) ?? []).length, 1);
});

test("keys that would come by plain HTTP from elsewhere are not fetched", async (t) => {
  const issuer = await startIssuer(t);
  issuer.keysAt = "http://192.0.2.1/keys";
  const plane = await startControlPlane(t, FILES, flags(issuer));
  await refused(plane, await issuer.token(), 503, /jwks_uri is no https URL/);
});

test("roles come from the claim that was named, as a string, a list or at a path, and from nowhere else", async (t) => {
  const { issuer, plane } = await stand(t, [
    "--oidc-role-claim",
    "realm_access.roles",
    "--oidc-role",
    "viewer=dev",
  ]);
  const given = (roles: unknown, more: object = {}): Promise<string> =>
    issuer.token({ claims: { realm_access: { roles }, ...more } });
  assert.equal((await ask(plane, await given("sre"))).status, 200);
  assert.equal((await ask(plane, await given(["x", "dev"]))).status, 200);
  // The highest of several.
  assert.equal((await ask(plane, await given(["dev", "CN=platform,OU=admins"]), "/v1/tokens")).status, 200);
  assert.equal(
    (await ask(plane, await issuer.token({ claims: { "realm_access.roles": "sre" } }))).status,
    200,
  );
  for (const nothing of [
    "nobody",
    "",
    [],
    ["admin", "operator"],
    [["sre"]],
    { sre: true },
    null,
    1,
    "sre dev",
  ]) {
    await refused(plane, await given(nothing), 403, /has no role here/);
  }
  // A claim of another name says nothing, even where it looks right.
  await refused(plane, await issuer.token({ claims: { groups: ["sre"], roles: ["sre"] } }), 403, /no role/);
  const unverified = await given("nobody", { email_verified: false });
  await refused(plane, unverified, 403, /^u-1@127\.0\.0\.1:\d+ has no role/);
  await refused(plane, await given("nobody", { sub: "tidegate", email: "tidegate" }), 403, /^tidegate@127/);
});

test("the audit log has who it was, and no log has their token", async (t) => {
  const { issuer, plane } = await stand(t);
  const token = await issuer.token({ claims: { groups: "CN=platform,OU=admins" } });
  const made = await plane.call(
    "POST",
    "/v1/tokens",
    { name: "ci", role: "viewer", expires: "1h", reason: "a test" },
    bearer(token),
  );
  assert.equal(made.status, 201);
  await ask(plane, `${token}x`);
  const { body } = await ask(plane, token, "/v1/audit");
  const entry = body.entries.find((e: { actor: string }) => e.actor === "alice@example.com");
  assert.equal(entry.action, "token.create");
  await plane.stop();
  for (const text of [plane.stderr, JSON.stringify(body)]) {
    for (const part of token.split(".")) assert.ok(!text.includes(part), "a part of the token was written");
    assert.ok(!text.includes(made.body.token));
  }
});

test("a wrong combination of options is refused at the start, with a sentence", () => {
  const args = [
    "--oidc-issuer",
    "https://login.example.com",
    "--oidc-audience",
    "a",
    "--oidc-role",
    "admin=x",
  ];
  for (const [more, words] of [
    [["--oidc-role", "viewer=x"], /gives x two roles, admin and viewer/],
    [["--dev"], /--dev asks for no token/],
  ] as const) {
    const { status, stderr } = spawnSync(process.execPath, [CLI, "control-plane", ...args, ...more], {
      encoding: "utf8",
      timeout: 20_000,
    });
    assert.equal(status, 2, stderr);
    assert.match(stderr, words);
  }
});
