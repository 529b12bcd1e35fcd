/** A command whose answer was lost is sent again, and done once: over the API, over a kill, and by the command line. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import net from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { startControlPlane, type TestControlPlane } from "../../support/control-plane.ts";
import { fleetYaml, ROUTES } from "../../support/gateway.ts";

const FILES = {
  "fleet.yaml": fleetYaml({ hz: ["http://127.0.0.1:1"], sh: ["http://127.0.0.1:2"] }),
  "routes.yaml": ROUTES,
};
const CLI = join(import.meta.dirname, "../../../cli/tidegate.mjs");
const keyed = (key: string): Record<string, string> => ({ "idempotency-key": key });
const pin = (key: string): object => ({ kind: "pin", key, unit: "hz", reason: "a test" });
const newest = async (plane: TestControlPlane): Promise<number> =>
  (await plane.call("GET", "/v1/status")).body.revision.number;

test("each command that is sent again gives the same answer and changes nothing", async (t) => {
  const plane = await startControlPlane(t, FILES);
  const digest = "0".repeat(64);
  const edited = { ...FILES, "routes.yaml": `${ROUTES}# edited\n` };
  const commands: [string, string, object?][] = [
    ["POST", "/v1/overlays", pin("ann")],
    ["DELETE", "/v1/overlays/ov-2?reason=over"],
    ["PUT", "/v1/config", { files: edited, reason: "an edit" }],
    ["POST", "/v1/rollback", { to: 1, reason: "back" }],
    ["POST", "/v1/overrides", { rule: "one", digest, what: "drain", reason: "a test" }],
  ];
  for (const [i, [method, path, body]] of commands.entries()) {
    const first = await plane.call(method, path, body, keyed(`key-${i}`));
    assert.ok(first.status < 300, `${method} ${path}: ${JSON.stringify(first.body)}`);
    assert.equal(first.headers.get("idempotency-replayed"), null);
    const [revision, entries] = [
      await newest(plane),
      (await plane.call("GET", "/v1/audit")).body.entries.length,
    ];
    const again = await plane.call(method, path, body, keyed(`key-${i}`));
    assert.equal(again.headers.get("idempotency-replayed"), "true", `${method} ${path}`);
    assert.deepEqual([again.status, again.body], [first.status, first.body]);
    for (const name of ["etag", "location"]) assert.equal(again.headers.get(name), first.headers.get(name));
    assert.equal(await newest(plane), revision);
    assert.equal((await plane.call("GET", "/v1/audit")).body.entries.length, entries);
  }
  const token = { name: "ann", role: "viewer", expires: "1h", reason: "a test" };
  const made = await plane.call("POST", "/v1/tokens", token, keyed("token"));
  const again = await plane.call("POST", "/v1/tokens", token, keyed("token"));
  assert.equal(again.status, 409);
  assert.match(again.body.title, new RegExp(`made the token ${made.body.id}, whose text was shown once`));
  assert.ok(!JSON.stringify(again.body).includes(made.body.token));
  assert.equal((await plane.call("GET", "/v1/tokens")).body.tokens.length, 1);
  const revoke = `/v1/tokens/${made.body.id}?reason=over`;
  assert.equal((await plane.call("DELETE", revoke, undefined, keyed("revoke"))).status, 200);
  const revoked = await plane.call("DELETE", revoke, undefined, keyed("revoke"));
  assert.deepEqual([revoked.status, revoked.body], [200, { revoked: made.body.id }]);
  const other = await plane.call("POST", "/v1/overlays", pin("bob"), keyed("key-0"));
  assert.equal(other.status, 422);
  assert.equal(other.body.type, "urn:tidegate:problem:idempotency-mismatch");
});

test("a key must be one, and a refused command is tried again with the same", async (t) => {
  const plane = await startControlPlane(t, FILES);
  for (const key of ["", "a".repeat(101), "ä", "a\tb"]) {
    const answer = await plane.call("POST", "/v1/overlays", pin("ann"), keyed(key));
    assert.equal(answer.status, 400, JSON.stringify(key));
  }
  assert.equal((await plane.call("DELETE", "/v1/overlays/ov-2?reason=a", undefined, keyed("k"))).status, 404);
  assert.equal((await plane.call("POST", "/v1/overlays", pin("ann"))).status, 201);
  assert.equal((await plane.call("DELETE", "/v1/overlays/ov-2?reason=a", undefined, keyed("k"))).status, 200);
});

test("of the same command twenty times at once, one is done, and all hear the same", async (t) => {
  const plane = await startControlPlane(t, FILES);
  const sent = Array.from({ length: 20 }, () =>
    plane.call("POST", "/v1/overlays", pin("ann"), keyed("same")),
  );
  const answers = await Promise.all(sent);
  assert.deepEqual(new Set(answers.map((answer) => answer.status)), new Set([201]));
  assert.equal(new Set(answers.map((answer) => JSON.stringify(answer.body))).size, 1);
  assert.equal(answers.filter((a) => a.headers.get("idempotency-replayed") === null).length, 1);
  assert.equal(await newest(plane), 2);
});

test("applying what holds already is remembered too: sent again later, it does not undo what others did", async (t) => {
  const plane = await startControlPlane(t, FILES);
  const same = { files: FILES, reason: "as it is" };
  assert.equal((await plane.call("PUT", "/v1/config", same, keyed("same"))).status, 200);
  const edited = { files: { ...FILES, "routes.yaml": `${ROUTES}# edited\n` }, reason: "somebody else" };
  assert.equal((await plane.call("PUT", "/v1/config", edited)).status, 200);
  const again = await plane.call("PUT", "/v1/config", same, keyed("same"));
  assert.equal(again.headers.get("idempotency-replayed"), "true");
  assert.equal(await newest(plane), 2);
});

test("killed in a stream of commands, it has all that it acknowledged, and none of them twice", async (t) => {
  const plane = await startControlPlane(t, FILES);
  const acknowledged = new Map<string, string>();
  let next = 0;
  for (let round = 0; round < 3; round++) {
    let killed = false;
    const lost: string[] = [];
    const writer = async (): Promise<void> => {
      while (!killed) {
        const key = `k${next++}`;
        try {
          const { status, body } = await plane.call("POST", "/v1/overlays", pin(key), keyed(key));
          assert.equal(status, 201, JSON.stringify(body));
          acknowledged.set(key, body.overlay.id);
        } catch (error) {
          if (!killed) throw error;
          lost.push(key);
        }
      }
    };
    const writers = [writer(), writer(), writer()];
    await new Promise((resolve) => setTimeout(resolve, 150 + round * 130));
    killed = true;
    await plane.stop("SIGKILL");
    await Promise.all(writers);
    await plane.start();
    assert.ok(lost.length > 0, "the kill came in the middle");
    for (const key of lost) {
      const { status, body } = await plane.call("POST", "/v1/overlays", pin(key), keyed(key));
      assert.equal(status, 201, `${key}: ${JSON.stringify(body)}`);
      acknowledged.set(key, body.overlay.id);
    }
    const { overlays } = (await plane.call("GET", "/v1/overlays")).body;
    const there = new Map(overlays.map((o: { id: string; change: { key: string } }) => [o.change.key, o.id]));
    assert.equal(overlays.length, acknowledged.size, "each once");
    for (const [key, id] of acknowledged) assert.equal(there.get(key), id, key);
  }
  assert.equal((await plane.call("GET", "/v1/audit/verification")).body.whole, true);
  assert.equal(await newest(plane), acknowledged.size + 1);
});

/** Passes everything on, but breaks the first connection when the answer comes. */
async function breaking(t: TestContext, port: number): Promise<number> {
  let broken = false;
  const server = net.createServer((client) => {
    const upstream = net.connect(port, "127.0.0.1");
    for (const socket of [client, upstream]) socket.on("error", () => {});
    client.on("data", (chunk) => upstream.write(chunk));
    upstream.on("data", (chunk) => {
      if (broken) client.write(chunk);
      else {
        broken = true;
        client.resetAndDestroy();
        upstream.destroy();
      }
    });
    client.on("close", () => upstream.destroy());
    upstream.on("close", () => client.destroy());
  });
  t.after(() => server.close());
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as net.AddressInfo).port;
}

test("a command line whose connection breaks off tries once more, and the command is done once", async (t) => {
  const plane = await startControlPlane(t, FILES);
  const port = await breaking(t, plane.port);
  const args = ["overlay", "add", "pin", "key=ann", "unit=hz", "--reason", "a test"];
  const child = spawn(process.execPath, [CLI, ...args], {
    env: { ...process.env, TIDEGATE_CONTROL_PLANE: `http://127.0.0.1:${port}`, NO_COLOR: "1" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk) => {
      said += chunk;
    });
  }
  const [code] = await once(child, "close");
  assert.equal(code, 0, said);
  assert.match(said, /key ann to hz by ov-2/);
  assert.equal(await newest(plane), 2);
});
