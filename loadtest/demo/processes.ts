/** The demo's children. Each is ended by its own process id, and none outlives the demo. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { DemoEndpoint } from "./fleet.ts";
import type { Condition } from "./view.ts";

const ROOT = join(import.meta.dirname, "../..");
const KEPT_LINES = 20;
const SLOW_MS = 800;
const FAIL_SHARE = 0.3;
const SWITCH_MS = 2_000;

/** One child and the last lines that it wrote. */
class Child {
  readonly process: ChildProcess;
  readonly exited: Promise<unknown>;
  readonly #lines: string[] = [];

  constructor(script: string, args: readonly string[], channel: boolean) {
    const stdio = ["ignore", "pipe", "pipe"] as const;
    this.process = spawn(process.execPath, [join(ROOT, script), ...args], {
      cwd: ROOT,
      stdio: channel ? [...stdio, "ipc"] : [...stdio],
    });
    this.exited = once(this.process, "exit");
    for (const stream of [this.process.stdout!, this.process.stderr!]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        this.#lines.push(...text.split("\n").filter((line) => line.trim() !== ""));
        this.#lines.splice(0, this.#lines.length - KEPT_LINES);
      });
    }
  }

  get alive(): boolean {
    return this.process.exitCode === null && this.process.signalCode === null;
  }

  get words(): string {
    return this.#lines.join("\n");
  }
}

/** One endpoint's process: a sample unit that can be killed, hung and started again. */
export class EndpointProcess {
  readonly endpoint: DemoEndpoint;
  readonly #onDeath: (endpoint: DemoEndpoint) => void;
  condition: Condition = "killed";
  #child: Child | undefined;

  /** @param onDeath called when the process ends without being told to */
  constructor(endpoint: DemoEndpoint, onDeath: (endpoint: DemoEndpoint) => void) {
    this.endpoint = endpoint;
    this.#onDeath = onDeath;
  }

  /** Resolves when it listens. @throws Error with the child's own words when it ends instead */
  async start(): Promise<void> {
    if (this.condition !== "killed") return;
    const { unit, version, service, port } = this.endpoint;
    const args = ["--unit", unit, "--version", version, "--service", service, "--port", String(port)];
    const child = new Child("loadtest/unit/main.ts", args, true);
    this.#child = child;
    this.condition = "starting";
    void child.exited.then(() => {
      if (this.#child !== child) return;
      const wasRunning = ["running", "slow", "failing"].includes(this.condition);
      this.condition = "killed";
      if (wasRunning) this.#onDeath(this.endpoint);
    });
    await Promise.race([once(child.process.stdout!, "data"), child.exited]);
    if (this.#child !== child) return; // Killed while it started.
    if (!child.alive) throw new Error(child.words);
    this.condition = "running";
  }

  kill(): void {
    this.condition = "killed";
    this.#child?.process.kill("SIGKILL"); // Reaches a stopped process as well.
    this.#child = undefined;
  }

  hang(): void {
    if (this.condition !== "running") return;
    this.condition = "hung";
    this.#child?.process.kill("SIGSTOP");
  }

  resume(): void {
    if (this.condition !== "hung") return;
    this.condition = "running";
    this.#child?.process.kill("SIGCONT");
  }

  /** Each answer waits; health checks do not: a unit that is ill and does not know it. @throws Error when it says no */
  async slow(): Promise<void> {
    if (this.condition !== "running") return;
    await this.#switch({ mode: "slow", ms: SLOW_MS });
    this.condition = "slow";
  }

  /** Some answers are 500; health checks find nothing: a bad version. @throws Error when it says no */
  async fail(): Promise<void> {
    if (this.condition !== "running") return;
    await this.#switch({ mode: "fail", status: 500, share: FAIL_SHARE });
    this.condition = "failing";
  }

  /** @throws Error when it says no */
  async restore(): Promise<void> {
    if (this.condition !== "slow" && this.condition !== "failing") return;
    await this.#switch({ mode: "ok" });
    this.condition = "running";
  }

  async #switch(change: object): Promise<void> {
    const answer = await fetch(`http://127.0.0.1:${this.endpoint.port}/__unit`, {
      method: "POST",
      body: JSON.stringify(change),
      signal: AbortSignal.timeout(SWITCH_MS),
    });
    if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
  }
}

const READY_MS = 20_000;
const STOP_MS = 3000;

/** A `tidegate` command that serves until it is told to stop. */
class Server {
  readonly #child: Child;
  readonly #name: string;
  readonly #healthUrl: string;
  /** Settles when the process has ended, however it came. */
  readonly exited: Promise<unknown>;

  /** @param name for people · @param healthUrl answers 200 once it is ready */
  constructor(name: string, args: readonly string[], healthUrl: string) {
    this.#child = new Child("cli/tidegate.mjs", args, false);
    this.#name = name;
    this.#healthUrl = healthUrl;
    this.exited = this.#child.exited;
  }

  get words(): string {
    return this.#child.words;
  }

  get alive(): boolean {
    return this.#child.alive;
  }

  /** @throws Error with its own words when it ends, or does not become ready in time */
  async ready(): Promise<void> {
    const deadline = AbortSignal.timeout(READY_MS);
    while (this.alive && !deadline.aborted) {
      const answer = await fetch(this.#healthUrl, { signal: deadline }).catch(() => undefined);
      if (answer?.ok) return;
      await sleep(50);
    }
    throw new Error(`The ${this.#name} did not become ready.\n${this.words}`);
  }

  async stop(): Promise<void> {
    if (!this.alive) return;
    this.#child.process.kill("SIGTERM");
    const timer = setTimeout(() => this.kill(), STOP_MS);
    await this.exited;
    clearTimeout(timer);
  }

  kill(): void {
    this.#child.process.kill("SIGKILL");
  }
}

export class ControlPlaneProcess extends Server {
  /** @param data where it keeps everything */
  constructor({ config, port, data }: { config: string; port: number; data: string }) {
    const args = ["control-plane", "--dev", "--config", config, "--data", data, "--port", `${port}`];
    super("control plane", args, `http://127.0.0.1:${port}/healthz`);
  }
}

export interface GatewayOptions {
  readonly controlPort: number;
  /** The control plane's; the gateway keeps its snapshot beside. */
  readonly data: string;
  readonly port: number;
  readonly adminPort: number;
}

export class GatewayProcess extends Server {
  readonly #adminPort: number;

  constructor({ controlPort, data, port, adminPort }: GatewayOptions) {
    const follow = ["--control-plane", `http://127.0.0.1:${controlPort}`];
    const keep = ["--state", join(data, "gateway"), "--snapshot-key", join(data, "snapshot-key.pem")];
    const ports = ["--host", "127.0.0.1", "--port", `${port}`, "--admin-port", `${adminPort}`];
    const rest = ["--name", "demo", "--access-log", "off"];
    const stop = ["--lame-duck", "0s", "--grace", "1s"]; // Its only client has ended already.
    const args = ["gateway", ...follow, ...keep, ...ports, ...rest, ...stop];
    super("gateway", args, `http://127.0.0.1:${adminPort}/readyz`);
    this.#adminPort = adminPort;
  }

  /** Metrics as text; undefined when it does not answer soon. */
  async metrics(): Promise<string | undefined> {
    try {
      const signal = AbortSignal.timeout(1000);
      const answer = await fetch(`http://127.0.0.1:${this.#adminPort}/metrics`, { signal });
      return answer.ok ? await answer.text() : undefined;
    } catch {
      return undefined;
    }
  }
}
