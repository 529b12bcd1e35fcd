/** As many connections as requests are under way, each used again as soon as it is free. */
import { Client } from "undici";

/** Shorter than any server keeps them, so that none is closed under a request. */
const IDLE = 4_000;

export class Connections {
  readonly #origin: string;
  /** The warmest is taken first. */
  readonly #free: Client[] = [];
  readonly #all = new Set<Client>();

  constructor(origin: string) {
    this.#origin = origin;
  }

  get size(): number {
    return this.#all.size;
  }

  take(): Client {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    // Every wait has a deadline of the load's own.
    const client = new Client(this.#origin, {
      pipelining: 1,
      keepAliveTimeout: IDLE,
      headersTimeout: 0,
      bodyTimeout: 0,
    });
    this.#all.add(client);
    return client;
  }

  give(client: Client): void {
    if (!client.destroyed) this.#free.push(client);
  }

  /** Closes the connection under its request, as a client that has waited long enough does. */
  drop(client: Client): void {
    this.#all.delete(client);
    void client.destroy();
  }

  async close(): Promise<void> {
    await Promise.all([...this.#all].map((client) => client.destroy()));
    this.#all.clear();
    this.#free.length = 0;
  }
}
