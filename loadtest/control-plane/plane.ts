/** A control plane and gateways of this checkout as processes of their own. All of it ends with this process. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

const CLI = join(import.meta.dirname, "../../cli/tidegate.mjs");
const READY = 20_000;

export class Plane {
  readonly dir = mkdtempSync(join(tmpdir(), "tidegate-convergence-"));
  readonly #children: ChildProcess[] = [];
  #child: ChildProcess | undefined;
  port = 0;

  constructor() {
    process.on("exit", () => {
      for (const child of this.#children) child.kill("SIGKILL");
      rmSync(this.dir, { recursive: true, force: true });
    });
  }

  get origin(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** PEM that snapshots are checked with. */
  get key(): string {
    return readFileSync(join(this.dir, "data/snapshot-key.pem"), "utf8");
  }

  async start(files: Readonly<Record<string, string>>, more: readonly string[] = []): Promise<void> {
    const config = join(this.dir, "config");
    mkdirSync(config, { recursive: true });
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(config, name)), { recursive: true });
      writeFileSync(join(config, name), text);
    }
    const args = ["control-plane", "--config", config, "--data", join(this.dir, "data"), "--dev"];
    const { child, message } = await this.#fork([...args, "--port", `${this.port}`, ...more]);
    this.#child = child;
    this.port = message.port;
  }

  async kill(): Promise<void> {
    const exited = once(this.#child!, "exit");
    this.#child!.kill("SIGKILL");
    await exited;
  }

  /** Ends the control plane and its gateways. */
  async close(): Promise<void> {
    const alive = this.#children.filter(
      ({ exitCode, signalCode }) => exitCode === null && signalCode === null,
    );
    const exits = alive.map((child) => once(child, "exit"));
    for (const child of alive) child.kill("SIGKILL");
    await Promise.all(exits);
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** @returns its port for clients */
  async gateway(name: string, more: readonly string[] = []): Promise<number> {
    const state = join(this.dir, `state-${name}`);
    const key = join(this.dir, "data/snapshot-key.pem");
    const { message } = await this.#fork([
      ...["gateway", "--control-plane", this.origin, "--state", state, "--snapshot-key", key, "--name", name],
      ...["--host", "127.0.0.1", "--port", "0", "--admin-port", "0", "--access-log", "off"],
      ...more,
    ]);
    return message.port;
  }

  /** @returns the new revision, and how long the answer took (ms) */
  async apply(files: Readonly<Record<string, string>>): Promise<{ revision: number; took: number }> {
    const began = performance.now();
    const answer = await fetch(`${this.origin}/v1/config`, {
      method: "PUT",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ files, reason: "a measured change" }),
    });
    if (!answer.ok) throw new Error(`apply: ${answer.status} ${await answer.text()}`);
    const { revision } = (await answer.json()) as { revision: { number: number } };
    return { revision: revision.number, took: performance.now() - began };
  }

  async #fork(args: readonly string[]): Promise<{ child: ChildProcess; message: { port: number } }> {
    const child = fork(CLI, args, { stdio: ["ignore", "ignore", "pipe", "ipc"], execArgv: [] });
    this.#children.push(child);
    let said = "";
    child.stderr!.on("data", (chunk: Buffer) => {
      said = `${said}${chunk}`.slice(-4_000);
    });
    const signal = AbortSignal.timeout(READY);
    const [message] = (await Promise.race([
      once(child, "message", { signal }),
      once(child, "exit").then(() => {
        throw new Error(`${args[0]} ended at its start: ${said}`);
      }),
    ])) as [{ port: number }];
    return { child, message };
  }
}
