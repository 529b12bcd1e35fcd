/** The demo as a person starts it, but on free ports and without a terminal. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { until } from "../support/gateway.ts";

const MAIN = join(import.meta.dirname, "../../loadtest/demo/main.ts");
const FREE = ["--port", "0", "--admin-port", "0", "--control-port", "0", "--unit-ports-from", "0"];

async function demo(args: readonly string[]) {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "exit")]);
  return { out, err, code };
}

test("a unit is killed and revived, and the client sees no failure but refused writes", async () => {
  const args = [...FREE, "--rate", "100", "--seconds", "12", "--script", "kill:hz@2,revive:hz@6"];
  const { out, err, code } = await demo(args);
  assert.equal(err, "");
  assert.equal(code, 0, out);
  assert.match(out, /unit hz killed/);
  assert.match(out, /the gateway finds unit hz unhealthy, \d\.\d s later/);
  assert.match(out, /requests of hz are answered by s[hz]/);
  assert.match(out, /unit hz started again/);
  assert.match(out, /the gateway finds unit hz healthy/);
  assert.match(out, /\d+ requests sent, \d+ answered, \d+ writes refused, 0 failed\.\n$/);
  assert.doesNotMatch(out, /\x1b/, "no control sequence without a terminal");
});

test("a taken port ends with one sentence, before anything was started", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  const { out, err, code } = await demo([
    "--port",
    String(port),
    "--admin-port",
    "0",
    "--control-port",
    "0",
    "--unit-ports-from",
    "0",
  ]);
  server.close();
  assert.equal(code, 1);
  assert.equal(out, "");
  assert.equal(
    err,
    `Port ${port} is taken: end the process that listens on it, or choose another with --port N.\n`,
  );
});

test("SIGTERM ends the demo and every child", async () => {
  const child = spawn(process.execPath, [MAIN, ...FREE], { stdio: ["ignore", "pipe", "inherit"] });
  const exited = once(child, "exit");
  const ended = once(child.stdout, "close"); // Only when no child holds it open any more.
  let out = "";
  let port: string | undefined;
  for await (const chunk of child.stdout.setEncoding("utf8")) {
    out += chunk;
    port = /^gateway +http:\/\/127\.0\.0\.1:(\d+)/m.exec(out)?.[1];
    if (out.includes("traffic begins") && port !== undefined) child.kill("SIGTERM");
  }
  await Promise.all([exited, ended]);
  await assert.rejects(fetch(`http://127.0.0.1:${port}/hall/`), "the gateway is gone");
});

test("a unit is made slow: the alert names a plan, and the plan moves its users' reads away and is taken back", async (t) => {
  const args = [...FREE, "--rate", "100", "--seconds", "60", "--script", "slow:sz@1"];
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  t.after(async () => {
    if (child.exitCode !== null) return;
    const exited = once(child, "exit");
    child.kill("SIGTERM");
    await exited;
  });
  let out = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    out += chunk;
  });
  await until(
    "traffic",
    () => out,
    (said) => said.includes("unit sz made slow"),
    30_000,
  );
  const api = /console +(http:\/\/127\.0\.0\.1:\d+)/.exec(out)![1]!;
  const call = async (path: string, body?: object) => {
    const headers = { "content-type": "application/json" };
    const answer = await fetch(
      `${api}${path}`,
      body === undefined ? {} : { method: "POST", headers, body: JSON.stringify(body) },
    );
    return (await answer.json()) as Record<string, unknown>;
  };
  interface Alert {
    readonly rule: string;
    readonly state: string;
    readonly labels: { readonly unit: string };
    readonly plan: { readonly name: string; readonly values: { readonly unit: string } };
  }
  const alert = await until(
    "the alert",
    async () =>
      ((await call("/v1/alerts")).alerts as Alert[]).find(
        ({ rule, state, labels }) => rule === "unit-slow" && state === "firing" && labels.unit === "sz",
      ),
    (found) => found !== undefined,
    30_000,
  );
  assert.deepEqual(alert!.plan, { name: "drain-unit", values: { unit: "sz" } });
  const { name, values } = alert!.plan;
  const dry = await call(`/v1/plans/${name}/dry-run`, { values });
  assert.match(JSON.stringify(dry), /drain sz/);
  const { id } = (await call("/v1/executions", {
    plan: name,
    values,
    reason: "as the alert says",
  })) as { id: string };
  const execution = (state: string) =>
    until(
      state,
      async () => (await call(`/v1/executions/${id}`)).state as string,
      (is) => is === state,
      20_000,
    );
  await execution("succeeded");
  await call(`/v1/executions/${id}/revert`, { reason: "seen" });
  await execution("reverted");
});
