/** Starts real control planes for tests, and gateways that follow them. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { type Files, startGateway, type TestGateway, writeFiles } from "./gateway.ts";

const CLI = new URL("../../cli/tidegate.mjs", import.meta.url).pathname;

/** An answer of the API, read whole. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: tests look at whatever came.
  readonly body: any;
}

export class TestControlPlane {
  /** Where it keeps everything. */
  readonly dir: string;
  readonly #args: readonly string[];
  #child: ChildProcess | undefined;
  port = 0;
  stderr = "";

  constructor(dir: string, args: readonly string[]) {
    this.dir = dir;
    this.#args = args;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get data(): string {
    return join(this.dir, "data");
  }

  get process(): ChildProcess {
    return this.#child!;
  }

  /** Starts it, or starts it again on the port that it had. */
  async start(): Promise<void> {
    const args = ["control-plane", "--data", this.data, "--port", `${this.port}`, ...this.#args];
    const child = fork(CLI, args, { stdio: ["ignore", "ignore", "pipe", "ipc"], execArgv: [] });
    this.#child = child;
    child.stderr!.on("data", (chunk: Buffer) => {
      this.stderr += chunk;
    });
    const [message] = (await Promise.race([
      once(child, "message"),
      once(child, "exit").then(() => {
        throw new Error(`the control plane ended at its start:\n${this.stderr}`);
      }),
    ])) as [{ port: number }];
    this.port = message.port;
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number | null> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null)
      return child?.exitCode ?? null;
    const exited = once(child, "exit");
    child.kill(signal);
    return (await exited)[0] as number | null;
  }

  /** @param body sent as JSON */
  async call(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    const json = body === undefined ? {} : { "content-type": "application/json" };
    const answer = await fetch(`${this.url}${path}`, {
      method,
      headers: { ...json, ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(10_000),
    });
    const text = await answer.text();
    const isJson = answer.headers.get("content-type")?.includes("json") ?? false;
    return { status: answer.status, headers: answer.headers, body: isJson ? JSON.parse(text) : text };
  }
}

/** @param files the first configuration · @param args further options; without `--dev` it asks for tokens */
export async function startControlPlane(
  t: TestContext,
  files: Files | undefined,
  args: readonly string[] = ["--dev"],
): Promise<TestControlPlane> {
  const dir = mkdtempSync(join(tmpdir(), "tidegate-plane-"));
  if (files !== undefined) writeFiles(join(dir, "config"), files);
  const config = files === undefined ? [] : ["--config", join(dir, "config")];
  const plane = new TestControlPlane(dir, [...config, ...args]);
  t.after(async () => {
    await plane.stop("SIGKILL");
    rmSync(dir, { recursive: true, force: true });
  });
  await plane.start();
  return plane;
}

/** A gateway that follows a control plane. @param name also of its directory of state */
export function startFollower(
  t: TestContext,
  plane: TestControlPlane,
  name: string,
  args: readonly string[] = [],
): Promise<TestGateway> {
  return startGateway(t, undefined, [
    "--control-plane",
    plane.url,
    "--state",
    join(plane.dir, `state-${name}`),
    "--snapshot-key",
    join(plane.data, "snapshot-key.pem"),
    "--name",
    name,
    ...args,
  ]);
}
