/**
 * A trickle of users: an open loop, so that a slow gateway is not spared by waiting clients.
 * Each request is one entry of `MIX`; users are drawn from a seeded generator.
 */
import http from "node:http";
import type { Clock, Random } from "../../model/clock.ts";
import { quantile } from "./histogram.ts";

const USERS = 10_000;
/** Longer than any route's own timeout: the client waits for the gateway's verdict. */
const PATIENCE_MS = 20_000;
const WINDOW_MS = 10_000;

/** Method, path before the number, and its share of a hundred. */
const MIX = [
  ["GET", "/hall/show/", 40],
  ["GET", "/cart/", 30],
  ["POST", "/cart/", 15],
  ["GET", "/orders/", 15],
] as const;

export interface Failure {
  readonly at: number;
  readonly method: string;
  readonly path: string;
  /** A status, or the code of a connection error. */
  readonly what: string;
}

export interface ClientFigures {
  readonly sent: number;
  readonly answered: number;
  /** Writes that the gateway answered with 502, 503 or 504: no other unit may take them. */
  readonly refusedWrites: number;
  readonly failed: number;
  /** Requests per second over the last ten seconds. */
  readonly rate: number;
  /** Milliseconds over the last ten seconds. */
  readonly p99: number | undefined;
}

export class Traffic {
  readonly #options: {
    readonly port: number;
    readonly rate: number;
    readonly clock: Clock;
    readonly random: Random;
  };
  readonly #agent = new http.Agent({ keepAlive: true, maxSockets: 256 });
  readonly refusedWrites: Failure[] = [];
  readonly failures: Failure[] = [];
  #sent = 0;
  #answered = 0;
  #recent: { at: number; ms: number }[] = [];
  #timer: NodeJS.Timeout | undefined;
  #underWay = new Set<Promise<void>>();

  constructor(options: { port: number; rate: number; clock: Clock; random: Random }) {
    this.#options = options;
  }

  start(): void {
    const { clock, rate } = this.#options;
    const start = clock.now();
    let due = 0;
    // What is late is sent at once, so the rate holds whatever the timer's grain.
    this.#timer = setInterval(() => {
      const target = Math.floor(((clock.now() - start) * rate) / 1000);
      for (; due < target; due++) this.#send();
    }, 5);
  }

  /** Sends nothing more and waits for the answers that are still due. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#underWay);
    this.#agent.destroy();
  }

  /** Sends nothing more and gives up what is under way. */
  abandon(): void {
    clearInterval(this.#timer);
    this.#agent.destroy();
  }

  figures(): ClientFigures {
    const start = this.#options.clock.now() - WINDOW_MS;
    this.#recent = this.#recent.filter(({ at }) => at > start);
    const sorted = this.#recent.map(({ ms }) => ms).sort((a, b) => a - b);
    const span = Math.min(WINDOW_MS, Math.max(this.#options.clock.now() - (this.#recent[0]?.at ?? 0), 1));
    return {
      sent: this.#sent,
      answered: this.#answered,
      refusedWrites: this.refusedWrites.length,
      failed: this.failures.length,
      rate: (sorted.length * 1000) / span,
      p99: quantile(new Map(sorted.map((ms, i) => [ms, i + 1])), 0.99),
    };
  }

  #send(): void {
    const [method, prefix] = this.#pick();
    const user = Math.floor(this.#options.random.next() * USERS);
    const exchange = this.#exchange(method, prefix + user, `user-${user}`);
    this.#underWay.add(exchange);
    void exchange.then(() => this.#underWay.delete(exchange));
  }

  #pick(): (typeof MIX)[number] {
    let point = this.#options.random.next() * 100;
    for (const entry of MIX) {
      point -= entry[2];
      if (point < 0) return entry;
    }
    return MIX[0];
  }

  async #exchange(method: string, path: string, user: string): Promise<void> {
    const { clock, port } = this.#options;
    const at = clock.now();
    this.#sent++;
    const what = await new Promise<string>((resolve) => {
      const body = method === "POST" ? '{"add":1}' : undefined;
      const request = http.request({
        port,
        host: "127.0.0.1",
        method,
        path,
        agent: this.#agent,
        timeout: PATIENCE_MS,
        headers: {
          "x-user-id": user,
          ...(body === undefined
            ? {}
            : { "content-type": "application/json", "content-length": body.length }),
        },
      });
      request.on("timeout", () => request.destroy(new Error("timeout")));
      request.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
      request.on("response", (response) => {
        response.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
        response.on("end", () => resolve(String(response.statusCode)));
        response.resume();
      });
      request.end(body);
    });
    const now = clock.now();
    this.#recent.push({ at: now, ms: now - at });
    this.#settle({ at, method, path, what });
  }

  #settle(outcome: Failure): void {
    const { method, what } = outcome;
    if (/^[23]/.test(what)) this.#answered++;
    else if (method === "POST" && /^50[234]$/.test(what)) this.refusedWrites.push(outcome);
    else this.failures.push(outcome);
  }
}
