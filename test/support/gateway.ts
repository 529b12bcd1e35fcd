/** Starts real gateway processes for tests, on ports that the system chooses, and real sockets to speak to them. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { TestContext } from "node:test";

const CLI = new URL("../../cli/tidegate.mjs", import.meta.url).pathname;

export interface Files {
  readonly [name: string]: string;
}

/** A running gateway. It ends with the test. */
export class TestGateway {
  readonly dir: string;
  readonly process: ChildProcess;
  port = 0;
  tlsPort = 0;
  adminPort = 0;
  stderr = "";
  stdout = "";

  constructor(dir: string, process: ChildProcess) {
    this.dir = dir;
    this.process = process;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  write(name: string, text: string): void {
    writeFileSync(join(this.dir, name), text);
  }

  /** The text that the admin port answers. */
  async admin(path: string, init?: RequestInit): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.adminPort}${path}`, {
      signal: AbortSignal.timeout(5_000),
      ...init,
    });
  }

  async status(): Promise<{
    revision: number;
    servedRevision: number;
    configError: string | null;
    endpoints: { endpoint: string; health: string; unit: string }[];
  }> {
    return (await (await this.admin("/status")).json()) as never;
  }

  /** Sum of the series of a metric whose labels contain all of `labels`. */
  async metric(name: string, ...labels: string[]): Promise<number> {
    const text = await (await this.admin("/metrics")).text();
    let sum = 0;
    for (const line of text.split("\n")) {
      if (!line.startsWith(`${name}{`) && !line.startsWith(`${name} `)) continue;
      if (labels.every((label) => line.includes(label))) sum += Number(line.slice(line.lastIndexOf(" ") + 1));
    }
    return sum;
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number | null> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return this.process.exitCode;
    const exited = once(this.process, "exit");
    this.process.kill(signal);
    return (await exited)[0] as number | null;
  }
}

/** @param files configuration files by name; undefined: it follows a control plane · @param args further options */
export async function startGateway(
  t: TestContext,
  files: Files | undefined,
  args: readonly string[] = [],
): Promise<TestGateway> {
  const dir = mkdtempSync(join(tmpdir(), "tidegate-test-"));
  writeFiles(dir, files ?? {});
  const child = fork(
    CLI,
    [
      "gateway",
      ...(files === undefined ? [] : ["--config", dir]),
      "--host",
      "127.0.0.1",
      "--port",
      "0",
      "--admin-port",
      "0",
      "--access-log",
      "off",
      "--lame-duck",
      "0s",
      "--grace",
      "5s",
      ...args,
    ],
    { stdio: ["ignore", "pipe", "pipe", "ipc"], execArgv: [] },
  );
  const gateway = new TestGateway(dir, child);
  child.stdout!.on("data", (chunk: Buffer) => {
    gateway.stdout += chunk;
  });
  child.stderr!.on("data", (chunk: Buffer) => {
    gateway.stderr += chunk;
  });
  t.after(async () => {
    await gateway.stop("SIGKILL");
    rmSync(dir, { recursive: true, force: true });
  });
  const [message] = (await Promise.race([
    once(child, "message"),
    once(child, "exit").then(() => {
      throw new Error(`the gateway ended at its start:\n${gateway.stderr}`);
    }),
  ])) as [{ port: number; tlsPort?: number; adminPort: number }];
  gateway.port = message.port;
  gateway.tlsPort = message.tlsPort ?? 0;
  gateway.adminPort = message.adminPort;
  return gateway;
}

export function writeFiles(dir: string, files: Files): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, name)), { recursive: true });
    writeFileSync(join(dir, name), text);
  }
}

/** Looks again and again until the condition holds; fails after the deadline with what was last seen. */
export async function until<T>(
  what: string,
  look: () => Promise<T> | T,
  holds: (seen: T) => boolean = Boolean,
  deadline = 10_000,
): Promise<T> {
  const end = performance.now() + deadline;
  let seen: T | undefined;
  while (performance.now() < end) {
    seen = await look();
    if (holds(seen)) return seen;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`${what}: not within ${deadline} ms; last seen ${JSON.stringify(seen)}`);
}

/**
 * Sends bytes as they are and gives back everything that came until the other side closed, or until `enough` says so.
 */
export function raw(
  port: number,
  bytes: string | Buffer,
  enough: (text: string) => boolean = () => false,
  deadline = 5_000,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, "127.0.0.1");
    let text = "";
    const timer = setTimeout(() => finish(), deadline);
    const finish = (): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(text);
    };
    socket.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNRESET" || error.code === "EPIPE") finish();
      else reject(error);
    });
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
      if (enough(text)) finish();
    });
    socket.on("close", finish);
    socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
  });
}

/** Whether a text holds one whole HTTP/1.1 answer with a Content-Length. */
export function wholeAnswer(text: string): boolean {
  const end = text.indexOf("\r\n\r\n");
  if (end === -1) return false;
  const length = /content-length: (\d+)/i.exec(text.slice(0, end));
  return length !== null && text.length >= end + 4 + Number(length[1]);
}

/** fleet.yaml of units with one service `hall`; each unit's endpoints by its name, the first unit is the center. */
export function fleetYaml(
  units: Readonly<Record<string, readonly string[]>>,
  extra = "",
  service = "",
): string {
  const names = Object.keys(units);
  const share = Math.floor(1024 / names.length);
  const map = names.map(
    (n, i) => `${n}: ${i * share}-${i === names.length - 1 ? 1023 : (i + 1) * share - 1}`,
  );
  return `fleet: test
regions: { ${names.map((n) => `r-${n}: {}`).join(", ")} }
units:
${names.map((n, i) => `  ${n}: { region: r-${n}${i === 0 ? ", center: true" : ""} }`).join("\n")}
placement:
  key: [ { header: x-user-id }, { cookie: uid }, { query: uid } ]
  slots: 1024
  map: { ${map.join(", ")} }
${extra}services:
  hall:
    health: { path: /healthz, interval: 200ms, timeout: 200ms, healthy: 2, unhealthy: 3 }
${service}    pools:
${names.map((n) => `      ${n}: { stable: [ ${units[n]!.map((u) => JSON.stringify(u)).join(", ")} ] }`).join("\n")}
`;
}

/** Routes hall (nearest), cart (sharded, reads), orders (center). */
export const ROUTES = `routes:
  - name: hall
    match: { path: /hall/* }
    service: hall
    scope: nearest
  - name: cart
    match: { path: /cart/* }
    service: hall
    scope: sharded
  - name: orders
    match: { path: /orders/* }
    service: hall
    scope: center
`;
