/** A lean upstream and clients for the tests of limits. */
import http from "node:http";
import type { TestContext } from "node:test";
import { fleetYaml, startGateway, type TestGateway } from "../../support/gateway.ts";

/** Answers everything with `ok`. */
export async function upstream(t: TestContext): Promise<string> {
  const server = http.createServer((_request, response) => response.end("ok"));
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
    "fleet.yaml": fleetYaml({ hz: [unit] }, "", "").replace(/health: .*\n/, "health: none\n"),
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
