/**
 * Hears of writes by other processes: at once by LISTEN, and by looking every second, for a notification can be lost with
 * its connection, and some poolers pass none on. It keeps one connection of its own and makes it anew when it fails.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { PostgresConnections } from "./postgres-connections.ts";

const LOOK_EVERY = 1_000;
/** Between two attempts to connect (ms): doubled from the first to the last. */
const FIRST_PAUSE = 100;
const LAST_PAUSE = 2_000;

export interface PostgresWatchOptions {
  readonly connections: PostgresConnections;
  /** Channel of the notifications, quoted for SQL. */
  readonly channel: string;
  /** Reads how often it was written so far, as `writes`. */
  readonly look: string;
  readonly onChange: () => void;
}

export class PostgresWatch {
  readonly #options: PostgresWatchOptions;
  readonly #stopped = new AbortController();
  #seen: number;
  #running: Promise<void> | undefined;

  /** @param seen how often it was written when the caller last looked */
  constructor(options: PostgresWatchOptions, seen: number) {
    this.#options = options;
    this.#seen = seen;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** So many writes are known of by now: tells the listener when there are more than before. */
  saw(writes: number): void {
    if (!(writes > this.#seen)) return;
    this.#seen = writes;
    this.#options.onChange();
  }

  /** @returns when its connection is closed */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped;
    let wait = FIRST_PAUSE;
    while (!signal.aborted) {
      await this.#listen(() => {
        wait = FIRST_PAUSE;
      });
      await pause(wait, undefined, { signal }).catch(() => {});
      wait = Math.min(2 * wait, LAST_PAUSE);
    }
  }

  /** Until the connection fails, or it is stopped. */
  async #listen(onGood: () => void): Promise<void> {
    const { connections, channel, look } = this.#options;
    const { client, destroy } = connections.single();
    const gone = new AbortController();
    const leave = (): void => gone.abort();
    // Without a goodbye: a frozen server would not answer it.
    this.#stopped.signal.addEventListener("abort", destroy);
    client.on("error", leave).on("end", leave);
    client.on("notification", ({ payload }) => this.saw(Number(payload)));
    try {
      await client.connect();
      await client.query(`LISTEN ${channel}`);
      while (!gone.signal.aborted) {
        const { rows } = await client.query<{ writes: number }>(look);
        const writes = rows[0]!.writes;
        // Fewer than before: the database was set back to an earlier moment, which is a change too.
        if (writes < this.#seen) this.#seen = -1;
        this.saw(writes);
        onGood();
        await pause(LOOK_EVERY, undefined, { signal: gone.signal }).catch(() => {});
      }
    } catch {
      // Whoever reads or writes hears why the server does not answer; here the next attempt follows.
    } finally {
      this.#stopped.signal.removeEventListener("abort", destroy);
      destroy();
    }
  }
}
