/** Child processes of a benchmark: pinned to a core, measured by the kernel, ended for certain. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { accepts } from "../../host/port.ts";

/** Clock ticks per second of /proc/PID/stat: USER_HZ is 100 on every Linux that Node runs on. */
const TICKS = 100;

const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) killTree(child);
});
process.on("SIGINT", () => process.exit(130));
process.on("SIGTERM", () => process.exit(143));

export interface Started {
  readonly pid: number;
  alive(): boolean;
  stop(): Promise<void>;
  /** What it wrote to standard error. */
  stderr(): string;
}

/** Starts a command on one core and waits until it accepts on a port. @throws with its own words when it does not */
export async function start(
  core: number,
  command: readonly string[],
  port: number,
  env: NodeJS.ProcessEnv = {},
): Promise<Started> {
  const { child, exited, words } = spawnOn(core, command, env);
  const stop = async (): Promise<void> => {
    child.kill("SIGTERM");
    const timer = setTimeout(() => killTree(child), 3_000);
    await exited;
    clearTimeout(timer);
  };
  const until = performance.now() + 15_000;
  while (!(await accepts(port))) {
    if (!running.has(child) || performance.now() > until) {
      await stop();
      throw new Error(
        `${command[0]} did not accept on port ${port}: ${words().trim().split("\n").slice(-3).join(" | ")}`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return { pid: child.pid!, alive: () => running.has(child), stop, stderr: words };
}

/** Runs a command on one core to its end. @returns what it wrote; it is killed after `deadline` seconds */
export async function runToEnd(core: number, command: readonly string[], deadline: number): Promise<string> {
  const { child, words } = spawnOn(core, command);
  // "exit" may come before the last of its output, "close" comes after.
  const closed = new Promise((resolve) => child.once("close", resolve).once("error", resolve));
  const timer = setTimeout(() => killTree(child), deadline * 1000);
  await closed;
  clearTimeout(timer);
  return words();
}

interface Spawned {
  readonly child: ChildProcess;
  readonly exited: Promise<void>;
  /** The end of what it wrote. */
  readonly words: () => string;
}

function spawnOn(core: number, command: readonly string[], env: NodeJS.ProcessEnv = {}): Spawned {
  const child = spawn("taskset", ["-c", `${core}`, ...command], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...env },
  });
  running.add(child);
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => {
      text = (text + chunk).slice(-4_000);
    });
  }
  const exited = new Promise<void>((resolve) => {
    child.once("exit", () => {
      running.delete(child);
      resolve();
    });
    child.once("error", (error) => {
      running.delete(child);
      text += error.message;
      resolve();
    });
  });
  return { child, exited, words: () => text };
}

/** With its own children: a master of nginx that is killed leaves its workers serving. */
function killTree(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  for (const pid of treeOf(child.pid)) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It ended by itself.
    }
  }
}

/** Seconds of CPU, user and system, of a process and all that it started (nginx's workers), all threads counted. */
export function cpuSeconds(pid: number): number {
  let ticks = 0;
  for (const one of treeOf(pid)) {
    const stat = statOf(one);
    if (stat !== undefined) ticks += Number(stat[11]) + Number(stat[12]);
  }
  return ticks / TICKS;
}

/** Seconds that a core has worked, for whomever: user, nice, system, interrupts and what the host took away. */
export function coreSeconds(core: number): number {
  const line = readFileSync("/proc/stat", "utf8")
    .split("\n")
    .find((l) => l.startsWith(`cpu${core} `));
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = (line ?? "")
    .split(" ")
    .slice(1)
    .map(Number);
  return (user + nice + system + irq + softirq + steal) / TICKS;
}

/** A process and all that it started. */
function treeOf(pid: number): number[] {
  const parents = new Map<number, number[]>();
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    const parent = Number(statOf(Number(entry))?.[1] ?? -1);
    parents.set(parent, [...(parents.get(parent) ?? []), Number(entry)]);
  }
  const tree: number[] = [];
  const queue = [pid];
  for (let one = queue.pop(); one !== undefined; one = queue.pop()) {
    tree.push(one);
    queue.push(...(parents.get(one) ?? []));
  }
  return tree;
}

/** Fields of /proc/PID/stat behind the command's name: [0] state, [1] parent, [11] utime, [12] stime. */
function statOf(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    return text.slice(text.lastIndexOf(")") + 2).split(" ");
  } catch {
    return undefined;
  }
}

/** First line that a command prints about its version; undefined when it is not there. */
export function versionOf(command: readonly string[]): string | undefined {
  const result = spawnSync(command[0]!, command.slice(1), { encoding: "utf8", timeout: 10_000 });
  if (result.error !== undefined) return undefined;
  const line = `${result.stdout}${result.stderr}`.split("\n").find((l) => /\d+\.\d+/.test(l));
  return /\d+\.\d+[\w.-]*/.exec(line ?? "")?.[0];
}
