/** What operators lay over the base for a while. */
import type { FastifyInstance, FastifyRequest } from "fastify";
import { Type } from "typebox";
import { VERSIONS } from "../../model/fleet.ts";
import { LIMIT_MODES } from "../../model/limit.ts";
import { describeChange, describeOverlay, type Overlay, type OverlayChange } from "../../model/overlay.ts";
import type { CommandAnswer } from "../commands.ts";
import {
  type Actor,
  draftOverlay,
  draftRemoval,
  needed,
  type OverlayRequest,
  type Standing,
} from "../draft.ts";
import { Refused } from "../refused.ts";
import { FreshHeaders, freshResponses, isSeen } from "./fresh.ts";
import { once } from "./once.ts";
import { NamedPage, type NamedPageQuery, Next, pageOf } from "./pages.ts";
import { previewOf, previewResponses } from "./previews.ts";
import {
  Anything,
  Duration,
  durationFrom,
  Expect,
  Name,
  Reason,
  responses,
  RevisionHeaders,
  RevisionShape,
} from "./schemas.ts";
import { seen } from "./seen.ts";
import type { Plane } from "./server.ts";

const LONGEST = 366 * 24 * 3_600_000;
const RAMP = "10s";
const DEADLINE = "5m";

const Id = Type.Object({ id: Type.String({ maxLength: 40 }) });
const common = {
  reason: Reason,
  expires: Type.Optional(Duration),
  supersedes: Type.Optional(Type.String({ maxLength: 40 })),
  expect: Expect,
};
const strict = { additionalProperties: false };
const Share = Type.Number({ minimum: 0, maximum: 1 });
const State = Type.Union([Type.Literal("open"), Type.Literal("closed")]);

/** By kind: what it takes. */
const KINDS = {
  drain: Type.Object(
    {
      kind: Type.Literal("drain"),
      unit: Name,
      ramp: Type.Optional(Duration),
      deadline: Type.Optional(Duration),
      ...common,
    },
    strict,
  ),
  "drain-endpoint": Type.Object(
    { kind: Type.Literal("drain-endpoint"), service: Name, unit: Name, endpoint: Name, ...common },
    strict,
  ),
  weight: Type.Object({ kind: Type.Literal("weight"), service: Name, share: Share, ...common }, strict),
  pin: Type.Object({ kind: Type.Literal("pin"), key: Name, unit: Name, ...common }, strict),
  limit: Type.Object(
    {
      kind: Type.Literal("limit"),
      limit: Name,
      rate: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 1e9 })),
      burst: Type.Optional(Type.Integer({ minimum: 1, maximum: 1e9 })),
      mode: Type.Optional(Type.Union(LIMIT_MODES.map((mode) => Type.Literal(mode)))),
      ...common,
    },
    strict,
  ),
  mirror: Type.Object(
    {
      kind: Type.Literal("mirror"),
      route: Name,
      service: Name,
      version: Type.Optional(Type.Union(VERSIONS.map((version) => Type.Literal(version)))),
      share: Share,
      writes: Type.Optional(Type.Boolean()),
      ...common,
    },
    strict,
  ),
  degrade: Type.Object({ kind: Type.Literal("degrade"), route: Name, ...common }, strict),
  breaker: Type.Object(
    { kind: Type.Literal("breaker"), service: Name, unit: Name, state: State, ...common },
    strict,
  ),
};

type Body = Readonly<Record<string, unknown>> & {
  readonly kind: OverlayChange["kind"];
  readonly reason: string;
  readonly expires?: string;
  readonly supersedes?: string;
  readonly expect?: number;
};

export function registerOverlays(api: FastifyInstance, plane: Plane): void {
  const { desk, commands, now } = plane;
  api.get<{ Querystring: NamedPageQuery }>(
    "/v1/overlays",
    {
      config: { role: "viewer" },
      schema: {
        summary: "What differs from the base right now, and why; the eldest first",
        headers: FreshHeaders,
        querystring: NamedPage,
        response: freshResponses(Type.Object({ overlays: Type.Array(Anything), next: Next })),
      },
    },
    async (request, reply) => {
      if (isSeen(request, reply, desk.standing?.revision.number ?? 0)) return reply;
      const { page, next } = pageOf(desk.standing?.overlays ?? [], ({ id }) => id, request.query);
      return { overlays: page.map((o) => ({ ...o, does: describeOverlay(o) })), next };
    },
  );

  const Body = Type.Union(Object.values(KINDS));
  api.post<{ Body: Body }>(
    "/v1/overlays",
    {
      config: { role: "operator" },
      schema: {
        summary: "Lays an overlay over the base",
        headers: RevisionHeaders,
        body: Body,
        response: responses(Type.Object({ revision: RevisionShape, overlay: Anything }), 201),
      },
      preValidation: checkKind,
    },
    once<{ Body: Body }>(commands, async ({ body, headers, actor }, record) => {
      const told = ({ revision, overlay }: Standing & { overlay: Overlay }): CommandAnswer => ({
        status: 201,
        headers: { location: `/v1/overlays/${overlay.id}` },
        body: { revision, overlay: { ...overlay, does: describeChange(overlay.change) } },
      });
      const expect = seen(headers, body.expect);
      return told(await desk.addOverlay(requestFrom(body), expect, actor, (laid) => record(told(laid))));
    }),
  );
  const previewed = (draft: ReturnType<typeof draftOverlay>, actor: Actor) => {
    const { overlay, actions } = draft;
    const deed = { actions, target: describeChange(overlay.change), actor };
    return { overlay, ...previewOf(plane, draft, deed) };
  };
  api.post<{ Body: Body }>(
    "/v1/overlays/preview",
    {
      config: { role: "viewer" },
      schema: {
        summary: "What an overlay would change, and the safety rules that would refuse it",
        body: Body,
        response: previewResponses,
      },
      preValidation: checkKind,
    },
    async ({ body, actor }) =>
      previewed(draftOverlay(needed(desk.standing), requestFrom(body), actor.name, now()), actor),
  );
  api.get<{ Params: { id: string } }>(
    "/v1/overlays/:id/removal",
    {
      config: { role: "viewer" },
      schema: {
        summary: "What taking an overlay away would change, and the safety rules that would refuse it",
        params: Id,
        response: previewResponses,
      },
    },
    async ({ params, actor }) => previewed(draftRemoval(needed(desk.standing), params.id), actor),
  );

  api.delete<{ Params: { id: string }; Querystring: { reason: string } }>(
    "/v1/overlays/:id",
    {
      config: { role: "operator" },
      schema: {
        summary: "Takes an overlay away: what it wrote is the base's again",
        params: Id,
        headers: RevisionHeaders,
        querystring: Type.Object({ reason: Reason }, strict),
        response: responses(Type.Object({ revision: RevisionShape })),
      },
    },
    once<{ Params: { id: string }; Querystring: { reason: string } }>(commands, async (request, record) => {
      const { params, query, headers, actor } = request;
      const told = ({ revision }: Standing): CommandAnswer => ({
        status: 200,
        headers: {},
        body: { revision },
      });
      const expect = seen(headers, undefined);
      return told(await desk.removeOverlay(params.id, expect, query.reason, actor, (s) => record(told(s))));
    }),
  );
}

/** A union's own refusal would list every field of every kind. */
async function checkKind(request: FastifyRequest): Promise<void> {
  const body = request.body as { readonly kind?: unknown } | null | undefined;
  const kind = typeof body === "object" && body !== null ? body.kind : undefined;
  if (typeof kind !== "string" || !Object.hasOwn(KINDS, kind)) {
    const given =
      kind === undefined ? "the overlay has no kind" : `there is no overlay kind ${JSON.stringify(kind)}`;
    throw new Refused("bad-request", `${given}; expected one of ${Object.keys(KINDS).join(", ")}`);
  }
  const validate = request.compileValidationSchema(KINDS[kind as keyof typeof KINDS]);
  if (validate(body)) return;
  const [error] = validate.errors ?? [];
  const extra = error?.params.additionalProperty === undefined ? "" : ` (${error.params.additionalProperty})`;
  const field = error?.instancePath.slice(1) || "the overlay";
  throw new Refused("bad-request", `${kind}: ${field} ${error?.message ?? "does not fit"}${extra}`);
}

function requestFrom({ reason, expires, supersedes, expect: _, ...change }: Body): OverlayRequest {
  const expiresIn = expires === undefined ? undefined : durationOf("expires", expires, 1_000, LONGEST);
  return { change: changeFrom(change as unknown as OverlayChange), reason, expiresIn, supersedes };
}

function changeFrom(change: OverlayChange): OverlayChange {
  if (
    change.kind === "limit" &&
    change.rate === undefined &&
    change.burst === undefined &&
    change.mode === undefined
  )
    throw new Refused("bad-request", "the overlay changes nothing of the limit; give rate, burst or mode");
  if (change.kind === "mirror") {
    return { ...change, version: change.version ?? "stable", writes: change.writes ?? false };
  }
  if (change.kind !== "drain") return change;
  const given = change as unknown as { ramp?: string; deadline?: string };
  const ramp = durationOf("ramp", given.ramp ?? RAMP, 0, 3_600_000);
  const deadline = durationOf("deadline", given.deadline ?? DEADLINE, 0, LONGEST);
  return { kind: "drain", unit: change.unit, ramp, deadline };
}

function durationOf(field: string, text: string, least: number, most: number): number {
  const milliseconds = durationFrom(text);
  if (milliseconds === undefined || milliseconds < least || milliseconds > most) {
    throw new Refused(
      "bad-request",
      `${field} is ${text}; expected a duration from ${least} ms to ${most / 3_600_000} h, such as 10m`,
    );
  }
  return milliseconds;
}
