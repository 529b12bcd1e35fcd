/** A lean upstream and clients for the tests of limits. */
import assert from "node:assert/strict";
import http from "node:http";
import type { TestContext } from "node:test";
import { fleetYaml, startGateway, type TestGateway, until } from "../../support/gateway.ts";
import type { TestRedis } from "../../support/redis.ts";

/** Answers everything with `ok`. */
/** @param name that it gives in `x-unit` */
export async function upstream(t: TestContext, name = ""): Promise<string> {
  const server = http.createServer((_request, response) => {
    response.setHeader("x-unit", name);
    response.end("ok");
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as { port: number }).port}`;
}

export interface Limits {
  /** `limits` of routes.yaml, one line each. */
  readonly limits: string;
  /** Names that the route obeys. */
  readonly route: string;
  readonly gateway?: string;
  readonly more?: string;
}

export function files(
  unit: string,
  { limits, route, gateway = "", more = "" }: Limits,
): Record<string, string> {
  return {
    "fleet.yaml": fleetYaml({ hz: [unit] }, "", "")
      .replace(/health: .*\n/, "health: none\n")
      // What a stalled machine would shed says nothing about limits.
      .replace("center: true", "center: true, concurrency: fixed"),
    "routes.yaml": `routes:
  - { name: hall, match: { path: /hall/* }, service: hall, scope: nearest, limits: [ ${route} ]${more} }
  - { name: cart, match: { path: /cart/* }, service: hall, scope: sharded, limits: [ ${route} ] }
limits:
${limits}
`,
    "gateway.yaml": `trust: [ 127.0.0.1/32 ]\n${gateway}`,
  };
}

export async function startLimited(
  t: TestContext,
  limits: Limits,
  args: readonly string[] = [],
): Promise<TestGateway> {
  return startGateway(t, files(await upstream(t), limits), args);
}

export async function statuses(
  gateway: TestGateway,
  count: number,
  headers: Record<string, string> = {},
  path = "/hall/a",
): Promise<number[]> {
  const got: number[] = [];
  for (let i = 0; i < count; i++) {
    const answer = await fetch(`${gateway.url}${path}`, { headers });
    await answer.text();
    got.push(answer.status);
  }
  return got;
}

/** What one client of a steady rate was told: kept connections, open loop. */
export class Stream {
  readonly answers: { readonly at: number; readonly status: number; readonly milliseconds: number }[] = [];
  readonly #agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
  readonly #port: number;
  readonly #path: string;
  readonly #timer: NodeJS.Timeout;
  #due = 0;
  #last = performance.now();
  #open = 0;
  rate: number;

  constructor(gateway: TestGateway, rate: number, path = "/hall/a") {
    this.#port = gateway.port;
    this.#path = path;
    this.rate = rate;
    this.#timer = setInterval(() => this.#tick(), 5);
  }

  between(from: number, to: number, status = 200): number {
    return this.answers.filter((a) => a.status === status && a.at >= from && a.at < to).length;
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    const end = performance.now() + 2_000;
    while (this.#open > 0 && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 10));
    this.#agent.destroy();
  }

  #tick(): void {
    const now = performance.now();
    this.#due += ((now - this.#last) / 1000) * this.rate;
    this.#last = now;
    for (; this.#due >= 1; this.#due--) this.#send();
  }

  #send(): void {
    const sent = performance.now();
    this.#open++;
    const done = (status: number): void => {
      this.#open--;
      const at = performance.now();
      this.answers.push({ at, status, milliseconds: at - sent });
    };
    http
      .get({ host: "127.0.0.1", port: this.#port, path: this.#path, agent: this.#agent }, (response) => {
        response.resume();
        response.on("end", () => done(response.statusCode!));
      })
      .on("error", () => done(0));
  }
}

/** Waits until fleet limits come from leases (1) or from shares (0). */
export const isUp = (gateway: TestGateway, up: 0 | 1): Promise<number> =>
  until(
    up === 1 ? "leases" : "shares",
    () => gateway.metric("tidegate_limit_store_up"),
    (seen) => seen === up,
  );

/** No answer may be so late (ms): far above what a busy machine takes, far below any wait for Redis. */
const LATE = 250;

/** Neither 5xx, nor nothing, nor a wait for Redis. */
export function unharmed(stream: Stream): void {
  const bad = stream.answers.filter((a) => a.status !== 200 && a.status !== 429);
  assert.deepEqual(bad, []);
  const late = stream.answers.map((a) => a.milliseconds).sort((a, b) => b - a);
  // One in a hundred is the machine's own noise.
  const p99 = late[Math.floor(late.length / 100)]!;
  assert.ok(p99 < LATE, `p99 ${p99} ms`);
}

/** How often the gateway's log says so. */
export const saidIn = (gateway: TestGateway, words: RegExp): number =>
  gateway.stderr.match(words)?.length ?? 0;

/** Gateways of one fleet limit `a` that lease, and know of each other. @param limit its fields but the scope */
export async function leasing(
  t: TestContext,
  n: number,
  redis: TestRedis,
  limit: string,
): Promise<TestGateway[]> {
  const given = files(await upstream(t), {
    limits: `  a: { ${limit}, scope: fleet }`,
    route: "a",
    gateway: "identity: { apiKey: x-api-key }\n",
  });
  const gateways = await Promise.all(
    Array.from({ length: n }, () => startGateway(t, given, ["--redis", redis.url])),
  );
  for (const gateway of gateways) {
    await isUp(gateway, 1);
    await sharing(gateway, n);
  }
  return gateways;
}

/** Waits until the gateway knows of so many, itself among them. */
export const sharing = (gateway: TestGateway, n: number): Promise<number> =>
  until(
    `${n} gateways`,
    () => gateway.metric("tidegate_limit_gateways"),
    (live) => live === n,
  );

export const passed = (list: readonly number[]): number => list.filter((s) => s === 200).length;
