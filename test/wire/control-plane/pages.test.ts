/** What is asked for again and again: documents that the asker has, and lists page by page. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Answer, startControlPlane, type TestControlPlane } from "../../support/control-plane.ts";
import { fleetYaml, ROUTES, until } from "../../support/gateway.ts";

const FILES = {
  "fleet.yaml": fleetYaml({ hz: ["http://127.0.0.1:1"], sh: ["http://127.0.0.1:2"] }),
  "routes.yaml": ROUTES,
};

const pin = (plane: TestControlPlane, key: string): Promise<Answer> =>
  plane.call("POST", "/v1/overlays", { kind: "pin", key, unit: "hz", reason: "a test" });

test("who has a document of the newest revision is told so, until there is a newer one", async (t) => {
  const plane = await startControlPlane(t, FILES);
  for (const path of ["/v1/config", "/v1/overlays", "/v1/revisions/1"]) {
    const first = await plane.call("GET", path);
    const etag = first.headers.get("etag")!;
    assert.deepEqual([first.status, etag], [200, '"1"'], path);
    for (const has of [etag, `W/${etag}`, `"0", ${etag}`, "*"]) {
      const again = await plane.call("GET", path, undefined, { "if-none-match": has });
      assert.deepEqual(
        [again.status, again.body, again.headers.get("etag")],
        [304, "", etag],
        `${path} ${has}`,
      );
    }
    for (const has of ['"0"', "1", '"11"', ""]) {
      const again = await plane.call("GET", path, undefined, { "if-none-match": has });
      assert.deepEqual([again.status, again.body], [200, first.body], `${path} ${has}`);
    }
  }
  assert.equal((await pin(plane, "ann")).status, 201);
  const seen = { "if-none-match": '"1"' };
  assert.equal((await plane.call("GET", "/v1/overlays", undefined, seen)).body.overlays.length, 1);
  assert.equal((await plane.call("GET", "/v1/config", undefined, seen)).status, 200);
  assert.equal(
    (await plane.call("GET", "/v1/revisions/1", undefined, seen)).status,
    304,
    "it stays as it was",
  );
  assert.equal(
    (await plane.call("GET", "/v1/revisions/9", undefined, { "if-none-match": '"9"' })).status,
    404,
  );
  // The same tag says what a change was decided on.
  const etag = (await plane.call("GET", "/v1/config")).headers.get("etag")!;
  const put = { files: { ...FILES, "routes.yaml": `${ROUTES}# more\n` }, reason: "a test" };
  assert.equal((await plane.call("PUT", "/v1/config", put, { "if-match": '"1"' })).status, 409);
  assert.equal((await plane.call("PUT", "/v1/config", put, { "if-match": etag })).status, 200);
});

const PLAN = "summary: s\nowner: o\nsteps: [ { notify: x } ]\n";
const ROLLOUT =
  "summary: s\nowner: o\nservice: hall\nwaves: [ rest ]\nsteps: [ { share: 100%, bake: 1m } ]\n";

test("lists come in pages, each thing once", async (t) => {
  const plane = await startControlPlane(t, {
    ...FILES,
    ...{ "plans/a.yaml": PLAN, "plans/b.yaml": PLAN, "plans/c.yaml": PLAN },
    ...{ "rollouts/a.yaml": ROLLOUT, "rollouts/b.yaml": ROLLOUT, "rollouts/c.yaml": ROLLOUT },
  });
  for (let i = 0; i < 5; i++) {
    assert.equal((await pin(plane, `key-${i}`)).status, 201);
    const token = { name: `t${i}`, role: "viewer", expires: "1d", reason: "a test" };
    assert.equal((await plane.call("POST", "/v1/tokens", token)).status, 201);
    const ack = { epoch: 1, revision: 1, outcome: "applied", reasons: [] };
    assert.equal((await plane.call("POST", `/v1/gateways/gw-${i}/acks`, ack)).status, 204);
  }
  const lists = [
    ["/v1/overlays", "overlays", "id", 5],
    ["/v1/tokens", "tokens", "id", 5],
    ["/v1/gateways", "gateways", "name", 5],
    ["/v1/status", "gateways", "gateway", 5],
    ["/v1/plans", "plans", "name", 3],
    ["/v1/rollouts", "rollouts", "name", 3],
    ["/v1/revisions", "revisions", "number", 6],
    ["/v1/audit", "entries", "number", 11],
    ["/v1/events", "events", "number", 6],
  ] as const;
  for (const [path, field, name, most] of lists) {
    const seen: unknown[] = [];
    let after: string | null = "";
    for (let page = 0; after !== null; page++) {
      assert.ok(page < 9, `${path} has an end`);
      const from: string = after === "" ? "" : `&after=${encodeURIComponent(after)}`;
      const { status, body } = await plane.call("GET", `${path}?limit=2${from}`);
      assert.equal(status, 200, `${path}: ${JSON.stringify(body)}`);
      assert.ok(body[field].length <= 2, path);
      seen.push(...body[field].map((item: Record<string, unknown>) => item[name]));
      after = body.next;
    }
    const whole = (await plane.call("GET", path)).body[field].map(
      (item: Record<string, unknown>) => item[name],
    );
    assert.deepEqual(seen, whole, path);
    assert.equal(seen.length, most, path);
  }
});

test("every list says in /openapi.json how it is paged, and every document of a revision how it is asked for", async (t) => {
  const plane = await startControlPlane(t, FILES);
  const { paths } = (await plane.call("GET", "/openapi.json")).body;
  const parameters = (path: string): string[] =>
    (paths[path].get.parameters ?? []).map((one: { name: string }) => one.name);
  for (const path of [
    "/v1/overlays",
    "/v1/tokens",
    "/v1/gateways",
    "/v1/status",
    "/v1/plans",
    "/v1/rollouts",
    "/v1/revisions",
    "/v1/audit",
    "/v1/events",
  ]) {
    for (const name of ["limit", "after"]) assert.ok(parameters(path).includes(name), `${path} ${name}`);
  }
  for (const path of ["/v1/config", "/v1/overlays", "/v1/revisions/{number}"]) {
    assert.ok(parameters(path).includes("if-none-match"), path);
    assert.ok(Object.hasOwn(paths[path].get.responses, "304"), path);
  }
});

test("executions come page by page, of one plan, or only those that are not over; one that is known is not sent again", async (t) => {
  const plan = (steps: string): string => `summary: s\nowner: o\nsteps: [ ${steps} ]\n`;
  const plane = await startControlPlane(t, {
    ...FILES,
    "plans/quick.yaml": plan("{ notify: done }"),
    "plans/long.yaml": plan("{ approve: admin, timeout: 1h }"),
  });
  const run = async (name: string): Promise<string> => {
    const made = await plane.call("POST", "/v1/executions", { plan: name, reason: "a test" });
    assert.equal(made.status, 201, JSON.stringify(made.body));
    return made.body.id;
  };
  const ids = [await run("quick"), await run("quick"), await run("long")];
  const one = (id: string, headers = {}): Promise<Answer> =>
    plane.call("GET", `/v1/executions/${id}`, undefined, headers);
  await until(
    "the quick ones are over",
    async () => [(await one(ids[0]!)).body.state, (await one(ids[1]!)).body.state],
    (states) => states.every((state) => state === "succeeded"),
  );
  const list = async (query: string): Promise<{ executions: { id: string }[]; next?: string }> =>
    (await plane.call("GET", `/v1/executions?${query}`)).body;
  const names = ({ executions }: { executions: { id: string }[] }): string[] =>
    executions.map(({ id }) => id);
  const first = await list("limit=2");
  assert.deepEqual([names(first), first.next], [ids.slice(0, 2), ids[1]]);
  assert.deepEqual(names(await list(`limit=2&after=${first.next}`)), ids.slice(2));
  assert.deepEqual(names(await list("live=true")), [ids[2]]);
  assert.deepEqual(names(await list("plan=quick")), ids.slice(0, 2));
  assert.equal((await plane.call("GET", "/v1/executions?limit=-1")).status, 400);
  const known = await one(ids[0]!);
  const has = { "if-none-match": known.headers.get("etag")! };
  assert.equal((await one(ids[0]!, has)).status, 304);
  assert.equal((await one(ids[2]!, { "if-none-match": '"0"' })).status, 200);
});
