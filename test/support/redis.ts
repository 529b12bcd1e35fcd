/** A real redis-server on a port of its own, that a test stops, pauses, empties and brings back. It ends with the test. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { Redis } from "ioredis";
import { accepts, freePort } from "../../host/port.ts";

export class TestRedis {
  readonly port: number;
  readonly #dir: string;
  #process: ChildProcess | undefined;

  constructor(port: number, dir: string) {
    this.port = port;
    this.#dir = dir;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** @param options further ones of redis-server, such as `--replicaof` */
  async start(...options: string[]): Promise<void> {
    const args = ["--port", `${this.port}`, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
    const child = spawn("redis-server", [...args, "--dir", this.#dir, ...options], { stdio: "ignore" });
    child.on("error", () => {}); // not installed: it never accepts
    this.#process = child;
    const end = performance.now() + 5_000;
    while (!(await accepts(this.port))) {
      if (performance.now() > end || child.exitCode !== null)
        throw new Error("redis-server does not accept; is it installed?");
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** SIGKILL ends it, SIGSTOP freezes it with its connections open, SIGCONT lets it go on. */
  async signal(signal: "SIGKILL" | "SIGSTOP" | "SIGCONT"): Promise<void> {
    const child = this.#process!;
    child.kill(signal);
    if (signal === "SIGKILL" && child.exitCode === null && child.signalCode === null)
      await once(child, "exit");
  }

  /** Sends one command over a connection of its own. */
  async command(name: string, ...args: string[]): Promise<unknown> {
    const redis = new Redis(this.url, { lazyConnect: true, commandTimeout: 2_000 });
    redis.on("error", () => {});
    try {
      await redis.connect();
      return await redis.call(name, ...args);
    } finally {
      redis.disconnect();
    }
  }

  /** Every name that is kept now. */
  async names(): Promise<string[]> {
    return ((await this.command("KEYS", "*")) as string[]).sort();
  }

  /** Leases that gateways asked for so far: commands that clients sent. */
  async leases(): Promise<number> {
    const stats = String(await this.command("INFO", "commandstats"));
    let calls = 0;
    for (const line of stats.split("\n")) {
      if (/^cmdstat_(eval|evalsha):/.test(line)) calls += Number(/calls=(\d+)/.exec(line)![1]);
    }
    return calls;
  }

  async close(): Promise<void> {
    const child = this.#process;
    if (child !== undefined && child.exitCode === null && child.signalCode === null) {
      child.kill("SIGCONT");
      await this.signal("SIGKILL");
    }
    rmSync(this.#dir, { recursive: true, force: true });
  }
}

/** @param options further ones of redis-server */
export async function startRedis(t: TestContext, ...options: string[]): Promise<TestRedis> {
  const redis = new TestRedis(await freePort(), mkdtempSync(join(tmpdir(), "tidegate-redis-")));
  t.after(() => redis.close());
  await redis.start(...options);
  return redis;
}
