/**
 * A real PostgreSQL server on a port of its own, that a test kills, freezes and brings back. With `fsync`, as in
 * production: a test that kills it wants to know what is on the disk.
 */
import { type ChildProcess, execFileSync, type SpawnOptions, spawn } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  globSync,
  mkdtempSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { Client } from "pg";
import { freePort } from "../../host/port.ts";

const USER = "tidegate";
/** Not a word that could be in a message by chance: tests look for it there. */
export const PASSWORD = "s3cr3t-of-the-tests";
const MISSING =
  "these tests need a PostgreSQL server (initdb and postgres, on the PATH or in /usr/lib/postgresql); " +
  "run: node scripts/setup.mjs --system test, or: apt-get install -y postgresql";

export class TestPostgres {
  readonly port: number;
  readonly dir: string;
  readonly #walDir: string | undefined;
  #process: ChildProcess | undefined;
  #said = "";

  constructor(port: number, dir: string, walDir: string | undefined) {
    this.port = port;
    this.dir = dir;
    this.#walDir = walDir;
  }

  get url(): string {
    return `postgres://${USER}:${PASSWORD}@127.0.0.1:${this.port}/postgres`;
  }

  /** Makes the data directory. */
  async initialize(): Promise<void> {
    const file = join(this.dir, "password");
    writeFileSync(file, PASSWORD);
    own(file);
    // Its own work is not what is tested: only what the server writes needs to be on the disk.
    const options = ["--no-sync", "--encoding=UTF8", "--locale=C", "--auth=scram-sha-256"];
    const args = [...options, "-U", USER, `--pwfile=${file}`, "-D", join(this.dir, "data")];
    if (this.#walDir !== undefined) args.push(`--waldir=${this.#walDir}`);
    const child = spawn(commandOf("initdb"), args, this.#spawning());
    this.#hear(child);
    const [code] = await once(child, "exit");
    if (code !== 0) throw new Error(`initdb ended with ${code}:\n${this.#said}`);
  }

  /** Starts it, or starts it again, and waits until it accepts. */
  async start(): Promise<void> {
    const settings = {
      listen_addresses: "127.0.0.1",
      port: `${this.port}`,
      unix_socket_directories: "",
      fsync: "on",
      shared_buffers: "16MB",
      max_connections: "40",
      // A default that the store must not rely on.
      synchronous_commit: "off",
    };
    const args = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
    const data = join(this.dir, "data");
    this.#said = "";
    const child = spawn(commandOf("postgres"), ["-D", data, ...args], this.#spawning());
    this.#process = child;
    const isReady = (): boolean => this.#said.includes("ready to accept connections");
    const ready = new Promise<void>((resolve) => this.#hear(child, () => isReady() && resolve()));
    await Promise.race([
      ready,
      once(child, "exit").then(() => {
        throw new Error(`postgres ended at its start:\n${this.#said}`);
      }),
    ]);
  }

  /** Starts it again: from now on it takes connections over TLS alone. */
  async speakTls({ certFile, keyFile }: { certFile: string; keyFile: string }): Promise<void> {
    await this.kill();
    const data = join(this.dir, "data");
    for (const [from, name] of [
      [certFile, "server.crt"],
      [keyFile, "server.key"],
    ] as const) {
      const file = join(data, name);
      copyFileSync(from, file);
      chmodSync(file, 0o600);
      own(file);
    }
    appendFileSync(join(data, "postgresql.conf"), "ssl = on\n");
    writeFileSync(join(data, "pg_hba.conf"), "hostssl all all 127.0.0.1/32 scram-sha-256\n");
    await this.start();
  }

  /** As when the machine loses its power, but for the disk's own cache: no process of it lives on. */
  async kill(): Promise<void> {
    const child = this.#process!;
    const pids = this.#pids();
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, "exit");
    signalAll(pids, "SIGKILL");
    await exit;
  }

  /** Frozen with its connections open: it accepts none, and answers nothing. */
  freeze(): void {
    // The first one first: it makes the others.
    signalAll(this.#pids(), "SIGSTOP");
    signalAll(this.#pids(), "SIGSTOP");
  }

  thaw(): void {
    signalAll(this.#pids().reverse(), "SIGCONT");
  }

  /** Runs statements as the owner of everything, over a connection of its own. */
  async sql(text: string): Promise<Record<string, unknown>[]> {
    const client = new Client({ connectionString: this.url, connectionTimeoutMillis: 5_000 });
    client.on("error", () => {});
    await client.connect();
    try {
      const results = await client.query(text);
      return (Array.isArray(results) ? results.at(-1) : results).rows;
    } finally {
      await client.end();
    }
  }

  async close(): Promise<void> {
    if (this.#process !== undefined) await this.kill();
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** The server, and the processes that it made. */
  #pids(): number[] {
    const own = this.#process!.pid!;
    const list = execFileSync("ps", ["-A", "-o", "pid=,ppid="], { encoding: "utf8" });
    const pairs = list.trim().split("\n");
    const of = pairs.map((line) => line.trim().split(/\s+/).map(Number) as [number, number]);
    return [own, ...of.filter(([, parent]) => parent === own).map(([pid]) => pid)];
  }

  #spawning(): SpawnOptions {
    return { stdio: ["ignore", "ignore", "pipe"], cwd: this.dir, ...unprivileged() };
  }

  #hear(child: ChildProcess, onWord = (): void => {}): void {
    child.stderr!.on("data", (chunk: Buffer) => {
      this.#said = `${this.#said}${chunk}`.slice(-20_000);
      onWord();
    });
  }
}

/**
 * @param dir instead of a new directory: an empty one, that may lie on a small file system
 * @param walDir for the log of what is written, when it shall lie elsewhere
 */
export async function startPostgres(
  dir = mkdtempSync(join(tmpdir(), "tidegate-postgres-")),
  walDir?: string,
): Promise<TestPostgres> {
  for (const path of [dir, walDir]) {
    if (path === undefined) continue;
    chmodSync(path, 0o700);
    own(path);
  }
  const server = new TestPostgres(await freePort(), dir, walDir);
  try {
    await server.initialize();
    await server.start();
    return server;
  } catch (error) {
    await server.close();
    throw error;
  }
}

function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error; // it ended meanwhile
    }
  }
}

/** PostgreSQL refuses to run as root: it runs as the user that its package made. */
function unprivileged(): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {};
  const id = (flag: string): number => {
    try {
      return Number(execFileSync("id", [flag, "postgres"], { encoding: "utf8", stdio: "pipe" }));
    } catch {
      throw new Error(`${MISSING} (there is no user postgres)`);
    }
  };
  return { uid: id("-u"), gid: id("-g") };
}

function own(path: string): void {
  const { uid, gid } = unprivileged();
  if (uid !== undefined && gid !== undefined) chownSync(path, uid, gid);
}

/** Debian keeps the server of every version in a directory that is on nobody's path. */
function commandOf(name: string): string {
  const versions = globSync("/usr/lib/postgresql/*/bin").sort(
    (a, b) => parseInt(b.slice(20), 10) - parseInt(a.slice(20), 10),
  );
  const places = [...versions, ...(process.env.PATH ?? "").split(delimiter)];
  const found = places.map((place) => join(place, name)).find((file) => existsSync(file));
  if (found === undefined) throw new Error(MISSING);
  return found;
}

/** Milliseconds in which the children of a server that was killed notice, and leave its directory. */
const CHILDREN = 10_000;

/** @throws Error when somebody stays in it */
export async function unmount(dir: string): Promise<void> {
  const until = performance.now() + CHILDREN;
  for (;;) {
    try {
      execFileSync("umount", [dir], { stdio: "pipe" });
      return;
    } catch (error) {
      if (performance.now() > until) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
