/** Plans with a real control plane, a real gateway and real units: run, killed in between, taken back. */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { startControlPlane, startFollower, type TestControlPlane } from "../../support/control-plane.ts";
import { fleetYaml, ROUTES, until } from "../../support/gateway.ts";

interface Seen {
  readonly unit: string;
  readonly epoch: number;
  readonly slot: number;
  /** Milliseconds of one clock. */
  readonly began: number;
  ended: number;
}

/** Units that write down what they were asked to write. */
async function units(t: TestContext): Promise<{ pools: Record<string, string[]>; writes: Seen[] }> {
  const writes: Seen[] = [];
  const pools: Record<string, string[]> = {};
  for (const unit of ["hz", "sh", "sz"]) {
    const server = createServer((request, response) => {
      request.resume();
      request.on("end", () => {
        const { headers, method, url } = request;
        if (method !== "POST") {
          response.end(unit);
          return;
        }
        const [epoch, slot] = [headers["x-tidegate-epoch"], headers["x-tidegate-slot"]].map(Number);
        const seen: Seen = { unit, epoch: epoch!, slot: slot!, began: performance.now(), ended: Number.NaN };
        writes.push(seen);
        const takes = Number(new URL(url!, "http://x").searchParams.get("takes") ?? 0);
        setTimeout(() => {
          seen.ended = performance.now();
          response.end(unit);
        }, takes);
      });
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    t.after(() => {
      server.closeAllConnections();
      server.close();
    });
    pools[unit] = [`http://127.0.0.1:${(server.address() as AddressInfo).port}`];
  }
  return { pools, writes };
}

const MOVE = `
summary: Moves everybody off sh.
owner: ann
steps:
  - { evacuate: sh, to: "hz,sz", batch: 100, catch-up: CATCH_UP }
`;
const WAIT = `
summary: Waits in between.
owner: ann
parameters: { key: { type: text }, share: { type: percentage, default: 10%, max: 50% } }
steps:
  - { pin: "\${key}", unit: sz }
  - { wait: 3s }
  - { pin: other, unit: sz }
`;

/** No two units do something for one slot at the same time, and its epochs only rise. */
function checkOwnership(writes: readonly Seen[]): void {
  const bySlot = Map.groupBy(writes, ({ slot }) => slot);
  for (const [slot, all] of bySlot) {
    const inOrder = all.toSorted((a, b) => a.began - b.began);
    for (const [i, write] of inOrder.entries()) {
      const next = inOrder[i + 1];
      if (next === undefined || next.unit === write.unit) continue;
      assert.ok(next.epoch > write.epoch, `slot ${slot}: ${write.unit} → ${next.unit} without a new epoch`);
      const late = inOrder
        .slice(0, i + 1)
        .filter(({ unit, ended }) => unit !== next.unit && ended > next.began);
      assert.deepEqual(late, [], `slot ${slot}: ${write.unit} still wrote when ${next.unit} began`);
    }
  }
}

const executionOf = (plane: TestControlPlane, id: string) => async () =>
  (await plane.call("GET", `/v1/executions/${id}`)).body;

test("an evacuation under writes: none fails, all arrive, and a revert brings them home", async (t) => {
  const { pools, writes } = await units(t);
  // The units' data takes a while to arrive.
  const asked: string[] = [];
  const data = createServer((request, response) => {
    asked.push(String(request.headers["idempotency-key"]));
    setTimeout(() => response.writeHead(asked.length === 1 ? 202 : 200).end(), 60);
    request.resume();
  }).listen(0, "127.0.0.1");
  await once(data, "listening");
  t.after(() => data.close());
  const host = `127.0.0.1:${(data.address() as AddressInfo).port}`;
  process.env.TIDEGATE_HOOK_SECRET = "nobody knows";
  const plane = await startControlPlane(
    t,
    {
      "fleet.yaml": fleetYaml(pools),
      "routes.yaml": ROUTES,
      "plans/move.yaml": MOVE.replace("CATCH_UP", `"http://${host}/caught-up"`),
    },
    ["--dev", "--hook-host", host],
  );
  const gateway = await startFollower(t, plane, "one");
  await until(
    "a live gateway",
    async () => (await plane.call("GET", "/v1/status")).body.gateways,
    (g) => g.length === 1,
  );
  let [sent, going] = [0, true];
  const failed: number[] = [];
  const client = async (_: undefined, from: number): Promise<void> => {
    for (let i = 0; going; i++) {
      // Few users and many at once, so that each slot is written to all the time.
      const answer = await fetch(`${gateway.url}/cart/x?takes=${i % 30}`, {
        method: "POST",
        headers: { "x-user-id": `user-${(i + from) % 24}` },
        body: "x",
      });
      await answer.text();
      sent++;
      if (answer.status !== 200) failed.push(answer.status);
    }
  };
  const clients = Array.from<undefined>({ length: 24 }).map(client);
  t.after(() => {
    going = false;
  });
  const made = await plane.call("POST", "/v1/executions", { plan: "move", reason: "a test" });
  assert.equal(made.status, 201, JSON.stringify(made.body));
  const { id } = made.body;
  const done = await until("it ended", executionOf(plane, id), ({ state }) => state !== "running");
  assert.equal(done.state, "succeeded", done.says);
  const from = writes.length;
  await until(
    "writes after it",
    () => writes.length,
    (n) => n > from + 200,
  );
  assert.deepEqual(
    writes.slice(from + 50).filter(({ unit }) => unit === "sh"),
    [],
    "nothing is written to sh any more",
  );
  await plane.call("POST", `/v1/executions/${id}/revert`, { reason: "over" });
  const back = await until("it is reverted", executionOf(plane, id), ({ state }) => state !== "reverting");
  assert.equal(back.state, "reverted", back.says);
  await until(
    "sh is written to",
    () => writes.at(-1)!.unit,
    (unit) => unit === "sh",
  );
  going = false;
  await Promise.all(clients);
  assert.deepEqual(failed, [], `of ${sent}`);
  checkOwnership(writes);
  assert.ok(
    asked.length >= 9,
    `four batches there, four back, and once it was not there yet: ${asked.length}`,
  );
  assert.ok(new Set(writes.map(({ epoch }) => epoch)).size > 4, "writes were made in several epochs");
  const { revision } = (await plane.call("GET", "/v1/status")).body;
  assert.ok(revision.number >= 17, "each of eight batches was fenced and switched");
});

test("killed in the middle of a plan, the control plane goes on with it when it is back", async (t) => {
  const { pools } = await units(t);
  const plane = await startControlPlane(t, {
    "fleet.yaml": fleetYaml(pools),
    "routes.yaml": ROUTES,
    "plans/wait.yaml": WAIT,
  });
  const made = await plane.call("POST", "/v1/executions", {
    plan: "wait",
    values: { key: "ann" },
    reason: "a test",
  });
  assert.equal(made.status, 201, JSON.stringify(made.body));
  const { id } = made.body;
  await until("it waits", executionOf(plane, id), ({ runs }) => runs["2"]?.state === "running");
  await plane.stop("SIGKILL");
  await plane.start();
  const done = await until("it ended", executionOf(plane, id), ({ state }) => state !== "running", 20_000);
  assert.equal(done.state, "succeeded", done.says);
  const { overlays } = (await plane.call("GET", "/v1/overlays")).body;
  assert.deepEqual(
    overlays.map(({ does }: { does: string }) => does),
    ["key ann to sz", "key other to sz"],
  );
});

test("a plan that does not fit, a value out of range and what nobody knows are refused before anything is done", async (t) => {
  const { pools } = await units(t);
  const files = { "fleet.yaml": fleetYaml(pools), "routes.yaml": ROUTES };
  const plane = await startControlPlane(t, {
    ...files,
    "plans/wait.yaml": WAIT,
    "plans/careful.yaml": "summary: s\nowner: o\nrequire: [ serving >= 2 ]\nsteps: [ { notify: x } ]\n",
    "plans/call.yaml": 'summary: s\nowner: o\nsteps: [ { hook: "http://169.254.169.254/latest" } ]\n',
  });
  const run = (plan: string, values = {}) =>
    plane.call("POST", "/v1/executions", { plan, values, reason: "a test" });
  for (const [plan, values, status, says] of [
    ["nothing", {}, 404, /no plan nothing; there are call, careful, wait/],
    ["wait", {}, 422, /parameter key has no value; say --set key=/],
    ["wait", { key: "a", share: "60%" }, 422, /parameter share is `60%`; expected at most 50%/],
    ["wait", { key: "a", other: "1" }, 422, /has no parameter other; expected one of key, share/],
    ["careful", {}, 409, /requires what does not hold: serving >= 2 \(no data\)/],
    ["call", {}, 422, /169\.254\.169\.254 is not a host that may be called/],
  ] as const) {
    const answer = await run(plan, values);
    assert.equal(answer.status, status, JSON.stringify(answer.body));
    assert.match(answer.body.title, says);
  }
  assert.equal((await plane.call("GET", "/v1/status")).body.revision.number, 1);
  // A fleet that a plan does not fit is refused as a whole, with the line.
  const bad = { ...files, "plans/p.yaml": "summary: s\nowner: o\nsteps:\n  - { drain: nowhere }\n" };
  const applied = await plane.call("PUT", "/v1/config", { files: bad, reason: "a test" });
  assert.equal(applied.status, 422);
  assert.match(applied.body.problems[0].text, /plans\/p\.yaml:4:\d+: unknown-unit: there is no unit nowhere/);
});

test("a fence holds writes and lets reads go on; what is held too long is refused, and what was under way is waited for", async (t) => {
  const { pools, writes } = await units(t);
  const plane = await startControlPlane(t, {
    "fleet.yaml": fleetYaml(pools),
    "routes.yaml": ROUTES,
    "plans/hold.yaml":
      'summary: s\nowner: o\nsteps: [ { fence: "0-1023", hold: 1s }, { wait: 3s }, { unfence: "0-1023" } ]\n',
  });
  const gateway = await startFollower(t, plane, "one", ["--threads", "2"]);
  await until(
    "a live gateway",
    async () => (await plane.call("GET", "/v1/status")).body.gateways,
    (g) => g.length === 1,
  );
  const ask = (method: string, query = ""): Promise<Response> =>
    fetch(`${gateway.url}/cart/x${query}`, { method, headers: { "x-user-id": "ann" } });
  const slow = ask("POST", "?takes=600");
  await until(
    "it is under way",
    () => writes.length,
    (n) => n === 1,
  );
  const { id } = (await plane.call("POST", "/v1/executions", { plan: "hold", reason: "a test" })).body;
  const fenced = await until(
    "the fence holds",
    executionOf(plane, id),
    ({ runs }) => runs["1"]?.state === "done",
  );
  assert.ok(!Number.isNaN(writes[0]!.ended), "acknowledged only when the write under way had ended");
  assert.equal((await slow).status, 200);
  assert.equal((await ask("GET")).status, 200);
  const began = performance.now();
  const gone = new AbortController();
  const left = fetch(`${gateway.url}/cart/x`, {
    method: "POST",
    headers: { "x-user-id": "ann" },
    signal: gone.signal,
  }).catch((error: Error) => error.name);
  const first = ask("POST");
  setTimeout(() => gone.abort(), 200);
  assert.equal(await left, "AbortError");
  const answer = await first;
  assert.ok(performance.now() - began >= 500, "it was held");
  assert.equal(answer.status, 503);
  assert.equal(answer.headers.get("retry-after"), "1");
  assert.match(await answer.text(), /urn:tidegate:problem:fence/);
  await until("it ended", executionOf(plane, id), ({ state }) => state === "succeeded");
  assert.equal((await ask("POST")).status, 200);
  assert.ok(fenced.runs["1"].until - fenced.runs["1"].since >= 100);
  await until(
    "it is counted",
    () => gateway.metric("tidegate_fenced_total", 'outcome="aborted"'),
    (n) => n === 1,
  );
});
