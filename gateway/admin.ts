/** The admin port: health, metrics and explanations, for people and probes, apart from traffic. */
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import { explain } from "../model/explain.ts";
import { hostOf } from "../model/request-target.ts";
import type { Health } from "../model/decide.ts";
import { parseDuration } from "../model/configuration/quantity.ts";
import type { RequestTrace } from "../model/request-trace.ts";
import type { Table } from "../model/table.ts";
import { type TraceQuery, traceQuery } from "../model/trace-query.ts";
import { FORCED, type Forced } from "./breaker-board.ts";
import { type BreakerControl, LONGEST_FORCE } from "./breaker-control.ts";

export interface AdminView {
  readonly table: Table;
  readonly health: Health;
  /** Why the gateway should not be sent traffic; undefined when it may. */
  readonly notReady: string | undefined;
  /** Threads that serve. */
  readonly alive: number;
  /** @param open as OpenMetrics, with exemplars */
  metricsText(open: boolean): Promise<string>;
  errors(query: TraceQuery): Promise<readonly RequestTrace[]>;
  /** Milliseconds since 1970. */
  readonly wallNow: number;
  status(): object;
  replaceThread(thread: number): boolean;
  limits(): object[];
  bucket(limit: string, values: readonly string[], fill: boolean): Promise<object | undefined>;
  readonly breakers: BreakerControl;
}

interface Bucket {
  readonly Params: { readonly limit: string };
  readonly Querystring: { readonly by?: string | string[] };
}

export function buildAdmin(view: AdminView): FastifyInstance {
  const admin = Fastify({ logger: false, requestTimeout: 5_000, connectionTimeout: 10_000 });

  admin.get("/healthz", (_request, reply) => {
    reply
      .code(view.alive > 0 ? 200 : 503)
      .type("text/plain")
      .send(view.alive > 0 ? "ok\n" : "no thread serves\n");
  });
  admin.get("/readyz", (_request, reply) => {
    const reason = view.notReady;
    reply
      .code(reason === undefined ? 200 : 503)
      .type("text/plain")
      .send(`${reason ?? "ready"}\n`);
  });
  admin.get("/metrics", async (request, reply) => {
    const open = request.headers.accept?.includes("application/openmetrics-text") ?? false;
    const text = await view.metricsText(open);
    return reply.type(open ? OPEN_METRICS : "text/plain; version=0.0.4; charset=utf-8").send(text);
  });
  admin.get<{ Querystring: Record<string, string | string[]> }>("/errors", (request, reply) => {
    const asked = traceQuery(request.query, view.wallNow);
    return typeof asked === "string"
      ? reply.code(400).send({ title: asked, status: 400 })
      : view.errors(asked);
  });
  admin.get("/status", () => view.status());

  admin.get<{ Querystring: Record<string, string | string[]> }>("/explain", (request, reply) => {
    const asked = explainRequest(request.query);
    if (typeof asked === "string") {
      return reply
        .code(400)
        .type("application/problem+json")
        .send({ type: "urn:tidegate:problem:bad-request", title: asked, status: 400 });
    }
    return explain(view.table, view.health, asked);
  });

  admin.get("/limits", () => view.limits());
  const bucketOf = async (request: FastifyRequest<Bucket>, reply: FastifyReply): Promise<unknown> => {
    const { limit } = request.params;
    const values = [request.query.by ?? []].flat();
    try {
      const bucket = await view.bucket(limit, values, request.method === "DELETE");
      if (bucket !== undefined) return bucket;
      return reply.code(404).send({ title: `${limit} is no fleet limit, or there is no Redis`, status: 404 });
    } catch (error) {
      return reply
        .code(503)
        .send({ title: `Redis did not answer: ${(error as Error).message}`, status: 503 });
    }
  };
  admin.get<Bucket>("/limits/:limit", bucketOf);
  admin.delete<Bucket>("/limits/:limit", bucketOf);
  admin.get("/breakers", () => view.breakers.list());

  // A page in a browser on this machine must not be able to change anything.
  admin.addHook("onRequest", async (request, reply) => {
    if (request.method !== "GET" && request.headers.origin !== undefined)
      return reply.code(403).send({ title: "not from a browser", status: 403 });
  });
  admin.post<{ Params: { service: string; unit: string }; Body: unknown }>(
    "/breakers/:service/:unit",
    (request, reply) => {
      const asked = forceRequest(request.body);
      if (typeof asked === "string") return reply.code(400).send({ title: asked, status: 400 });
      const { service, unit } = request.params;
      if (view.breakers.force(service, unit, asked.forced, asked.milliseconds, asked.reason))
        return view.breakers.list();
      const title = `no route has a breaker to service ${service} in unit ${unit}; GET /breakers lists them`;
      return reply.code(404).send({ title, status: 404 });
    },
  );

  admin.post<{ Params: { thread: string } }>("/threads/:thread/replace", (request, reply) => {
    const thread = Number(request.params.thread);
    if (!Number.isInteger(thread) || !view.replaceThread(thread)) {
      return reply.code(404).send({ title: `there is no thread ${request.params.thread}`, status: 404 });
    }
    return reply.code(202).send({ replaced: thread });
  });
  return admin;
}

const OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const FORCE_WORDS: Readonly<Record<string, Forced>> = {
  open: FORCED.open,
  closed: FORCED.closed,
  auto: FORCED.not,
};

/** `{"state":"open","for":"10m","reason":"…"}`, or what is wrong with it. */
function forceRequest(body: unknown): { forced: Forced; milliseconds: number; reason: string } | string {
  const given = (typeof body === "object" && body !== null ? body : {}) as Record<string, unknown>;
  const forced = Object.hasOwn(FORCE_WORDS, String(given.state))
    ? FORCE_WORDS[String(given.state)]
    : undefined;
  if (forced === undefined) return "state is missing; expected open, closed or auto";
  const reason = typeof given.reason === "string" ? given.reason.trim() : "";
  if (reason === "" || reason.length > 500) return "reason is missing; say in up to 500 characters why";
  if (forced === FORCED.not) return { forced, milliseconds: 0, reason };
  const milliseconds = typeof given.for === "string" ? parseDuration(given.for) : undefined;
  if (milliseconds === undefined || milliseconds < 1_000 || milliseconds > LONGEST_FORCE) {
    return "for is missing; expected a duration from 1s to 24h, such as 10m, after which the breaker is itself again";
  }
  return { forced, milliseconds, reason };
}

/** `?method=GET&url=/cart/1%3Fuid%3D42&host=shop.test&header=x-user-id:42` → a request, or what is wrong with it. */
function explainRequest(query: Record<string, string | string[]>) {
  const one = (name: string): string | undefined => {
    const value = query[name];
    return Array.isArray(value) ? value[0] : value;
  };
  const url = one("url") ?? one("path");
  if (url === undefined || !url.startsWith("/"))
    return "url is missing: /explain?method=GET&url=/cart/1%3Fuid%3D42";
  const headers: string[] = [];
  const given = query.header;
  for (const field of given === undefined ? [] : Array.isArray(given) ? given : [given]) {
    const colon = field.indexOf(":");
    if (colon < 1) return `header ${JSON.stringify(field)} is not "name: value"`;
    headers.push(field.slice(0, colon).trim(), field.slice(colon + 1).trim());
  }
  const mark = url.indexOf("?");
  return {
    method: (one("method") ?? "GET").toUpperCase(),
    host: hostOf(one("host") ?? "") ?? "",
    path: mark === -1 ? url : url.slice(0, mark),
    query: mark === -1 ? "" : url.slice(mark + 1),
    headers,
    client: one("client") ?? "127.0.0.1",
    stress: one("stress"),
  };
}
