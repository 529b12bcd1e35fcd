/** The demo as a person starts it, but on free ports and without a terminal. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";

const MAIN = join(import.meta.dirname, "../../loadtest/demo/main.ts");
const FREE = [
  "--port",
  "0",
  "--admin-port",
  "0",
  "--control-port",
  "0",
  "--buttons-port",
  "0",
  "--unit-ports-from",
  "0",
];

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
  const { out, err, code } = await demo(FREE.with(1, String(port)));
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
