/**
 * The sample unit: a small app to route to, which tells what arrived and misbehaves on demand.
 *
 * Every method and every path comes to one handler. Bodies are streamed, never held.
 */
import { EventEmitter } from "node:events";
import { type IncomingMessage, METHODS, type ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import { unitGuard, type UnitGuardOptions } from "tidegate/unit-guard";
import type { Clock } from "../../model/clock.ts";
import { answer, type Identity, pause, sendJson } from "./answers.ts";
import { changeSwitches, DEFAULT_SWITCHES, type Fate, Fates, type Switches } from "./behaviour.ts";
import { type Abort, Counters, type Report } from "./counters.ts";
import { Door } from "./door.ts";
import { Workers } from "./workers.ts";
import { echoWebSocket, isWebSocket } from "./websocket.ts";

export interface UnitOptions {
  readonly unit: string;
  /** Default `stable`. */
  readonly version?: string;
  /** Default `hall`. */
  readonly service?: string;
  /** Stamps aborts. */
  readonly clock: Clock;
  /** It refuses writes that are not its own; undefined: it takes everything. */
  readonly guard?: Omit<UnitGuardOptions, "unit">;
}

export interface UnitEvents {
  /** A peer left before its answer was finished. */
  abort: [Abort];
  /** A request's head arrived (not for health checks and `/__unit`). */
  request: [IncomingMessage];
}

export function createUnit(options: UnitOptions): Unit {
  return new Unit(options);
}

export class Unit {
  readonly events = new EventEmitter<UnitEvents>();
  readonly #options: UnitOptions;
  readonly #app: FastifyInstance;
  readonly #door: Door;
  readonly #fates = new Fates();
  readonly #counters = new Counters();
  readonly #workers: Workers;
  #switches = DEFAULT_SWITCHES;
  #timer: NodeJS.Timeout | undefined;

  /** Requests that this unit cut off itself: their end is not an abort by the peer. */
  readonly #struck = new WeakSet<ServerResponse>();

  constructor(options: UnitOptions) {
    this.#options = options;
    this.#workers = new Workers(options.clock);
    this.#app = fastify({
      // The router sees one path, so that no path is too strange for it; `originalUrl` is what came.
      rewriteUrl: () => "/",
      routerOptions: { ignoreTrailingSlash: false },
      exposeHeadRoutes: false,
      keepAliveTimeout: 120_000, // Longer than any gateway keeps a connection, so that this side never closes first.
      requestTimeout: 0,
      http: {
        maxHeaderSize: 262_144, // The gateway's limits are under test, not these.
        headersTimeout: 0,
        shouldUpgradeCallback: (request) => pathOf(request.url ?? "").endsWith("/ws") && isWebSocket(request),
      },
    });
    this.#app.server.maxHeadersCount = 0;
    if (options.guard !== undefined) {
      void this.#app.register(unitGuard, {
        exempt: ["/__unit", "/healthz"],
        ...options.guard,
        unit: options.unit,
      });
    }
    // For Fastify no method has a body: the handler reads the stream itself.
    const methods = METHODS.filter((method) => method !== "CONNECT");
    for (const method of methods) this.#app.addHttpMethod(method, { hasBody: false, overrideExisting: true });
    this.#app.route({ method: methods, url: "/", handler: (request, reply) => this.#handle(request, reply) });
    this.#app.server.on("upgrade", (request, socket, head) => this.#upgrade(request, socket, head));
    this.#door = new Door(this.#app.server);
  }

  /** Port 0 takes a free one. Resolves to the port. */
  async listen(port = 0, host = "127.0.0.1"): Promise<number> {
    await this.#app.ready();
    return this.#door.open(port, host);
  }

  get port(): number {
    return this.#door.port;
  }

  /** E.g. `http://127.0.0.1:9101`, as a configuration names an endpoint. */
  get origin(): string {
    return `http://${this.#door.host}:${this.#door.port}`;
  }

  get switches(): Switches {
    return this.#switches;
  }

  report(): Report {
    return this.#counters.report(this.#door.sockets.size, this.#workers.waiting);
  }

  /** The same as `POST /__unit`. @throws TypeError that names the offending switch */
  async turn(change: Partial<Switches>): Promise<void> {
    this.#switches = changeSwitches(this.#switches, change);
    this.#fates.restart();
    this.#workers.change(this.#switches);
    clearTimeout(this.#timer);
    const { mode, ms } = this.#switches;
    if (mode === "refuse") {
      this.#door.shut();
      if (ms > 0) this.#timer = setTimeout(() => void this.turn({ mode: "ok" }), ms);
      return;
    }
    await this.#door.reopen();
    if (mode === "flap") this.#flap(false);
  }

  /** Cuts every connection and keeps listening. */
  cut(): void {
    this.#door.cut();
  }

  /** Lets the requests under way finish for `grace` ms, then cuts them. */
  async close(grace = 0): Promise<void> {
    clearTimeout(this.#timer);
    await this.#door.close(grace);
    this.#workers.stop();
    await this.#app.close();
  }

  #flap(open: boolean): void {
    this.#timer = setTimeout(() => {
      if (open) void this.#door.reopen();
      else this.#door.shut();
      this.#flap(!open);
    }, this.#switches.period);
  }

  get #identity(): Identity {
    const { unit, version = "stable", service = "hall" } = this.#options;
    return { unit, version, service, port: this.#door.port };
  }

  get #signature(): Record<string, string> {
    return { "x-unit": this.#options.unit, "x-version": this.#options.version ?? "stable" };
  }

  async #handle(incoming: FastifyRequest, reply: FastifyReply): Promise<void> {
    reply.hijack();
    const request = incoming.raw;
    const response = reply.raw;
    const path = pathOf(incoming.originalUrl);
    const query = incoming.originalUrl.slice(path.length + 1);
    for (const [name, value] of Object.entries(this.#signature)) response.setHeader(name, value);
    try {
      if (path === "/__unit") return await this.#control(request, response);
      const isHealthCheck = path === "/healthz";
      if (isHealthCheck) this.#counters.healthChecks++;
      else this.#count(request, response, path);
      const fate = isHealthCheck ? this.#fates.health(this.#switches) : this.#fates.next(this.#switches);
      if (!(await this.#strike(fate, request, response))) return;
      // At once, however long the line is: a unit that drowns and does not know it.
      if (isHealthCheck) return void response.end("ok\n");
      if (this.#switches.workers > 0 && !(await this.#work(response))) return;
      await answer({ identity: this.#identity, request, response, path, query });
    } catch (error) {
      if (response.destroyed || request.destroyed) return; // The peer has gone: counted, and nobody to tell.
      if (response.headersSent) response.destroy();
      else sendJson(response, 500, { error: String(error) });
    }
  }

  #count(request: IncomingMessage, response: ServerResponse, path: string): void {
    const method = request.method!;
    this.#counters.begin(method);
    response.once("close", () => {
      const abandoned = !response.writableFinished && !this.#struck.has(response);
      const abort = abandoned ? { method, path, at: this.#options.clock.now() } : undefined;
      this.#counters.end(abort);
      if (abort !== undefined) this.events.emit("abort", abort);
    });
    this.events.emit("request", request);
  }

  /** Whether the request is still to be answered. */
  async #strike(fate: Fate, request: IncomingMessage, response: ServerResponse): Promise<boolean> {
    switch (fate.kind) {
      case "answer":
        return true;
      case "delay":
        return pause(fate.ms, response);
      case "hang":
        request.resume(); // An unread body would hide that the peer has gone.
        return false;
      case "reset":
        this.#struck.add(response);
        request.socket.resetAndDestroy();
        return false;
      case "fail":
        request.resume();
        sendJson(response, fate.status, { ...this.#identity, error: "switched to fail" });
        return false;
    }
  }

  /** Resolves when a worker has done it, to whether anybody still waits for the answer. */
  async #work(response: ServerResponse): Promise<boolean> {
    await new Promise<void>((resolve) => this.#workers.serve(resolve));
    if (!response.destroyed) return true;
    this.#counters.wasted++;
    return false;
  }

  /** GET tells the switches and counters, POST changes switches, DELETE puts everything back to the beginning. */
  async #control(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method === "POST") {
      try {
        const change: unknown = JSON.parse(await text(request));
        this.#tell(response, changeSwitches(this.#switches, change));
        // Told first: a unit that refuses cuts this very connection.
        if (!response.writableFinished) await new Promise((resolve) => response.once("close", resolve));
        await this.turn(change as Partial<Switches>);
      } catch (error) {
        sendJson(response, 400, { error: (error as Error).message });
      }
      return;
    }
    if (request.method === "DELETE") {
      await this.turn(DEFAULT_SWITCHES);
      this.#counters.clear();
    }
    this.#tell(response, this.#switches);
  }

  #tell(response: ServerResponse, switches: Switches): void {
    sendJson(response, 200, { ...this.#identity, switches, ...this.report() });
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const fate = this.#fates.next(this.#switches);
    if (fate.kind === "hang") {
      socket.resume(); // Unread, it would never say that the peer has gone.
      return;
    }
    if (fate.kind === "reset" || fate.kind === "fail") {
      socket.destroy();
      return;
    }
    const counters = this.#counters;
    counters.begin(request.method!);
    counters.websockets++;
    this.events.emit("request", request);
    socket.once("close", () => {
      counters.websockets--;
      counters.end(undefined);
    });
    echoWebSocket(request, socket, head, this.#signature);
  }
}

function pathOf(url: string): string {
  const question = url.indexOf("?");
  return question === -1 ? url : url.slice(0, question);
}

async function text(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}
