// Runs Schemathesis against a control plane of its own, with --dev and with tokens: `npm run test:api [-- OPTIONS]`.
// It makes itself a Python environment below the system's directory for temporary files, and needs PyPI for that once.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const VERSION = "4.32.5";
const ROOT = join(import.meta.dirname, "..");
const VENV = join(tmpdir(), `tidegate-schemathesis-${VERSION}`);
const TOOL = join(VENV, "bin", "schemathesis");

// What fits the schema may still not fit the fleet: a unit that is not there is refused, and has to be.
// Wrong tokens are answered 429 after ten, which the check of authentication takes for a fault; tokens.test.ts looks at it.
const CHECKS = ["--checks", "all", "--exclude-checks", "positive_data_acceptance,ignored_auth"];
const SETTINGS = ["--config-file", join(import.meta.dirname, "schemathesis.toml")];
// Streams never end.
const WHAT = ["--exclude-path-regex", "(stream|watch)$"];
const HOW = ["--max-examples", "60", "--workers", "2", "--request-timeout", "15", "--continue-on-failure"];

function fail(sentence) {
  console.error(`test:api: ${sentence}`);
  process.exit(1);
}

function install() {
  if (existsSync(TOOL)) return;
  const made = spawnSync("python3", ["-m", "venv", VENV], { encoding: "utf8" });
  if (made.error !== undefined || made.status !== 0) {
    rmSync(VENV, { recursive: true, force: true });
    fail("python3 with venv is needed, and is not there; nothing was tested");
  }
  const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1"];
  const got = spawnSync(join(VENV, "bin", "python"), [...pip, `schemathesis==${VERSION}`], {
    encoding: "utf8",
  });
  if (got.status === 0) return;
  rmSync(VENV, { recursive: true, force: true });
  const reason = got.stderr.trim().split("\n").at(-1);
  fail(`Schemathesis ${VERSION} cannot be had from PyPI (${reason}); nothing was tested`);
}

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

async function run(name, flags) {
  const dir = mkdtempSync(join(tmpdir(), "tidegate-api-"));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const args = ["control-plane", "--config", "configs/demo", "--data", dir, "--port", `${port}`, ...flags];
  const plane = spawn(process.execPath, [join(ROOT, "cli/tidegate.mjs"), ...args], {
    cwd: ROOT,
    stdio: ["ignore", "ignore", "pipe"],
  });
  let log = "";
  plane.stderr.on("data", (chunk) => {
    log += chunk;
  });
  try {
    const until = performance.now() + 20_000;
    while (!log.includes("serving on")) {
      if (plane.exitCode !== null || performance.now() > until)
        fail(`the control plane did not start:\n${log}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const token = flags.includes("--dev") ? undefined : readFileSync(join(dir, "admin.token"), "utf8").trim();
    const who = token === undefined ? [] : ["--header", `Authorization: Bearer ${token}`];
    console.log(`test:api: ${name}`);
    const tool = spawn(
      TOOL,
      [
        ...SETTINGS,
        "run",
        `${url}/openapi.json`,
        ...CHECKS,
        ...WHAT,
        ...HOW,
        ...who,
        ...process.argv.slice(2),
      ],
      {
        cwd: dir,
        stdio: "inherit",
      },
    );
    const code = await new Promise((resolve) => tool.on("close", resolve));
    const crashed = plane.exitCode !== null || plane.signalCode !== null || log.includes("a defect, caught");
    if (crashed) console.error(`test:api: the control plane broke:\n${log}`);
    return code === 0 && !crashed;
  } finally {
    plane.kill("SIGKILL");
    rmSync(dir, { recursive: true, force: true });
  }
}

install();
const dev = await run("without tokens (--dev)", ["--dev"]);
const token = await run("with an admin token", []);
process.exitCode = dev && token ? 0 : 1;
