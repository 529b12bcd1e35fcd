/** Who may do what, walked over every path of /openapi.json; and where a secret must never be. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { globSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { mayAct, type Role, ROLES } from "../../../control-plane/tokens.ts";
import { startControlPlane, type TestControlPlane } from "../../support/control-plane.ts";
import { fleetYaml, ROUTES } from "../../support/gateway.ts";

const FILES = {
  "fleet.yaml": fleetYaml({ hz: ["http://127.0.0.1:1"], sh: ["http://127.0.0.1:2"] }),
  "routes.yaml": ROUTES,
};
const ALL: readonly Role[] = [...ROLES, "gateway"];

const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });
const adminOf = (plane: TestControlPlane): string =>
  readFileSync(join(plane.data, "admin.token"), "utf8").trim();
const wrong = (): string => `tg_${randomBytes(6).toString("hex")}_${randomBytes(32).toString("base64url")}`;

async function makeToken(
  plane: TestControlPlane,
  role: string,
  expires = "1h",
): Promise<{ id: string; token: string }> {
  const body = { name: role, role, expires, reason: "a test" };
  const answer = await plane.call("POST", "/v1/tokens", body, bearer(adminOf(plane)));
  assert.equal(answer.status, 201, JSON.stringify(answer.body));
  return answer.body;
}

interface Operation {
  readonly method: string;
  readonly path: string;
  readonly needed: Role;
}

async function operations(plane: TestControlPlane): Promise<Operation[]> {
  const { paths } = (await plane.call("GET", "/openapi.json")).body as {
    paths: Record<string, Record<string, { description?: string }>>;
  };
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { description = "" }]) => {
      const [, needed] = /^For the role (\w+)/.exec(description) ?? [];
      assert.ok(ALL.includes(needed as Role), `${method} ${path} says for whom it is: ${description}`);
      return { method: method.toUpperCase(), path, needed: needed as Role };
    }),
  );
}

/** The status alone: streams never end. */
async function statusOf(
  plane: TestControlPlane,
  { method, path }: Operation,
  headers: object,
): Promise<number> {
  const values: Record<string, string> = { number: "1", id: "000000000000", gateway: "one" };
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => values[name]!);
  const abort = new AbortController();
  const answer = await fetch(`${plane.url}${filled}`, {
    method,
    headers: { ...headers, ...(method === "GET" ? {} : { "content-type": "application/json" }) },
    ...(method === "GET" ? {} : { body: "{}" }),
    signal: abort.signal,
  });
  abort.abort();
  return answer.status;
}

test("every path of the API asks for a token, and takes the roles that it says, and no others", async (t) => {
  const plane = await startControlPlane(t, FILES, []);
  const tokens = new Map<Role, string>();
  for (const role of ALL) tokens.set(role, (await makeToken(plane, role)).token);
  const all = await operations(plane);
  assert.ok(all.length >= 28, `${all.length} operations`);
  for (const operation of all) {
    const { method, path, needed } = operation;
    const changes = method !== "GET" && !/\/(preview|dry-run)$/.test(path);
    if (changes) assert.notEqual(needed, "viewer", `${method} ${path} changes something`);
    if (path.startsWith("/v1/tokens")) assert.equal(needed, "admin", `${method} ${path}`);
    assert.equal(await statusOf(plane, operation, {}), 401, `${method} ${path} without a token`);
    for (const role of ALL) {
      const status = await statusOf(plane, operation, bearer(tokens.get(role)!));
      const what = `${method} ${path} by ${role}: ${status}`;
      if (mayAct(role, needed)) assert.ok(![401, 403].includes(status) && status < 500, what);
      else assert.equal(status, 403, what);
    }
  }
  const { revision } = (await plane.call("GET", "/v1/status", undefined, bearer(adminOf(plane)))).body;
  assert.equal(revision.number, 1, "an empty body changes nothing");
});

test("a token that is wrong, revoked or over is refused, in whatever way it is shown", async (t) => {
  const plane = await startControlPlane(t, FILES, []);
  const admin = adminOf(plane);
  const ask = async (authorization: string): Promise<number> =>
    (await plane.call("GET", "/v1/status", undefined, { authorization })).status;
  assert.equal(await ask(`Bearer ${admin}`), 200);
  assert.equal(await ask(`bearer  ${admin}`), 200, "a scheme has no case");
  const shown = [
    "",
    "Bearer",
    `Basic ${btoa(`x:${admin}`)}`,
    admin,
    `Bearer ${admin} x`,
    `Bearer, Bearer ${admin}`,
  ];
  for (const header of shown) assert.equal(await ask(header), 401, header.slice(0, 12));
  const almost = `${admin.slice(0, -1)}${admin.endsWith("A") ? "B" : "A"}`;
  for (const token of [almost, admin.toUpperCase(), admin.slice(3), `${admin}a`, wrong()]) {
    assert.equal(await ask(`Bearer ${token}`), 401);
  }
  for (const path of [`/v1/status?token=${admin}`, `/v1/status?access_token=${admin}`]) {
    assert.equal((await plane.call("GET", path)).status, 401, "an address is logged on its way");
  }
  const gone = await makeToken(plane, "viewer");
  assert.equal(await ask(`Bearer ${gone.token}`), 200);
  const revoked = await plane.call("DELETE", `/v1/tokens/${gone.id}?reason=a`, undefined, bearer(admin));
  assert.equal(revoked.status, 200);
  assert.equal(await ask(`Bearer ${gone.token}`), 401, "at once");
  const brief = await makeToken(plane, "viewer", "1s");
  assert.equal(await ask(`Bearer ${brief.token}`), 200);
  await new Promise((resolve) => setTimeout(resolve, 1_100));
  assert.equal(await ask(`Bearer ${brief.token}`), 401);
});

test("eleven wrong tokens are told to stop, and the right one behind the same address is served", async (t) => {
  const plane = await startControlPlane(t, FILES, []);
  const statuses: number[] = [];
  for (let i = 0; i < 12; i++) {
    statuses.push((await plane.call("GET", "/v1/status", undefined, bearer(wrong()))).status);
  }
  assert.deepEqual(statuses, [...Array(10).fill(401), 429, 429]);
  const right = await plane.call("GET", "/v1/status", undefined, bearer(adminOf(plane)));
  assert.equal(right.status, 200, "one wrong token in a loop must not lock a fleet's gateways out");
  const last = await plane.call("GET", "/v1/status", undefined, bearer(wrong()));
  assert.equal(last.status, 429);
  assert.equal(last.headers.get("retry-after"), "60");
});

test("a secret is in one answer and one file, and nowhere else: not in logs, answers, the audit log or the data", async (t) => {
  const plane = await startControlPlane(t, FILES, []);
  const admin = adminOf(plane);
  const key = { "idempotency-key": "one-token" };
  const body = { name: "ann", role: "operator", expires: "1h", reason: "a test" };
  const made = await plane.call("POST", "/v1/tokens", body, { ...bearer(admin), ...key });
  assert.equal(made.status, 201);
  const again = await plane.call("POST", "/v1/tokens", body, { ...bearer(admin), ...key });
  assert.equal(again.status, 409, "a secret is shown once");
  const guess = wrong();
  const secrets = [admin, made.body.token as string, guess].map((token) =>
    token.split("_").slice(2).join("_"),
  );
  const seen: [string, string][] = [["a replay", JSON.stringify(again.body)]];
  const refusals = [
    await plane.call("GET", "/v1/tokens", undefined, bearer(made.body.token)),
    await plane.call("GET", "/v1/status", undefined, bearer(guess)),
    await plane.call("POST", "/v1/tokens", { ...body, role: made.body.token }, bearer(admin)),
    await plane.call("GET", `/v1/nothing`, undefined, bearer(made.body.token)),
  ];
  for (const answer of refusals) seen.push(["a refusal", JSON.stringify(answer.body)]);
  for (const { method, path, needed } of await operations(plane)) {
    if (method !== "GET" || path.includes("{") || needed === "gateway" || path.endsWith("/watch")) continue;
    const query = path === "/v1/diff" ? "?from=1&to=1" : "";
    const answer = await plane.call("GET", `${path}${query}`, undefined, bearer(admin));
    assert.equal(answer.status, 200, path);
    seen.push([path, JSON.stringify(answer.body)]);
  }
  await plane.stop();
  seen.push(["the log", plane.stderr]);
  for (const name of globSync("**/*", { cwd: plane.dir })) {
    const file = join(plane.dir, name);
    if (statSync(file).isFile() && name !== "data/admin.token")
      seen.push([name, readFileSync(file, "latin1")]);
  }
  assert.ok(
    seen.some(([name]) => name === "data/tidegate.db"),
    "the database was looked at",
  );
  for (const [where, text] of seen) {
    for (const secret of secrets) assert.ok(!text.includes(secret), `a secret is in ${where}`);
  }
  assert.equal(statSync(join(plane.data, "admin.token")).mode & 0o777, 0o600);
  assert.equal(statSync(plane.data).mode & 0o777, 0o700);
});
