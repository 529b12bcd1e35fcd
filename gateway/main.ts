/** The gateway process: reads its options, makes the real clock and randomness, and answers signals. */
import { createPublicKey, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { hostname } from "node:os";
import pino, { type Logger } from "pino";
import { systemClock, systemRandom } from "../host/clock.ts";
import { isLoopback } from "../host/loopback.ts";
import type { Clock, Random } from "../model/clock.ts";
import { formatProblem } from "../model/problem.ts";
import { parseDuration } from "../model/configuration/quantity.ts";
import { ControlPlaneSource } from "./control-plane-source.ts";
import { FileSource } from "./file-source.ts";
import { Gateway, type GatewayOptions } from "./gateway.ts";
import { InvalidConfig, type Source } from "./source.ts";
import { collectorAddress } from "./tracing/collector.ts";

const { version } = createRequire(import.meta.url)("../package.json") as { version: string };

/** @returns the exit code: 0 stopped, 1 invalid configuration or a port that is taken, 2 usage, 3 requests were cut off */
export async function runGateway(options: Record<string, string>): Promise<number> {
  const log = pino(
    { base: null, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ dest: 2, sync: true }),
  );
  const settings = settingsOf(options, log);
  if (typeof settings === "string") {
    console.error(`tidegate gateway: ${settings}`);
    return 2;
  }
  let gateway: Gateway;
  try {
    gateway = await Gateway.open(settings);
    await gateway.start();
  } catch (error) {
    console.error(startProblem(error as Error & { code?: string }, settings));
    // Threads and timers that were already begun must not hold a process that has nothing to do.
    process.exit(1);
  }
  const secure = gateway.tlsPort === undefined ? "" : ` and https://${settings.host}:${gateway.tlsPort}`;
  console.error(
    `tidegate gateway: serving on http://${settings.host}:${gateway.port}${secure}, ` +
      `admin on http://${settings.adminHost}:${gateway.adminPort}, ${settings.threads} thread(s), ${settings.source.where}`,
  );
  // For whoever started it with port 0.
  process.send?.({
    type: "ready",
    port: gateway.port,
    tlsPort: gateway.tlsPort,
    adminPort: gateway.adminPort,
  });
  process.on("SIGHUP", () => {
    log.info("SIGHUP: reading the configuration again");
    gateway.reload();
  });
  const cutOff = await new Promise<number>((resolve) => {
    let asked = false;
    const stop = (): void => {
      if (asked) process.exit(130);
      asked = true;
      void gateway.stop().then(resolve);
    };
    process.on("SIGTERM", stop);
    process.on("SIGINT", stop);
    // Whoever started it with a channel is gone: nobody is left to stop it.
    process.on("disconnect", stop);
  });
  if (cutOff > 0) log.warn({ cutOff }, "the grace period ended; requests were cut off");
  log.flush();
  process.exit(cutOff > 0 ? 3 : 0);
}

/** The options, or what is wrong with them. */
function settingsOf(options: Record<string, string>, log: Logger): GatewayOptions | string {
  const port = portOf("--port", options.port);
  const adminPort = portOf("--admin-port", options.adminPort);
  const tlsPort = options.tlsPort === undefined ? undefined : portOf("--tls-port", options.tlsPort);
  for (const parsed of [port, adminPort, tlsPort]) if (typeof parsed === "string") return parsed;
  const threads = Number(options.threads);
  if (!Number.isInteger(threads) || threads < 1 || threads > 64) {
    return `--threads is ${options.threads}; expected a whole number from 1 to 64`;
  }
  if (tlsPort !== undefined && (options.tlsCert === undefined || options.tlsKey === undefined)) {
    return "--tls-port needs --tls-cert and --tls-key";
  }
  const redis = options.redis ?? process.env.TIDEGATE_REDIS;
  if (redis !== undefined && !/^rediss?:\/\/./.test(redis)) {
    return "--redis (or TIDEGATE_REDIS) is no URL such as redis://127.0.0.1:6379";
  }
  const lameDuck = parseDuration(options.lameDuck ?? "");
  const grace = parseDuration(options.grace ?? "");
  if (lameDuck === undefined) return `--lame-duck is ${options.lameDuck}; expected a duration such as 5s`;
  if (grace === undefined) return `--grace is ${options.grace}; expected a duration such as 30s`;
  const otlp = options.otlp ?? process.env.TIDEGATE_OTLP;
  const collector =
    otlp === undefined ? undefined : collectorAddress(otlp, process.env.TIDEGATE_OTLP_HEADERS);
  if (typeof collector === "string") return `--otlp (or TIDEGATE_OTLP) ${collector}`;
  const clock = systemClock();
  const random = systemRandom();
  const source = sourceOf(options, log, clock, random);
  if (typeof source === "string") return source;
  return {
    source,
    host: options.host!,
    port: port as number,
    adminHost: options.adminHost!,
    adminPort: adminPort as number,
    threads,
    region: options.region ?? process.env.TIDEGATE_REGION,
    name: nameOf(options),
    version,
    collector,
    accessLog: options.accessLog!,
    redis,
    tlsPort: tlsPort as number | undefined,
    tlsCert: options.tlsCert,
    tlsKey: options.tlsKey,
    lameDuck,
    grace,
    clock,
    wallClock: Date.now,
    random,
    log,
  };
}

/** Files, or a control plane; or what is wrong with what was asked for. */
function sourceOf(
  options: Record<string, string>,
  log: Logger,
  clock: Clock,
  random: Random,
): Source | string {
  const controlPlane = options.controlPlane ?? process.env.TIDEGATE_CONTROL_PLANE;
  if (options.config !== undefined) {
    return options.controlPlane === undefined
      ? new FileSource(options.config, log)
      : "--config and --control-plane are two sources; expected one of them";
  }
  if (controlPlane === undefined) {
    return "nothing to serve; expected --config DIR, or --control-plane URL (TIDEGATE_CONTROL_PLANE)";
  }
  const urls = controlPlane.split(",").map((url) => URL.parse(url.trim())?.origin ?? "null");
  if (urls.some((url) => !/^https?:/.test(url))) {
    return `--control-plane is ${controlPlane}; expected one or more URLs such as http://127.0.0.1:8090`;
  }
  if (options.state === undefined) {
    return "--control-plane needs --state DIR, where the last good snapshot is kept for a start without it";
  }
  if (options.snapshotKey === undefined) {
    return "--control-plane needs --snapshot-key FILE, the control plane's snapshot-key.pem, to check what it sends";
  }
  const { controlPlaneCa: ca, clientCert: cert, clientKey: key } = options;
  if ((cert === undefined) !== (key === undefined)) {
    return "--client-cert and --client-key go together; one of them is missing";
  }
  if ((ca ?? cert) !== undefined && !urls.every((url) => url.startsWith("https:"))) {
    return `--control-plane is ${controlPlane}; --control-plane-ca and --client-cert need https`;
  }
  const token = process.env.TIDEGATE_TOKEN;
  if (token !== undefined && urls.some((url) => !isSafe(url))) {
    log.warn({ controlPlane }, "the token goes to the control plane in the clear; expected https");
  }
  try {
    return new ControlPlaneSource({
      urls,
      token,
      tls: { ca, cert, key },
      name: nameOf(options),
      instance: randomUUID(),
      stateDir: options.state,
      key: createPublicKey(readFileSync(options.snapshotKey)),
      clock,
      wallClock: Date.now,
      random,
      log,
    });
  } catch (error) {
    const { message } = error as Error;
    if (message.startsWith("--")) return message;
    return `cannot use --state ${options.state} or --snapshot-key ${options.snapshotKey}: ${message}`;
  }
}

function nameOf(options: Record<string, string>): string {
  return options.name ?? `${hostname()}-${options.port}`;
}

/** Nobody on the way can read what is sent there. */
function isSafe(url: string): boolean {
  return url.startsWith("https:") || isLoopback(new URL(url).hostname);
}

function portOf(flag: string, text: string | undefined): number | string {
  const port = Number(text);
  return Number.isInteger(port) && port >= 0 && port <= 65_535 && text !== ""
    ? port
    : `${flag} is ${text}; expected a port from 0 to 65535`;
}

function startProblem(error: Error & { code?: string; port?: number }, settings: GatewayOptions): string {
  if (error instanceof InvalidConfig) {
    const list = error.problems.map((p) => `${settings.source.where}/${formatProblem(p)}`).join("\n");
    return `${list}\ntidegate gateway: the configuration is invalid and there is none to serve on with; nothing was started`;
  }
  if (error.code === "EADDRINUSE" || error.message.includes("EADDRINUSE")) {
    const admin = error.port === settings.adminPort;
    const port = admin ? settings.adminPort : Number(/:(\d+)$/.exec(error.message)?.[1] ?? settings.port);
    const flag = admin
      ? "--admin-port"
      : port === settings.tlsPort && port !== settings.port
        ? "--tls-port"
        : "--port";
    return `tidegate gateway: port ${port} is taken; stop what listens there or choose another with ${flag}`;
  }
  if (error.code === "EACCES" || error.message.includes("EACCES")) {
    return `tidegate gateway: the port may not be opened by this user (${error.message})`;
  }
  return `tidegate gateway: cannot start: ${error.message}`;
}
