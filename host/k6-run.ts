/** Runs k6 by a run file, and reads what came of it. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RUN_VARIABLE, type RunFile } from "../model/load/run-file.ts";
import type { RunResult } from "../model/load/run-result.ts";

const SCENARIOS = join(import.meta.dirname, "../loadtest/scenarios");
/** Results are written within this (ms) after it was told to stop. */
const LAST_WORDS = 1_500;

export interface K6Ended {
  /** Undefined: it was killed. */
  readonly code: number | undefined;
  /** What it showed, and the end of what it said was wrong. */
  readonly stdout: string;
  readonly stderr: string;
}

const MOST_WORDS = 16_000;
/** k6 with one scenario. It ends with this process, and when it is told to. */
export class K6Run {
  readonly ended: Promise<K6Ended>;
  readonly #child: ChildProcess;
  #isOver = false;

  /**
   * @param script of loadtest/scenarios · @param variables what it reads
   * @throws never: a k6 that does not start has ended
   */
  constructor(
    command: string,
    script: string,
    variables: Readonly<Record<string, string>>,
    env: NodeJS.ProcessEnv,
  ) {
    // Nothing is reported to its makers, and its own server would be in the way of a second one.
    const options = ["--quiet", "--no-color", "--no-usage-report", "--address", "", "--log-output", "stderr"];
    const child = spawn(command, ["run", ...options, script], {
      env: { ...env, ...variables, K6_NO_USAGE_REPORT: "true" },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    const kill = (): void => void child.kill("SIGKILL");
    process.once("exit", kill);
    let [stdout, stderr] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout = (stdout + text).slice(-MOST_WORDS);
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr = (stderr + text).slice(-MOST_WORDS);
    });
    this.ended = new Promise((resolve) => {
      child.once("error", (error) => resolve({ code: undefined, stdout, stderr: error.message }));
      child.once("close", (code) => resolve({ code: code ?? undefined, stdout, stderr }));
    });
    void this.ended.then(() => {
      this.#isOver = true;
      process.off("exit", kill);
    });
  }

  /** No request more, and its results as far as it came; killed where it does not end by itself. */
  async stop(): Promise<K6Ended> {
    if (!this.#isOver) {
      this.#child.kill("SIGINT");
      const timer = setTimeout(() => this.#child.kill("SIGKILL"), LAST_WORDS);
      await this.ended;
      clearTimeout(timer);
    }
    return this.ended;
  }
}

export interface Played {
  /** Undefined: it wrote none. */
  readonly result: RunResult | undefined;
  readonly ended: K6Ended;
}

export interface PlayOptions {
  /** Where results go, and under which name; undefined: nowhere. */
  readonly out?: { readonly dir: string; readonly name: string } | undefined;
  readonly env: NodeJS.ProcessEnv;
  /** Told of the run that has begun, so that it can be stopped. */
  readonly onStart?: (run: K6Run) => void;
}

/** @param command from findK6 */
export async function playK6(
  command: string,
  file: Omit<RunFile, "json" | "html">,
  { out, env, onStart }: PlayOptions,
): Promise<Played> {
  const dir = mkdtempSync(join(tmpdir(), "tidegate-k6-"));
  try {
    if (out !== undefined) mkdirSync(out.dir, { recursive: true });
    const json = join(out?.dir ?? dir, `${out?.name ?? "result"}.json`);
    const html = out === undefined ? {} : { html: join(out.dir, `${out.name}.html`) };
    const whole: RunFile = { ...file, json, ...html };
    const runFile = join(dir, "run.json");
    // It has marks in it.
    writeFileSync(runFile, JSON.stringify(whole), { mode: 0o600 });
    rmSync(json, { force: true });
    const k6 = new K6Run(command, join(SCENARIOS, `${file.scenario}.ts`), { [RUN_VARIABLE]: runFile }, env);
    onStart?.(k6);
    const ended = await k6.ended;
    return { result: readResult(json), ended };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function readResult(file: string): RunResult | undefined {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as RunResult;
  } catch {
    return undefined;
  }
}
