/**
 * Accepts clients: Fastify serves, @fastify/http-proxy is the mount, and its seam hands the raw request on to the
 * list below, which is the whole way of a request through the gateway.
 */
import http, { type IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import httpProxy from "@fastify/http-proxy";
import Fastify, { type FastifyInstance } from "fastify";
import { decide } from "../model/decide.ts";
import { isWrite } from "../model/fences.ts";
import { admit } from "./admit.ts";
import type { Core } from "./core.ts";
import type { Held } from "./held-write.ts";
import { forward } from "./forward.ts";
import { type Identity, identify } from "./identify.ts";
import { answer } from "./refuse.ts";
import { onClientError, refuseSocket, turnOf, waitBehind } from "./pipeline.ts";
import { UpgradeHead } from "./upgrade-head.ts";

/**
 * The way of one request. Each step either goes on or has answered.
 *
 * @param upgradeHead what came behind an Upgrade; undefined for a plain request
 */
export function serve(
  core: Core,
  request: IncomingMessage,
  response: ServerResponse,
  upgradeHead: UpgradeHead | undefined,
): void {
  const turn = turnOf(request, response);
  if (turn !== "now") {
    if (turn === "later") serveLater(core, request, response, upgradeHead);
    return;
  }
  const identity = identify(core, request, response);
  if (identity !== undefined) proceed(core, identity, request, response, upgradeHead);
}

function proceed(
  core: Core,
  identity: Identity,
  request: IncomingMessage,
  response: ServerResponse,
  upgradeHead: UpgradeHead | undefined,
): void {
  const { table } = core; // pinned: the request keeps the table it is decided on
  const decision = decide(table, core.live, identity);
  if (core.fence.isUp && !decision.refused) {
    const hold = core.fence.holdOf(decision, isWrite(identity.method, upgradeHead !== undefined));
    if (hold > 0) {
      const proceed = (one: Held): void => proceedSafely(core, one);
      core.fence.hold({ request, response, upgradeHead, identity, decision, proceed }, hold);
      return;
    }
  }
  const admitted = admit(core, decision, identity, request, response);
  if (admitted === undefined) return;
  forward(core, table, admitted, identity, request, response, upgradeHead);
  // settle.ts counts and logs when the stream has ended.
}

/** Apart from `serve`, so that a request whose turn it is pays for no closure. */
function serveLater(
  core: Core,
  request: IncomingMessage,
  response: ServerResponse,
  upgradeHead: UpgradeHead | undefined,
): void {
  waitBehind(request.socket, response, () => serveSafely(core, request, response, upgradeHead));
}

/** A defect of ours costs its own request, not the connections of a whole thread. */
function serveSafely(
  core: Core,
  request: IncomingMessage,
  response: ServerResponse,
  upgradeHead: UpgradeHead | undefined,
): void {
  try {
    serve(core, request, response, upgradeHead);
  } catch (error) {
    fail(core, request, response, error as Error);
  }
}

function proceedSafely(core: Core, { request, response, upgradeHead, identity }: Held): void {
  try {
    proceed(core, identity, request, response, upgradeHead);
  } catch (error) {
    fail(core, request, response, error as Error);
  }
}

function fail(core: Core, request: IncomingMessage, response: ServerResponse, error: Error): void {
  core.onError(error);
  if (response.headersSent) response.destroy();
  else answer(core, request, response, "internal", undefined);
}

export interface TlsOptions {
  readonly cert: string;
  readonly key: string;
}

/** A Fastify instance that is ready to listen. @param tls PEM texts; undefined serves plain HTTP/1.1 */
export async function buildServer(core: Core, tls: TlsOptions | undefined): Promise<FastifyInstance> {
  const { client } = core.settings;
  const http1 = {
    maxHeaderSize: client.maxHeader,
    // Ours says what is wrong (request-head.ts); Node's own 400 has no body.
    requireHostHeader: false,
    headersTimeout: client.headerTimeout,
    // Bodies may be long; the exchange's own deadlines bound them.
    requestTimeout: 0,
    connectionsCheckingInterval: 1_000,
    // Anything but a WebSocket upgrade is an ordinary request, and its Upgrade field is left out (RFC 9110 §7.8).
    shouldUpgradeCallback: (request: IncomingMessage) =>
      request.method === "GET" &&
      request.httpVersion === "1.1" &&
      request.headers.upgrade?.toLowerCase() === "websocket",
  };
  const common = {
    logger: false,
    exposeHeadRoutes: false,
    return503OnClosing: false,
    forceCloseConnections: false,
    requestTimeout: 0,
    connectionTimeout: 0,
    keepAliveTimeout: client.keepAlive,
    genReqId: () => "",
    clientErrorHandler: (error: NodeJS.ErrnoException, socket: Duplex) =>
      onClientError(core, error, socket as Socket),
    frameworkErrors: (
      _error: unknown,
      request: { raw: IncomingMessage },
      reply: { hijack(): void; raw: ServerResponse },
    ) => {
      // Fastify's own router could not read the path; ours says why.
      reply.hijack();
      serveSafely(core, request.raw, reply.raw, undefined);
    },
  };
  const fastify = (tls === undefined
    ? Fastify({ ...common, http: http1 } as never)
    : Fastify({
        ...common,
        http2: true,
        https: {
          ...http1,
          allowHTTP1: true,
          cert: tls.cert,
          key: tls.key,
          minVersion: "TLSv1.2",
          settings: { maxConcurrentStreams: client.maxStreams, maxHeaderListSize: client.maxHeader },
          maxHeaderListPairs: client.maxHeaders,
          maxSessionInvalidFrames: 100,
        },
      } as never)) as unknown as FastifyInstance;

  const methods = http.METHODS.filter((m) => m !== "CONNECT");
  for (const method of methods) {
    if (!fastify.supportedMethods.includes(method)) fastify.addHttpMethod(method, { hasBody: true });
  }
  await fastify.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    // Not in preHandler: Fastify looks at Content-Type before that, and answers by itself.
    scope.addHook("onRequest", (request, reply) => {
      reply.hijack();
      serveSafely(core, request.raw as IncomingMessage, reply.raw as ServerResponse, undefined);
    });
    await scope.register(
      httpProxy as never,
      {
        upstream: "",
        prefix: "/",
        httpMethods: methods,
        websocket: false,
        disableRequestLogging: true,
        replyOptions: { getUpstream: () => "" },
      } as never,
    );
  });
  await fastify.ready();

  const { server } = fastify;
  // Node drops fields beyond its own bound without a word; ours refuses the request instead (identify.ts).
  server.maxHeadersCount = 0;
  server.on("connection", (socket: Socket) => onConnection(core, socket, client.maxConnections));
  server.on("upgrade", (request: IncomingMessage, socket: Socket, head: Buffer) =>
    onUpgrade(core, request, socket, head),
  );
  server.on("connect", (_request: IncomingMessage, socket: Duplex) =>
    refuseSocket(socket, "method-not-allowed", "CONNECT is not served"),
  );
  // Without a listener Node sends 100 at once; the exchange sends it when it begins to read the body.
  server.on("checkContinue", (request, response) => server.emit("request", request, response));
  server.on("checkExpectation", (request, response) => server.emit("request", request, response));
  return fastify;
}

function onConnection(core: Core, socket: Socket, most: number): void {
  socket.setNoDelay(true);
  const open = core.inflight.connectionOpened();
  socket.once("close", () => core.inflight.connectionClosed());
  if (open <= most) return;
  core.metrics.count("tidegate_connections_refused_total", "");
  socket.destroy();
}

/** A WebSocket upgrade: answered through a response object of its own until a unit agrees to the tunnel. */
function onUpgrade(core: Core, request: IncomingMessage, socket: Socket, head: Buffer): void {
  socket.on("error", () => socket.destroy());
  const response = new ServerResponse(request);
  response.shouldKeepAlive = false;
  response.assignSocket(socket);
  response.on("finish", () => socket.end());
  serveSafely(core, request, response, new UpgradeHead(socket, head));
}
