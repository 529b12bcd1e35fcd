/** What gateways ask and say. */
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import { GATEWAY_NAME } from "../auth/client-certificate.ts";
import type { Report } from "../../model/report.ts";
import type { Reported } from "../publish/figure-relay.ts";
import type { Ack } from "../publish/gateways.ts";
import { Refused } from "../refused.ts";
import { NamedPage, type NamedPageQuery, Next, pageOf } from "./pages.ts";
import { MOST_REPORT_BYTES, ReportShape } from "./report-shape.ts";
import { Anything, responses } from "./schemas.ts";
import type { Plane } from "./server.ts";

const GatewayName = Type.String({ pattern: GATEWAY_NAME });
const Params = Type.Object({ gateway: GatewayName });
const Count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
/** How often (ms) it is looked whether a stream's token or certificate still holds. */
const STANDS_EVERY = 1_000;
const INSTANCE = "^[0-9a-zA-Z-]{1,64}$";
const strict = { additionalProperties: false };

const AckShape = Type.Object(
  {
    epoch: Count,
    revision: Count,
    outcome: Type.Union([Type.Literal("applied"), Type.Literal("refused")]),
    reasons: Type.Array(Type.String({ maxLength: 1_000 }), { maxItems: 20 }),
  },
  strict,
);

interface StreamHeaders {
  readonly "x-tidegate-sections"?: string;
  readonly "x-tidegate-instance"?: string;
}

export function registerGateways(api: FastifyInstance, plane: Plane): void {
  const { publisher, gateways, roster, desk, intake, relay, stress } = plane;
  api.get<{ Querystring: NamedPageQuery }>(
    "/v1/gateways",
    {
      config: { role: "viewer" },
      schema: {
        summary: "Gateways by name: what each serves, refused, and reported last",
        querystring: NamedPage,
        response: responses(Type.Object({ gateways: Type.Array(Anything), next: Next })),
      },
    },
    async ({ query }) => {
      const { page, next } = pageOf(gateways.list(), ({ name }) => name, query);
      return { gateways: page, next };
    },
  );

  api.get<{ Params: { gateway: string }; Headers: StreamHeaders }>(
    "/v1/gateways/:gateway/stream",
    {
      config: { role: "gateway" },
      schema: {
        summary: "Server-sent events: a `snapshot` now and after every change",
        params: Params,
        headers: Type.Object({
          "x-tidegate-sections": Type.Optional(
            Type.String({ maxLength: 50_000, description: "digests of the sections that the gateway has" }),
          ),
          "x-tidegate-instance": Type.Optional(
            Type.String({ pattern: INSTANCE, description: "of its process: `leave` names it" }),
          ),
        }),
      },
    },
    async (request, reply) => {
      const name = request.params.gateway;
      const { raw } = reply;
      // What it is sent is not older than its name in the store.
      if (await roster.enter(name, request.headers["x-tidegate-instance"])) await desk.refresh();
      if (raw.destroyed) return;
      const number = gateways.connected(name);
      if (number === undefined) throw new Refused("too-many", "there are too many gateways");
      const has = (request.headers["x-tidegate-sections"] ?? "").split(",").filter((d) => d !== "");
      reply.hijack();
      // A publication of a large fleet must not wait for the next one to be sent.
      raw.socket?.setNoDelay(true);
      raw.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
      raw.write(": tidegate\n\n");
      const stop = publisher.listen(raw, has);
      // A stream outlives the request that was allowed: whoever lost the right loses the stream.
      const watch = setInterval(() => {
        if (!request.identity.stands()) raw.destroy();
      }, STANDS_EVERY);
      raw.on("error", () => {});
      raw.on("close", () => {
        clearInterval(watch);
        stop();
        gateways.disconnected(name, number);
      });
    },
  );

  api.post<{ Params: { gateway: string }; Body: { instance: string } }>(
    "/v1/gateways/:gateway/leave",
    {
      config: { role: "gateway" },
      schema: {
        summary: "A gateway has answered its last request: nobody waits for it any more",
        params: Params,
        body: Type.Object({ instance: Type.String({ pattern: INSTANCE }) }, strict),
        response: { 204: Type.Null() },
      },
    },
    async ({ params, body }, reply) => {
      if (await roster.leave(params.gateway, body.instance)) gateways.left(params.gateway);
      return reply.code(204).send();
    },
  );

  const said = (summary: string, body: typeof AckShape | typeof ReportShape) => ({
    config: { role: "gateway" as const },
    schema: { summary, params: Params, body, response: { 204: Type.Null() } },
  });
  api.post<{ Params: { gateway: string }; Body: Ack }>(
    "/v1/gateways/:gateway/acks",
    said("A gateway serves a revision, or refuses it", AckShape),
    async ({ params, body }, reply) => {
      gateways.acked(params.gateway, body);
      return reply.code(204).send();
    },
  );
  api.post<{ Params: { gateway: string }; Body: Report & Reported }>(
    "/v1/gateways/:gateway/reports",
    { ...said("What a gateway sees, once a second", ReportShape), bodyLimit: MOST_REPORT_BYTES },
    async ({ params, body: { slice, errors, ...report } }, reply) => {
      const { pace } = stress;
      if (pace !== undefined) reply.header("x-tidegate-pace", `${pace}`);
      gateways.reported(params.gateway, report);
      const said = intake.add(params.gateway, { slice, errors });
      if (said !== undefined) relay?.take(params.gateway, said);
      return reply.code(204).send();
    },
  );
}
