/**
 * Reads bases on a thread of its own: ten thousand routes take seconds, in which leases would run out, streams would stand
 * still, and nobody would be answered.
 *
 * Bounds: one base at a time, so many that wait, a deadline, and the thread's own memory, which a control plane survives.
 */
import { Worker } from "node:worker_threads";
import type { ReadConfig } from "../model/configuration/read-config.ts";
import { type Base, digestOf, encodeBase, readBase, rememberedRead, rememberRead } from "./base.ts";
import { Refused } from "./refused.ts";

/** For what it is read: a `change`, what was `stored` by one, or a `look` that changes nothing. */
export type Purpose = "change" | "stored" | "look";

/** Bases that wait, by what they are for. Whoever only looks waits behind the others. */
const MOST_WAITING: Readonly<Record<Purpose, number>> = { change: 16, stored: 64, look: 8 };
/** Of the thread (MiB): three times what 10,000 routes take. */
const MEMORY = 1_536;
/** Milliseconds that one base may wait for the others, and then take. */
const DEADLINE = 60_000;
/** What is stored may take so many times as long: it was read once, and has to be again. */
const STORED = 10;
/** So many characters of YAML are read here: sooner than a thread is asked, and without anybody noticing. */
const SMALL = 32 * 1024;
/** A thread that has read and had nothing to read for so long (ms) is replaced, and gives its memory back. */
const IDLE = 30_000;
/** What was read is kept of so many bases: a preview is followed by its change, and a follower reads what it knows. */
const KEPT = 3;

interface Job {
  readonly base: Base;
  readonly digest: string;
  readonly purpose: Purpose;
  readonly done: Promise<ReadConfig>;
  readonly resolve: (read: ReadConfig) => void;
  readonly reject: (error: Error) => void;
  /** Until it is read: of its wait; then of the reading. */
  timer: NodeJS.Timeout | undefined;
}

export interface BaseReaderOptions {
  /** Milliseconds that one base may wait, and then take; what is stored may take ten times as long. */
  readonly deadline?: number;
  /** Of the thread, in MiB. */
  readonly memory?: number;
  /** Characters of YAML that are read on the caller's thread. */
  readonly small?: number;
}

export class BaseReader {
  readonly #deadline: number;
  readonly #memory: number;
  readonly #small: number;
  /** Digest → what was read, the last used at the end. */
  readonly #kept = new Map<string, ReadConfig>();
  readonly #waiting: Job[] = [];
  #current: Job | undefined;
  #worker: Worker | undefined;
  #idle: NodeJS.Timeout | undefined;

  constructor({ deadline = DEADLINE, memory = MEMORY, small = SMALL }: BaseReaderOptions = {}) {
    this.#deadline = deadline;
    this.#memory = memory;
    this.#small = small;
  }

  /**
   * What `readBase` gives, which costs nothing for this base from then on.
   *
   * @throws Refused when too many wait, or it takes too long or too much memory
   */
  async read(base: Base, purpose: Purpose): Promise<ReadConfig> {
    if (yamlOf(base) <= this.#small) return readBase(base);
    const digest = digestOf(encodeBase(base));
    const known = rememberedRead(base) ?? this.#kept.get(digest);
    const read = known ?? (await this.#job(base, digest, purpose).done);
    this.#keep(digest, read);
    rememberRead(base, read);
    return read;
  }

  /** Starts the thread, so that the first who needs it does not wait for that. */
  warm(): void {
    this.#worker ??= this.#start();
    if (this.#current === undefined) this.#worker.unref();
  }

  /** Ends the thread; what is under way is refused. */
  async stop(): Promise<void> {
    const stops = new Refused("not-leader", "this control plane stops");
    for (const { reject, timer } of this.#waiting.splice(0)) {
      clearTimeout(timer);
      reject(stops);
    }
    await this.#end(stops);
  }

  #job(base: Base, digest: string, purpose: Purpose): Job {
    const isSame = (job: Job): boolean => job.digest === digest;
    if (this.#current !== undefined && isSame(this.#current)) return this.#current;
    const same = this.#waiting.find((job) => isSame(job) && (purpose === "look" || job.purpose !== "look"));
    if (same !== undefined) return same;
    if (this.#waiting.filter((job) => job.purpose === purpose).length >= MOST_WAITING[purpose]) {
      throw new Refused("too-many", "too many configurations wait to be read; try again in a minute");
    }
    const { promise: done, resolve, reject } = Promise.withResolvers<ReadConfig>();
    const job: Job = { base, digest, purpose, done, resolve, reject, timer: undefined };
    job.timer = setTimeout(() => {
      this.#waiting.splice(this.#waiting.indexOf(job), 1);
      reject(new Refused("too-many", "other configurations took too long to be read; try again in a minute"));
    }, this.#deadlineOf(job));
    const isLook = (one: Job): boolean => one.purpose === "look";
    const at = purpose === "look" ? -1 : this.#waiting.findIndex(isLook);
    this.#waiting.splice(at < 0 ? this.#waiting.length : at, 0, job);
    this.#next();
    return job;
  }

  #next(): void {
    if (this.#current !== undefined) return;
    clearTimeout(this.#idle);
    const job = this.#waiting.shift();
    if (job === undefined) {
      if (this.#worker === undefined) return;
      // Neither keeps a process alive that has nothing to do.
      this.#worker.unref();
      this.#idle = setTimeout(() => void this.#end(new Error("idle")).then(() => this.warm()), IDLE).unref();
      return;
    }
    clearTimeout(job.timer);
    this.#current = job;
    this.#worker ??= this.#start();
    this.#worker.ref();
    this.#worker.postMessage(job.base);
    const deadline = this.#deadlineOf(job);
    job.timer = setTimeout(() => {
      void this.#end(
        tooMuch(
          `was not read after ${deadline / 1000} s`,
          "fewer routes, or defaults in place of repetition",
        ),
      );
    }, deadline);
  }

  #deadlineOf({ purpose }: Job): number {
    return purpose === "stored" ? this.#deadline * STORED : this.#deadline;
  }

  #start(): Worker {
    const worker = new Worker(new URL("./base-thread.ts", import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: this.#memory },
    });
    worker.on("message", (read: ReadConfig) => {
      if (worker !== this.#worker) return;
      this.#leave()?.resolve(read);
      this.#next();
    });
    const died = (error: Error & { code?: string }): void => {
      if (worker !== this.#worker) return;
      const isFull = error.code === "ERR_WORKER_OUT_OF_MEMORY";
      void this.#end(isFull ? tooMuch(`takes more than ${this.#memory} MiB to read`, "fewer values") : error);
    };
    worker.on("error", died);
    worker.on("messageerror", died);
    worker.on("exit", (code) => died(new Error(`the thread that reads configurations ended with ${code}`)));
    return worker;
  }

  /** Gives the thread up, and goes on with a new one. */
  async #end(error: Error): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    this.#leave()?.reject(error);
    await worker?.terminate();
    this.#next();
  }

  #leave(): Job | undefined {
    const job = this.#current;
    clearTimeout(job?.timer);
    this.#current = undefined;
    return job;
  }

  #keep(digest: string, read: ReadConfig): void {
    this.#kept.delete(digest);
    this.#kept.set(digest, read);
    if (this.#kept.size > KEPT) this.#kept.delete(this.#kept.keys().next().value!);
  }
}

function yamlOf(base: Base): number {
  let length = 0;
  for (const [name, text] of base) if (/\.ya?ml$/.test(name)) length += text.length;
  return length;
}

function tooMuch(what: string, expected: string): Refused {
  return new Refused("invalid-configuration", `the configuration ${what}; expected ${expected}`);
}
