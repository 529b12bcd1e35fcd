/** One Redis, one lean upstream, and the gateways of one case. All of it ends with this process. */
import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import type net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { freePort } from "../../host/port.ts";

const CLI = join(import.meta.dirname, "../../cli/tidegate.mjs");
/** Gateways have so long (ms) to start, to lease and to know of each other. */
const READY = 10_000;

export interface Commands {
  /** Leases: what gateways sent. */
  readonly sent: number;
  /** With those that the scripts run inside. */
  readonly all: number;
}

export class LimitedGateway {
  readonly port: number;
  readonly #adminPort: number;
  readonly #child: ChildProcess;

  constructor(port: number, adminPort: number, child: ChildProcess) {
    this.port = port;
    this.#adminPort = adminPort;
    this.#child = child;
  }

  async limits(): Promise<{ leasing: boolean; gateways: number }> {
    const signal = AbortSignal.timeout(5_000);
    const answer = await fetch(`http://127.0.0.1:${this.#adminPort}/limits`, { signal });
    return ((await answer.json()) as { leasing: boolean; gateways: number }[])[0]!;
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }
}

export class Stage {
  readonly #dir = mkdtempSync(join(tmpdir(), "tidegate-limits-"));
  readonly #upstreamPort: number;
  readonly #redisPort: number;
  readonly #server: ChildProcess;
  readonly #redis: Redis;
  #gateways: LimitedGateway[] = [];
  readonly #children: ChildProcess[] = [];
  #cases = 0;

  private constructor(upstreamPort: number, redisPort: number) {
    this.#upstreamPort = upstreamPort;
    this.#redisPort = redisPort;
    const args = ["--port", `${redisPort}`, "--bind", "127.0.0.1", "--save", "", "--dir", this.#dir];
    this.#server = spawn("redis-server", args, { stdio: "ignore" });
    this.#server.on("error", () => {}); // not installed: it is never ready
    this.#redis = new Redis(redisPort, "127.0.0.1", { maxRetriesPerRequest: 20 });
    this.#redis.on("error", () => {});
    process.on("exit", () => {
      for (const child of this.#children) child.kill("SIGKILL");
      this.#server.kill("SIGKILL");
      rmSync(this.#dir, { recursive: true, force: true });
    });
  }

  /** @throws when there is no redis-server */
  static async open(): Promise<Stage> {
    const upstream = http.createServer((_request, response) => response.end("ok"));
    const stage = new Stage(await listening(upstream.listen(0, "127.0.0.1")), await freePort());
    await stage.#redis.ping();
    return stage;
  }

  /**
   * Gateways of one fleet limit `all`, each with one thread, that lease and know of each other. Those of the case before
   * end, and Redis is empty.
   *
   * @param limit its fields but the scope
   */
  async gateways(count: number, limit: string): Promise<LimitedGateway[]> {
    for (const gateway of this.#gateways) gateway.kill();
    await this.#redis.flushall();
    const home = join(this.#dir, `${++this.#cases}`);
    mkdirSync(home);
    writeFileSync(
      join(home, "fleet.yaml"),
      `fleet: limits
regions: { r: {} }
units: { hz: { region: r, center: true, concurrency: fixed } }
placement: { key: [ { header: x-user-id } ], slots: 16, map: { hz: 0-15 } }
services: { hall: { health: none, pools: { hz: { stable: [ "http://127.0.0.1:${this.#upstreamPort}" ] } } } }
`,
    );
    writeFileSync(
      join(home, "routes.yaml"),
      `routes:
  - { name: hall, match: { path: /hall/* }, service: hall, scope: nearest, limits: [ all ] }
limits:
  all: { ${limit}, scope: fleet }
`,
    );
    this.#gateways = await Promise.all(Array.from({ length: count }, () => this.#start(home)));
    const end = performance.now() + READY;
    for (const gateway of this.#gateways) {
      for (;;) {
        const { leasing, gateways } = await gateway.limits();
        if (leasing && gateways === count) break;
        if (performance.now() > end) throw new Error(`the gateways do not lease: ${gateways} are known`);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
    return this.#gateways;
  }

  async #start(home: string): Promise<LimitedGateway> {
    const args = ["gateway", "--config", home, "--host", "127.0.0.1", "--port", "0", "--admin-port", "0"];
    const redis = [
      "--threads",
      "1",
      "--access-log",
      "off",
      "--redis",
      `redis://127.0.0.1:${this.#redisPort}`,
    ];
    const child = fork(CLI, [...args, ...redis], {
      stdio: ["ignore", "ignore", "ignore", "ipc"],
      execArgv: [],
    });
    this.#children.push(child);
    const signal = AbortSignal.timeout(READY);
    const [message] = (await once(child, "message", { signal })) as [{ port: number; adminPort: number }];
    return new LimitedGateway(message.port, message.adminPort, child);
  }

  /** The kernel goes on accepting for it, and it says nothing. */
  freeze(): void {
    this.#server.kill("SIGSTOP");
  }

  thaw(): void {
    this.#server.kill("SIGCONT");
  }

  async commands(): Promise<Commands> {
    const stats = await this.#redis.info("commandstats");
    let sent = 0;
    let all = 0;
    for (const [, name, calls] of stats.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm)) {
      if (name === "info") continue; // our own
      all += Number(calls);
      if (name === "eval" || name === "evalsha") sent += Number(calls);
    }
    return { sent, all };
  }
}

async function listening(server: net.Server): Promise<number> {
  await once(server, "listening");
  return (server.address() as net.AddressInfo).port;
}
