/** Breaking a safety rule on purpose: one asks, another one agrees. */
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import { Refused } from "../refused.ts";
import { isBuiltIn, OVERRIDE, OVERRIDE_LASTS, type Override } from "../safety-gate.ts";
import type { AuditLine } from "../store/store.ts";
import { once } from "./once.ts";
import { Anything, CommandHeaders, Name, Reason, responses } from "./schemas.ts";
import type { Plane } from "./server.ts";

const strict = { additionalProperties: false };
/** Kept at once: what was asked for in the last two hours. */
const MOST = 500;

interface AskBody {
  readonly rule: string;
  readonly digest: string;
  readonly what: string;
  readonly reason: string;
}

export function registerOverrides(api: FastifyInstance, { desk, store, commands, now, random }: Plane): void {
  api.get(
    "/v1/overrides",
    {
      config: { role: "viewer" },
      schema: { summary: "What was asked for and agreed to, the last hour", response: responses(Anything) },
    },
    async () => {
      const documents = await store.documents(OVERRIDE, undefined, MOST);
      const all = documents.map(({ body }) => JSON.parse(body) as Override);
      return { overrides: all.filter((o) => o.expires > now() - OVERRIDE_LASTS) };
    },
  );

  api.post<{ Body: AskBody }>(
    "/v1/overrides",
    {
      config: { role: "operator" },
      schema: {
        summary: "Asks for leave to break a rule with one change; `digest` is in the refusal of that change",
        headers: CommandHeaders,
        body: Type.Object(
          {
            rule: Name,
            digest: Type.String({ pattern: "^[0-9a-f]{64}$" }),
            what: Reason,
            reason: Reason,
          },
          strict,
        ),
        response: responses(Anything, 201),
      },
    },
    once<{ Body: AskBody }>(commands, async ({ body, actor }, record) => {
      const { rule, digest, what, reason } = body;
      if (isBuiltIn(rule)) throw new Refused("forbidden", `${rule} is never overridden`);
      const at = now();
      const id = `or-${random(6).toString("hex")}`;
      const override: Override = {
        ...{ id, rule, digest, what, askedBy: actor.name, reason, at, expires: at + OVERRIDE_LASTS },
      };
      const answer = { status: 201, headers: {}, body: override };
      const kept = await store.documents(OVERRIDE, undefined, MOST);
      const old = kept.filter(({ body: o }) => (JSON.parse(o) as Override).expires < at - OVERRIDE_LASTS);
      if (kept.length - old.length >= MOST) {
        throw new Refused("too-many", `${MOST} overrides were asked for in the last two hours; wait`);
      }
      await desk.write({
        puts: [{ kind: OVERRIDE, id, body: JSON.stringify(override), expect: 0 }, ...record(answer)],
        // The audit log keeps what they were.
        deletes: old.map((stored) => ({ kind: OVERRIDE, id: stored.id })),
        audit: [line("override.ask", override, actor, reason, null, at)],
        events: [
          { at, type: "override", body: JSON.stringify({ override: id, rule, what, by: actor.name }) },
        ],
      });
      return answer;
    }),
  );

  api.post<{ Params: { id: string }; Body: { reason: string } }>(
    "/v1/overrides/:id/approval",
    {
      config: { role: "approver" },
      schema: {
        summary: "Agrees to what somebody else asked for",
        headers: CommandHeaders,
        params: Type.Object({ id: Type.String({ pattern: "^or-[0-9a-f]{12}$" }) }),
        body: Type.Object({ reason: Reason }, strict),
        response: responses(Anything),
      },
    },
    once<{ Params: { id: string }; Body: { reason: string } }>(commands, async (request, record) => {
      const { params, body, actor } = request;
      const stored = await store.document(OVERRIDE, params.id);
      if (stored === undefined) throw new Refused("not-found", `nobody asked for ${params.id}`);
      const before = JSON.parse(stored.body) as Override;
      if (before.askedBy === actor.name) {
        throw new Refused("forbidden", `${actor.name} asked for it; somebody else must agree`);
      }
      const at = now();
      if (before.expires <= at)
        throw new Refused("conflict", `${params.id} was asked for too long ago; ask again`);
      if (before.approvedBy !== undefined) {
        throw new Refused("conflict", `${before.approvedBy} has agreed to ${params.id} already`);
      }
      const override: Override = { ...before, approvedBy: actor.name, approvalReason: body.reason };
      const answer = { status: 200, headers: {}, body: override };
      await desk.write({
        puts: [
          { kind: OVERRIDE, id: params.id, body: JSON.stringify(override), expect: stored.version },
          ...record(answer),
        ],
        audit: [line("override.approve", override, actor, body.reason, before, at)],
      });
      return answer;
    }),
  );
}

function line(
  action: string,
  override: Override,
  actor: { readonly name: string; readonly from: string },
  reason: string,
  before: Override | null,
  at: number,
): AuditLine {
  return {
    at,
    actor: actor.name,
    from: actor.from,
    action,
    target: `${override.id}: ${override.rule}: ${override.what}`,
    reason,
    before: JSON.stringify(before),
    after: JSON.stringify(override),
  };
}
