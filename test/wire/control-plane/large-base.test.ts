/** While thousands of routes are read, whoever asks for anything else is answered, and whoever drains does not wait. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { startControlPlane, type TestControlPlane } from "../../support/control-plane.ts";
import { fleetYaml, ROUTES } from "../../support/gateway.ts";

/** A second and a half to read where nothing else runs. */
const MANY = 4_000;
/** Milliseconds that anybody waits at most, on a machine that is busy. */
const BOUND = 1_000;

const FLEET = fleetYaml({ hz: ["http://127.0.0.1:1"], sh: ["http://127.0.0.1:2"] });
const SMALL = { "fleet.yaml": FLEET, "routes.yaml": ROUTES };

function large(mark: string): Record<string, string> {
  const policies =
    "timeout: { connect: 300ms, total: 15s }, retry: { attempts: 2, on: [ refused, reset ], budget: 20% }";
  const routes = Array.from(
    { length: MANY },
    (_, i) =>
      `  - { name: r${i}, match: { path: /r${i}/* }, service: hall, scope: nearest, failover: all, ${policies} }\n`,
  );
  return { "fleet.yaml": FLEET, "routes.yaml": `# ${mark}\nroutes:\n${routes.join("")}` };
}

/** Asks again and again, until `over`. @returns the longest that it waited */
function watch(t: TestContext, plane: TestControlPlane): () => Promise<number> {
  let [longest, isOver] = [0, false];
  t.after(() => {
    isOver = true;
  });
  const asking = (async () => {
    while (!isOver) {
      const began = performance.now();
      const answer = await fetch(`${plane.url}/healthz`, { signal: AbortSignal.timeout(30_000) });
      assert.equal(await answer.text(), "ok\n");
      longest = Math.max(longest, performance.now() - began);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  })();
  return async () => {
    isOver = true;
    await asking;
    return longest;
  };
}

const call = async (plane: TestControlPlane, method: string, path: string, body?: object) => {
  const answer = await fetch(`${plane.url}${path}`, {
    method,
    headers: body === undefined ? {} : { "content-type": "application/json" },
    body: body === undefined ? null : JSON.stringify(body),
    signal: AbortSignal.timeout(60_000),
  });
  // biome-ignore lint/suspicious/noExplicitAny: tests look at whatever came.
  return { status: answer.status, body: (await answer.json()) as any };
};

test("large bases: previewed, applied, compared and taken back while everybody else is answered", async (t) => {
  const plane = await startControlPlane(t, SMALL);
  const bodies = [{ files: large("one") }, { files: large("two"), reason: "a large change" }];
  const over = watch(t, plane);
  const done: string[] = [];
  const preview = call(plane, "POST", "/v1/config/preview", bodies[0]).then((answer) => {
    done.push("preview");
    return answer;
  });
  const apply = call(plane, "PUT", "/v1/config", bodies[1]).then((answer) => {
    done.push("apply");
    return answer;
  });
  const pin = { kind: "pin", key: "ann", unit: "sh", reason: "a test" };
  const laid = await call(plane, "POST", "/v1/overlays", pin);
  assert.equal(laid.status, 201);
  assert.deepEqual(done, [], "an overlay waits for no base that is read");
  assert.equal((await preview).status, 200);
  const applied = await apply;
  assert.equal(applied.status, 200, JSON.stringify(applied.body));
  assert.equal(applied.body.revision.number, 3, "it was decided on what held when it was read");
  const diff = await call(plane, "GET", "/v1/diff?from=1&to=3");
  assert.ok(diff.body.differences.length > 100);
  const back = await call(plane, "POST", "/v1/rollback", { to: 1, reason: "a test" });
  assert.equal(back.status, 200);
  const longest = await over();
  assert.ok(longest < BOUND, `somebody waited for ${longest.toFixed(0)} ms`);
  t.diagnostic(`the longest wait was ${longest.toFixed(0)} ms`);
});

test("a restarted control plane reads a large base from its store, and leads all the while", async (t) => {
  const plane = await startControlPlane(t, SMALL);
  assert.equal(
    (await call(plane, "PUT", "/v1/config", { files: large("one"), reason: "a test" })).status,
    200,
  );
  await plane.stop();
  await plane.start();
  const { body } = await call(plane, "GET", "/v1/status");
  assert.deepEqual([body.leads, body.revision.number], [true, 2]);
  const over = watch(t, plane);
  // Nobody has read it since the start.
  assert.equal((await call(plane, "GET", "/v1/revisions/1")).status, 200);
  assert.equal((await call(plane, "POST", "/v1/rollback", { to: 1, reason: "a test" })).status, 200);
  const longest = await over();
  assert.ok(longest < BOUND, `somebody waited for ${longest.toFixed(0)} ms`);
});
