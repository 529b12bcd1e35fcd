/** Sample units as processes of their own, so that they can be killed, frozen and brought back on their port. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import type { TestContext } from "node:test";
import type { Switches } from "../../../loadtest/unit/behaviour.ts";
import type { Report } from "../../../loadtest/unit/counters.ts";

const MAIN = new URL("../../../loadtest/unit/main.ts", import.meta.url).pathname;

/** Below the ports that the system gives to connections, so that nobody borrows one while its unit is dead. */
export function freePort(): number {
  return 15_000 + Math.floor(Math.random() * 16_000);
}

export class UnitProcess {
  readonly unit: string;
  readonly version: string;
  port = 0;
  #child: ChildProcess | undefined;

  constructor(unit: string, version: string) {
    this.unit = unit;
    this.version = version;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get pid(): number {
    return this.#child!.pid!;
  }

  /** Starts it, on the port that it had before if it had one. */
  async start(): Promise<void> {
    for (let tries = 0; ; tries++) {
      const port = this.port === 0 ? freePort() : this.port;
      const child = fork(MAIN, ["--unit", this.unit, "--version", this.version, "--port", String(port)], {
        stdio: ["ignore", "pipe", "pipe", "ipc"],
        execArgv: [],
      });
      let errors = "";
      child.stderr!.on("data", (chunk) => {
        errors += chunk;
      });
      const [first] = await Promise.race([once(child.stdout!, "data"), once(child, "exit")]);
      if (first instanceof Buffer) {
        child.stdout!.resume();
        this.#child = child;
        this.port = port;
        return;
      }
      if (tries === 10) throw new Error(`unit ${this.unit} does not start: ${errors}`);
    }
  }

  /** `SIGKILL` ends it; `SIGSTOP` freezes it: the kernel goes on accepting connections for it. */
  async signal(signal: "SIGKILL" | "SIGSTOP" | "SIGCONT"): Promise<void> {
    const child = this.#child!;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = signal === "SIGKILL" ? once(child, "exit") : undefined;
    child.kill(signal);
    await gone;
  }

  async report(): Promise<Report> {
    const answer = await fetch(`${this.url}/__unit`, { signal: AbortSignal.timeout(5_000) });
    return (await answer.json()) as Report;
  }

  async turn(switches: Partial<Switches>): Promise<void> {
    const answer = await fetch(`${this.url}/__unit`, {
      method: "POST",
      body: JSON.stringify(switches),
      signal: AbortSignal.timeout(5_000),
    });
    if (!answer.ok) throw new Error(await answer.text());
    await answer.text();
  }
}

export async function startUnit(t: TestContext, unit: string, version = "stable"): Promise<UnitProcess> {
  const made = new UnitProcess(unit, version);
  await made.start();
  t.after(() => made.signal("SIGKILL"));
  return made;
}

/** `counts` endpoints of each unit. */
export async function startUnits<N extends string>(
  t: TestContext,
  counts: Readonly<Record<N, number>>,
): Promise<Record<N, UnitProcess[]>> {
  const units = {} as Record<N, UnitProcess[]>;
  await Promise.all(
    (Object.entries(counts) as [N, number][]).map(async ([name, count]) => {
      units[name] = await Promise.all(Array.from({ length: count }, () => startUnit(t, name)));
    }),
  );
  return Object.fromEntries(Object.keys(counts).map((name) => [name, units[name as N]])) as typeof units;
}

export function urls(units: Readonly<Record<string, readonly { readonly url: string }[]>>) {
  return Object.fromEntries(Object.entries(units).map(([name, list]) => [name, list.map((u) => u.url)]));
}
