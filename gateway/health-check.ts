/** One active check of one endpoint: does it answer as it should, in time? */
import http from "node:http";
import https from "node:https";
import net from "node:net";
import type { HealthCheck, UpstreamTls } from "../model/fleet.ts";

/** @returns undefined when the check passed, else why not, for people. */
export type Probe = (origin: string, check: HealthCheck, tls: UpstreamTls) => Promise<string | undefined>;

const MOST_BODY = 65_536;

/** A fresh connection every time: a kept one would not notice that nobody accepts any more. */
export const probe: Probe = (origin, check, tls) =>
  check.kind === "tcp" ? probeTcp(origin, check) : probeHttp(origin, check, tls);

function probeTcp(origin: string, check: HealthCheck): Promise<string | undefined> {
  const url = new URL(origin);
  const port = Number(url.port || (url.protocol === "https:" ? 443 : 80));
  return new Promise((resolve) => {
    const socket = net.connect({ host: bare(url.hostname), port });
    const finish = (result: string | undefined): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(result);
    };
    const timer = setTimeout(() => finish(`no connection in ${check.timeout} ms`), check.timeout);
    socket.once("connect", () => finish(undefined));
    socket.once("error", (error) => finish(describe(error)));
  });
}

function probeHttp(origin: string, check: HealthCheck, tls: UpstreamTls): Promise<string | undefined> {
  const url = new URL(check.path, origin);
  const secure = url.protocol === "https:";
  return new Promise((resolve) => {
    let done = false;
    const request = (secure ? https : http).request(url, {
      agent: false,
      headers: { "user-agent": "tidegate-health", ...(check.host === undefined ? {} : { host: check.host }) },
      ...(secure && tls.ca !== undefined ? { ca: tls.ca } : {}),
      ...(secure && tls.servername !== undefined ? { servername: tls.servername } : {}),
    });
    const finish = (result: string | undefined): void => {
      if (done) return;
      done = true;
      clearTimeout(timer);
      request.destroy();
      resolve(result);
    };
    const timer = setTimeout(() => finish(`no answer in ${check.timeout} ms`), check.timeout);
    request.on("error", (error) => finish(describe(error)));
    request.on("response", (response) => {
      const status = response.statusCode ?? 0;
      if (!check.status.some(([from, to]) => status >= from && status <= to)) {
        finish(`answered ${status}`);
        return;
      }
      if (check.body === undefined) {
        finish(undefined);
        return;
      }
      let body = "";
      response.setEncoding("utf8");
      response.on("error", (error) => finish(describe(error)));
      response.on("data", (chunk: string) => {
        body = (body + chunk).slice(0, MOST_BODY);
        if (body.includes(check.body!)) finish(undefined);
        else if (body.length === MOST_BODY) finish(`the first 64 KiB lack ${JSON.stringify(check.body)}`);
      });
      response.on("end", () => finish(`the body lacks ${JSON.stringify(check.body)}`));
    });
    request.end();
  });
}

function bare(hostname: string): string {
  return hostname.startsWith("[") ? hostname.slice(1, -1) : hostname;
}

function describe(error: Error & { code?: string }): string {
  return error.code ?? error.message;
}
