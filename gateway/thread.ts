/** A traffic thread: accepts on the shared port and serves; the main thread does everything else. */
import type { Http2Session } from "node:http2";
import type { Server } from "node:http";
import net from "node:net";
import { parentPort, workerData } from "node:worker_threads";
import type { FastifyInstance } from "fastify";
import pino from "pino";
import { systemClock, systemRandom } from "../host/clock.ts";
import { Nursery, nurseryCollector } from "../host/nursery.ts";
import { AccessLog, type AccessRecord } from "./access-log.ts";
import { routesOf } from "../model/table.ts";
import { Core } from "./core.ts";
import { TICK } from "./deadlines.ts";
import { LAG_TICK } from "./loop-lag.ts";
import { liveState } from "./live-state.ts";
import type { FromThread, ThreadStart, ToThread } from "./messages.ts";
import { buildServer, type TlsOptions } from "./server.ts";

const start = workerData as ThreadStart;
const port = parentPort!;
const say = (message: FromThread): void => port.postMessage(message);

const METRICS_EVERY = 1_000;
/** While anybody waits for a place in a unit. */
const QUEUE_TICK = 1;
const LOG_EVERY = 100;

let newKeys: [string, number, string][] = [];
const random = systemRandom();
const accessLog = new AccessLog(logWriter(start.accessLog), random);
const core = new Core(
  {
    clock: systemClock(),
    wallClock: Date.now,
    random,
    live: liveState(start.threads, start.memory),
    thread: start.thread,
    threads: start.threads,
    accessLog,
    exportsSpans: start.exportsSpans,
    salt: start.salt,
    isBare: process.env.TIDEGATE_BARE === "1",
    nursery: new Nursery(nurseryCollector()),
    onError: (error) => say({ type: "error", message: error.stack ?? error.message }),
    onNewKey: (limit, row, key) => {
      if (newKeys.push([limit, row, key]) === 1) setImmediate(sayNewKeys);
    },
    onSuspect: (row, failures, answered) => say({ type: "suspect", row, failures, answered }),
  },
  start.snapshot,
);
core.lameDuck = start.lameDuck;

const servers: FastifyInstance[] = [];
const sessions = new Set<Http2Session>();

setInterval(() => {
  core.deadlines.look((error) => core.onError(error));
  const { drains } = core.live;
  if (drains.count[0] !== 0) core.tunnels.closeDrained(drains.closed);
  core.tunnels.closeOver((mark) => core.stress.marks.isOver(mark));
}, TICK);
core.queues.onWaiting = () => setTimeout(lookAtQueues, QUEUE_TICK);
setInterval(() => core.lag.tick(core.clock.now()), LAG_TICK);
setInterval(() => accessLog.flush(), LOG_EVERY);
let pace = METRICS_EVERY;
let handing = setInterval(() => handOver(), pace);

port.on("message", (message: ToThread) => {
  switch (message.type) {
    case "snapshot":
      handOver();
      core.swap(message.snapshot);
      core.metrics.keepOnly(new Set(routesOf(core.table)));
      core.stress.metrics.keepOnly(new Set(routesOf(core.table)));
      core.fence.swapped(() => say({ type: "swapped", revision: core.revision }));
      core.course.swapped();
      return;
    case "tls":
      reloadTls(message.tls);
      return;
    case "pace":
      if (message.milliseconds === pace) return;
      pace = message.milliseconds;
      clearInterval(handing);
      handing = setInterval(() => handOver(), pace);
      return;
    case "collect":
      handOver();
      return;
    case "lame-duck":
      core.lameDuck = true;
      // GOAWAY: streams under way end, new ones go to a new connection.
      for (const session of sessions) session.close();
      return;
    case "drain":
      void drain(message.grace);
      return;
  }
});

try {
  const plain = start.port === undefined ? undefined : await listen(undefined, start.port);
  const secure = start.tlsPort === undefined ? undefined : await listen(start.tls, start.tlsPort);
  say({ type: "ready", port: plain, tlsPort: secure });
} catch (error) {
  say({ type: "failed", message: (error as Error).message });
}

/** @returns the port that was bound. */
async function listen(tls: TlsOptions | undefined, at: number): Promise<number> {
  const fastify = await buildServer(core, tls);
  servers.push(fastify);
  const { server } = fastify;
  server.on("session", (session: Http2Session) => {
    sessions.add(session);
    session.once("close", () => sessions.delete(session));
    // A client that comes during the lame duck has its first streams answered, and is sent away with them.
    if (core.lameDuck) session.once("stream", () => session.close());
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    // The kernel shares connections out among all threads, and among gateways, that listen with SO_REUSEPORT.
    server.listen({ port: at, host: start.host, reusePort: true, backlog: 4096 }, () => {
      server.off("error", reject);
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : at);
    });
  });
}

function lookAtQueues(): void {
  core.queues.look();
  if (!core.queues.isEmpty) setTimeout(lookAtQueues, QUEUE_TICK);
}

/** All that one turn of the loop brought, in one message. */
function sayNewKeys(): void {
  say({ type: "keys", keys: newKeys });
  newKeys = [];
}

function handOver(): void {
  say({
    type: "metrics",
    delta: core.metrics.take(),
    stress: core.stress.metrics.take(),
    accessLogDropped: accessLog.dropped,
    traces: core.tracer.take(),
  });
  accessLog.dropped = 0;
}

function reloadTls(tls: TlsOptions): void {
  for (const { server } of servers) {
    if ("setSecureContext" in server) {
      (server as unknown as { setSecureContext(options: TlsOptions): void }).setSecureContext({ ...tls });
    }
  }
}

/** Stops accepting, lets what is under way end, and says how many had to be cut off. */
async function drain(grace: number): Promise<void> {
  const until = core.clock.now() + grace;
  core.lameDuck = true;
  for (const session of sessions) session.close();
  await closeListeners();
  // A client that is about to send on a kept connection gets its answer, with Connection: close, rather than a reset.
  const idleFrom = Math.min(core.clock.now() + 1_000, until);
  while (core.clock.now() < until) {
    if (core.clock.now() >= idleFrom)
      for (const { server } of servers) (server as Server).closeIdleConnections?.();
    if (core.deadlines.size === 0 && core.live.connections[1 + start.thread] === 0) break;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const cutOff = core.deadlines.size;
  for (const { server } of servers) (server as Server).closeAllConnections?.();
  handOver();
  accessLog.flush();
  say({ type: "drained", cutOff });
}

/** A turn of the loop shorter than this (ms) did nothing but look. */
const QUIET_TURN = 0.05;

/**
 * Closing a listener resets the connections that wait in its queue (unless net.ipv4.tcp_migrate_req is 1), and Node's
 * own close() also those that were just accepted and have not been read. So each closes right after a short turn of
 * the loop that brought no connection, and by the plain close() of net, which leaves connections alone.
 */
async function closeListeners(): Promise<void> {
  let accepted = 0;
  for (const { server } of servers) server.on("connection", () => accepted++);
  const giveUp = performance.now() + 100;
  for (const { server } of servers) {
    for (;;) {
      const before = accepted;
      const began = performance.now();
      await new Promise((resolve) => setImmediate(resolve));
      const now = performance.now();
      if ((accepted === before && now - began < QUIET_TURN) || now > giveUp) break;
    }
    net.Server.prototype.close.call(server);
  }
}

function logWriter(target: string): ((record: AccessRecord) => void) | undefined {
  if (target === "off") return undefined;
  const destination = pino.destination({
    dest: target === "-" ? 1 : target,
    sync: false,
    minLength: 4_000,
    // Whole lines in one write that a pipe takes as one, since all threads write to it.
    maxWrite: 4_096,
    mkdir: true,
  });
  setInterval(() => destination.flush(), 1_000).unref();
  const logger = pino({ base: null, timestamp: false, messageKey: "log" }, destination);
  return ({ time, ...record }) => logger.info({ time: new Date(time).toISOString(), ...record }, "access");
}
