/** What one user wants: a request, and the attempts at it until it is answered well or the client has had enough. */
import type { Client, Dispatcher } from "undici";
import type { Connections } from "./connections.ts";
import type { Drawn } from "./mix.ts";
import type { Fate, Tally } from "./tally.ts";

/** The load that it is a part of. */
export interface Surroundings {
  /** Milliseconds since the load began. */
  readonly now: number;
  /** Of an attempt (ms). */
  readonly timeout: number;
  readonly retries: number;
  readonly connections: Connections;
  /** The attempt is to be told when its time is over. */
  watch(attempt: Attempt): void;
  settle(operation: Operation, fate: Fate): void;
}

export class Operation {
  readonly drawn: Drawn;
  readonly tally: Tally;
  readonly sentAt: number;
  readonly #load: Surroundings;
  #attempts = 0;

  constructor(load: Surroundings, drawn: Drawn, tally: Tally) {
    this.#load = load;
    this.drawn = drawn;
    this.tally = tally;
    this.sentAt = load.now;
  }

  begin(): void {
    this.#attempts++;
    this.tally.attempts++;
    new Attempt(this.#load, this).send();
  }

  /** @param status 0 when there was no answer · @param cause why, then */
  onEnd(status: number, cause: string): void {
    const fate = status >= 200 && status < 300 ? "ok" : status === 503 || status === 429 ? "shed" : "failed";
    if (fate !== "ok") this.tally.blame(status === 0 ? cause : String(status));
    if (fate === "ok" || this.#attempts > this.#load.retries) this.#load.settle(this, fate);
    else this.begin();
  }
}

export class Attempt implements Dispatcher.DispatchHandler {
  readonly #load: Surroundings;
  readonly #operation: Operation;
  readonly #deadline: number;
  readonly #client: Client;
  #status = 0;
  #over = false;

  constructor(load: Surroundings, operation: Operation) {
    this.#load = load;
    this.#operation = operation;
    this.#deadline = load.now + load.timeout;
    this.#client = load.connections.take();
  }

  send(): void {
    const { of, headers } = this.#operation.drawn;
    this.#load.watch(this);
    this.#client.dispatch({ path: of.path, method: of.method ?? "GET", headers }, this);
  }

  /** @returns whether it is over, by itself or now */
  giveUp(now: number): boolean {
    if (this.#over) return true;
    if (now < this.#deadline) return false;
    this.#over = true;
    this.#load.connections.drop(this.#client);
    this.#operation.onEnd(0, "timeout");
    return true;
  }

  onRequestStart(): void {}

  onResponseStart(_controller: Dispatcher.DispatchController, status: number): void {
    this.#status = status;
  }

  onResponseData(): void {}

  onResponseEnd(): void {
    if (this.#over) return;
    this.#over = true;
    this.#load.connections.give(this.#client);
    this.#operation.onEnd(this.#status, "");
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#over) return;
    this.#over = true;
    this.#load.connections.drop(this.#client);
    this.#operation.onEnd(0, (error as NodeJS.ErrnoException).code ?? error.name);
  }
}
