/** Starts the traffic threads, replaces those that die, and speaks to all of them. */
import { Worker } from "node:worker_threads";
import { forgetThread, type LiveState } from "./live-state.ts";
import type { FromThread, ThreadStart, ToThread } from "./messages.ts";
import type { TlsOptions } from "./server.ts";
import type { Snapshot } from "./snapshot.ts";

export interface ThreadsOptions {
  readonly count: number;
  readonly live: LiveState;
  readonly host: string;
  readonly port: number | undefined;
  readonly tlsPort: number | undefined;
  readonly accessLog: string;
  readonly exportsSpans: boolean;
  readonly salt: string;
  readonly onMetrics: (message: FromThread & { type: "metrics" }) => void;
  readonly onNewKeys: (keys: (FromThread & { type: "keys" })["keys"]) => void;
  readonly onSuspect: (row: number, failures: number, answered: boolean) => void;
  readonly onError: (thread: number, message: string) => void;
  readonly onDeath: (thread: number, reason: string) => void;
}

interface Slot {
  worker: Worker;
  ready: boolean;
  revision: number;
  startedAt: number;
  /** Deaths in a row soon after the start: the pause before the next try grows with them. */
  earlyDeaths: number;
}

/** A thread that lives less than this has died of its start. */
const EARLY = 2_000;

export class Threads {
  readonly #options: ThreadsOptions;
  readonly #slots: (Slot | undefined)[] = [];
  #snapshot: Snapshot;
  #tls: TlsOptions | undefined;
  #onServed = (): void => {};
  #pace: number | undefined;
  #lameDuck = false;
  #stopping = false;
  /** Bound ports, once the first thread listens. */
  port: number | undefined;
  tlsPort: number | undefined;

  constructor(options: ThreadsOptions, snapshot: Snapshot, tls: TlsOptions | undefined) {
    this.#options = options;
    this.#snapshot = snapshot;
    this.#tls = tls;
  }

  /** Starts all; the first binds, so that a port of 0 is the same for all. @throws when it cannot listen */
  async start(): Promise<void> {
    const first = await this.#startOne(0);
    this.port = first.port;
    this.tlsPort = first.tlsPort;
    await Promise.all(Array.from({ length: this.#options.count - 1 }, (_, i) => this.#startOne(i + 1)));
  }

  get readyCount(): number {
    return this.#slots.filter((s) => s?.ready).length;
  }

  /** Revision that the slowest thread serves. */
  get revision(): number {
    return Math.min(...this.#slots.map((s) => s?.revision ?? 0));
  }

  /** @param onServed called once all threads serve it, unless a newer one came meanwhile */
  publish(snapshot: Snapshot, onServed: () => void): void {
    this.#snapshot = snapshot;
    this.#onServed = onServed;
    this.#say({ type: "snapshot", snapshot });
  }

  #swapped(): void {
    if (this.revision !== this.#snapshot.revision) return;
    this.#onServed();
    this.#onServed = () => {};
  }

  reloadTls(tls: TlsOptions): void {
    this.#tls = tls;
    this.#say({ type: "tls", tls });
  }

  /** Asks all for their metrics and waits for them, at most `timeout` ms. */
  async collect(timeout: number): Promise<void> {
    const answers = this.#slots.map((slot) =>
      slot?.ready ? heard(slot.worker, "metrics", timeout) : undefined,
    );
    this.#say({ type: "collect" });
    await Promise.all(answers);
  }

  /** How often (ms) all hand their metrics over. */
  setPace(milliseconds: number): void {
    if (milliseconds === this.#pace) return;
    this.#pace = milliseconds;
    this.#say({ type: "pace", milliseconds });
  }

  lameDuck(): void {
    this.#lameDuck = true;
    this.#say({ type: "lame-duck" });
  }

  /** @returns how many requests were cut off at the end of the grace period. */
  async drain(grace: number): Promise<number> {
    this.#stopping = true;
    const answers = this.#slots.map((slot) =>
      slot === undefined ? undefined : heard(slot.worker, "drained", grace + 2_000),
    );
    this.#say({ type: "drain", grace });
    let cutOff = 0;
    for (const answer of await Promise.all(answers)) if (answer?.type === "drained") cutOff += answer.cutOff;
    return cutOff;
  }

  /** Ends one thread at once and lets it be replaced, as if it had died. False when there is no such thread. */
  replace(thread: number): boolean {
    const slot = this.#slots[thread];
    if (slot === undefined) return false;
    void slot.worker.terminate();
    return true;
  }

  #say(message: ToThread): void {
    for (const slot of this.#slots) slot?.worker.postMessage(message);
  }

  #startOne(thread: number): Promise<{ port: number | undefined; tlsPort: number | undefined }> {
    const { count, live, host, accessLog, exportsSpans, salt } = this.#options;
    const start: ThreadStart = {
      thread,
      threads: count,
      memory: live.buffer,
      snapshot: this.#snapshot,
      host,
      port: this.port ?? this.#options.port,
      tlsPort: this.tlsPort ?? this.#options.tlsPort,
      tls: this.#tls,
      accessLog,
      exportsSpans,
      salt,
      lameDuck: this.#lameDuck,
    };
    const worker = new Worker(new URL("./thread.ts", import.meta.url), {
      workerData: start,
    });
    const before = this.#slots[thread];
    const slot: Slot = {
      worker,
      ready: false,
      revision: start.snapshot.revision,
      startedAt: performance.now(),
      earlyDeaths: before?.earlyDeaths ?? 0,
    };
    this.#slots[thread] = slot;
    return new Promise((resolve, reject) => {
      let lastError = "it ended";
      worker.on("message", (message: FromThread) => {
        switch (message.type) {
          case "ready":
            slot.ready = true;
            if (this.#pace !== undefined) worker.postMessage({ type: "pace", milliseconds: this.#pace });
            this.#swapped();
            // A snapshot that came while it started is waiting in its queue; this one it has.
            resolve({ port: message.port, tlsPort: message.tlsPort });
            return;
          case "failed":
            lastError = message.message;
            reject(new Error(message.message));
            void worker.terminate();
            return;
          case "swapped":
            slot.revision = message.revision;
            this.#swapped();
            return;
          case "metrics":
            this.#options.onMetrics(message);
            return;
          case "error":
            this.#options.onError(thread, message.message);
            return;
          case "keys":
            this.#options.onNewKeys(message.keys);
            return;
          case "suspect":
            this.#options.onSuspect(message.row, message.failures, message.answered);
            return;
        }
      });
      worker.on("error", (error: unknown) => {
        lastError = error instanceof Error ? (error.stack ?? error.message) : String(error);
      });
      worker.on("exit", () => {
        reject(new Error(lastError));
        this.#onExit(thread, slot, lastError);
      });
    });
  }

  #onExit(thread: number, slot: Slot, reason: string): void {
    if (this.#stopping || this.#slots[thread] !== slot) return;
    const wasReady = slot.ready;
    slot.ready = false;
    forgetThread(this.#options.live, thread);
    // A first thread that cannot listen ends the process; the caller of start() says why.
    if (!wasReady && this.port === undefined) return;
    slot.earlyDeaths = performance.now() - slot.startedAt < EARLY ? slot.earlyDeaths + 1 : 0;
    this.#options.onDeath(thread, reason);
    const pause = slot.earlyDeaths === 0 ? 0 : Math.min(5_000, 100 * 2 ** slot.earlyDeaths);
    setTimeout(() => {
      if (!this.#stopping) this.#startOne(thread).catch(() => {});
    }, pause);
  }
}

/** The worker's next message of a type; undefined after the timeout or when it ends. */
function heard(worker: Worker, type: FromThread["type"], timeout: number): Promise<FromThread | undefined> {
  return new Promise((resolve) => {
    const finish = (message: FromThread | undefined): void => {
      clearTimeout(timer);
      worker.off("message", onMessage);
      worker.off("exit", onExit);
      resolve(message);
    };
    const onMessage = (message: FromThread): void => {
      if (message.type === type) finish(message);
    };
    const onExit = (): void => finish(undefined);
    const timer = setTimeout(() => finish(undefined), timeout);
    worker.on("message", onMessage);
    worker.on("exit", onExit);
  });
}
