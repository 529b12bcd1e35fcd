/** Finds k6, the load generator, or builds it where Go is. */
import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { delimiter, join } from "node:path";

/** What is built, and the first one that takes our scenarios as they are. */
const VERSION = "v1.8.1";
const OLDEST = 1;
/** Another major version has another path of modules. */
const MODULE = `go.k6.io/k6@${VERSION}`;
const BUILD = 10 * 60_000;

export const K6_CACHE = join(import.meta.dirname, "../.cache/k6");

/** k6 is not here and cannot be had by itself. The message says how. */
export class NoK6 extends Error {
  override readonly name = "NoK6";
}

export interface K6Options {
  readonly env: NodeJS.ProcessEnv;
  /** Told of what takes long. */
  readonly say?: (sentence: string) => void;
  /** Where it is built. */
  readonly cache?: string;
}

/** TIDEGATE_K6, then the PATH, then what was built before, then a build. @returns the command · @throws NoK6 */
export function findK6({ env, say = () => {}, cache = K6_CACHE }: K6Options): string {
  const given = env.TIDEGATE_K6;
  if (given !== undefined && given !== "") {
    const wrong = whyNot(given);
    if (wrong === undefined) return given;
    throw new NoK6(`TIDEGATE_K6 is ${given}, which ${wrong}; expected k6 ${OLDEST}.0 or newer`);
  }
  const found = onPath("k6", env);
  const wrong = found === undefined ? "is not on the PATH" : whyNot(found);
  if (found !== undefined && wrong === undefined) return found;
  const built = join(cache, VERSION, "k6");
  if (existsSync(built) && whyNot(built) === undefined) return built;
  const go = onPath("go", env);
  const failed = go === undefined ? "there is no Go to build it with" : build(go, built, { env, say, cache });
  if (failed === undefined) return built;
  throw new NoK6(
    `k6, the load generator, ${wrong}, and ${failed}. Install k6 (https://grafana.com/docs/k6/latest/set-up/install-k6/), ` +
      `or Go 1.24 or newer with which it is built (go install ${MODULE}), or name a k6 in TIDEGATE_K6`,
  );
}

/** Beside, then renamed: two that build at once do not disturb each other. @returns what went wrong */
function build(go: string, target: string, { env, say, cache }: Required<K6Options>): string | undefined {
  say(`building k6 ${VERSION} with Go, once; some minutes …`);
  const aside = join(cache, `building-${process.pid}`);
  mkdirSync(aside, { recursive: true });
  try {
    const { status, stderr, error } = spawnSync(go, ["install", MODULE], {
      env: { ...env, GOBIN: aside, GOFLAGS: env.GOFLAGS ?? "-buildvcs=false" },
      encoding: "utf8",
      timeout: BUILD,
      stdio: ["ignore", "ignore", "pipe"],
    });
    const words = (error?.message ?? stderr ?? "").trim().split("\n").slice(-2).join(" ");
    if (status !== 0) return `go install ${MODULE} failed (${words.slice(-300)})`;
    mkdirSync(join(cache, VERSION), { recursive: true });
    renameSync(join(aside, "k6"), target);
    return undefined;
  } catch (error) {
    return `it could not be kept in ${cache} (${(error as Error).message})`;
  } finally {
    rmSync(aside, { recursive: true, force: true });
  }
}

/** Why this is no k6 that we can use. */
function whyNot(command: string): string | undefined {
  const { stdout, error } = spawnSync(command, ["version"], { encoding: "utf8", timeout: 20_000 });
  if (error !== undefined) return `does not run (${error.message})`;
  const version = /\bv(\d+)\.(\d+)\.\d+/.exec(stdout);
  if (version === null) return "says no version";
  return Number(version[1]) >= OLDEST ? undefined : `is ${version[0]}, and too old`;
}

function onPath(command: string, env: NodeJS.ProcessEnv): string | undefined {
  for (const place of (env.PATH ?? "").split(delimiter)) {
    if (place === "") continue;
    const file = join(place, command);
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // Not in this place.
    }
  }
  return undefined;
}
