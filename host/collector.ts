/** The OpenTelemetry Collector that tests hand spans to: built of its own modules where Go is, once. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";

const SOURCE = join(import.meta.dirname, "../scripts/collector");
const CACHE = join(import.meta.dirname, "../.cache/collector");
const BUILD = 10 * 60_000;

/** It is not here and cannot be built. The message says how. */
export class NoCollector extends Error {
  override readonly name = "NoCollector";
}

/** TIDEGATE_COLLECTOR, then what was built before, then a build. @returns the command · @throws NoCollector */
export function findCollector(env: NodeJS.ProcessEnv, say: (sentence: string) => void = () => {}): string {
  const given = env.TIDEGATE_COLLECTOR;
  if (given !== undefined && given !== "") return given;
  const hash = createHash("sha256");
  for (const file of ["main.go", "go.mod", "go.sum"]) hash.update(readFileSync(join(SOURCE, file)));
  const built = join(CACHE, hash.digest("hex").slice(0, 12), "collector");
  if (existsSync(built)) return built;
  say("building an OpenTelemetry Collector with Go, once; some minutes …");
  const failed = build(built, env);
  if (failed === undefined) return built;
  throw new NoCollector(
    `an OpenTelemetry Collector could not be built: ${failed}. It needs Go 1.25 or newer and the module proxy; ` +
      "or name a collector with the OTLP receiver and the otlphttp exporter in TIDEGATE_COLLECTOR",
  );
}

/** Beside, then renamed: two that build at once do not disturb each other. @returns what went wrong */
function build(target: string, env: NodeJS.ProcessEnv): string | undefined {
  const aside = `${target}-${process.pid}`;
  mkdirSync(join(target, ".."), { recursive: true });
  try {
    const command = ["build", "-mod=readonly", "-trimpath", "-ldflags", "-s -w", "-o", aside, "."];
    const { status, stderr, error } = spawnSync("go", command, {
      cwd: SOURCE,
      env: { ...env, GOFLAGS: env.GOFLAGS ?? "-buildvcs=false" },
      encoding: "utf8",
      timeout: BUILD,
      stdio: ["ignore", "ignore", "pipe"],
    });
    if (status !== 0) {
      const words = (error?.message ?? stderr ?? "").trim().split("\n").slice(-2).join(" ");
      return `go build failed (${words.slice(-300)})`;
    }
    renameSync(aside, target);
    return undefined;
  } finally {
    rmSync(aside, { force: true });
  }
}
