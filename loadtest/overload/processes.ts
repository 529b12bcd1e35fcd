/** Sample units and gateways as child processes. Each ends with its stage, and with this process however that ends. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Switches } from "../unit/behaviour.ts";
import type { Report } from "../unit/counters.ts";

const ROOT = join(import.meta.dirname, "../..");
const UNIT = join(ROOT, "loadtest/unit/main.ts");
const CLI = join(ROOT, "cli/tidegate.mjs");

/** Of a question to a unit or to the admin port (ms). */
const PATIENCE = 5_000;
const READY = 20_000;

/** A child with a channel, and the end of what it wrote. */
class Child {
  readonly process: ChildProcess;
  words = "";

  constructor(script: string, args: readonly string[]) {
    this.process = fork(script, args, { stdio: ["ignore", "pipe", "pipe", "ipc"], execArgv: [] });
    for (const stream of [this.process.stdout!, this.process.stderr!]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        this.words = (this.words + text).slice(-4_000);
      });
    }
  }

  get alive(): boolean {
    return this.process.exitCode === null && this.process.signalCode === null;
  }

  /** @throws Error with the child's own words when it ends instead */
  async first(emitter: NodeJS.EventEmitter, event: string): Promise<unknown> {
    const over = new AbortController();
    const signal = AbortSignal.any([over.signal, AbortSignal.timeout(READY)]);
    const ended = once(this.process, "exit", { signal }).then(() => {
      throw new Error(`a process ended at its start:\n${this.words}`);
    });
    ended.catch(() => {}); // The loser of the race is nobody's.
    try {
      const [first] = await Promise.race([once(emitter, event, { signal }), ended]);
      return first;
    } finally {
      over.abort();
    }
  }

  /** SIGKILL reaches a stopped process as well. */
  async kill(): Promise<void> {
    if (!this.alive) return;
    const exited = once(this.process, "exit");
    this.process.kill("SIGKILL");
    await exited;
  }
}

export class StagedUnit {
  readonly name: string;
  readonly port: number;
  readonly #child: Child;

  constructor(name: string, port: number, child: Child) {
    this.name = name;
    this.port = port;
    this.#child = child;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async turn(switches: Partial<Switches>): Promise<void> {
    const body = JSON.stringify(switches);
    const signal = AbortSignal.timeout(PATIENCE);
    const answer = await fetch(`${this.url}/__unit`, { method: "POST", body, signal });
    const text = await answer.text();
    if (!answer.ok) throw new Error(text);
  }

  async report(): Promise<Report> {
    const answer = await fetch(`${this.url}/__unit`, { signal: AbortSignal.timeout(PATIENCE) });
    return (await answer.json()) as Report;
  }

  kill(): Promise<void> {
    return this.#child.kill();
  }

  /** The kernel goes on accepting connections for it, and nobody answers. */
  freeze(): void {
    this.#child.process.kill("SIGSTOP");
  }

  thaw(): void {
    if (this.#child.alive) this.#child.process.kill("SIGCONT");
  }
}

export class StagedGateway {
  readonly port: number;
  readonly adminPort: number;
  readonly #child: Child;

  constructor(port: number, adminPort: number, child: Child) {
    this.port = port;
    this.adminPort = adminPort;
    this.#child = child;
  }

  get words(): string {
    return this.#child.words;
  }

  async admin(path: string): Promise<string> {
    const signal = AbortSignal.timeout(PATIENCE);
    return (await fetch(`http://127.0.0.1:${this.adminPort}${path}`, { signal })).text();
  }

  /** Resolves when every endpoint passed its health checks. @throws when they do not in time */
  async allUp(): Promise<void> {
    const until = performance.now() + READY;
    while (performance.now() < until) {
      const { endpoints } = JSON.parse(await this.admin("/status")) as { endpoints: { health: string }[] };
      if (endpoints.every((e) => e.health === "up")) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`the gateway does not find its endpoints healthy:\n${this.words}`);
  }
}

/** Everything that one case has started. */
export class Stage {
  readonly #children: Child[] = [];
  readonly #dirs: string[] = [];
  readonly #threads: number;

  constructor(threads = 1) {
    this.#threads = threads;
  }

  async unit(name: string, switches: Partial<Switches> = {}, version = "stable"): Promise<StagedUnit> {
    const child = this.#start(UNIT, ["--unit", name, "--version", version, "--port", "0"]);
    const line = String(await child.first(child.process.stdout!, "data"));
    const unit = new StagedUnit(name, Number(/:(\d+)\s*$/.exec(line)?.[1]), child);
    await unit.turn(switches);
    return unit;
  }

  /** Resolves when it serves. @param files configuration files by name */
  async gateway(files: Readonly<Record<string, string>>): Promise<StagedGateway> {
    const dir = mkdtempSync(join(tmpdir(), "tidegate-overload-"));
    this.#dirs.push(dir);
    for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
    const ports = ["--host", "127.0.0.1", "--port", "0", "--admin-port", "0"];
    const quick = ["--access-log", "off", "--lame-duck", "0s", "--grace", "1s"];
    const threads = ["--threads", String(this.#threads)];
    const child = this.#start(CLI, ["gateway", "--config", dir, ...ports, ...quick, ...threads]);
    const ready = (await child.first(child.process, "message")) as { port: number; adminPort: number };
    const gateway = new StagedGateway(ready.port, ready.adminPort, child);
    await gateway.allUp();
    return gateway;
  }

  /** Ends all of it. */
  async close(): Promise<void> {
    await Promise.all(this.#children.splice(0).map((child) => child.kill()));
    for (const dir of this.#dirs.splice(0)) rmSync(dir, { recursive: true, force: true });
  }

  #start(script: string, args: readonly string[]): Child {
    const child = new Child(script, args);
    this.#children.push(child);
    return child;
  }
}
