/** Safety rules over the API and the command line: refused with figures, and overridden by two people. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { startControlPlane, type TestControlPlane } from "../../support/control-plane.ts";
import { fleetYaml, until } from "../../support/gateway.ts";

const FILES = {
  "fleet.yaml": fleetYaml({
    hz: ["http://127.0.0.1:1"],
    sh: ["http://127.0.0.1:2"],
    sz: ["http://127.0.0.1:3"],
  }),
  "routes.yaml": "routes:\n  - { name: hall, match: { path: /* }, service: hall, scope: nearest }\n",
  "safety.yaml": "rules:\n  one-drained: { drained: 1 }\n",
};

const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });

async function tidegate(plane: TestControlPlane, token: string, ...args: string[]) {
  const cli = join(import.meta.dirname, "../../../cli/tidegate.mjs");
  const child = spawn(process.execPath, [cli, ...args], {
    env: { ...process.env, TIDEGATE_CONTROL_PLANE: plane.url, TIDEGATE_TOKEN: token, NO_COLOR: "1" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk) => {
      said += chunk;
    });
  }
  const [code] = await once(child, "close");
  return { code: code as number, said };
}

test("a change that breaks a rule is refused with figures; two people override it, once, loudly", async (t) => {
  const plane = await startControlPlane(t, FILES, []);
  const admin = readFileSync(join(plane.data, "admin.token"), "utf8").trim();
  const token = async (name: string, role: string): Promise<string> => {
    const body = { name, role, expires: "1h", reason: "a test" };
    return (await plane.call("POST", "/v1/tokens", body, bearer(admin))).body.token;
  };
  const [ann, bob] = [await token("ann", "operator"), await token("bob", "approver")];
  assert.equal((await tidegate(plane, ann, "drain", "hz", "--reason", "a test")).code, 0);
  const drain = ["drain", "sh", "--reason", "both racks"] as const;
  const refused = await tidegate(plane, ann, ...drain);
  assert.equal(refused.code, 1);
  assert.match(
    refused.said,
    /one-drained: 2 units would be drained \(hz, sh\); at most 1 may\. To satisfy it: undrain one/,
  );

  const asked = await tidegate(plane, ann, ...drain, "--override", "one-drained");
  assert.equal(asked.code, 1);
  const [, id] = /override (or-[0-9a-f]{12}) of one-drained is asked for/.exec(asked.said) ?? [];
  assert.ok(id !== undefined, asked.said);
  const again = await tidegate(plane, ann, ...drain, "--override", "one-drained");
  assert.ok(again.said.includes(id), "asked for once");
  const own = await tidegate(plane, ann, "override", "approve", id, "--reason", "me");
  assert.match(own.said, /ann is operator; this is for approver/);

  const agreed = await tidegate(plane, bob, "override", "approve", id, "--reason", "the racks are one");
  assert.equal(agreed.code, 0, agreed.said);
  const done = await tidegate(plane, ann, ...drain, "--override", "one-drained");
  assert.equal(done.code, 0, done.said);
  const third = await tidegate(plane, ann, "drain", "sz", "--reason", "all", "--override", "one-drained");
  assert.equal(third.code, 1, "it was used, and for another change");
  assert.match(third.said, /at-least-one-unit: 0 units would serve/);

  const { entries } = (await plane.call("GET", "/v1/audit?limit=500", undefined, bearer(admin))).body;
  const used = entries.find((e: { action: string }) => e.action === "override.use");
  assert.match(used.target, /SAFETY RULE one-drained OVERRIDDEN: tidegate drain sh/);
  assert.match(used.reason, /approved by bob: the racks are one/);
  assert.equal(
    (await plane.call("GET", "/v1/audit/verification", undefined, bearer(admin))).body.whole,
    true,
  );
});

test("nobody agrees to their own, and what was agreed to is for one state of the fleet", async (t) => {
  const plane = await startControlPlane(t, FILES, []);
  const admin = readFileSync(join(plane.data, "admin.token"), "utf8").trim();
  const call = (
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
    as = admin,
  ) => plane.call(method, path, body, { ...bearer(as), ...headers });
  const made = await call("POST", "/v1/tokens", {
    name: "eve",
    role: "approver",
    expires: "1h",
    reason: "a test",
  });
  const drain = (unit: string, headers = {}) =>
    call("POST", "/v1/overlays", { kind: "drain", unit, reason: "a test" }, headers);
  assert.equal((await drain("hz")).status, 201);
  const refused = await drain("sh");
  assert.equal(refused.status, 422);
  const [violation] = refused.body.violations;
  assert.deepEqual(violation.figures, { drained: 2, before: 1, most: 1 });
  const ask = { rule: "one-drained", digest: violation.override, what: "drain sh", reason: "a test" };
  const { id } = (await call("POST", "/v1/overrides", ask)).body;
  const approval = `/v1/overrides/${id}/approval`;
  assert.equal((await call("POST", approval, { reason: "mine" })).status, 403);
  assert.equal((await call("POST", approval, { reason: "fine" }, {}, made.body.token)).status, 200);
  assert.equal((await call("POST", approval, { reason: "fine" }, {}, made.body.token)).status, 409);
  // Something else changes meanwhile.
  const pin = { kind: "pin", key: "k", unit: "hz", reason: "a test" };
  assert.equal((await call("POST", "/v1/overlays", pin)).status, 201);
  assert.equal((await drain("sh", { "tidegate-override": id })).status, 422);
  const never = { ...ask, rule: "at-least-one-unit" };
  assert.equal((await call("POST", "/v1/overrides", never)).status, 403);
});

test("a freeze holds from the next change on, also the one that would take it away, but what it excepts", async (t) => {
  const plane = await startControlPlane(t, FILES);
  const time = (from: number): string => new Date(Date.now() + from).toISOString().replace(/\.\d+/, "");
  const freeze = `rules:\n  night: { freeze: [ { from: "${time(-60_000)}", to: "${time(3_600_000)}", except: [drain] } ] }\n`;
  const put = (safety: string) =>
    plane.call("PUT", "/v1/config", { files: { ...FILES, "safety.yaml": safety }, reason: "a test" });
  assert.equal((await put(freeze)).status, 200);
  const lifted = await put(FILES["safety.yaml"]);
  assert.equal(lifted.status, 422);
  assert.match(lifted.body.title, /night: nothing is changed from .* but drain\. To satisfy it: wait until/);
  assert.equal((await plane.call("POST", "/v1/rollback", { to: 1, reason: "a test" })).status, 422);
  const overlay = (body: object) =>
    plane.call("POST", "/v1/overlays", { ...body, reason: "a test", expires: "1s" });
  assert.equal((await overlay({ kind: "pin", key: "k", unit: "hz" })).status, 422);
  assert.equal((await overlay({ kind: "drain", unit: "hz" })).status, 201);
  // What expires was agreed to: a freeze does not hold it back.
  await until(
    "the drain is over",
    async () => (await plane.call("GET", "/v1/overlays")).body.overlays,
    (overlays) => overlays.length === 0,
  );
});

test("previews say what would be refused, as the command itself does, and change nothing", async (t) => {
  const plane = await startControlPlane(t, FILES);
  const drain = (unit: string) => ({ kind: "drain", unit, reason: "a test" });
  const clear = await plane.call("POST", "/v1/overlays/preview", drain("hz"));
  assert.deepEqual([clear.status, clear.body.violations], [200, []]);
  assert.equal((await plane.call("POST", "/v1/overlays", drain("hz"))).status, 201);

  const { body } = await plane.call("POST", "/v1/overlays/preview", drain("sh"));
  const refused = await plane.call("POST", "/v1/overlays", drain("sh"));
  assert.equal(refused.status, 422);
  const { override: _, ...violation } = refused.body.violations[0];
  assert.deepEqual(body.violations, [violation]);
  assert.ok(body.differences.some((d: { field: string }) => d.field.startsWith("fleet.units.sh")));

  const hours = (n: number): string => `${new Date(Date.now() + n * 3_600_000).toISOString().slice(0, 19)}Z`;
  const freeze = (except: string) =>
    `rules:\n  stop:\n    freeze: [ { from: "${hours(-1)}", to: "${hours(1)}", except: [${except}] } ]\n`;
  const frozen = { ...FILES, "safety.yaml": freeze("undrain") };
  const put = (files: object) => ({ files, reason: "a test" });
  const froze = await plane.call("PUT", "/v1/config", put(frozen));
  assert.equal(froze.status, 200, JSON.stringify(froze.body));
  const other = { ...frozen, "routes.yaml": FILES["routes.yaml"].replace("path: /*", "path: /hall/*") };
  const preview = await plane.call("POST", "/v1/config/preview", { files: other });
  assert.deepEqual(
    preview.body.violations.map((v: { rule: string }) => v.rule),
    ["stop"],
  );
  assert.equal((await plane.call("PUT", "/v1/config", put(other))).status, 422);
  const same = await plane.call("POST", "/v1/config/preview", { files: frozen });
  assert.deepEqual(
    [same.body.violations, same.body.differences],
    [[], []],
    "what is there already is no change",
  );
  assert.equal((await plane.call("PUT", "/v1/config", put(frozen))).status, 200);

  const dry = await tidegate(plane, "", "drain", "sh", "--reason", "a test", "--dry-run");
  assert.equal(dry.code, 1, dry.said);
  assert.match(
    dry.said,
    /fleet\.units\.sh\.drain: .*\n(.*\n)*would be refused by stop: .*To satisfy it: wait until/,
  );
  const dir = join(plane.dir, "config");
  const apply = await tidegate(plane, "", "apply", dir, "--reason", "a test", "--dry-run");
  assert.equal(apply.code, 1, apply.said);
  assert.match(apply.said, /would be refused by stop/);
  const diff = await tidegate(plane, "", "diff", dir);
  assert.equal(diff.code, 0, diff.said);
  assert.match(diff.said, /would be refused by stop/);
  assert.equal((await plane.call("GET", "/v1/status")).body.revision.number, 3, "nothing of it was done");
});
