/**
 * An open-loop load: requests leave at a fixed rate, whether or not earlier ones have been answered, because a client
 * that waits its turn would hide exactly the failures that these tests look for. Nothing is ever sent twice.
 */
import http from "node:http";

export interface LoadRequest {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface LoadOptions {
  readonly port: number;
  /** Requests per second. */
  readonly rate: number;
  /** The n-th request. */
  readonly request: (n: number) => LoadRequest;
  /** False: a new connection per request. Default true. */
  readonly keepAlive?: boolean;
  /** A request without a whole answer after this many milliseconds has failed. */
  readonly timeout?: number;
}

export interface Answer {
  /** `performance.now()` when it was sent. */
  readonly at: number;
  /** Milliseconds until its end. */
  readonly took: number;
  /** 0 when there was no whole answer. */
  readonly status: number;
  /** The sample unit's `x-unit`; empty for answers of the gateway's own. */
  readonly unit: string;
  /** The port of the endpoint that answered; 0 when unknown. */
  readonly endpoint: number;
  readonly contentType: string;
  readonly error: string;
  /** Whether it went over a connection that had been used before. */
  readonly reused: boolean;
  readonly request: LoadRequest;
}

/** More under way than this is a failure of its own: the gateway has stopped answering. */
const MOST_UNDER_WAY = 5_000;

export class Load {
  readonly answers: Answer[] = [];
  sent = 0;
  readonly #options: LoadOptions;
  readonly #agent: http.Agent;
  readonly #startedAt = performance.now();
  readonly #timer: NodeJS.Timeout;
  #underWay = 0;
  #onIdle: (() => void) | undefined;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#agent = new http.Agent({ keepAlive: options.keepAlive ?? true, maxFreeSockets: 1_024 });
    this.#timer = setInterval(() => this.#sendDue(), 2);
  }

  /** Everything that was not answered with a status below 500. */
  get failures(): readonly Answer[] {
    return this.answers.filter((a) => a.status === 0 || a.status >= 500);
  }

  /** Requests sent from one moment on, and before another. */
  between(from: number, to = Number.POSITIVE_INFINITY): Answer[] {
    return this.answers.filter((a) => a.at >= from && a.at < to);
  }

  /** Sends no more, and waits for what is under way. */
  async stop(): Promise<this> {
    clearInterval(this.#timer);
    if (this.#underWay > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve));
    this.#agent.destroy();
    return this;
  }

  #sendDue(): void {
    const due = Math.floor(((performance.now() - this.#startedAt) * this.#options.rate) / 1000);
    while (this.sent < due) this.#send(this.sent++);
  }

  #send(n: number): void {
    const { port, timeout = 10_000 } = this.#options;
    const asked = this.#options.request(n);
    const at = performance.now();
    let settled = false;
    const settle = (result: Partial<Answer>): void => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      this.#underWay--;
      this.answers.push({
        at,
        took: performance.now() - at,
        status: 0,
        unit: "",
        endpoint: 0,
        contentType: "",
        error: "",
        reused: request.reusedSocket,
        request: asked,
        ...result,
      });
      if (this.#underWay === 0) this.#onIdle?.();
    };
    this.#underWay++;
    const request = http.request({
      host: "127.0.0.1",
      port,
      agent: this.#agent,
      method: asked.method ?? "GET",
      path: asked.path,
      headers: {
        ...asked.headers,
        ...(asked.body === undefined ? {} : { "content-length": Buffer.byteLength(asked.body) }),
      },
    });
    const timer = setTimeout(() => {
      settle({ error: `no answer in ${timeout} ms` });
      request.destroy();
    }, timeout);
    request.on("error", (error: NodeJS.ErrnoException) => settle({ error: error.code ?? error.message }));
    request.on("response", (response) => {
      let body = "";
      response.setEncoding("latin1");
      response.on("data", (chunk: string) => {
        body += chunk;
      });
      response.on("error", (error: NodeJS.ErrnoException) =>
        settle({ error: `answer broke off: ${error.code}` }),
      );
      response.on("end", () => {
        const { headers } = response;
        settle({
          status: response.statusCode!,
          unit: String(headers["x-unit"] ?? ""),
          endpoint: Number(headers["x-port"] ?? /"port":(\d+)/.exec(body)?.[1] ?? 0),
          contentType: headers["content-type"] ?? "",
          error: response.statusCode! >= 500 ? body : "",
        });
      });
    });
    if (this.#underWay > MOST_UNDER_WAY) {
      settle({ error: "too many under way" });
      request.destroy();
    }
    request.end(asked.body);
  }
}

/** What failed, for people: causes, how often, and when the first came. */
export function summary(load: Load): string {
  const causes = new Map<string, number>();
  for (const { status, error, reused, request } of load.failures) {
    const cause = `${request.method ?? "GET"} ${status} ${error.slice(0, 160)}${reused ? " (kept connection)" : ""}`;
    causes.set(cause, (causes.get(cause) ?? 0) + 1);
  }
  const list = [...causes].map(([cause, n]) => `  ${n} × ${cause}`).join("\n");
  return `${load.failures.length} of ${load.sent} requests failed\n${list}`;
}

/** How many of the answers each unit gave. */
export function byUnit(answers: readonly Answer[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { unit } of answers) counts[unit] = (counts[unit] ?? 0) + 1;
  return counts;
}

/** Share of answers that an endpoint gave, 0 to 1. */
export function shareOf(answers: readonly Answer[], port: number): number {
  return answers.length === 0 ? 0 : answers.filter((a) => a.endpoint === port).length / answers.length;
}

export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
