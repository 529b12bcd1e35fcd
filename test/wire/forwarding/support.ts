/** What the forwarding tests share: a client that shows every byte that matters, a scripted unit, and moments. */
import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import type net from "node:net";
import type { TestContext } from "node:test";
import { createUnit, type Unit } from "../../../loadtest/unit/app.ts";

export interface Answer {
  readonly status: number;
  readonly reason: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  readonly trailers: NodeJS.Dict<string>;
  readonly body: Buffer;
  readonly text: string;
}

export interface Ask {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: http.OutgoingHttpHeaders | readonly string[];
  readonly body?: string | Buffer;
  readonly agent?: http.Agent;
}

/** One request on a connection of its own, and its whole answer. */
export function ask(port: number, { body, ...options }: Ask = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = http.request({
      host: "127.0.0.1",
      port,
      agent: false,
      ...options,
    } as http.RequestOptions);
    request.on("error", reject);
    request.on("response", (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        const whole = Buffer.concat(chunks);
        resolve({
          status: response.statusCode!,
          reason: response.statusMessage!,
          headers: response.headers,
          rawHeaders: response.rawHeaders,
          trailers: response.trailers,
          body: whole,
          text: whole.toString("utf8"),
        });
      });
    });
    request.end(body);
  });
}

/** Every value of a field in a flat list, in order. */
export function valuesOf(rawHeaders: readonly string[], name: string): string[] {
  const values: string[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (rawHeaders[i]!.toLowerCase() === name) values.push(rawHeaders[i + 1]!);
  }
  return values;
}

/** The type word of a problem document. */
export function problemOf(answer: Answer): string {
  return (JSON.parse(answer.text) as { type: string }).type.replace("urn:tidegate:problem:", "");
}

/** A node:http server that ends with the test. Health checks are answered by it. */
export async function httpServer(
  t: TestContext,
  listener: http.RequestListener,
): Promise<{ url: string; server: http.Server; sockets: Set<net.Socket> }> {
  const server = http.createServer({ requestTimeout: 0, keepAliveTimeout: 60_000 }, (request, response) => {
    if (request.url === "/healthz") response.end("ok");
    else listener(request, response);
  });
  const sockets = new Set<net.Socket>();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server, sockets };
}

/** A sample unit that ends with the test. */
export async function sampleUnit(t: TestContext, unit = "hz"): Promise<Unit> {
  const sample = createUnit({ unit, clock: { now: () => performance.now() } });
  await sample.listen();
  t.after(() => sample.close());
  return sample;
}

/** An origin where nobody listens. */
export async function deadOrigin(): Promise<string> {
  const server = http.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return `http://127.0.0.1:${port}`;
}

/** routes.yaml: one nearest route for every path, and what else its lines say. */
export function oneRoute(...lines: string[]): string {
  return `routes:
  - name: all
    match: { path: /* }
    service: hall
    scope: nearest
${lines.map((line) => `    ${line}\n`).join("")}`;
}

export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Fails when the promise takes longer. */
export function within<T>(milliseconds: number, what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${milliseconds} ms`)), milliseconds);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** A promise with its resolve outside. */
export function signal<T = void>(): { promise: Promise<T>; give: (value: T) => void } {
  const { promise, resolve } = Promise.withResolvers<T>();
  return { promise, give: resolve };
}
