/** Failed and slow requests, as gateways told of them. */
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import { traceQuery } from "../../model/trace-query.ts";
import { MOST_LISTED } from "../../model/trace-ring.ts";
import { Refused } from "../refused.ts";
import { TraceShape } from "./report-shape.ts";
import { responses } from "./schemas.ts";
import type { Plane } from "./server.ts";

const Name = Type.String({ minLength: 1, maxLength: 200 });
const TraceId = Type.String({ pattern: "^[0-9a-f]{32}$" });
const ErrorQueryShape = Type.Object(
  {
    route: Type.Optional(Name),
    unit: Type.Optional(Name),
    kind: Type.Optional(Type.Union([Type.Literal("failed"), Type.Literal("slow")])),
    trace: Type.Optional(TraceId),
    since: Type.Optional(
      Type.String({
        ...{ minLength: 1, maxLength: 40 },
        description: "a duration such as 10m, a time, or milliseconds since 1970",
      }),
    ),
  },
  { additionalProperties: false },
);

export function registerErrors(api: FastifyInstance, { intake, now }: Plane): void {
  api.get<{ Querystring: Record<string, string> }>(
    "/v1/errors",
    {
      config: { role: "viewer" },
      schema: {
        summary: `Failed and slow requests, the newest first, ${MOST_LISTED} at most; secrets are redacted`,
        querystring: ErrorQueryShape,
        response: responses(Type.Object({ errors: Type.Array(TraceShape) })),
      },
    },
    ({ query }) => {
      const asked = traceQuery(query, now());
      if (typeof asked === "string") throw new Refused("bad-request", asked);
      return { errors: intake.errors.list(asked) };
    },
  );
}
