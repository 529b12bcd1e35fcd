/** Starts that must not succeed, and say why in one clear sentence. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { fleet, routes } from "../failover/fleet.ts";

const CLI = new URL("../../../cli/tidegate.mjs", import.meta.url).pathname;
const FLEET = fleet({ hz: ["http://127.0.0.1:9"] }, { health: "none" });

function configDir(t: TestContext, files: Record<string, string>): string {
  const dir = mkdtempSync(join(tmpdir(), "tidegate-test-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(dir, name), content);
  return dir;
}

async function run(dir: string, args: readonly string[]) {
  const child = spawn(
    process.execPath,
    [
      CLI,
      "gateway",
      "--config",
      dir,
      "--host",
      "127.0.0.1",
      ...["--port", "0", "--admin-port", "0"],
      ...args,
    ],
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  const timer = setTimeout(() => child.kill("SIGKILL"), 30_000);
  const [stderr, [code]] = await Promise.all([text(child.stderr), once(child, "exit")]);
  clearTimeout(timer);
  return { stderr, code: code as number | null };
}

/** A listener without SO_REUSEPORT. */
async function occupy(t: TestContext): Promise<number> {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return (server.address() as net.AddressInfo).port;
}

test("a taken port ends the start with one sentence", async (t) => {
  const dir = configDir(t, { "fleet.yaml": FLEET, "routes.yaml": routes() });
  const port = await occupy(t);
  for (const flag of ["--port", "--admin-port"]) {
    const { code, stderr } = await run(dir, [flag, String(port)]);
    assert.equal(code, 1, stderr);
    assert.equal(
      stderr,
      `tidegate gateway: port ${port} is taken; stop what listens there or choose another with ${flag}\n`,
    );
  }
});

test("a taken TLS port is named with its own flag", async (t) => {
  const dir = configDir(t, { "fleet.yaml": FLEET, "routes.yaml": routes() });
  const port = await occupy(t);
  const { execFileSync } = await import("node:child_process");
  const [cert, key] = [join(dir, "cert.pem"), join(dir, "key.pem")];
  execFileSync(
    "openssl",
    [
      ...[
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
      ],
      ...["-subj", "/CN=localhost", "-keyout", key, "-out", cert],
    ],
    { stdio: "ignore" },
  );
  const { code, stderr } = await run(dir, ["--tls-port", String(port), "--tls-cert", cert, "--tls-key", key]);
  assert.equal(code, 1, stderr);
  assert.equal(
    stderr,
    `tidegate gateway: port ${port} is taken; stop what listens there or choose another with --tls-port\n`,
  );
});

test("an invalid configuration ends the start with every problem and its place", async (t) => {
  const dir = configDir(t, {
    "fleet.yaml": FLEET.replace("r-hz: {}", "r-xx: {}").replace("slots: 1024", "slots: many"),
    "routes.yaml": routes("surprise: 1"),
  });
  const { code, stderr } = await run(dir, []);
  assert.equal(code, 1);
  const problems = stderr.split("\n").filter((line) => line.startsWith(dir));
  assert.ok(problems.length >= 4, stderr);
  for (const problem of problems)
    assert.match(problem.slice(dir.length), /^\/(fleet|routes)\.yaml:\d+:\d+: /);
  assert.match(stderr, /surprise/);
  assert.match(stderr, /slots/);
  assert.match(stderr, /nothing was started\n$/);
});

test("a directory that is not there is said so", async (t) => {
  const dir = configDir(t, {});
  const { code, stderr } = await run(join(dir, "none"), []);
  assert.equal(code, 1);
  assert.match(stderr, /fleet\.yaml/);
});

test("wrong flags are usage errors", async (t) => {
  const dir = configDir(t, { "fleet.yaml": FLEET, "routes.yaml": routes() });
  const wrong: readonly (readonly [string[], RegExp])[] = [
    [["--port", "http"], /--port is http; expected a port/],
    [["--port", "65536"], /--port is 65536; expected a port/],
    [["--port", ""], /--port is ; expected a port/],
    [["--threads", "0"], /--threads is 0; expected a whole number from 1 to 64/],
    [["--threads", "1.5"], /--threads is 1\.5/],
    [["--lame-duck", "soon"], /--lame-duck is soon; expected a duration/],
    [["--grace", "-1s"], /--grace is -1s; expected a duration/],
    [["--tls-port", "0"], /--tls-port needs --tls-cert and --tls-key/],
    [["--frobnicate"], /unknown option '--frobnicate'/],
  ];
  await Promise.all(
    wrong.map(async ([args, message]) => {
      const { code, stderr } = await run(dir, args);
      assert.equal(code, 2, `${args.join(" ")}: ${stderr}`);
      assert.match(stderr, message);
    }),
  );
});

test("a certificate that cannot be read ends the start", async (t) => {
  const dir = configDir(t, { "fleet.yaml": FLEET, "routes.yaml": routes() });
  const none = join(dir, "none.pem");
  const { code, stderr } = await run(dir, ["--tls-port", "0", "--tls-cert", none, "--tls-key", none]);
  assert.equal(code, 1);
  assert.match(stderr, /none\.pem/);
});
